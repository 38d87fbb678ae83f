"""`python -m benchmarks.profile`: where the time of phi-tui's own training steps goes, by kind of work.

Times are those that torch's profiler gives to each operation itself, summed over the steps after two that warm up.
Below them the same step without the profiler, and what the matrix products alone would take at the rate that this
machine reaches for one of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import own

KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": ("mm", "addmm", "linear", "matmul", "mkldnn_linear"),
    "attention's products": ("bmm", "baddbmm"),
    "softmax and its like": ("softmax", "logsumexp", "log_softmax", "exp_"),
    "copies and conversions": ("copy_", "to_copy", "cat", "clone", "contiguous", "index", "gather", "scatter_add_"),
    "optimiser and norms of gradients": ("adam", "foreach", "norm"),
}


def kind(name: str) -> str:
    """Return the kind of work of an operation."""
    plain = name.removeprefix("aten::").lstrip("_").lower()
    for words, names in KINDS.items():
        if plain in names or (words.startswith("optimiser") and any(one in plain for one in names)):
            return words
    return "element by element" if name.startswith("aten::") else "Python and the rest"


def peak(dtype: Any) -> float:
    """The rate of a matrix product of a layer's shape, in FLOP/s: the best of several."""
    import torch

    a, b = torch.randn(1024, 576).to(dtype), torch.randn(3072, 576).to(dtype)
    best = 0.0
    for _ in range(40):
        started = time.perf_counter()
        torch.nn.functional.linear(a, b)
        best = max(best, 2 * a.shape[0] * a.shape[1] * b.shape[0] / (time.perf_counter() - started))
    return best


def steps(at: dict[int, Callable[[], None]]) -> Any:
    """A callback that notes when each step ended, and calls what is to happen after one."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        ended: list[float] = []  # noqa: RUF012
        tokens: list[int] = []  # noqa: RUF012

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.ended.append(time.perf_counter())
            self.tokens.append(int(self.trainer.window_tokens))
            if state.global_step in at:
                at[state.global_step]()

    return Steps()


def main() -> None:
    """Train with and without the profiler, and print the table."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--kind", default="long", choices=("short", "long"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--operations", type=int, default=0, help="print the costliest operations too")
    args = parser.parse_args()
    base, warm = str(Path(args.base).absolute()), 2
    per_step = own.rows_a_step(args.kind)
    in_all = 2 * args.steps + warm
    data = own.dataset(args.kind, 2 * 2048 * in_all, 7).select(range(per_step * in_all))
    with tempfile.TemporaryDirectory() as name:
        trainer = own.our_trainer(base, data, per_step, Path(name), packing=True)
        watcher = watch(activities=[ProfilerActivity.CPU], record_shapes=bool(args.operations))
        stepped = steps({warm + args.steps: watcher.start, warm + 2 * args.steps: watcher.stop})
        stepped.trainer = trainer
        trainer.add_callback(stepped)
        trainer.train()
    plain = stepped.ended[warm + args.steps - 1] - stepped.ended[warm - 1]
    told = stepped.ended[-1] - stepped.ended[warm + args.steps - 1]
    tokens = sum(stepped.tokens[warm : warm + args.steps])
    found: dict[str, float] = {}
    events = watcher.key_averages()
    for event in events:
        found[kind(event.key)] = found.get(kind(event.key), 0.0) + event.self_cpu_time_total / 1e6
    found["outside every operation"] = max(0.0, told - sum(found.values()))
    for words, seconds in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{words:34} {seconds / args.steps:8.3f} s a step {seconds / told:6.1%}")
    weights = sum(p.numel() for n, p in trainer.model.named_parameters() if "lora_" not in n and p.dim() == 2)
    rate = peak(torch.bfloat16)
    print(f"without the profiler {plain / args.steps:.3f} s a step, with it {told / args.steps:.3f}")
    print(f"{tokens / plain:.0f} tokens/s; {rate / 1e9:.0f} GFLOP/s in one product, at which 4 FLOPs a weight and")
    print(f"token would be {rate / (4 * weights):.0f} tokens/s")
    if args.operations:
        shaped = watcher.key_averages(group_by_input_shape=True)
        print(shaped.table(sort_by="self_cpu_time_total", row_limit=args.operations, max_name_column_width=40))


if __name__ == "__main__":
    main()
