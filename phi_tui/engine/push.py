"""A run's adapter, or model, with its card, to the Hub: looked at before anything is made, private by default.

The token is the client library's affair: it comes from HF_TOKEN or `hf auth login`, and no text of ours holds it.
A repository that is public already is never pushed to by somebody who expects a private one.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phi_tui import __version__
from phi_tui.engine.hub import is_offline
from phi_tui.engine.hub_errors import endpoint
from phi_tui.errors import InputError, Refusal
from phi_tui.run import Run

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What would be pushed where: the run's folder, its files with their sizes, and what stands there already."""

    run: Run
    folder: Path
    files: dict[str, int]
    repo: str
    private: bool
    there: bool

    @property
    def url(self) -> str:
        """Where it can be seen."""
        return f"{endpoint()}/{self.repo}"

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.files.values())


def look(one: Run, repo: str, *, private: bool) -> Parcel:
    """Return what a push would do, and change nothing.

    Raises InputError for a wrong name, a run without an adapter, no token or no network, and Refusal when the
    repository is public where a private one is meant.
    """
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise InputError(f"{repo!r} is no Hub id", where="--to", fix="a Hub id is org/name")
    folder = one.result_folder
    files = _files(folder)
    from huggingface_hub import HfApi, errors, get_token

    if is_offline():
        raise InputError("offline mode is on (HF_HUB_OFFLINE), so nothing can be pushed", fix="unset it")
    if not get_token():
        raise InputError("there is no token for the Hub", fix="`hf auth login`, or set HF_TOKEN; it needs write access")
    there = True
    with _explained(repo):
        try:
            info = HfApi(endpoint=endpoint()).model_info(repo)
        except errors.RepositoryNotFoundError:
            there = False
    if there and private and not info.private:
        raise Refusal(
            f"{repo} is there already and public, so what is pushed would be public",
            where="--to",
            fix="say --public if that is meant, or choose another name",
        )
    return Parcel(one, folder, files, repo, bool(info.private) if there else private, there)


def push(parcel: Parcel) -> str:
    """Push it as one commit, all or nothing, and return the commit's address.  Raises InputError as the Hub says."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=endpoint())
    additions = [
        CommitOperationAdd(name, _card(parcel) if name == "README.md" else str(parcel.folder / name))
        for name in parcel.files
    ]
    with _explained(parcel.repo):
        if not parcel.there:
            api.create_repo(parcel.repo, private=parcel.private, exist_ok=True)
        commit = api.create_commit(
            parcel.repo, additions, commit_message=f"Run {parcel.run.id}, pushed with phi-tui {__version__}"
        )
    return str(commit.commit_url)


def _files(folder: Path) -> dict[str, int]:
    """The files to push; plain files alone, since a link could bring anything of this machine along."""
    found = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    if not any(name in found for name in _WEIGHTS):
        raise InputError(
            "this run has no adapter yet", where=str(folder.parent), fix="one is kept at the first evaluation"
        )
    return found


def _card(parcel: Parcel) -> bytes:
    """The card as a stranger needs it: with the repository's name, and without a folder of this machine."""
    text = (parcel.folder / "README.md").read_text("utf-8").replace('"adapter"', f'"{parcel.repo}"')
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        base = tomllib.loads((parcel.run.path / "lock.toml").read_text("utf-8"))["base"]
        if base["kind"] != "hub":
            text = text.replace(parcel.run.project().model.base, Path(str(base["id"])).name)
    return text.encode()


@contextlib.contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn the client library's exceptions into InputError; the token is in none of the texts."""
    from huggingface_hub import errors

    organisation = repo.partition("/")[0]
    try:
        yield
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{repo} is not there, or this token may not see it", fix="check the name and `hf auth whoami`"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise InputError("the Hub refuses the token", fix="`hf auth login` again, or correct HF_TOKEN") from None
        if status == 403:
            raise InputError(
                f"this token may not write to {organisation}",
                where=repo,
                fix="make a token with write access at https://huggingface.co/settings/tokens, "
                f"ask for the right to write in {organisation}, or push under your own name",
            ) from None
        raise InputError(f"the Hub answered {status}; nothing was pushed", where=repo, fix="try again later") from None
    except errors.HFValidationError:
        raise InputError(f"{repo!r} is no Hub id", where="--to", fix="a Hub id is org/name") from None
    except errors.HTTPError as error:  # the transport's own: refused, no such host, timed out, cut off
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{endpoint()} does not answer: {lines[0][:200]}", fix="try again; a push is whole or not there"
        ) from None
    except (ValueError, RuntimeError, OSError) as error:  # a refused card, the large-file protocol's own errors
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"the push failed: {lines[0][:300]}", where=repo, fix="try again") from None
