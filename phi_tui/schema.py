"""The schema of a project file: every key, its type, its default, what is allowed, and one sentence on it.

This is the only place where a setting is described.  Parsing, error messages, `--set`, the form on the
hyperparameter screen and the reference page in the docs are all made from these classes.  They are frozen:
a project is a value, and a change makes another one.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from phi_tui import phi, transform_rules

SCHEMA_VERSION = 1

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]


class Table(BaseModel):
    """A table of the file: strict (no string where a number belongs), frozen, without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Model(Table):
    base: str = Field("builtin:phi-demo", min_length=1)
    """A Hub id, a local folder, a .gguf file, or "builtin:phi-demo"."""
    revision: str = ""
    """Commit or tag of a Hub base; empty takes the newest and pins it in the lock."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Type the frozen weights are held in; auto follows train.precision."""
    quantization: Literal["none", "int8", "nf4", "nf4-plain", "nf4-mixed"] = "none"
    """Bits of the frozen weights: int8; nf4, which leaves the most sensitive layers in 16 bits; nf4-plain, QLoRA as it
    was published, on every layer; nf4-mixed, what older runs spared."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """Attention implementation; auto takes SDPA where the architecture has it, else eager."""
    task: Literal["causal-lm", "classification", "multi-label", "regression"] = "causal-lm"
    """What is learnt: causal-lm answers in words, classification one class, multi-label any, regression a number."""
    init: Literal["pretrained", "scratch"] = "pretrained"
    """pretrained: start from the base's weights; scratch: a new model of the shape in [scratch], all of it trained."""


_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*([KMB]?)")


class Scratch(Table):
    architecture: Literal["llama", "gpt_neox"] = "llama"
    """Kind of the new model, where model.init = "scratch"; its output head shares the embedding's weights."""
    parameters: str = "3M"
    """How many parameters the new model may have, such as "3M" or "1.3B"; `phi-tui shapes 125M` shows shapes."""
    vocabulary: int = Field(0, ge=0, le=1_000_000)
    """Tokens of its vocabulary; 0: by the budget (about 1.2 x its square root), or all of a tokenizer that is taken."""
    context: int = Field(512, ge=8, le=1_048_576)
    """Longest text it can read, in tokens; blocks are this long, or data.max_length where that is less."""
    shape: Literal["conventional", "phi"] = "conventional"
    """Width over depth: as in published models of the size, or the power of phi that is nearest to that."""
    layers: int = Field(0, ge=0, le=512)
    """Its depth; 0: from the budget and the shape."""
    hidden: int = Field(0, ge=0, le=65_536)
    """Its width; 0: from the budget and the shape."""
    heads: int = Field(0, ge=0, le=1024)
    """Its attention heads; 0: so many that each is about 64 wide."""
    tokenizer: str = ""
    """Whose tokenizer it takes: a folder, a Hub id or "builtin:phi-demo"; empty trains one on the training rows."""
    packing: bool = True
    """Lay all texts end to end, each closed by the end token, and cut them into full blocks; off: a row a text."""

    @field_validator("parameters")
    @classmethod
    def _is_budget(cls, parameters: str) -> str:
        found = _BUDGET.fullmatch(parameters)
        if not found or not 10_000 <= _budget(found) <= 100_000_000_000:
            raise ValueError('allowed: a number with K, M or B, such as "3M" or "1.3B", from 10K to 100B')
        return parameters

    @property
    def budget(self) -> int:
        """The parameters as a number."""
        found = _BUDGET.fullmatch(self.parameters)
        return _budget(found) if found else 0


def _budget(found: re.Match[str]) -> int:
    return round(float(found[1]) * {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}[found[2]])


