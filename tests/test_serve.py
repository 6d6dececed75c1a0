"""Serving to a browser: who gets in, what the page may load, and how an app and its server end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from advisor.errors import ExternalError, InputError, MissingExtraError
from advisor.serve import serve
from advisor.serve.server import MOST_SESSIONS, Server

APP = """
import io, os, subprocess, sys, time
from pathlib import Path
from textual.app import App
from textual.widgets import Input

class Small(App):
    def compose(self):
        yield Input()

    def on_mount(self):
        # A helper, as a calibration would be: it shall not outlive the app either.
        helper = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        Path(sys.argv[1], str(os.getpid())).write_text(str(helper.pid))

    def on_input_changed(self, event):
        if event.value == "file":
            text = io.StringIO("\\u00fc" * 100_000)
            self.deliver_text(text, save_filename="a \\u20ac;.txt", mime_type="text/x-umlauts")
        if event.value == "crash":
            1 / 0
        if event.value == "hang":
            Path(sys.argv[1]).with_name("hangs").touch()
            time.sleep(600)

    def on_resize(self, event):
        self.query_one(Input).placeholder = f"{event.size.width}x{event.size.height}"

app = Small()
app.run()
print("goodbye, see you")
sys.exit(app.return_code)
"""

Check = Callable[["Visit"], Awaitable[None]]


class Visit:
    """A running server, and a browser's session with it."""

    def __init__(self, server: Server, client: aiohttp.ClientSession, folder: Path) -> None:
        self.server, self.client, self.folder = server, client, folder
        self.base = server.url.partition("/?")[0]

    async def enter(self) -> None:
        async with self.client.get(self.server.url) as page:
            assert page.status == 200

    async def status(self, path: str, **headers: str) -> int:
        async with self.client.get(self.base + path, headers=headers, allow_redirects=False) as response:
            return response.status

    @contextlib.asynccontextmanager
    async def tab(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"{self.base}/ws?width=80&height=24"
        async with self.client.ws_connect(url, headers={"Origin": self.base}, max_msg_size=0) as tab:
            yield tab

    def apps(self) -> list[Path]:
        """One file for each app that has shown its screen, named for its process."""
        return list(self.folder.iterdir())


def visit(check: Check, folder: Path, *, command: list[str] | None = None, **settings: Any) -> None:
    folder.mkdir()
    script = folder.parent / "small.py"
    script.write_text(APP, encoding="utf-8")

    async def run() -> None:
        server = Server(command or [sys.executable, str(script), str(folder)], port=0, **settings)
        jar = aiohttp.CookieJar(unsafe=True)
        async with server, aiohttp.ClientSession(cookie_jar=jar) as client:
            await check(Visit(server, client, folder))

    asyncio.run(asyncio.wait_for(run(), 30))


async def drawn(tab: aiohttp.ClientWebSocketResponse, text: str) -> None:
    """Wait until the app has drawn a text."""
    seen = ""
    async for message in tab:
        if message.type is aiohttp.WSMsgType.BINARY:
            seen += message.data.decode()
            if text in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen):
                return
    raise AssertionError(f"closed before {text!r} was drawn")


