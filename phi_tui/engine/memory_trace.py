"""What a step holds, found by walking through it with tensors that have a shape and no content.

The model is built from its real configuration with two layers and runs forward and backward under torch's fake
tensors, through the same code as in training: attention, adapters, dropout, types under autocast.  Every tensor's
birth and death is counted, so what autograd keeps for a token and a layer is not guessed but read off, whatever
the architecture.  Three such walks give what grows with tokens and what grows with the square of a row's length.
"""

from __future__ import annotations

import copy
import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phi_tui.engine import adapting, batching, rows_attention
from phi_tui.engine import targets as layers
from phi_tui.schema import Project

_LAYERS = 2
"""Layers walked through: two, since some architectures take turns between two kinds."""
_LENGTH = 61
"""Tokens of a row, and twice as many; no width is a multiple of it, so a mask is known by its shape."""
_KEPT_TRACES = 16


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes as constant + each_token x rows x length + each_pair x rows x length^2."""

    constant: float
    each_token: float
    each_pair: float

    def at(self, rows: float, length: int) -> float:
        """Return the bytes for `rows` of `length` tokens."""
        return self.constant + self.each_token * rows * length + self.each_pair * rows * length**2

    def in_turn(self, rows: float, length: int) -> float:
        """Return the bytes for `rows` of `length` tokens whose attention is computed in turn."""
        return self.constant + self.each_token * rows * length + self.each_pair * length**2


@dataclass(frozen=True, slots=True)
class Trace:
    """What a model's forward and backward passes hold, in bytes beside weights, gradients and optimiser state."""

    outside: Growth
    """Kept for the backward pass by all but the layers: the residual stream, masks, positions, the last norm."""
    layer: Growth
    """Kept for the backward pass by one layer."""
    layer_input: Growth
    """A layer's input: what it keeps when it is recomputed."""
    backward: Growth
    """The most that a layer's backward pass holds on top of what is kept."""
    evaluation: Growth
    """The most that a forward pass without gradients holds, the output layer aside."""
    mask: float
    """Bytes a layer, row and length^2 that a mask keeps; rows of one length need none."""
    packed: bool = False
    """Whether rows lie end to end: their attention is then computed in turn."""


_traces: dict[str, Trace | None] = {}


def trace(
    skeleton: Any,
    project: Project,
    targets: list[str],
    tokenizer: Any,
    weights: str,
    precision: str,
    *,
    labelled: bool = False,
    device: str = "cpu",
    packed: bool = False,
    longest: int = _LENGTH,
) -> Trace | None:
    """Return the trace of `project`'s method on the model that `skeleton` is the shape of.

    `weights` names the type of the frozen weights, `precision` that of the products; `packed` asks for that of packs,
    if the model's can be computed in one piece, of rows about as long as `longest` tokens.  None for an
    architecture that cannot be walked through so, whose flow depends on numbers.  What was found is kept.
    """
    config = skeleton.config.to_dict()
    said = [config, project.lora.model_dump(), project.model.attention, adapting.trains_all(project), targets]
    long = packed and longest > rows_attention.BLOCK
    said += [labelled, device, project.train.packing, project.launch.processes, packed, long]
    key = json.dumps([type(skeleton).__name__, weights, precision, *said], default=str, sort_keys=True)
    if key not in _traces:
        while len(_traces) >= _KEPT_TRACES:
            _traces.pop(next(iter(_traces)))
        try:
            found = None
            if packed:
                length = 5 * _LENGTH if long else _LENGTH
                found = _packed(skeleton, project, targets, tokenizer, weights, precision, labelled, device, length)
            _traces[key] = found or _walked(skeleton, project, targets, tokenizer, weights, precision)
        except Exception:  # whatever a foreign architecture or another release of torch raises: the formula is there
            _traces[key] = None
    return _traces[key]


