"""Finding models on the Hub: those that continue text and have safetensors, the most downloaded first."""

from __future__ import annotations

from typing import Any

from phi_tui.engine.hub import is_offline
from phi_tui.engine.hub_errors import endpoint
from phi_tui.errors import InputError

TIMEOUT_SECONDS = 10.0
MAX_FOUND = 100
_BESIDES = "bases that are on this machine need no network: the list of local models has them"
_EXPANDED = ("downloads", "gated", "library_name", "likes", "safetensors", "tags")


def search(query: str, limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` models whose name holds `query`, as plain tables.

    Raises InputError when the Hub does not answer within TIMEOUT_SECONDS, refuses, or offline mode is on.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    if is_offline():
        raise InputError("the Hub cannot be searched: offline mode is on (HF_HUB_OFFLINE)", fix=_BESIDES)
    # The library's own list_models waits for ever; this is the same request with a limit to the wait.
    asked: dict[str, Any] = {
        "search": query[:200],
        "filter": ["safetensors"],
        "pipeline_tag": "text-generation",
        "sort": "downloads",
        "limit": max(1, min(limit, MAX_FOUND)),
        "expand": list(_EXPANDED),
    }
    try:
        response = get_session().get(
            f"{endpoint()}/api/models", params=asked, headers=build_hf_headers(), timeout=TIMEOUT_SECONDS
        )
        hf_raise_for_status(response)
        found = response.json()
    except errors.HfHubHTTPError as error:
        raise InputError(
            f"the Hub refused the search (it answered {error.response.status_code})",
            where=endpoint(),
            fix="try again later; if it refuses the token, `hf auth login` again or correct HF_TOKEN",
        ) from None
    except errors.OfflineModeIsEnabled:
        raise InputError("the Hub cannot be searched: offline mode is on (HF_HUB_OFFLINE)", fix=_BESIDES) from None
    except errors.HTTPError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"the Hub cannot be reached: {lines[0][:200]}", where=endpoint(), fix=_BESIDES) from None
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise InputError("what answered is no Hub", where=endpoint(), fix="correct HF_ENDPOINT")
    return [_model(item) for item in found[:MAX_FOUND] if isinstance(item, dict) and isinstance(item.get("id"), str)]


def _model(item: dict[str, Any]) -> dict[str, Any]:
    tags = item.get("tags") if isinstance(item.get("tags"), list) else []
    licences = [tag.removeprefix("license:") for tag in tags or [] if str(tag).startswith("license:")]
    tensors = item.get("safetensors")
    return {
        "id": item["id"],
        "parameters": _number(tensors.get("total")) if isinstance(tensors, dict) else None,
        "licence": licences[0] if licences else None,
        "gated": bool(item.get("gated")),
        "downloads": _number(item.get("downloads")) or 0,
        "likes": _number(item.get("likes")) or 0,
        "library": item["library_name"] if isinstance(item.get("library_name"), str) else None,
    }


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
