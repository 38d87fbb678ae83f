"""The app in a browser: textual-serve runs one app a visitor; loopback unless one asks for more.

Whoever reaches the address has this user's files and GPUs: there is no password, so a public address is refused
without one's saying so, and an SSH tunnel is the way to a remote machine.  A browser lets any page open a
WebSocket to any address, so one that another page opens is refused by its Origin.
"""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import shlex
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from phi_tui import project
from phi_tui.errors import InputError, Refusal


def serve(file: Path | None, workspace: Path | None, host: str, port: int, public_url: str | None) -> int:
    """Serve the app on `host`:`port` until interrupted; returns 0.

    Raises InputError without textual-serve or for a port that is no port, Refusal for an address that other
    machines reach where no `public_url` says that this is meant.
    """
    if importlib.util.find_spec("textual_serve") is None:
        raise InputError("phi-tui serve needs textual-serve", fix='pip install "phi-tui[serve]"')
    if not 0 < port < 65_536:
        raise InputError(f"{port} is no port", fix="one from 1 to 65535, such as 8061")
    if not _is_loopback(host) and public_url is None:
        raise Refusal(
            f"{host} can be reached from other machines, and whoever reaches it has your files and your GPU",
            fix=f"leave --host out and come through SSH: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE; "
            "behind a proxy that asks for a password, say its address with --public-url",
        )
    command = [sys.executable, "-P", "-m", "phi_tui"]
    if file:
        project.load(file)
        command.append(str(file.absolute()))
    if workspace:
        command += ["--workspace", str(workspace.absolute())]
    _refuse_taken(host, port)
    from aiohttp import web
    from textual_serve.server import Server

    own = origins(host, port, public_url)

    class Guarded(Server):
        """Lets only its own page drive the app."""

        async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
            """Refuse a page of another origin; a client that is no browser sends none."""
            if request.headers.get("Origin", "").lower() not in {"", *own}:
                raise web.HTTPForbidden(text="phi-tui: this page is not the app's own")
            return await super().handle_websocket(request)

    sys.stderr.write(f"phi-tui on {public_url or f'http://{_named(host)}:{port}'}  (ctrl+c ends it)\n")
    sys.stderr.flush()
    Guarded(shlex.join(command), host=host, port=port, title="phi-tui", public_url=public_url).serve()
    return 0


def origins(host: str, port: int, public_url: str | None) -> frozenset[str]:
    """The origins of the app's own page: the address it is served on, loopback's names, and the public one."""
    names = {_named(host)} | ({"127.0.0.1", "localhost", "[::1]"} if _is_loopback(host) else set())
    found = {f"http://{name}" if port == 80 else f"http://{name}:{port}" for name in names}
    if public_url:
        parts = urlsplit(public_url)
        found.add(f"{parts.scheme}://{parts.netloc}")
    return frozenset(origin.lower() for origin in found)


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _refuse_taken(host: str, port: int) -> None:
    """Raise InputError where the address cannot be listened on, before anything is said of a server."""
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise InputError(
            f"port {port} of {host} is in use" if taken else f"{host}:{port} cannot be served: {error.strerror}",
            fix=f"another port: --port {port + 1 if port < 65_535 else 8061}" if taken else "",
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