async def told(tab: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Wait for a message of a kind for the page."""
    async for message in tab:
        if message.type is aiohttp.WSMsgType.TEXT:
            found, *rest = json.loads(message.data)
            if found == kind:
                return rest[0]
    raise AssertionError(f"closed before {kind!r} came")


async def keys(tab: aiohttp.ClientWebSocketResponse, text: str) -> None:
    await tab.send_json(["stdin", text])


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Nobody waits for a helper whose parent is gone but the first process, which need not be quick about it.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def gone(processes: Iterable[int]) -> None:
    for process in processes:
        while is_running(process):
            await asyncio.sleep(0.05)


def processes(apps: Iterable[Path]) -> list[int]:
    """Return the apps' processes, and those of their helpers."""
    return [number for app in apps for number in (int(app.name), int(app.read_text()))]


# --- who gets in ---


ROUTES = ("/", "/ws?width=80&height=24", "/static/textual.js", "/static/", "/download/x", "/elsewhere")


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_is_shown_without_the_secret(tmp_path: Path, path: str) -> None:
    async def check(visit: Visit) -> None:
        assert await visit.status(path, Origin=visit.base) == 403
        join = "&" if "?" in path else "?"
        assert await visit.status(f"{path}{join}token=guessed", Origin=visit.base) == 403
        name = f"gpu-advisor-{visit.server.port}"
        assert await visit.status(path, Origin=visit.base, Cookie=f"{name}=guessed") == 403
        assert (
            await visit.status(
                path,
                Origin=visit.base,
                Cookie=f"{name}=\udcff\u20ac".encode("utf-8", "replace").decode("latin-1"),
            )
            == 403
        )
        await visit.enter()
        assert await visit.status(path, Origin=visit.base) != 403

    visit(check, tmp_path / "apps")


def test_the_first_visit_takes_the_secret_out_of_the_address(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        async with visit.client.get(f"{visit.server.url}&fontsize=20", allow_redirects=False) as first:
            assert first.status == 303
            assert first.headers["Location"] == "/?fontsize=20"
            cookie = first.headers["Set-Cookie"]
            assert first.headers["Cache-Control"] == "no-store"
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert "Max-Age" not in cookie
        assert await visit.status("/") == 200

    visit(check, tmp_path / "apps")


def test_each_server_has_a_secret_of_its_own(tmp_path: Path) -> None:
    tokens = set()

    async def check(visit: Visit) -> None:
        tokens.add(visit.server.url.partition("token=")[2])

    visit(check, tmp_path / "a")
    visit(check, tmp_path / "b")
    assert len(tokens) == 2
    assert all(len(token) >= 43 for token in tokens)


@pytest.mark.parametrize(
    "origin",
    [None, "http://evil.example", "null", "https://{own}", "http://{own}.evil.example", "http://localhost:1"],
)
def test_a_page_of_another_site_cannot_open_the_socket(tmp_path: Path, origin: str | None) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        own = visit.base.removeprefix("http://")
        headers = {} if origin is None else {"Origin": origin.format(own=own)}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await visit.client.ws_connect(f"{visit.base}/ws?width=80&height=24", headers=headers)
        assert refused.value.status == 403
        assert not visit.apps()

    visit(check, tmp_path / "apps")


def test_it_answers_to_its_own_names_only(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        port = visit.server.port
        cookie = "; ".join(f"{each.key}={each.value}" for each in visit.client.cookie_jar)
        for own in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
            assert await visit.status("/", Host=f"{own}:{port}", Cookie=cookie) == 200
        foreign = (
            "evil.example",
            f"evil.example:{port}",
            f"localhost:{port + 1}",
            "localhost",
            f"10.0.0.1:{port}",
            f"127.0.0.1.evil.example:{port}",
            "",
        )
        for name in foreign:
            for path in ROUTES:
                assert await visit.status(path, Host=name, Cookie=cookie) == 403, (name, path)

    visit(check, tmp_path / "apps")


def test_listening_everywhere_it_answers_to_addresses_and_the_machines_name(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        assert visit.base.startswith("http://127.0.0.1:")
        assert not visit.server.is_local
        await visit.enter()
        port = visit.server.port
        cookie = "; ".join(f"{each.key}={each.value}" for each in visit.client.cookie_jar)
        for own in ("10.0.0.1", "[fd00::1]", socket.gethostname(), "localhost"):
            assert await visit.status("/", Host=f"{own}:{port}", Cookie=cookie) == 200, own
        for name in ("evil.example", "[fd00::1%x]"):
            assert await visit.status("/", Host=f"{name}:{port}", Cookie=cookie) == 403, name

    visit(check, tmp_path / "apps", host="0.0.0.0")


# --- the page ---


def test_the_page_loads_nothing_from_elsewhere_and_says_so_to_the_browser(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        async with visit.client.get(visit.server.url) as page:
            text = await page.text()
            headers = page.headers
        own = visit.base.removeprefix("http://")
        assert set(re.findall(r"\w+://[^\"/ ]+", text)) == {f"ws://{own}"}
        assert "<script>" not in text
        assert " on" not in re.sub(r">[^<]*<", "", text)
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'self'"
        assert "script-src" not in policy
        assert policy["connect-src"] == f"'self' ws://{own}/ws"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["Cache-Control"] == "no-store"
        loaded = re.findall(r"(?:src|href)=\"(static/[^\"]+)", text)
        async with visit.client.get(f"{visit.base}/static/page.css") as sheet:
            style = await sheet.text()
        fonts = [f"static/{name}" for name in re.findall(r"url\(\"([^\"]+)", style)]
        assert len(loaded) == 4
        assert len(fonts) == 2
        for path in loaded + fonts:
            assert await visit.status(f"/{path}") == 200, path

    visit(check, tmp_path / "apps")


@pytest.mark.parametrize("path", [*ROUTES, "/?token=guessed"])
def test_every_answer_is_hardened(tmp_path: Path, path: str) -> None:
    async def check(visit: Visit) -> None:
        for _ in range(2):
            async with visit.client.get(visit.base + path) as response:
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert response.headers["X-Frame-Options"] == "DENY"
                assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert "Content-Security-Policy" in response.headers
            await visit.enter()

    visit(check, tmp_path / "apps")


def test_static_files_are_those_of_the_page_with_their_kinds_and_no_list(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        for name, kind in {
            "page.js": "text/javascript",
            "textual.js": "text/javascript",
            "xterm.css": "text/css",
            "roboto-mono.ttf": "font/ttf",
        }.items():
            async with visit.client.get(f"{visit.base}/static/{name}") as response:
                assert response.headers["Content-Type"] == kind
        for path in (
            "/static",
            "/static/",
            "/static/css",
            "/static/css/xterm.css",
            "/static/..%2Fserver.py",
            "/static/%2Fetc%2Fpasswd",
        ):
            assert await visit.status(path) == 404, path

    visit(check, tmp_path / "apps")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("fontsize=20", 200),
        ("fontsize=5", 400),
        ("fontsize=41", 400),
        ("fontsize=12.5", 400),
        ('fontsize="><script>', 400),
        ("fontsize=", 400),
    ],
)
def test_the_font_size_is_checked(tmp_path: Path, query: str, status: int) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.client.get(f"{visit.base}/?{query}") as page:
            assert page.status == status
            text = await page.text()
        assert ('data-font-size="20"' in text) == (status == 200)
        assert status == 200 or text == "fontsize: a whole number, 6 to 40"

    visit(check, tmp_path / "apps")


# --- the app of a tab ---


def test_a_tab_shows_its_app_in_its_size(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            await drawn(tab, "80x24")
            await tab.send_json(["resize", {"width": 60, "height": 20}])
            await drawn(tab, "60x20")
            await tab.send_json(["ping", "17"])
            assert await told(tab, "pong") == "17"
            await tab.send_json(["blur"])
            await tab.send_json(["focus"])
            await keys(tab, "hello")
            await drawn(tab, "hello")

    visit(check, tmp_path / "apps")


@pytest.mark.parametrize(
    "size", ["", "width=80", "width=80&height=0", "width=9999&height=24", "width=NaN&height=24"]
)
def test_a_size_that_is_none_opens_no_app(tmp_path: Path, size: str) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        assert await visit.status(f"/ws?{size}", Origin=visit.base) == 400
        assert not visit.apps()

    visit(check, tmp_path / "apps")


@pytest.mark.skipif(os.name != "posix", reason="looks for processes by signal")
def test_closing_a_tab_ends_its_app_and_what_that_started(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as staying:
            await drawn(staying, "80x24")
            (other,) = visit.apps()
            async with visit.tab() as tab:
                await drawn(tab, "80x24")
                (app,) = set(visit.apps()) - {other}
            await gone(processes([app]))
            await keys(staying, "still here")
            await drawn(staying, "still here")

    visit(check, tmp_path / "apps")


@pytest.mark.skipif(os.name != "posix", reason="looks for processes by signal")
def test_an_app_that_hangs_is_ended_with_its_tab(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            await drawn(tab, "80x24")
            await keys(tab, "hang")
            while not (tmp_path / "hangs").exists():
                await asyncio.sleep(0.05)
        await gone(processes(visit.apps()))

    visit(check, tmp_path / "apps")


def test_an_app_that_ends_says_so_on_the_page(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            await drawn(tab, "80x24")
            await keys(tab, "\x11")
            ended = await told(tab, "ended")
            assert ended == {"message": "The app has ended. Reload to start it again.", "details": ""}
            assert (await tab.receive()).type is aiohttp.WSMsgType.CLOSE

    visit(check, tmp_path / "apps")


@pytest.mark.skipif(os.name != "posix", reason="looks for processes by signal")
def test_an_app_that_ends_before_its_helper_is_over_all_the_same(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; from pathlib import Path; print('__GANGLION__', flush=True); "
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "Path(sys.argv[1]).write_text(str(helper.pid)); "
        """sys.stdout.buffer.write(b'M' + bytes([0, 0, 0, 16]) + b'{"type": "exit"}')"""
    )
    holds_the_pipes = tmp_path / "helper"

    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            assert (await told(tab, "ended"))["message"].startswith("The app has ended.")
            await gone([int(holds_the_pipes.read_text())])

    visit(check, tmp_path / "apps", command=[sys.executable, "-c", code, str(holds_the_pipes)])


def test_an_app_that_crashes_shows_its_error(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            await drawn(tab, "80x24")
            await keys(tab, "crash")
            ended = await told(tab, "ended")
            assert ended["message"] == "The app has stopped with an error (exit code 1)."
            assert "ZeroDivisionError" in ended["details"]

    visit(check, tmp_path / "apps")


def test_an_app_that_cannot_start_shows_what_it_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('no packet'); sys.exit('error: <b>no such model</b>\\n\\x1b[31m  hint: none')"

    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            ended = await told(tab, "ended")
        assert ended["message"] == "The app could not start (exit code 1)."
        assert ended["details"] == "error: <b>no such model</b>\n\ufffd[31m  hint: none"

    visit(check, tmp_path / "apps", command=[sys.executable, "-c", code])
    assert capfd.readouterr() == ("", "")


def test_an_app_that_is_not_there_is_a_message_too(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            ended = await told(tab, "ended")
        assert ended["message"] == "The app could not start."
        assert "no-such-program" in ended["details"]

    visit(check, tmp_path / "apps", command=["no-such-program"])


def test_the_app_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    arguments = ["a b", "$HOME", "\"quoted\" 'twice'", "; exit 7", "*", "%PATH%", ""]
    code = "import sys; sys.exit(repr(sys.argv[1:]))"

    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            assert (await told(tab, "ended"))["details"] == repr(arguments)

    visit(check, tmp_path / "apps", command=[sys.executable, "-c", code, *arguments])


NONSENSE = {
    "no JSON": "stdin",
    "no list": '{"stdin": "x"}',
    "empty": "[]",
    "unknown kind": '["shell", "x"]',
    "number for text": '["stdin", 1]',
    "nothing for text": '["stdin"]',
    "half a character": '["stdin", "\\ud800"]',
    "no size": '["resize", {"width": 80}]',
    "negative size": '["resize", {"width": -1, "height": 24}]',
    "huge size": '["resize", {"width": 1000000000, "height": 24}]',
    "too deep": "[" * 100_000,
    "two megabytes": "x" * 2_000_000,
    "two megabytes of keys": json.dumps(["stdin", "x" * 2_000_000]),
    "bytes": b"\x00\xff" * 1000,
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_closes_its_own_socket_and_harms_nothing_else(tmp_path: Path, nonsense: str | bytes) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as staying:
            await drawn(staying, "80x24")
            async with visit.tab() as tab:
                send = tab.send_str if isinstance(nonsense, str) else tab.send_bytes
                await send(nonsense)
                async for _ in tab:
                    pass
                assert tab.close_code in (
                    aiohttp.WSCloseCode.POLICY_VIOLATION,
                    aiohttp.WSCloseCode.MESSAGE_TOO_BIG,
                )
            await keys(staying, "still here")
            await drawn(staying, "still here")

    visit(check, tmp_path / "apps")


def test_one_tab_too_many_is_told_so(tmp_path: Path) -> None:
    code = "import sys; print('__GANGLION__', flush=True); sys.stdin.buffer.read(6)"

    async def check(visit: Visit) -> None:
        await visit.enter()
        async with contextlib.AsyncExitStack() as tabs:
            opened = [await tabs.enter_async_context(visit.tab()) for _ in range(MOST_SESSIONS)]
            async with visit.tab() as tab:
                ended = await told(tab, "ended")
            assert ended["message"].startswith(f"gpu-advisor is open in {MOST_SESSIONS} tabs already")
            await keys(opened[0], "x")
            await told(opened[0], "ended")
            await opened[0].close()
            async with visit.tab() as tab:
                await keys(tab, "x")
                assert (await told(tab, "ended"))["message"].startswith("The app has ended")

    visit(check, tmp_path / "apps", command=[sys.executable, "-c", code])


def test_a_file_of_the_app_arrives_whole_and_once(tmp_path: Path) -> None:
    async def check(visit: Visit) -> None:
        await visit.enter()
        async with visit.tab() as tab:
            await drawn(tab, "80x24")
            await keys(tab, "file")
            key = await told(tab, "deliver_file_start")
            reading = asyncio.create_task(drawn(tab, "never"))
            async with visit.client.get(f"{visit.base}/download/{key}") as response:
                assert (
                    response.headers["Content-Disposition"]
                    == "attachment; filename*=UTF-8''a%20%E2%82%AC%3B.txt"
                )
                assert response.headers["Content-Type"] == "text/x-umlauts; charset=utf-8"
                assert await response.text() == "\u00fc" * 100_000
            assert await visit.status(f"/download/{key}") == 404
            reading.cancel()

    visit(check, tmp_path / "apps")


# --- the server ---


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_its_apps(tmp_path: Path, number: signal.Signals) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    script = tmp_path / "small.py"
    script.write_text(APP, encoding="utf-8")
    code = (
        "import sys; from functools import partial; from advisor.serve.server import serve_command; "
        "serve_command(sys.argv[1:], host='127.0.0.1', port=0, say=partial(print, flush=True)); print('over')"
    )
    command = [sys.executable, "-c", code, sys.executable, str(script), str(apps)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background makes its children ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        assert url is not None
        base = url.group().partition("/?")[0]

        async def look() -> None:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
                async with client.get(url.group()) as page:
                    assert page.status == 200
                async with client.ws_connect(
                    f"{base}/ws?width=80&height=24", headers={"Origin": base}
                ) as tab:
                    await drawn(tab, "80x24")
                    process.send_signal(number)
                    assert (await told(tab, "ended"))["message"] == "gpu-advisor serve has been stopped."
            await gone(processes(apps.iterdir()))

        asyncio.run(asyncio.wait_for(look(), 60))
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "over\n", "")


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_who_can_reach_it_is_said(host: str, warned: bool) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 1 + warned:
            signal.raise_signal(signal.SIGTERM)

    serve([], host=host, port=0, say=say)
    assert re.search(r"http://\S+:\d+/\?token=", said[0])
    assert ["warning" in line for line in said] == [False, True][: len(said)]
    assert not warned or "not encrypted" in said[1]


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ExternalError, match=rf"port {port}: .*in use") as refused:
            serve([], port=port, say=pytest.fail)
    assert "--port" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 65536), ("127.0.0.1", -1)]
)
def test_an_address_that_is_none_is_the_users_error(host: str, port: int) -> None:
    with pytest.raises(InputError):
        serve([], host=host, port=port, say=pytest.fail)


@pytest.mark.parametrize("package", ["aiohttp", "textual_serve"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in [name for name in sys.modules if name.startswith((f"{package}.", "advisor.serve."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as missing:
        serve([], say=pytest.fail)
    assert missing.value.hint == 'pip install "gpu-advisor[serve]"'
