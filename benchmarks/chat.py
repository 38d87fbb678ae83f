"""`python -m benchmarks.chat`: phi-tui's generation against `PeftModel.generate`, in the same precision.

Both answer the same prompt greedily for as many tokens, with the same adapter on the same base in bfloat16, in turns
in one process.  The time to the first token of a short prompt is phi-tui's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import own, results

QUESTION = "What is a golden ratio, and where does it appear in nature?"


def bare(base: str) -> Any:
    """The base in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, use_safetensors=True).eval()


def main() -> None:
    """Run the comparison and print a line a turn and the medians."""
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer

    from phi_tui.engine import adapters, chat
    from phi_tui.engine.render import choose
    from phi_tui.schema import Chat

    parser = argparse.ArgumentParser(prog="python -m benchmarks.chat", description=__doc__)
    parser.add_argument("--base", required=True, help="folder of a llama-like base, such as SmolLM2-135M")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    base = str(Path(args.base).absolute())
    tokenizer = AutoTokenizer.from_pretrained(base)
    with tempfile.TemporaryDirectory() as name:
        folder = own.an_adapter(base, Path(name))
        library = PeftModel.from_pretrained(bare(base), str(folder)).eval()
        on = adapters.Adapted(bare(base))
        voice = on.put_on(adapters.read(folder, on.model), where=str(folder))
    template = choose("auto", "instruction", tokenizer, ())
    speaker = chat.Speaker(on.model, tokenizer, template, (), 2048)
    messages = [{"role": "user", "content": QUESTION}]
    ids = torch.tensor([speaker.prompt(messages).ids])

    def theirs() -> tuple[float, str, float]:
        started = time.perf_counter()
        with torch.inference_mode():
            out = library.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=args.tokens,
                min_new_tokens=args.tokens, pad_token_id=0,
            )  # fmt: skip
        taken = time.perf_counter() - started
        return taken, tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip(), 0.0

    def ours() -> tuple[float, str, float]:
        on.speak_as(voice)
        settings = Chat(temperature=0.0, max_tokens=args.tokens)
        answer = speaker.answer(messages, settings, 0, lambda text: None, every=0.05)
        assert answer.tokens == args.tokens, answer
        return answer.seconds, answer.text, answer.first_token_seconds

    ours(), theirs()
    pairs, firsts = [], []
    for turn in range(args.repeats):
        found = {place: (ours, theirs)[place]() for place in ((0, 1), (1, 0))[turn % 2]}
        pairs.append((args.tokens / found[0][0], args.tokens / found[1][0]))
        firsts.append(found[0][2])
        print(f"{turn + 1} phi-tui {pairs[-1][0]:.1f}  PeftModel.generate {pairs[-1][1]:.1f} tokens/s", flush=True)
    print("the answers are", "the same" if found[0][1] == found[1][1] else f"{found[0][1]!r} and {found[1][1]!r}")
    arms = {"phi-tui": [a for a, _ in pairs], "PeftModel.generate": [b for _, b in pairs]}
    made = [
        results.Result("chat", "tokens/s", arms),
        results.Result("chat, first token", "s", {"phi-tui": firsts}, more_is_better=False),
    ]
    print("\n".join(line for each in made for line in each.lines()))
    if args.out:
        results.keep(made, args.out)


if __name__ == "__main__":
    main()
