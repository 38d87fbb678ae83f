"""What the Hub's client library raises while a base is fetched, as what a person can act on.

No answer is kept apart from a refusal: without a network a base that is already here still does, and a weak
line is tried again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from phi_tui.errors import InputError


class NoNetwork(Exception):
    """The Hub did not answer; the text says how."""


def endpoint() -> str:
    """Return the Hub's address; HF_ENDPOINT counts whenever it is set, the library reads it once."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


@contextlib.contextmanager
def explained(repo: str, revision: str, not_found: str) -> Iterator[None]:
    """Turn the client library's exceptions into InputError, or NoNetwork where no answer came.

    `not_found` is added to the message when there is no such model.  The token is in none of the texts.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        _explain(error, repo, revision, not_found)
    except errors.OfflineModeIsEnabled as error:
        raise NoNetwork("offline mode is on (HF_HUB_OFFLINE)") from error
    except errors.HFValidationError:
        raise InputError(f"{repo!r} is no Hub id", where="model.base", fix="a Hub id is org/name") from None
    except errors.HTTPError as error:  # the transport's own: refused, no such host, timed out, cut off
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NoNetwork(f"{endpoint()} does not answer: {lines[0][:200]}") from error


def _explain(error: Any, repo: str, revision: str, not_found: str) -> NoReturn:
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError) or status == 403:
        raise InputError(
            f"{repo} is gated: its authors want their licence accepted first (the Hub answered {status})",
            where="model.base",
            fix=f"accept it on {endpoint()}/{repo}, then `hf auth login` or set HF_TOKEN",
        ) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise InputError(
            f"{repo} has no revision {revision!r}",
            where="model.revision",
            fix='a commit, a tag, or "" for the newest',
        ) from None
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        more = f"; {not_found}" if not_found else ""
        raise InputError(
            f"there is no model {repo} on the Hub, or it is private{more}",
            where="model.base",
            fix="look at the spelling; for a private one `hf auth login` or set HF_TOKEN",
        ) from None
    if status == 401:
        raise InputError(
            "the Hub refuses the token", where="model.base", fix="`hf auth login` again, or correct HF_TOKEN"
        ) from None
    raise NoNetwork(f"the Hub answered {status}") from error
