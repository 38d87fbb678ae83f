"""Rows from a data set on the Hub, streamed: nothing is downloaded that is not read.

The client library fails in many ways and says so in its own words; each becomes an InputError that says what
to do, such as where to ask for access or which splits there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from phi_tui.engine.hub_errors import endpoint
from phi_tui.engine.rows import Row
from phi_tui.errors import InputError
from phi_tui.schema import Source

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def hub_name(source: Source) -> str:
    """Return how a Hub data set is called in findings."""
    return f"hub:{source.hub}[{source.hub_split}]"


def read_hub(source: Source) -> Iterator[Row]:
    """Stream the rows of a Hub data set.

    Raises InputError, with what to do, when it cannot be reached, does not exist, is gated, or lacks the split.
    """
    name = hub_name(source)
    if not _HUB_ID.fullmatch(source.hub):
        raise InputError("is no Hub id", where=source.hub, fix='write hub = "org/name", or path = "..." for a file')
    if os.path.exists(source.hub):  # the library would quietly read the folder instead
        raise InputError(
            "a local folder has the same name as this Hub data set",
            where=source.hub,
            fix="use path for the folder",
        )
    number = 0
    try:
        from datasets import load_dataset

        rows = load_dataset(
            source.hub,
            name=source.hub_config or None,
            split=source.hub_split,
            revision=source.revision or None,
            streaming=True,
        )
        for number, fields in enumerate(rows, 1):
            yield Row(name, number, dict(fields))
    except Exception as error:  # the library's own, pyarrow's and the network's: there is no common kind
        raise _hub_error(source, error, number) from error
    if not number:
        raise InputError("holds no row", where=name)


def _hub_error(source: Source, error: Exception, number: int) -> InputError:
    text = str(error)
    if number:
        what = f"broke off after {number:,} rows: {text}"
        fix = "try again; a file on disk does not depend on the network"
    elif "gated" in text or "403" in text or "401" in text:
        what = "is gated or private"
        page = f"{endpoint()}/datasets/{source.hub}"
        fix = f"ask for access at {page}, then log in with `hf auth login` or set HF_TOKEN"
    elif isinstance(error, ConnectionError) or "Couldn't reach" in text:
        what = "the Hub cannot be reached"
        fix = "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or download the files and use path"
    elif "Bad split" in text:
        what = f'has no split "{source.hub_split}"'
        fix = f"set hub_split to one of {text.partition('Available splits:')[2].strip() or 'unknown'}"
    elif "BuilderConfig" in text or "Config name is missing" in text:
        what = "needs the name of one of its configurations"
        fix = f"set hub_config: {text}"
    elif "Revision" in text:
        what = f'has no revision "{source.revision}"'
        fix = "set revision to a branch, tag or commit it has"
    elif isinstance(error, FileNotFoundError):
        what = "is not on the Hub, or is private"
        fix = "check the name; for a private one log in with `hf auth login`"
    else:
        what = f"cannot be read: {type(error).__name__}: {text}"
        fix = "download the files and use path"
    return InputError(what, where=hub_name(source), fix=fix)
