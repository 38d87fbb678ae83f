"""The app in a browser: a real server on loopback, a real WebSocket, and a real browser where there is one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import walking
from projects import command
from terminal import environment, phi_tui

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server on a workspace with the demo; yields its port and process."""
    walking.demo(tmp_path / "w")
    port = _free_port()
    with open(tmp_path / "said", "wb") as said:
        server = subprocess.Popen(
            phi_tui("serve", "--workspace", tmp_path / "w", "--port", port),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment(tmp_path), start_new_session=True,
        )  # fmt: skip
    try:
        _until(lambda: _answers(port) or server.poll() is not None, "the server's answer")
        assert server.poll() is None, (tmp_path / "said").read_text()
        yield port, server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # the session that this test started, apps included
        server.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def _apps(server: subprocess.Popen[bytes]) -> set[int]:
    """The processes of the server's session that are not the server, nor shells."""
    found = set()
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == server.pid and fields[0] != "Z" and int(path.name) != server.pid:
                found.add(int(path.name))
    return found


@contextlib.asynccontextmanager
async def _socket(port: int, **headers: str) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session:
        address = f"ws://127.0.0.1:{port}/ws?width=120&height=40"
        async with session.ws_connect(address, headers=headers, max_msg_size=0) as channel:
            yield channel


async def _shows(channel: Any, words: str, seconds: float = 60.0) -> str:
    """Read from the app until it wrote `words`, styles and places aside."""
    seen = b""
    async with asyncio.timeout(seconds):
        while True:
            message = await channel.receive()
            assert message.type == aiohttp.WSMsgType.BINARY, message
            seen += message.data
            text = re.sub(r"\x1b\[[0-9;?$]*[a-zA-Z]", "", seen.decode("utf-8", "replace"))
            if words in text:
                return text


def test_the_page_names_the_app_and_its_socket_speaks_to_one_that_is_alive_and_ends_with_it(
    served: tuple[int, subprocess.Popen[bytes]],
) -> None:
    port, server = served
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as page:
        assert page.status == 200
        assert "phi-tui" in page.read().decode()

    async def talk() -> None:
        async with _socket(port, Origin=f"http://127.0.0.1:{port}") as channel:
            await _shows(channel, "phi_demo")
            await channel.send_json(["stdin", "2"])
            await _shows(channel, "Bases")
            await channel.send_json(["resize", {"width": 80, "height": 24}])
            await channel.send_json(["stdin", "1"])
            await _shows(channel, "This machine")

    asyncio.run(talk())
    _until(lambda: not _apps(server), "the end of the app whose page was closed")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null"])
def test_a_page_of_another_origin_cannot_drive_the_app(
    served: tuple[int, subprocess.Popen[bytes]], origin: str
) -> None:
    async def talk() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with _socket(served[0], Origin=origin):
                pass
        assert refused.value.status == 403

    asyncio.run(talk())
    assert not _apps(served[1])


def test_an_app_ends_when_its_server_is_killed(served: tuple[int, subprocess.Popen[bytes]]) -> None:
    port, server = served

    async def talk() -> None:
        async with _socket(port) as channel:
            await _shows(channel, "phi_demo")
            assert _apps(server)
            os.kill(server.pid, signal.SIGKILL)

    with contextlib.suppress(aiohttp.ClientError):
        asyncio.run(talk())
    _until(lambda: not _apps(server), "the end of the app that nobody drives")


def test_an_address_that_others_reach_is_refused_without_a_public_url(tmp_path: Path) -> None:
    answered = command("serve", "--host", "0.0.0.0", "--port", _free_port(), cwd=tmp_path)
    assert answered.returncode == 3
    assert "ssh -L" in answered.stderr and "Traceback" not in answered.stderr


def test_a_port_in_use_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answered = command("serve", "--port", port, cwd=tmp_path)
    assert answered.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in answered.stderr and "--port" in answered.stderr
    assert "Traceback" not in answered.stderr + answered.stdout


# Records what the page's terminal is given, from before the page's own script runs.
_RECORD = """
window.seen = "";
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", async (event) => {
      const data = event.data;
      if (typeof data === "string") return;
      window.seen += new TextDecoder().decode(data instanceof Blob ? await data.arrayBuffer() : data);
    });
  }
};
"""


class Tab:
    """A page of a browser, driven through its DevTools protocol."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._number = 0

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method and return its result."""
        self._number += 1
        await self._channel.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(60):
            while True:
                answer = await self._channel.receive_json()
                if answer.get("id") == self._number:
                    assert "error" not in answer, answer
                    return answer["result"]

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return (await self.call("Runtime.evaluate", expression=expression))["result"].get("value")

    async def until(self, words: str, seconds: float = 90.0) -> None:
        """Wait until the terminal in the page was given `words`."""
        deadline = time.monotonic() + seconds
        while words not in re.sub(r"\x1b\[[0-9;?$]*[a-zA-Z]", "", str(await self.value("window.seen"))):
            assert time.monotonic() < deadline, f"no {words!r} in the page"
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _tab(folder: Path) -> AsyncIterator[Tab]:
    """A tab of a headless browser whose profile is in `folder`; the browser ends with it."""
    assert BROWSER
    browser = subprocess.Popen(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--window-size=1280,800",
            "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        where = folder / "DevToolsActivePort"
        _until(lambda: where.is_file() and where.read_text().count("\n"), "the browser")
        port = int(where.read_text().split()[0])
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                yield Tab(channel)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)  # the browser's own session
        browser.wait(20)


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_shows_the_app_and_its_keys_reach_it(
    served: tuple[int, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    port, server = served

    async def look() -> bytes:
        async with _tab(tmp_path / "profile") as tab:
            await tab.call("Page.enable")
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=_RECORD)
            await tab.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
            await tab.until("Projects")
            await tab.until("phi_demo")
            await tab.value("document.querySelector('.xterm-helper-textarea').focus()")
            await tab.call("Input.dispatchKeyEvent", type="keyDown", key="2", text="2", code="Digit2")
            await tab.call("Input.dispatchKeyEvent", type="keyUp", key="2", code="Digit2")
            await tab.until("Bases")
            await tab.until("builtin:phi-demo")
            picture = base64.b64decode((await tab.call("Page.captureScreenshot"))["data"])
            if folder := os.environ.get("PHI_TUI_TEST_PICTURES"):
                (Path(folder) / "serve.png").write_bytes(picture)
            return picture

    assert _distinct_rows(asyncio.run(look())) > 50
    _until(lambda: not _apps(server), "the end of the app whose browser is gone")


def _distinct_rows(png: bytes) -> int:
    """How many different rows of pixels a PNG has, as filtered: a blank page has a handful."""
    at, data, width = 8, b"", 0
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width = int.from_bytes(body[:4], "big") * {2: 3, 6: 4}[body[9]]
        elif kind == b"IDAT":
            data += body
        at += 12 + length
    raw = zlib.decompress(data)
    return len({raw[row : row + width + 1] for row in range(0, len(raw), width + 1)})
