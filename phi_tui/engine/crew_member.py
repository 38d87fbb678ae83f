"""A process of a `crew.Crew`: makes its object, tells so, and calls the object's methods until the socket closes.

Nothing here computes with torch, and the libraries for tokens do without it: it is made out not to be there, which
saves each process 250 MB and some seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any


def main() -> None:
    """Serve on the sockets whose numbers are the argument, one process for each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-c is for whoever started us, who then closes the sockets
    sys.modules["torch"] = None  # type: ignore[assignment]
    numbers = [int(number) for number in sys.argv[1].split(",")]
    leader = Connection(numbers[0])
    with contextlib.suppress(EOFError, OSError):
        setup, given = leader.recv()
        module, _, name = setup.partition(":")
        try:
            made, told = getattr(importlib.import_module(module), name)(*given)
        except Exception as error:
            _answer(leader, error, good=False)
            return
        mine = leader
        for number in numbers[1:]:
            if not os.fork():
                leader.close()
                mine = Connection(number)
                break
        else:
            _answer(leader, told)
        for number in numbers:
            # A socket that two processes held would not close when the one that serves it dies.
            if number not in (mine.fileno(), numbers[0]):
                os.close(number)
        _serve(made, mine)
    os._exit(0)


def _serve(made: Any, asked: Connection) -> None:
    while True:
        method, given = asked.recv()
        try:
            result = getattr(made, method)(*given)
        except Exception as error:
            _answer(asked, error, good=False)
        else:
            _answer(asked, result)


def _answer(asked: Connection, result: Any, *, good: bool = True) -> None:
    if not good:
        try:
            pickle.loads(pickle.dumps(result))  # noqa: S301 - what was pickled in this line
        except Exception:
            result = RuntimeError(f"{type(result).__name__}: {result}")
    asked.send((good, result))


if __name__ == "__main__":
    main()
