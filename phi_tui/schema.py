"""The schema of a project file: every key, its type, its default, what is allowed, and one sentence on it.

This is the only place where a setting is described.  Parsing, error messages, `--set`, the form on the
hyperparameter screen and the reference page in the docs are all made from these classes.  They are frozen:
a project is a value, and a change makes another one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from phi_tui import phi

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
    quantization: Literal["none"] = "none"
    """Quantisation of the frozen weights."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """Attention implementation; auto takes SDPA where the architecture has it, else eager."""
    task: Literal["causal-lm"] = "causal-lm"
    """What the model is trained to do."""


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
    """Which column holds what: instruction, input, output, prompt, completion, messages or text = "column"."""

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        known = ("text", "instruction", "input", "output", "prompt", "completion", "messages", "system")
        for field in columns:
            if field not in known:
                raise ValueError(f'"{field}" is no field; allowed: {", ".join(known)}')
        return columns

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if bool(self.path) == bool(self.hub):
            raise ValueError("a source has either path or hub")
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
    template: Literal["auto", "chat", "instruction", "plain"] = "auto"
    """How a row becomes text: the model's chat template, the Instruction/Input/Output layout, or as it is."""
    sources: tuple[Source, ...] = Field(default=(), strict=False)
    """The files and Hub data sets, as [[data.sources]] tables."""


class Lora(Table):
    rank: int = Field(8, ge=1, le=1024)
    """Rank of the adapter's matrices; golden: 8, 13, 21, 34."""
    alpha: int = Field(16, ge=1, le=4096)
    """Scale: the update is multiplied by alpha / rank; rank to 2 x rank is usual."""
    dropout: float = Field(0.05, ge=0.0, lt=1.0)
    """Dropout on the adapter's input."""
    targets: str | Annotated[tuple[str, ...], Field(strict=False)] = "all-linear"
    """"all-linear" (every linear layer but the head), or a list of module names, each of which must match."""

    @field_validator("targets")
    @classmethod
    def _targets(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(targets, str) and targets != "all-linear":
            raise ValueError('allowed: "all-linear" or a list of module names, such as ["q_proj", "v_proj"]')
        if not targets or not all(targets):
            raise ValueError("an empty list or name trains nothing")
        return targets


class Train(Table):
    epochs: float = Field(1.0, gt=0.0, le=10_000.0)
    """Passes over the training rows."""
    max_steps: int = Field(0, ge=0)
    """Optimiser steps; 0 goes by epochs."""
    learning_rate: float = Field(2e-4, gt=0.0, le=10.0)
    """Peak learning rate."""
    scheduler: Literal["constant", "linear", "cosine", "cosine_with_restarts", "phi_restarts"] = "cosine"
    """Shape of the learning rate after warm-up; phi_restarts: cosine periods, each phi times the one before."""
    restarts: int = Field(3, ge=0, le=20)
    """How often cosine_with_restarts and phi_restarts start again."""
    warmup: float = Field(phi.WARMUP, ge=0.0)
    """Warm-up: a share of the steps below 1 (golden: 0.0618 = 0.1/phi), a number of steps from 1 on."""
    batch_size: int = Field(0, ge=0, le=65_536)
    """Rows a forward pass on each device; 0: found before training."""
    grad_accum: int = Field(0, ge=0, le=65_536)
    """Forward passes an optimiser step; 0: from tokens_per_step."""
    tokens_per_step: int = Field(2048, ge=1)
    """Tokens an optimiser step should see, where grad_accum is 0."""
    weight_decay: float = Field(0.0, ge=0.0, le=10.0)
    """Decoupled weight decay of AdamW on the trained matrices."""
    max_grad_norm: float = Field(1.0, ge=0.0)
    """Gradients are clipped to this norm; 0: not clipped."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Type the matrix products are computed in; auto: bf16 where the device is faster with it."""
    evaluate: bool = True
    """Evaluate on the validation rows, the base first for comparison, and keep the best adapter."""
    samples: int = Field(2, ge=0, le=20)
    """Prompts of the validation rows that the model answers at each evaluation, to be read beside the loss; 0: none."""
    sample_tokens: int = Field(40, ge=1, le=1024)
    """Longest of these answers in tokens."""
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
    report_to: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], Field(strict=False)] = ()
    """Trackers that get the metrics too: tensorboard, wandb, trackio."""


class Launch(Table):
    where: Literal["background", "here"] = "background"
    """background: a process of its own that outlives the terminal; here: inside the app."""
    processes: int = Field(1, ge=1, le=1)
    """Trainer processes."""


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
    data: Data = Data()
    lora: Lora = Lora()
    train: Train = Train()
    chat: Chat = Chat()
    launch: Launch = Launch()

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=True)
