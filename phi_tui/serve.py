"""The app in a browser: textual-serve runs one app a visitor; loopback unless one asks for more.

Whoever reaches the address has this user's files and GPUs: there is no password, so a public address is refused
without one's saying so, and an SSH tunnel is the way to a remote machine.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import shlex
import sys
from pathlib import Path

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
    from textual_serve.server import Server

    sys.stderr.write(f"phi-tui on http://{host}:{port}  (ctrl+c ends it)\n")
    Server(shlex.join(command), host=host, port=port, title="phi-tui", public_url=public_url).serve()
    return 0


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