def _walked(skeleton: Any, project: Project, targets: list[str], tokenizer: Any, weights: str, precision: str) -> Trace:
    model, mode = _model(skeleton, project, targets, tokenizer, weights)
    autocast = {"bf16": "bfloat16", "fp16": "bfloat16"}.get(precision)  # a CPU has no fp16 autocast; the size is equal
    walks = [
        _walk(model, mode, rows, length, autocast) for rows, length in ((1, _LENGTH), (2, _LENGTH), (1, 2 * _LENGTH))
    ]
    fit = {name: _fit([walk[name] for walk in walks]) for name in walks[0]}
    # SDPA turns a mask into the type of the queries in every layer, and keeps it; without padding there is none.
    compute = 2.0 if autocast or weights != "float32" else 4.0
    each_layer = (fit["layers"].constant, fit["layers"].each_token, fit["layers"].each_pair)
    return Trace(
        outside=fit["outside"],
        layer=Growth(*(part / _LAYERS for part in each_layer)),
        layer_input=fit["input"],
        backward=Growth(0.0, fit["backward"].each_token, fit["backward"].each_pair),  # gradients are counted apart
        evaluation=fit["evaluation"],
        mask=compute if getattr(model.config, "_attn_implementation", "") == "sdpa" else 0.0,
    )


def _packed(
    skeleton: Any,
    project: Project,
    targets: list[str],
    tokenizer: Any,
    weights: str,
    precision: str,
    labelled: bool,
    device: str,
    length: int,
) -> Trace | None:
    """Walk through the layers that compute packs, with rows of `length`; None where rows are padded."""
    from phi_tui.engine.packed_llama import KINDS, PackedLlama

    if project.model.quantization != "none" or skeleton.config.model_type not in KINDS:
        return None
    model, mode = _model(skeleton, project, targets, tokenizer, weights, count=1)
    processes = project.launch.processes
    if batching.unfit(
        model,
        project,
        labelled=labelled,
        device=device,
        precision=precision,
        weights=weights,
        processes=processes,
    ):
        return None
    with mode:
        fused = PackedLlama(model)
    walks = [_walk_pack(model, fused, mode, each) for each in ([length], [length, length], [2 * length])]
    fit = {name: _fit([walk[name] for walk in walks], length) for name in ("outside", "layers", "input")}
    passing = {name: _fit_in_turn([walk[name] for walk in walks], length) for name in ("backward", "evaluation")}
    return Trace(
        fit["outside"], fit["layers"], fit["input"], passing["backward"], passing["evaluation"], 0.0, packed=True
    )


def _walk_pack(model: Any, fused: Any, mode: Any, lengths: list[int]) -> dict[str, float]:
    """Run the layers on a pack, forward and backward, and forward alone; no two rows share a block."""
    import torch

    ends = [sum(lengths[: place + 1]) for place in range(len(lengths))]
    with mode, _counting(model, lengths[0]) as live:
        ids = torch.ones(ends[-1], dtype=torch.long)
        positions = torch.ones(ends[-1], dtype=torch.long)
        blocks = [
            block
            for end, length in zip(ends, lengths, strict=True)
            for block in rows_attention.cut(end - length, [length])
        ]
        passes = _passes(model, live, lambda: fused.hidden(ids, positions, blocks, model.training))
    kept, one = passes.pop("kept"), passes.pop("output")
    outside = one * (1 + 2 * fused.head_dim / fused.width)  # the output; cosines and sines
    return {"outside": outside, "layers": kept - outside, "input": one, **passes}


def _passes(model: Any, live: Any, forward: Callable[[], Any]) -> dict[str, float]:
    """Run `forward` and backward, and forward alone, and return what is kept, the output's bytes, and the peaks."""
    import torch

    held = live.now
    model.train()
    hidden = forward()
    kept, output = live.now - held, hidden.numel() * hidden.element_size()
    live.peak = live.now
    hidden.backward(torch.empty_like(hidden))
    backward = live.peak - held - kept
    del hidden
    model.zero_grad(set_to_none=True)
    model.eval()
    live.peak = held = live.now
    with torch.no_grad():
        forward()
    return {"kept": kept, "output": output, "backward": max(0.0, backward), "evaluation": live.peak - held}


def _fit(bytes_at: list[float], length: int = _LENGTH) -> Growth:
    """Solve for the three parts from one row, two rows, and one row of twice the length."""
    one, two, long = bytes_at
    row = two - one  # a token x length + a pair x length^2
    pair = max(0.0, (long - one - row) / (2 * length**2))
    token = row / length - pair * length
    return Growth(max(0.0, one - row), max(0.0, token), pair)


