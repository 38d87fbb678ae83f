"""A real pseudo-terminal with a program in it: keys go in, what comes out is drawn by an emulator and kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "f1": "\x1bOP",
    "ctrl+q": "\x11",
    "ctrl+p": "\x10",
    "ctrl+s": "\x13",
    "ctrl+z": "\x1a",
}


class Terminal:
    """Runs `argv` in a session of its own on a pty of `columns` x `rows`."""

    def __init__(
        self,
        argv: list[str],
        *,
        columns: int = 120,
        rows: int = 40,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        reading: bool = True,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.raw = bytearray()
        """Everything that the program wrote."""
        self.arrivals: list[tuple[float, int]] = []
        """When (perf_counter) how many bytes came."""
        self.master, slave = pty.openpty()
        self.resize(columns, rows, tell=False)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=cwd, preexec_fn=_own_session
        )
        os.close(slave)
        self.drawn = True
        """Whether what comes is drawn; a person's terminal draws on another machine, and takes nothing of this one."""
        self._reading = threading.Event()
        if reading:
            self._reading.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """What a person sees."""
        with self._lock:
            buffer, columns = self.screen.buffer, range(self.screen.columns)
            # Not `display`, which stumbles over a combining mark in an empty cell; the second half of a wide
            # character is an empty text.
            return "\n".join(
                "".join(buffer[row][column].data for column in columns).rstrip() for row in range(self.screen.lines)
            )

    def press(self, *keys: str) -> None:
        """Type keys: names of KEYS, or text as it is."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())
            if key == "escape":
                time.sleep(0.15)  # the terminal's own wait between escape and what follows it

    def wait_for(self, *words: str, seconds: float = 60.0) -> str:
        """Return the screen once it shows all of `words`."""
        return self.until(lambda: all(word in self.text for word in words), f"{words}", seconds)

    def until(self, condition: Any, what: str, seconds: float = 60.0) -> str:
        """Return the screen once `condition()` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process.poll()
            assert ended is None or condition(), f"ended with {ended} before {what}:\n{self.text}"
            assert time.monotonic() < deadline, f"no {what} on:\n{self.text}"
            time.sleep(0.01)
        return self.text

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        """Change the terminal's size, as a person does with a window."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        with self._lock:  # the kernel tells the program, whose answer must find a screen of that size
            if tell:
                self.screen.resize(rows, columns)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        if tell:
            os.killpg(self.process.pid, signal.SIGWINCH)

    def stop_reading(self) -> None:
        """Let the program's output pile up, as a stalled line does."""
        self._reading.clear()

    def hang_up(self) -> None:
        """Close the terminal."""
        self._reading.clear()
        time.sleep(0.05)
        os.close(self.master)
        self.master = -1

    def end(self, seconds: float = 20.0) -> int:
        """Wait for the program's end and return its exit code; kill what does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"did not end:\n{self.text}") from None

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self._reading.clear()
        if self.master >= 0:
            time.sleep(0.05)
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        import select

        while self.master >= 0:
            if not self._reading.wait(0.1):
                if self.process.poll() is not None:
                    return
                continue
            try:
                if not select.select([self.master], [], [], 0.02 if self.drawn else 0.5)[0]:
                    continue
                data = os.read(self.master, 65_536)
            except (OSError, ValueError):
                return
            if not data:
                return
            with self._lock:
                self.arrivals.append((time.perf_counter(), len(data)))
                self.raw += data
                if self.drawn:
                    self._stream.feed(data)


def phi_tui(*given: object) -> list[str]:
    """The command line of this interpreter's phi-tui."""
    return [sys.executable, "-P", "-m", "phi_tui", *map(str, given)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment like an SSH session's, with the app's settings in `folder`; modules are compiled once."""
    other = ("PHI_TUI", "TEXTUAL", "NO_COLOR", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(other)}
    return kept | {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PHI_TUI_CONFIG": str(folder / "config"),
        **more,
    }


def _own_session() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
