"""Text files in another encoding than UTF-8, read as if they were in UTF-8.

The readers of lines and tables know one encoding; what stands before them turns the bytes of any other into it, a piece
at a time.  A file that is not in the encoding that the project names is refused as a whole: rows read through a wrong
one are full of wrong letters.
"""

from __future__ import annotations

import codecs
import io
from typing import Any, BinaryIO, cast

from phi_tui.errors import InputError

_PIECE = 1 << 16


def decoded(file: BinaryIO, encoding: str, name: str) -> BinaryIO:
    """Return a stream of the UTF-8 bytes of a file's text; reading raises InputError at a byte that does not fit."""
    return io.BufferedReader(cast(io.RawIOBase, _Decoded(file, encoding, name)), _PIECE)


class _Decoded(io.RawIOBase):
    def __init__(self, file: BinaryIO, encoding: str, name: str) -> None:
        self._file, self._encoding, self._name = file, encoding, name
        self._decoder: Any = codecs.getincrementaldecoder(encoding)("strict")
        self._offset = 0
        self._ready = b""
        self._done = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with UTF-8."""
        while not self._ready and not self._done:
            piece = self._file.read(_PIECE)
            self._done = not piece
            waiting = len(self._decoder.getstate()[0])
            try:
                self._ready = self._decoder.decode(piece, self._done).encode()
            except UnicodeError as error:
                at = self._offset - waiting + getattr(error, "start", 0)
                raise InputError(
                    f"is not in {self._encoding}: byte {at} does not fit",
                    where=self._name,
                    fix="set the source's encoding to what it is, or leave it out for UTF-8",
                ) from None
            self._offset += len(piece)
        taken, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)