class Source(Table):
    path: str = ""
    """A .jsonl, .json, .csv, .tsv, .txt or .parquet file, a .gz of one, or a folder of them; relative to the file."""
    hub: str = ""
    """A data set on the Hub, as org/name, in place of a path."""
    hub_config: str = ""
    """Configuration (subset) of the Hub data set."""
    hub_split: str = "train"
    """Split of the Hub data set."""
    revision: str = ""
    """Commit or tag of the Hub data set."""
    role: Literal["train", "validation"] = "train"
    """train: is split and mixed; validation: is used for validation as it is."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Which column holds what: instruction, input, output, prompt, completion, messages, text, label, source, summary,
    context, question or answer = "column"."""
    delimiter: str = ""
    """What separates the columns of a .csv or .tsv file, such as ";"; empty: a comma, in a .tsv file a tab."""
    quote: str = '"'
    """The mark around a field of a .csv or .tsv file that holds a separator; empty: no field is quoted."""
    encoding: str = ""
    """How the text files are encoded, such as "latin-1" or "utf-16"; empty: UTF-8."""
    header: bool = True
    """Whether the first record of a .csv or .tsv file names the columns; false names them column1, column2, ..."""

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        known = ("text", "instruction", "input", "output", "prompt", "completion", "messages", "system",
                 "label", "labels", "source", "summary", "context", "question", "answer")  # fmt: skip
        for field in columns:
            if field not in known:
                raise ValueError(f'"{field}" is no field; allowed: {", ".join(known)}')
        return columns

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if bool(self.path) == bool(self.hub):
            raise ValueError("a source has either path or hub")
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        return transform_rules.encoding(encoding)

    @model_validator(mode="after")
    def _dialect(self) -> Source:
        transform_rules.dialect(self)
        return self


class Transform(Table):
    do: Literal[
        "rename", "drop", "filter", "cast", "template", "strip-html", "normalise", "deduplicate", "sample", "shuffle"
    ]
    """What is done to the rows; transforms are applied in the order they stand in."""
    source: int | str = 0
    """The one source it is for, as its number from 1 or its path; 0: every source."""
    columns: dict[str, str] | Annotated[tuple[str, ...], Field(strict=False)] = ()
    """rename: { new = "old" }; cast: { x = "int", "float", "text" or "bool" }; drop, strip-html, normalise: a list."""
    where: str = ""
    """filter: rows for which this holds are kept, such as `len(text) > 20 and lower(lang) in ["en", "de"]`."""
    column: str = ""
    """template: the column that the text goes into."""
    template: str = ""
    """template: Jinja over the row's columns, such as "{{ title }}: {{ body }}"."""
    form: Literal["NFC", "NFKC"] = "NFC"
    """normalise: the Unicode form; NFKC also makes ligatures, full-width and raised characters plain ones."""
    on: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """deduplicate: of rows that agree in these columns the first is kept; empty: in all columns."""
    rows: int = Field(0, ge=0)
    """sample: how many rows of each source are kept, drawn by the project's seed."""
    share: float = Field(0.0, ge=0.0, le=1.0)
    """sample: which share of each source's rows is kept, drawn by the project's seed."""

    @model_validator(mode="after")
    def _fits(self) -> Transform:
        transform_rules.check(self)
        return self


class Data(Table):
    format: Literal["auto", "text", "instruction", "prompt-completion", "chat"] = "auto"
    """What a row holds; auto looks at the columns."""
    split: Literal["phi", "none"] | Annotated[float, Field(gt=0.0, lt=1.0)] = "phi"
    """phi trains on 61.8% (1/phi) and validates on 38.2%; a number is the training share; none validates on nothing."""
    mix: Literal["none", "phi"] = "none"
    """phi samples several sources with weights 0.618, 0.382, 0.236, ... normalised; none joins them end to end."""
    mix_stop: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    """When the mix ends: at the first source that runs out, or when each was seen whole (shorter ones repeat)."""
    skip_bad: bool = False
    """Leave broken rows out, counted and named, instead of refusing to start."""
    max_length: int = Field(1024, ge=8, le=1_048_576)
    """Longest row in tokens; what is beyond is cut off and counted."""
    train_on: Literal["completion", "everything"] = "completion"
    """completion gives loss on the answers alone, everything on the prompts too."""
    template: Literal["auto", "chat", "instruction", "plain", "summarisation", "qa"] = "auto"
    """How a row becomes text: the model's chat template, the Instruction/Input/Output layout, as it is, or laid out for
    summaries (source, summary) or for answers to questions (context, question, answer)."""
    cut: Literal["end", "source"] = "end"
    """What a row beyond max_length loses: its end, or the end of its source (context, input); then the answer stays."""
    labels: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(default=(), strict=False)
    """The classes, for model.task = "classification" or "multi-label"; empty: those found in the training rows."""
    sources: tuple[Source, ...] = Field(default=(), strict=False)
    """The files and Hub data sets, as [[data.sources]] tables."""
    transforms: tuple[Transform, ...] = Field(default=(), strict=False)
    """What is done to the rows before anything else sees them, in order, as [[data.transforms]] tables."""

    @model_validator(mode="after")
    def _one_layout(self) -> Data:
        if self.template in ("summarisation", "qa") and self.format != "auto":
            raise ValueError(f'template = "{self.template}" says what a row holds: leave format at "auto"')
        return self


