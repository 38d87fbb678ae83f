"""A DatasetDict on disk, as `datasets.load_from_disk` opens it, written a record batch at a time.

The library writes one only from a whole data set that is an Arrow file already: every token would go to the disk twice,
and importing it takes a second and 100 MB.  What is written here is what its `save_to_disk` writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

_FILE = "data-00000-of-00001.arrow"
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What ends a stream of Arrow messages."""


def _feature(kind: str) -> dict[str, Any]:
    if kind.startswith("list<"):
        return {"feature": _feature(kind[5:-1]), "_type": "List"}
    return {"dtype": kind, "_type": "Value"}


def schema(columns: dict[str, str]) -> Any:
    """Return the Arrow schema of columns such as {"input_ids": "list<int32>"}, with the library's note about them."""
    import pyarrow

    def kind(name: str) -> Any:
        if name.startswith("list<"):
            return pyarrow.list_(kind(name[5:-1]))
        return pyarrow.type_for_alias(name)

    features = {name: _feature(of) for name, of in columns.items()}
    note = json.dumps({"info": {"features": features}})
    return pyarrow.schema({name: kind(of) for name, of in columns.items()}, metadata={"huggingface": note})


def head(columns: dict[str, str]) -> bytes:
    """Return the message that begins a stream of Arrow record batches."""
    return bytes(schema(columns).serialize())


class PartFile:
    """One part of a DatasetDict on its way to the disk; a part without rows leaves nothing there."""

    def __init__(self, folder: Path, name: str, columns: dict[str, str], head: bytes) -> None:
        self._folder, self._columns, self._head = folder / name, columns, head
        self._file: BinaryIO | None = None

    def __enter__(self) -> PartFile:
        return self

    def add(self, batch: bytes) -> None:
        """Write a record batch, as a message of a stream."""
        if self._file is None:
            self._folder.mkdir()
            self._file = open(self._folder / _FILE, "wb")  # noqa: SIM115 - closed by __exit__
            self._file.write(self._head)
        self._file.write(batch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if error is None:
            self._file.write(_END)
        self._file.close()

    def describe(self, fingerprint: str) -> bool:
        """Write what the library keeps beside the rows, and say whether there are any."""
        if self._file is None:
            return False
        state: dict[str, Any] = {
            "_data_files": [{"filename": _FILE}],
            "_fingerprint": fingerprint[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        features = {name: _feature(kind) for name, kind in self._columns.items()}
        about = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
        for name, table in (("state.json", state), ("dataset_info.json", about)):
            (self._folder / name).write_text(json.dumps(table, indent=2), "utf-8")
        return True


def name_parts(folder: Path, parts: list[str]) -> None:
    """Write which parts a DatasetDict has."""
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": parts}), "utf-8")
