"""The model card that lies beside an adapter: what it is, what it was trained on, and how to use it."""

from __future__ import annotations

import json
from typing import Any

from phi_tui import __version__
from phi_tui.engine import adapting, label_card, quantised
from phi_tui.engine.labels import has_head
from phi_tui.safe_text import clean
from phi_tui.schema import Project


def text(project: Project, lock: dict[str, Any], figures: dict[str, Any], template: str) -> str:
    """Return the card as Markdown with the Hub's front matter; `figures` holds steps, losses and perplexities."""
    new = project.model.init == "scratch"
    base = clean(lock["base"]["id"] if new else project.model.base, one_line=True)
    on_hub = lock["base"]["kind"] == "hub"
    whole = adapting.trains_all(project)
    front = ["---", f"library_name: {'transformers' if whole else 'peft'}", "pipeline_tag: text-generation", "tags:"]
    front += [*([] if whole else ["- lora"]), "- phi-tui"]
    if on_hub:
        front.insert(1, f"base_model: {base}")
    train = project.train
    rows = [
        ("Base", f"`{base}`" + (f" at `{lock['base']['revision']}`" if lock["base"]["revision"] else "")),
        ("Template", template),
        ("Method", _method(project)),
        ("Learning rate", f"{train.learning_rate:g}, {train.scheduler}, warm-up {train.warmup:g}"),
        ("Batch", f"{lock['plan']['batch_size']} x {lock['plan']['grad_accum']} rows a step"),
        ("Precision", f"{lock['device']['precision']}, weights {lock['device']['weights']}"),
        ("Rows", f"{lock['data']['train_rows']} trained, {lock['data']['validation_rows']} validated"),
        ("Seed", str(project.seed)),
    ]
    rows += [(name, f"{value:.4f}" if isinstance(value, float) else str(value)) for name, value in figures.items()]
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])
    if has_head(project):
        return label_card.text(project, front, table)
    what = "A new model" if new else f"All weights of `{base}`" if whole else f"A LoRA adapter for `{base}`"
    return f"""{chr(10).join(front)}
---

# {project.name}

{what}, trained with phi-tui {__version__}.

{table}

The perplexity is exp(total negative log-likelihood / predicted tokens) over the whole validation set.

## Use

```python
{_loading(project, lock)}
messages = [{{"role": "user", "content": "..."}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))
```

The tokenizer beside the {"weights" if whole else "adapter"} carries the chat template that it was trained with.
"""


def merged(project: Project, lock: dict[str, Any], run: str, dtype: str) -> str:
    """Return the card of a model that an adapter was merged into."""
    base = clean(project.model.base, one_line=True)
    front = ["---", *([f"base_model: {base}"] if lock["base"]["kind"] == "hub" else []), "library_name: transformers"]
    return f"""{chr(10).join([*front, "pipeline_tag: text-generation", "tags:", "- phi-tui", "---"])}

# {project.name}

`{base}` with the LoRA adapter of run {run} merged into its weights ({dtype}) by phi-tui {__version__}.  It loads as any
model does; the tokenizer beside it carries the chat template that the adapter was trained with.
"""


def _method(project: Project) -> str:
    """How the base was adapted, in a line."""
    if adapting.trains_all(project):
        return "full fine-tuning, every weight" if project.model.init == "pretrained" else "from scratch"
    lora, held = project.lora, project.model.quantization
    name = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}[lora.variant]
    parts = [f"{name}, rank {lora.rank}, alpha {lora.alpha}, dropout {lora.dropout}"]
    if lora.init != "default":
        start = {"pissa": "PiSSA", "olora": "OLoRA"}[lora.init]
        parts.append(f"started by {start} (held as a second half, so the adapter's own rank is {2 * lora.rank})")
    if lora.plus_ratio:
        parts.append(f"LoRA+ ratio {lora.plus_ratio:g}")
    if lora.modules_to_save:
        parts.append(f"trained whole: {clean(', '.join(lora.modules_to_save), one_line=True)}")
    if lora.trainable_tokens:
        parts.append(f"{len(lora.trainable_tokens)} token embeddings")
    if held != "none":
        parts.append(f"on the base in {held}")
    return ", ".join(parts)


def _loading(project: Project, lock: dict[str, Any]) -> str:
    """The lines that load what was trained."""
    base = clean(project.model.base, one_line=True)
    if adapting.trains_all(project):
        return """from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForCausalLM.from_pretrained("model")"""
    kind = project.model.quantization
    kept = lock["base"].get("spared") or (quantised.MLP_ENDS if kind == "nf4-mixed" else ())
    skipped = f"        llm_int8_skip_modules={json.dumps([*quantised.HEADS, *kept])},\n" if kept else ""
    four = f""",
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
{skipped}    ),
"""
    held = {
        "none": "",
        "int8": ", quantization_config=BitsAndBytesConfig(load_in_8bit=True)",
    }.get(kind, four)
    more = ", BitsAndBytesConfig" if held else ""
    first = "import torch\n" if held == four else ""
    return f"""{first}from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{more}

tokenizer = AutoTokenizer.from_pretrained("adapter")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"{held}), "adapter")"""