class Lora(Table):
    rank: int = Field(8, ge=1, le=1024)
    """Rank of the adapter's matrices; golden: 8, 13, 21, 34."""
    alpha: int = Field(16, ge=1, le=4096)
    """Scale: the update is multiplied by alpha / rank; rank to 2 x rank is usual."""
    dropout: float = Field(0.05, ge=0.0, lt=1.0)
    """Dropout on the adapter's input."""
    targets: str | Annotated[tuple[str, ...], Field(strict=False)] = "all-linear"
    """"all-linear" (every linear layer but the head), or a list of module names, each of which must match."""
    variant: Literal["lora", "rslora", "dora"] = "lora"
    """rslora scales by alpha / sqrt(rank), for high ranks; dora trains each row's length apart, for low ranks."""
    init: Literal["default", "pissa", "olora"] = "default"
    """Start of the adapter: nothing, or the base's leading directions (pissa by SVD, olora by QR), to learn faster."""
    plus_ratio: float = Field(0.0, ge=0.0, le=1000.0)
    """LoRA+: how many times faster the B matrices learn than the A matrices; 0: off, 16 is usual."""
    modules_to_save: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Modules that are trained whole beside the adapter and saved with it, such as "lm_head" or a norm."""
    trainable_tokens: Annotated[tuple[str | int, ...], Field(strict=False)] = ()
    """Tokens, as text or id, whose embeddings are trained too: for special tokens that the base never learnt."""

    @field_validator("targets")
    @classmethod
    def _targets(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(targets, str) and targets != "all-linear":
            raise ValueError('allowed: "all-linear" or a list of module names, such as ["q_proj", "v_proj"]')
        if not targets or not all(targets):
            raise ValueError("an empty list or name trains nothing")
        return targets

    @field_validator("plus_ratio")
    @classmethod
    def _plus_ratio(cls, ratio: float) -> float:
        if 0.0 < ratio < 1.0:
            raise ValueError("allowed: 0 (off), or a ratio from 1 on; 16 is usual")
        return ratio


class Train(Table):
    method: Literal["lora", "full"] = "lora"
    """lora trains an adapter on a frozen base; full trains every weight, in more memory, and leaves a whole model."""
    epochs: float = Field(1.0, gt=0.0, le=10_000.0)
    """Passes over the training rows."""
    max_steps: int = Field(0, ge=0)
    """Optimiser steps; 0 goes by epochs."""
    learning_rate: float = Field(2e-4, gt=0.0, le=10.0)
    """Peak learning rate."""
    scheduler: Literal[
        "constant",
        "linear",
        "cosine",
        "cosine_with_floor",
        "cosine_with_restarts",
        "phi_restarts",
        "warmup_stable_decay",
    ] = "cosine"
    """Shape of the learning rate after warm-up; phi_restarts: cosine periods, each phi times the one before."""
    restarts: int = Field(3, ge=0, le=20)
    """How often cosine_with_restarts and phi_restarts start again."""
    floor: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the peak learning rate that cosine_with_floor ends at; the other schedules take no notice of it."""
    decay: float = Field(0.2, ge=0.0, le=1.0)
    """Share of the steps, the last ones, in which warmup_stable_decay falls to 0 as 1 - sqrt(x)."""
    warmup: float = Field(phi.WARMUP, ge=0.0)
    """Warm-up: a share of the steps below 1 (golden: 0.0618 = 0.1/phi), a number of steps from 1 on."""
    batch_size: int = Field(0, ge=0, le=65_536)
    """Rows a forward pass on each device, if they were the longest; of shorter ones more; 0: found before training."""
    grad_accum: int = Field(0, ge=0, le=65_536)
    """Forward passes an optimiser step; 0: from tokens_per_step."""
    tokens_per_step: int = Field(2048, ge=1)
    """Tokens an optimiser step should see, where grad_accum is 0."""
    weight_decay: float = Field(0.0, ge=0.0, le=10.0)
    """Decoupled weight decay of AdamW on the trained matrices."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw", "adafactor"] = "adamw"
    """8-bit states take a quarter, adafactor next to nothing; paged ones move to main memory when a GPU is full."""
    beta2: float = Field(0.999, ge=0.0, lt=1.0)
    """How long AdamW remembers squared gradients; 0.95 is usual for a new model, whose gradients change fast."""
    max_grad_norm: float = Field(1.0, ge=0.0)
    """Gradients are clipped to this norm; 0: not clipped."""
    on_oom: Literal["fail", "shrink"] = "fail"
    """When memory runs out: fail says what may fit; shrink goes on with smaller batches and the same rows a step."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Type the matrix products are computed in; auto: bf16 where the device is faster with it."""
    evaluate: bool = True
    """Evaluate on the validation rows, the base first for comparison, and keep the best adapter."""
    samples: int = Field(2, ge=0, le=20)
    """Prompts of the validation rows that the model answers at each evaluation, to be read beside the loss; 0: none."""
    sample_tokens: int = Field(40, ge=1, le=1024)
    """Longest of these answers in tokens."""
    score: Literal["none", "rouge-l", "exact-match"] = "none"
    """Score generated answers at each evaluation: rouge-l for summaries, exact-match (and token F1) for short ones."""
    score_rows: int = Field(32, ge=1, le=10_000)
    """How many of the validation rows are answered for the score, spread evenly; more are steadier and take longer."""
    score_tokens: int = Field(64, ge=1, le=4096)
    """Longest of the scored answers in tokens; what a good answer takes should fit."""
    early_stopping: int = Field(0, ge=0)
    """Stop after so many evaluations without improvement; 0: off."""
    eval_every: int = Field(0, ge=0)
    """Evaluate every so many steps; 0: at the end of each epoch."""
    save_every: int = Field(0, ge=0)
    """Checkpoint every so many steps; 0: at each evaluation."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many of the newest checkpoints stay."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations in the backward pass to save memory; auto: when the estimate does not fit without."""
    packing: bool | Literal["auto"] = "auto"
    """Lay a batch's rows end to end, none seeing another; auto: where it is exact and saves padding and memory."""
    report_to: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], Field(strict=False)] = ()
    """Trackers that get the metrics too: tensorboard, wandb, trackio."""


