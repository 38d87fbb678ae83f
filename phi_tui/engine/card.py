"""The model card that lies beside an adapter: what it is, what it was trained on, and how to use it."""

from __future__ import annotations

from typing import Any

from phi_tui import __version__
from phi_tui.safe_text import clean
from phi_tui.schema import Project


def text(project: Project, lock: dict[str, Any], figures: dict[str, Any], template: str) -> str:
    """Return the card as Markdown with the Hub's front matter; `figures` holds steps, losses and perplexities."""
    base = clean(project.model.base, one_line=True)
    on_hub = lock["base"]["kind"] == "hub"
    front = ["---", "library_name: peft", "pipeline_tag: text-generation", "tags:", "- lora", "- phi-tui"]
    if on_hub:
        front.insert(1, f"base_model: {base}")
    train, lora = project.train, project.lora
    rows = [
        ("Base", f"`{base}`" + (f" at `{lock['base']['revision']}`" if lock["base"]["revision"] else "")),
        ("Template", template),
        ("LoRA", f"rank {lora.rank}, alpha {lora.alpha}, dropout {lora.dropout}"),
        ("Learning rate", f"{train.learning_rate:g}, {train.scheduler}, warm-up {train.warmup:g}"),
        ("Batch", f"{lock['plan']['batch_size']} x {lock['plan']['grad_accum']} rows a step"),
        ("Precision", f"{lock['device']['precision']}, weights {lock['device']['weights']}"),
        ("Rows", f"{lock['data']['train_rows']} trained, {lock['data']['validation_rows']} validated"),
        ("Seed", str(project.seed)),
    ]
    rows += [(name, f"{value:.4f}" if isinstance(value, float) else str(value)) for name, value in figures.items()]
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])
    return f"""{chr(10).join(front)}
---

# {project.name}

A LoRA adapter for `{base}`, trained with phi-tui {__version__}.

{table}

The perplexity is exp(total negative log-likelihood / predicted tokens) over the whole validation set.

## Use

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("adapter")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "adapter")
messages = [{{"role": "user", "content": "..."}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))
```

The tokenizer beside the adapter carries the chat template that it was trained with.
"""
