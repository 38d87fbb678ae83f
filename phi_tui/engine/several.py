"""Training on several processes of one machine: this process keeps the journal, torchrun's children train.

The children are `python -m phi_tui.engine.several FOLDER` under torch.distributed.run.  They hear of the job from a
file that only this user can read, and what the first of them says comes back over a socket in the same folder.  A child
whose socket closes ends at once, so that nothing trains on for nobody; a stop reaches all at the same step.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phi_tui
from phi_tui import errors
from phi_tui.engine import ranks
from phi_tui.errors import PhiError, Stopped, TrainingFailed
from phi_tui.run import Run

if TYPE_CHECKING:
    from phi_tui.engine.preflight import Job
    from phi_tui.schema import Project

Say = Callable[..., None]

PATIENCE = datetime.timedelta(days=7)
"""How long a process waits for the others: the first may evaluate for hours."""


def flaws(project: Project, device: Any) -> list[str]:
    """Return why this project cannot be trained on as many processes as it wants."""
    count = project.launch.processes
    if count == 1:
        return []
    found = []
    rows = project.train.batch_size * project.train.grad_accum
    if rows % count:
        found.append(
            f"launch.processes: a step of {rows} rows (train.batch_size x train.grad_accum) cannot be shared evenly by "
            f"{count} processes: make it a multiple of {count}"
        )
    if device.type == "mps":
        found.append("launch.processes: this machine has one GPU and no way to share it: set it to 1")
    if device.type == "cuda":
        import torch

        if torch.cuda.device_count() < count:
            found.append(
                f"launch.processes is {count}, and {torch.cuda.device_count()} GPUs are here: one each is needed"
            )
    return found


def share(batch: int, accum: int, processes: int) -> tuple[int, int]:
    """Return (rows a batch, batches a step) of each process for a step of batch x accum rows in all.

    Fewer batches if they divide evenly, else smaller ones; a number of rows that does not divide is rounded up.
    """
    if accum % processes == 0:
        return batch, accum // processes
    rows = -(-batch * accum // processes)
    size = next(size for size in range(min(batch, rows), 0, -1) if rows % size == 0)
    return size, rows // size


def train(
    job: Job, run: Run, lock: dict[str, Any], say: Say, *, stopping: Callable[[], bool], resume: bool
) -> dict[str, Any]:
    """Train like `engine.train.train`, with the work done by `launch.processes` children."""
    count = job.project.launch.processes
    with tempfile.TemporaryDirectory(prefix="phi-tui-") as name, contextlib.ExitStack() as at_end:
        folder = Path(name)
        (folder / "job").write_bytes(pickle.dumps((job, str(run.path), lock, resume)))
        server = at_end.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(folder / "socket"))
        server.listen(count)
        say("phase", name="launch", detail=f"{count} processes")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", str(count)),
                *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
                *("-m", "phi_tui.engine.several", name),
            ],
            env=_environment(job, count),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        at_end.callback(_end, process)
        figures, failure = _listen(server, process, run, say, stopping)
    run.take_requests()  # a stop that came when everything was done
    if failure is not None:
        raise failure
    if figures is None:
        raise TrainingFailed(
            f"the trainer processes ended (exit code {process.returncode}) without a word",
            where=str(run.console),
            fix="that file holds what they printed; --resume goes on from the last checkpoint",
        )
    return figures


def _environment(job: Job, count: int) -> dict[str, str]:
    root = str(Path(phi_tui.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(max(1, job.device.threads // count))}
    # On one machine the processes talk over loopback; a host's name often leads to no address that works.
    loopback = {} if sys.platform == "darwin" else {"GLOO_SOCKET_IFNAME": "lo"}
    return loopback | dict(os.environ) | own


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _listen(
    server: socket.socket, process: subprocess.Popen[bytes], run: Run, say: Say, stopping: Callable[[], bool]
) -> tuple[dict[str, Any] | None, Exception | None]:
    """Pass on what the children say until they are gone; return the figures, or what they failed of."""
    figures: dict[str, Any] | None = None
    failure: Exception | None = None
    asked = False
    held: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as ready, contextlib.ExitStack() as at_end:
        ready.register(server, selectors.EVENT_READ)
        while True:
            gone = process.poll() is not None
            events = ready.select(0.0 if gone else 0.1)
            if not asked and stopping():
                asked = True
                run.ask("stop")
            for key, _ in events:
                if key.fileobj is server:
                    one = at_end.enter_context(server.accept()[0])
                    ready.register(one, selectors.EVENT_READ)
                    held[one] = b""
                    continue
                one = next(each for each in held if each is key.fileobj)
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = one.recv(1 << 20)
                if not data:
                    ready.unregister(one)
                *lines, held[one] = (held[one] + data).split(b"\n")
                for kind, payload in map(json.loads, lines):
                    if kind == "figures":
                        figures = payload
                    elif kind == "failed":
                        failure = failure or _failure(payload)
                    else:
                        say(kind, **payload)
            if gone and not events:
                return figures, failure


def _failure(told: dict[str, str]) -> Exception:
    kind = getattr(errors, told["kind"], None)
    if isinstance(kind, type) and issubclass(kind, PhiError):
        return kind(told["what"], where=told["where"], fix=told["fix"])
    return RuntimeError(f"{told['kind']}: {told['what']}")


class _Line:
    """A child's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(folder / "socket"))
        threading.Thread(target=self._watch, name="parent", daemon=True).start()

    def say(self, kind: str, /, **payload: Any) -> None:
        """Send one event."""
        self._socket.sendall(json.dumps([kind, payload]).encode() + b"\n")

    def fail(self, error: BaseException) -> None:
        """Send what went wrong."""
        if isinstance(error, PhiError):
            told = {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        else:
            told = {"kind": type(error).__name__, "what": str(error), "where": "", "fix": ""}
        with contextlib.suppress(OSError):
            self.say("failed", **told)

    def _watch(self) -> None:
        """End this process when the one that started it is gone."""
        with contextlib.suppress(OSError):
            while self._socket.recv(4096):
                pass
        os._exit(130)


def main(given: list[str]) -> int:
    """Be one of the trainer processes and return its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = _Line(Path(given[0]))
    number, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        job, path, lock, resume = pickle.loads((Path(given[0]) / "job").read_bytes())  # noqa: S301  our parent's own
        import torch
        from torch import distributed

        on_gpu = job.device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        ranks.enter(number, count, distributed.new_group(backend="gloo", timeout=PATIENCE))
        # `python -m` runs this file as __main__; the engine must find the module that `enter` was called on.
        engine = importlib.import_module("phi_tui.engine.train")
        figures = engine.train(job, Run(Path(path)), lock, line.say if number == 0 else _nobody, resume=resume)
        if number == 0:
            line.say("figures", **figures)
    except ranks.Elsewhere:
        return 0
    except Stopped as stop:
        if number == 0:
            line.fail(stop)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        line.fail(error)
        return 1
    return 0


def _nobody(kind: str, /, **payload: Any) -> None:
    """The first process speaks for all."""


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the communication library may outlive the interpreter