class Launch(Table):
    where: Literal["background", "here"] = "background"
    """background: a process of its own that outlives the terminal; here: inside the app."""
    processes: int = Field(1, ge=1, le=64)
    """Trainer processes on this machine, one for each GPU; they share the rows of a step, so the result stays."""


class Chat(Table):
    system: str = ""
    """System prompt, where the template has one."""
    temperature: float = Field(0.0, ge=0.0, le=5.0)
    """Randomness of the answers; 0 takes the likeliest token each time."""
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    """Sample from the smallest set of tokens with this probability."""
    max_tokens: int = Field(256, ge=1)
    """Longest answer in tokens."""


class Project(Table):
    schema_version: int = Field(SCHEMA_VERSION, alias="schema", ge=1, le=SCHEMA_VERSION)
    """Version of this file's schema."""
    name: Name
    """Letters, digits, dot, dash and underscore; names the folders of the outputs."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of the split, the mix, the order of the rows, the adapter's initial weights and dropout."""
    model: Model = Model()
    scratch: Scratch = Scratch()
    data: Data = Data()
    lora: Lora = Lora()
    train: Train = Train()
    chat: Chat = Chat()
    launch: Launch = Launch()

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _new_models_are_trained_whole(cls, tables: Any) -> Any:
        """Without a word on train.method a new model is trained whole: there is nothing an adapter could lie on."""
        if not isinstance(tables, dict):
            return tables
        model, train = tables.get("model"), tables.get("train", {})
        if isinstance(model, dict) and isinstance(train, dict) and model.get("init") == "scratch":
            return {**tables, "train": {"method": "full", **train}}
        return tables
