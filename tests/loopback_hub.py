"""A model hub on the loopback interface, enough of the real one for downloads and for streamed data sets.

The client library reads HF_ENDPOINT when it is imported.  So either run what is tested in a process of its
own with `hub.environment(home)`, which works for everything, `load_dataset` included; or, for phi-tui's own
base download, which reads the variable at each call, set HF_ENDPOINT to `hub.endpoint` in the test.

    with LoopbackHub() as hub:
        commit = hub.add("org/name", {"config.json": b"{}"})
        hub.add("org/rows", {"train.jsonl": b"..."}, kind="datasets")
        subprocess.run([sys.executable, ...], env=hub.environment(tmp_path))
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["models", "datasets"]
_LARGE = (".safetensors", ".parquet", ".gz", ".bin", ".gguf")


@dataclass
class Repository:
    """A repository: its commits in order, the names that point at them, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str = ""
    private: bool = False
    message: str = ""
    """What the newest pushed commit says."""

    def commit_of(self, revision: str) -> str | None:
        if revision in self.commits:
            return revision
        return self.refs.get(revision)


@dataclass(frozen=True)
class Request:
    """A request that arrived: method, path without the query, the Range header and whether a token came
    along."""

    method: str
    path: str
    range: str
    authorization: str


class LoopbackHub:
    """The server; a context manager that listens on a free port of 127.0.0.1 while it is open."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[Kind, str], Repository] = {}
        self.requests: list[Request] = []
        self.cuts: dict[str, list[int]] = {}
        """Per file name: after how many bytes of an answer to cut the connection, one entry an answer."""
        self.damaged: set[str] = set()
        """Names of files that are served with their last byte flipped."""
        self.writers: dict[str, str] = {}
        """Token -> the namespace that it may write to; nobody may unless a test says so."""
        self.uploaded: dict[str, bytes] = {}
        """Large files that came, by their SHA-256, before a commit names them."""
        self._connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; whoever asks afterwards is refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        # Connections that are kept alive would go on being answered by their threads.
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def endpoint(self) -> str:
        """The address for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Return an environment for a process that takes this server for the Hub and keeps its cache in
        `home`."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        kept.pop("TRANSFORMERS_OFFLINE", None)
        return kept | {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes] | Path,
        *,
        kind: Kind = "models",
        tag: str = "",
        token: str = "",
    ) -> str:
        """Commit `files` (a table, or a folder that is read) to `repo` as its newest state and return the
        commit.

        `tag` names the commit too; with `token` the repository is gated and opens to that token alone.
        """
        if isinstance(files, Path):
            files = {
                path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()
            }
        repository = self.repositories.setdefault((kind, repo), Repository())
        whole = hashlib.sha1(f"{kind}/{repo}/{len(repository.commits)}".encode())
        for name, data in sorted(files.items()):
            whole.update(name.encode() + b"\0" + data)
        commit = whole.hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs["main"] = commit
        if tag:
            repository.refs[tag] = commit
        repository.token = token or repository.token
        return commit

    def cut(self, name: str, after: int, *, times: int = 1) -> None:
        """Cut the connection after `after` bytes of each of the next `times` answers with the file `name`."""
        self.cuts.setdefault(name, []).extend([after] * times)

    def downloads(self, name: str) -> list[Request]:
        """Return the GET requests for the content of the file `name`, in order."""
        return [one for one in self.requests if one.method == "GET" and one.path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> LoopbackHub:
        hub: LoopbackHub = self.server.hub  # type: ignore[attr-defined]
        return hub

    def setup(self) -> None:
        super().setup()
        self.hub._connections.add(self.connection)

    def finish(self) -> None:
        self.hub._connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the test looks at `requests`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.hub.requests.append(
            Request(
                self.command,
                unquote(url.path),
                self.headers.get("Range") or "",
                self.headers.get("Authorization") or "",
            )
        )
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if self._written(parts, body):
            return
        if parts[0] == "api" and len(parts) >= 4 and parts[1] in ("models", "datasets"):
            kind: Kind = "models" if parts[1] == "models" else "datasets"
            self._api(kind, "/".join(parts[2:4]), parts[4:], parse_qs(url.query), body)
        elif "resolve" in parts:
            kind = "datasets" if parts[0] == "datasets" else "models"
            first = 1 if kind == "datasets" else 0
            place = parts.index("resolve")
            self._resolve(kind, "/".join(parts[first:place]), parts[place + 1], "/".join(parts[place + 2 :]))
        else:
            self._refuse(404, "", "Not Found")

    def _written(self, parts: list[str], body: bytes) -> bool:
        """Answer what a push asks for: create, look at the card, say how each file comes, take it, commit."""
        said = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if parts == ["api", "validate-yaml"]:
            self._send_json({"errors": [], "warnings": []})
        elif parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            if self._may_write(said, repo):
                if ("models", repo) in self.hub.repositories:
                    self._refuse(409, "", "You already created this model repo")
                else:
                    made = Repository({"0" * 40: {}}, {"main": "0" * 40}, private=asked.get("visibility") == "private")
                    self.hub.repositories["models", repo] = made
                    self._send_json({"url": f"{self.hub.endpoint}/{repo}"})
        elif parts[0] == "upload" and self.command == "PUT":
            self.hub.uploaded[parts[1]] = body
            self._send(200, b"", {})
        elif parts[2:] == ["info", "lfs", "objects", "batch"]:
            if self._may_write(said, "/".join(parts[:2]).removesuffix(".git")):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{self.hub.endpoint}/upload/{one['oid']}"}}}
                    for one in json.loads(body)["objects"]
                ]
                self._send_json({"transfer": "basic", "objects": objects})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["preupload"]:
            if self._may_write(said, "/".join(parts[2:4])):
                files = [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if _is_large(one["path"]) else "regular",
                        "shouldIgnore": False,
                    }
                    for one in json.loads(body)["files"]
                ]
                self._send_json({"files": files})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["commit"]:
            if self._may_write(said, "/".join(parts[2:4])):
                self._commit("/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])
        else:
            return False
        return True

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        repository = self.hub.repositories["models", repo]
        files = dict(repository.commits[repository.refs["main"]])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repository.message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
                assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
        commit = self.hub.add(repo, files)
        self._send_json({"commitUrl": f"{self.hub.endpoint}/{repo}/commit/{commit}", "commitOid": commit})

    def _may_write(self, said: str, repo: str) -> bool:
        if not said or said not in self.hub.writers:
            self._refuse(401, "", "Invalid username or password.")
            return False
        if self.hub.writers[said] != repo.partition("/")[0]:
            self._refuse(403, "", f"You don't have the rights to create a model under the namespace {repo}")
            return False
        return True

    def _open(self, kind: Kind, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the commit and its files, or refuse as the Hub would and return None."""
        repository = self.hub.repositories.get((kind, repo))
        if repository is None:
            # The real one answers 401 to a stranger, so as not to tell which private repositories exist.
            known = bool(self.headers.get("Authorization"))
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
            return None
        said = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository.private and self.hub.writers.get(said) != repo.partition("/")[0]:
            self._refuse(404 if said else 401, "RepoNotFound", "Repository not found")
            return None
        commit = repository.commit_of(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit, repository.commits[commit]

    def _may_read(self, kind: Kind, repo: str) -> bool:
        token = self.hub.repositories[kind, repo].token
        said = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not token or said == token:
            return True
        self._refuse(403 if said else 401, "GatedRepo", f"Access to model {repo} is restricted")
        return False

    def _api(self, kind: Kind, repo: str, rest: list[str], query: dict[str, list[str]], body: bytes) -> None:
        revision = rest[1] if len(rest) > 1 and rest[0] in ("revision", "tree", "paths-info") else "main"
        opened = self._open(kind, repo, revision)
        if opened is None:
            return
        commit, files = opened
        if not rest or rest[0] == "revision":
            # What a gated repository is called and holds is public; its contents are not.
            details = "blobs" in query
            self._send_json(
                {
                    "_id": commit[:24],
                    "id": repo,
                    "modelId": repo,
                    "author": repo.partition("/")[0],
                    "sha": commit,
                    "private": self.hub.repositories[kind, repo].private,
                    "gated": "manual" if self.hub.repositories[kind, repo].token else False,
                    "disabled": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [_sibling(name, data, details) for name, data in sorted(files.items())],
                }
            )
        elif rest[0] == "tree" and self._may_read(kind, repo):
            entries = _tree(files, "/".join(rest[2:]), recursive=query.get("recursive", [""])[0].lower() == "true")
            if entries is None:
                self._refuse(404, "EntryNotFound", "path does not exist")
            else:
                self._send_json(entries)
        elif rest[0] == "paths-info" and self._may_read(kind, repo):
            asked = _paths(body, self.headers.get("Content-Type") or "")
            everything = _tree(files, "", recursive=True) or []
            self._send_json([entry for entry in everything if entry["path"] in asked])
        elif rest[0] not in ("tree", "paths-info"):
            self._refuse(404, "", "Not Found")

    def _resolve(self, kind: Kind, repo: str, revision: str, name: str) -> None:
        opened = self._open(kind, repo, revision)
        if opened is None or not self._may_read(kind, repo):
            return
        commit, files = opened
        if name not in files:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        data = files[name]
        if name in self.hub.damaged:
            data = data[:-1] + bytes([data[-1] ^ 255])
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(name, files[name])}"', "Accept-Ranges": "bytes"}
        if _is_large(name):
            headers |= {"X-Linked-Etag": f'"{_etag(name, files[name])}"', "X-Linked-Size": str(len(data))}
        status, total = 200, len(data)
        wanted = self.headers.get("Range") or ""
        if wanted.startswith("bytes="):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first = int(start) if start else total - int(end)
            last = min(int(end), total - 1) if start and end else total - 1
            if first >= total:
                self._refuse(416, "", "Range not satisfiable", {"Content-Range": f"bytes */{total}"})
                return
            status, data = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        self._send(status, data, headers, cut_as=name)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        said = {"X-Error-Code": code, "X-Error-Message": message} if code else {"X-Error-Message": message}
        said |= {"Content-Type": "application/json", **(headers or {})}
        self._send(status, json.dumps({"error": message}).encode(), said)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], *, cut_as: str = "") -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = self.hub.cuts.get(cut_as)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not cuts:
                self.wfile.write(data)
                return
            self.wfile.write(data[: cuts.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def _is_large(name: str) -> bool:
    return name.endswith(_LARGE)


def _etag(name: str, data: bytes) -> str:
    """The Hub's name for a content: SHA-256 for large files, the Git blob's SHA-1 for the others."""
    if _is_large(name):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sibling(name: str, data: bytes, details: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": name}
    if details:
        entry |= {"size": len(data), "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
        if _is_large(name):
            entry["lfs"] = {"size": len(data), "sha256": _etag(name, data), "pointerSize": 134}
    return entry


def _tree(files: Mapping[str, bytes], below: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """Return the files and folders under `below`, or None when there is no such folder."""
    prefix = f"{below}/" if below else ""
    inside = {name: data for name, data in files.items() if name.startswith(prefix)}
    if below and not inside:
        return None
    entries: list[dict[str, Any]] = []
    folders = {parent.as_posix() for name in inside for parent in Path(name).parents} - {".", below}
    for folder in sorted(folders):
        if folder.startswith(prefix) and (recursive or "/" not in folder[len(prefix) :]):
            entries.append({"type": "directory", "path": folder, "size": 0, "oid": "0" * 40})
    for name, data in sorted(inside.items()):
        if recursive or "/" not in name[len(prefix) :]:
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data)}
            entry["oid"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if _is_large(name):
                entry["lfs"] = {"size": len(data), "oid": _etag(name, data), "pointerSize": 134}
            entries.append(entry)
    return entries


def _paths(body: bytes, content_type: str) -> list[str]:
    if "json" in content_type:
        said = json.loads(body).get("paths", [])
        return [said] if isinstance(said, str) else list(said)
    return parse_qs(body.decode()).get("paths", [])
