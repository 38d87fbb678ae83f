"""`python -m benchmarks.peers`: an environment of its own for each peer, since their pins exclude one another.

Made once in --folder and used from there; what cannot be installed is named, and its arms are left out.  All take the
torch that phi-tui has, so that the same products of matrices are compared.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

FOLDER = Path.home() / ".cache" / "phi-tui-benchmarks"
PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "trl": (("trl==1.16.0", "peft==0.21.2"),),
    # LLaMA-Factory's own list holds a web interface and codecs for sound and film, of which a training reads nothing.
    "llamafactory": (
        (
            "transformers==5.6.0", "peft==0.18.1", "trl==0.24.0", "datasets==4.0.0", "accelerate==1.11.0", "einops",
            "fire", "omegaconf", "tyro<0.9.0", "sentencepiece", "tiktoken", "protobuf", "scipy", "matplotlib",
            "pydantic", "hf-transfer", "modelscope", "fastapi", "uvicorn", "sse-starlette", "pandas",
        ),
        ("--no-deps", "llamafactory==0.9.5"),
    ),
}  # fmt: skip
"""What pip is given, call by call."""
TRIED = {
    "trl": "from trl import SFTTrainer",
    "llamafactory": "from benchmarks import peer_arms; peer_arms.without_sound(); import llamafactory.train.tuner",
}
"""What must be possible in an environment before it is used."""


def python(folder: Path, peer: str) -> Path | None:
    """The interpreter that has a peer; None where it was not installed."""
    found = folder / peer / "bin" / "python"
    return found.absolute() if found.is_file() and (folder / peer / ".works").is_file() else None


def make(folder: Path, peer: str) -> str:
    """Make a peer's environment where there is none; returns what went wrong, or an empty text."""
    if python(folder, peer):
        return ""
    place = folder / peer
    place.parent.mkdir(parents=True, exist_ok=True)
    own = place / "bin" / "python"
    torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
    calls = [[sys.executable, "-m", "venv", str(place)]] if not own.is_file() else []
    calls += [
        [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        for what in ((torch,), *PEERS[peer])
    ]
    calls.append([str(own), "-c", TRIED[peer]])
    for call in calls:
        ran = subprocess.run(call, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
        if ran.returncode:
            lines = ran.stderr.strip().splitlines() or ["no reason was given"]
            return f"{' '.join(call[1:5])} ...: {lines[-1]}"
    (place / ".works").touch()
    return ""


def main() -> int:
    """Make what is missing and say of each peer whether it is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    for peer in PEERS:
        why = make(args.folder, peer)
        print(f"{peer}: {f'left out, {why}' if why else f'in {args.folder / peer}'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
