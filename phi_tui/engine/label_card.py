"""The model card of an adapter with a head: how to load both in the plain libraries, and what the outputs mean."""

from __future__ import annotations

from phi_tui import __version__
from phi_tui.safe_text import clean
from phi_tui.schema import Project


def text(project: Project, front: list[str], table: str) -> str:
    """Return the card as Markdown; `front` are the lines of its front matter, `table` what it was trained on."""
    base, task = clean(project.model.base, one_line=True), project.model.task
    tag = "pipeline_tag: text-classification"
    head = "\n".join(tag if line.startswith("pipeline_tag") else line for line in front)
    read = {
        "classification": "shares = model(**inputs).logits.softmax(-1)  # in the order of config.id2label",
        "multi-label": "shares = model(**inputs).logits.sigmoid()  # each class on its own; from 0.5 on it is said",
        "regression": 'said = json.load(open("adapter/phi-tui.json"))["labels"]\n'
        'value = model(**inputs).logits[0, 0] * said["std"] + said["mean"]',
    }[task]
    first = "import json\n\n" if task == "regression" else ""
    return f"""{head}
---

# {project.name}

A LoRA adapter with a trained head ({task}) for `{base}`, trained with phi-tui {__version__}.

{table}

The losses are means over the whole validation set: cross-entropy in nats, or the squared error of the standardised
number.

## Use

```python
{first}from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("adapter")
config = AutoConfig.from_pretrained("adapter")
model = AutoModelForSequenceClassification.from_pretrained("{base}", config=config)
model = PeftModel.from_pretrained(model, "adapter").eval()
inputs = tokenizer("...", return_tensors="pt", return_token_type_ids=False)
{read}
```

The head reads a row's last token.  The library finds that by the pad token's id, so give it one text at a time where a
text may end with that token.
"""