def _fit_in_turn(bytes_at: list[float], length: int) -> Growth:
    """The same where rows are computed in turn: what grows with the square of the length is held for one at a time."""
    one, two, long = bytes_at
    pair = max(0.0, (long - two) / (3 * length**2))
    token = max(0.0, (two - one) / length)
    return Growth(max(0.0, one - token * length - pair * length**2), token, pair)


def _model(
    skeleton: Any, project: Project, targets: list[str], tokenizer: Any, weights: str, count: int = _LAYERS
) -> tuple[Any, Any]:
    """Build the model with few layers, ready to train, of fake tensors on a CPU; return it and their mode."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    config = copy.deepcopy(skeleton.config)
    config.num_hidden_layers = count
    attention = project.model.attention
    if attention != "auto":
        config._attn_implementation = "sdpa" if attention == "flash_attention_2" else attention
    with torch.device("meta"):
        model = type(skeleton)(config)
        model.tie_weights()
        here = [name for name in targets if layers.matching(model, name)]
        plain = project.model_copy(update={"lora": project.lora.model_copy(update={"init": "default"})})
        model = adapting.ready(model, plain, here, tokenizer, "")
    model.config.use_cache = False
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    frozen = getattr(torch, weights)
    with mode:
        made: dict[int, Any] = {}
        for module in model.modules():
            for name, weight in list(module._parameters.items()):
                if weight is None:
                    continue
                if id(weight) not in made:
                    trained = weight.requires_grad
                    dtype = torch.float32 if trained and not adapting.trains_all(project) else frozen
                    made[id(weight)] = torch.nn.Parameter(torch.empty(weight.shape, dtype=dtype), requires_grad=trained)
                module._parameters[name] = made[id(weight)]
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    return model, mode


def _walk(model: Any, mode: Any, rows: int, length: int, autocast: str | None) -> dict[str, float]:
    """Run the body of `model` forward and backward, and forward alone, and return the bytes of each part."""
    import torch

    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    body = getattr(inner, inner.base_model_prefix)
    stack = _stack(body)
    marks: dict[str, float] = {}

    def enters(module: Any, args: Any, kwargs: Any) -> None:
        marks.setdefault("before", live.now)
        hidden = args[0] if args else kwargs["hidden_states"]
        marks.setdefault("input", hidden.numel() * hidden.element_size())

    def leaves(module: Any, args: Any, output: Any) -> None:
        marks.setdefault("after", live.now)

    hooks = [stack[0].register_forward_pre_hook(enters, with_kwargs=True), stack[-1].register_forward_hook(leaves)]
    cast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast is not None)
    try:
        with mode, _counting(model, length) as live:
            ids = torch.ones(rows, length, dtype=torch.long)

            def forward() -> Any:
                with cast:
                    return body(input_ids=ids, attention_mask=None, use_cache=False)[0]

            passes = _passes(model, live, forward)
    finally:
        for hook in hooks:
            hook.remove()
    kept, inside = passes.pop("kept"), marks["after"] - marks["before"]
    del passes["output"]
    return {"outside": max(0.0, kept - inside), "layers": inside, "input": marks["input"], **passes}


def _stack(body: Any) -> Any:
    """Return the list of layers in the body of a model: the longest list of modules of one type."""
    import torch

    lists = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == _LAYERS]
    return lists[0]


def _counting(model: Any, length: int) -> Any:
    """Return a context that counts the bytes of the tensors made in it, now and at the most, masks apart.

    What `model` holds beforehand is not counted.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Live(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0.0
            held = (*model.parameters(), *model.buffers())
            self._seen = {tensor.untyped_storage()._cdata for tensor in held}

        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = operation(*args, **(kwargs or {}))
            if operation is torch.ops.prim.device.default:
                return made
            for tensor in tree_leaves(made):
                if isinstance(tensor, torch.Tensor):
                    self._count(tensor.untyped_storage(), tensor)
            return made

        def _count(self, storage: Any, tensor: Any) -> None:
            key = storage._cdata
            if key in self._seen:
                return
            self._seen.add(key)
            size, shape = storage.nbytes(), tensor.shape
            if len(shape) == 4 and shape[1] == 1 and shape[2] % length == 0 and shape[3] % length == 0:
                size = 0
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key, size).atexit = False

        def _gone(self, key: int, size: int) -> None:
            self.now -= size
            self._seen.discard(key)

    return Live()
