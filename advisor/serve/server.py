"""A web server for one user: it shows an app to who knows a secret address, and to nobody else.

The app acts with the rights of who started the server, so a page of another site must not reach it through the
user's browser: hence the secret, and the checks of ``Host`` (a name that was made to point here) and ``Origin``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import html
import ipaddress
import secrets
import signal
import socket
import string
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import textual_serve
from aiohttp import WSCloseCode, web
from pydantic import Field, TypeAdapter, ValidationError
from yarl import URL

from advisor.errors import ExternalError, InputError
from advisor.quantity import Model
from advisor.serve.app_process import AppProcess, Ended

MOST_SESSIONS = 8
MOST_MESSAGE_BYTES = 1024 * 1024

_HERE = Path(__file__).parent
_THEIRS = Path(textual_serve.__file__).parent / "static"
# The kinds are named here because Windows looks them up in a registry that other programs change.
_STATIC = {
    "page.css": (_HERE / "page.css", "text/css"),
    "page.js": (_HERE / "page.js", "text/javascript"),
    "roboto-mono.ttf": (_THEIRS / "fonts" / "RobotoMono-VariableFont_wght.ttf", "font/ttf"),
    "roboto-mono-italic.ttf": (_THEIRS / "fonts" / "RobotoMono-Italic-VariableFont_wght.ttf", "font/ttf"),
    "textual.js": (_THEIRS / "js" / "textual.js", "text/javascript"),
    "xterm.css": (_THEIRS / "css" / "xterm.css", "text/css"),
}
_PAGE = string.Template((_HERE / "page.html").read_text(encoding="utf-8"))
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HEARTBEAT_S = 30.0
_SHUTDOWN_S = 10.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Size(Model):
    """Of a terminal in cells."""

    width: int = Field(ge=1, le=1000)
    height: int = Field(ge=1, le=1000)


_MESSAGE: TypeAdapter[Any] = TypeAdapter(
    tuple[Literal["stdin"], str]
    | tuple[Literal["resize"], _Size]
    | tuple[Literal["ping"], str]
    | tuple[Literal["focus", "blur"]]
)
_SIZE: TypeAdapter[_Size] = TypeAdapter(_Size)
_FONT_SIZE: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=6, le=40)])


class Server:
    """Serves an app, a process for each browser tab, while it is open as a context.

    Args:
        command: starts the app.
        host: address or name of this machine to listen at.
        port: to listen at; 0 takes a free one.
    """

    def __init__(self, command: Sequence[str], *, host: str = "127.0.0.1", port: int = 8000) -> None:
        self._command = command
        self._host = host
        self._asked_port = port
        self._token = secrets.token_urlsafe()
        self._apps: set[AppProcess] = set()
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            InputError: host or port is none of this machine's.
            ExternalError: the port is taken or not allowed.
        """
        listening = _listen(self._host, self._asked_port)
        address, self.port = listening.getsockname()[:2]
        self._address = ipaddress.ip_address(address)
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/ws", self._websocket),
                web.get("/download/{key}", self._download, allow_head=False),
                web.get("/static/{name}", self._static),
            ]
        )
        app.on_response_prepare.append(_harden)
        app.on_shutdown.append(self._stop_apps)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the apps and listen no more."""
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The address to open, with its secret."""
        shown = self._host
        if self._address.is_unspecified:
            shown = "127.0.0.1" if self._address.version == 4 else "[::1]"
        elif ":" in shown:
            shown = f"[{shown}]"
        return f"http://{shown}{self._port_suffix}/?token={self._token}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self._address.is_loopback

    @property
    def _port_suffix(self) -> str:
        return "" if self.port == 80 else f":{self.port}"

    @property
    def _cookie(self) -> str:
        # Cookies know no ports: without it two servers would take each other's.
        return f"gpu-advisor-{self.port}"

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not self._is_served_as(request.headers.get("Host", "")):
            raise web.HTTPForbidden(text="This server does not answer to that name.")
        if request.path == "/" and self._is_secret(request.query.get("token", "")):
            rest = {name: value for name, value in request.query.items() if name != "token"}
            # The address without the token: the other one would stay in the history.
            page = str(URL.build(path="/", query=rest))
            response = web.Response(status=303, headers={"Location": page, "Cache-Control": "no-store"})
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
            return response
        if not self._is_secret(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(
                text="Copy the whole address that gpu-advisor serve has printed into the address bar: "
                "it holds a token, and a new one each time it starts."
            )
        return await handler(request)

    def _is_secret(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    def _is_served_as(self, host: str) -> bool:
        """Say whether a Host header is one of ours, and not a foreign name that was made to point here."""
        name = host.lower().removesuffix(self._port_suffix)
        if f"{name}{self._port_suffix}" != host.lower():
            return False
        if name in {self._host.lower(), f"[{self._host.lower()}]", "localhost", "127.0.0.1", "[::1]"}:
            return True
        # Listening at all addresses: an address stands for itself, and nobody else can name this machine.
        return self._address.is_unspecified and (_is_address(name) or name == socket.gethostname().lower())

    async def _page(self, request: web.Request) -> web.Response:
        font_size = _checked(
            _FONT_SIZE, request.query.get("fontsize", "16"), "fontsize: a whole number, 6 to 40"
        )
        websocket_url = f"ws://{request.host}/ws"
        policy = (
            f"default-src 'self'; connect-src 'self' {websocket_url}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return web.Response(
            text=_PAGE.substitute(websocket_url=html.escape(websocket_url), font_size=font_size),
            content_type="text/html",
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"},
        )

    async def _static(self, request: web.Request) -> web.FileResponse:
        known = _STATIC.get(request.match_info["name"])
        if known is None:
            raise web.HTTPNotFound
        path, kind = known
        return web.FileResponse(path, headers={"Content-Type": kind})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        for app in self._apps:
            delivery = app.take(request.match_info["key"])
            if delivery is not None:
                break
        else:
            raise web.HTTPNotFound(text="This file was fetched before, or its app has ended.")
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{delivery.mime_type}; charset={delivery.encoding}",
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(delivery.file_name)}",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        async for chunk in app.chunks(delivery):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("Origin") != f"http://{request.host}":
            raise web.HTTPForbidden(text="Only a page of this server may open its socket.")
        size = _checked(_SIZE, request.query, "width and height: cells, 1 to 1000")
        tab = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES)
        await tab.prepare(request)
        if len(self._apps) >= MOST_SESSIONS:
            message = (
                f"gpu-advisor is open in {MOST_SESSIONS} tabs already, which is the most it serves at a time."
            )
            await _end(tab, Ended(message, "Close one of them, then reload."))
            return tab
        app = AppProcess(self._command, draw=tab.send_bytes, tell=tab.send_json)
        self._apps.add(app)
        try:
            await self._run(app, tab, size)
        except OSError as error:
            await _end(tab, Ended("The app could not start.", str(error)))
        finally:
            self._apps.discard(app)
        return tab

    async def _run(self, app: AppProcess, tab: web.WebSocketResponse, size: _Size) -> None:
        await app.start(size.width, size.height)
        showing = asyncio.create_task(self._show(app, tab))
        try:
            await _pass_on(tab, app)
        finally:
            await app.stop()
            await showing

    async def _show(self, app: AppProcess, tab: web.WebSocketResponse) -> None:
        ended = await app.run()
        await _end(tab, Ended("gpu-advisor serve has been stopped.") if self._stopping else ended)

    async def _stop_apps(self, _: web.Application) -> None:
        self._stopping = True
        await asyncio.gather(*(app.stop() for app in self._apps))


def serve_command(command: Sequence[str], *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve an app until the process is interrupted; see ``advisor.serve.serve``."""
    # Ctrl+C is how this ends, and no error. Where the loop takes no signals (Windows) it comes as an exception.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_signal(Server(command, host=host, port=port), say))


async def _serve_until_signal(server: Server, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Ignored means started with nohup, or in the background of a script.
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        say(f"Open {server.url} in a browser; Ctrl+C stops the server.")
        if not server.is_local:
            say(
                "warning: this is not limited to this machine. Whoever reaches the port and knows the address can "
                "drive the app with your rights, and what is sent is not encrypted."
            )
        await stop.wait()


async def _pass_on(tab: web.WebSocketResponse, app: AppProcess) -> None:
    """Pass on what the page sends until its socket is closed, by either side; close it where it sends nonsense."""
    async for received in tab:
        try:
            message = _MESSAGE.validate_json(received.data)
        except ValidationError:
            await tab.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not a message of this page")
            return
        match message:
            case ("stdin", str(text)):
                await app.type(text)
            case ("resize", _Size(width=width, height=height)):
                await app.resize(width, height)
            case ("ping", str(sent)):
                await tab.send_json(["pong", sent])
            case (focus,):
                await app.focus(focus == "focus")


async def _end(tab: web.WebSocketResponse, ended: Ended) -> None:
    """Show on the page why it is over, and close its socket."""
    with contextlib.suppress(ConnectionResetError):
        await tab.send_json(["ended", dataclasses.asdict(ended)])
    await tab.close()


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _checked(kind: TypeAdapter[Any], given: str | Mapping[str, str], accepted: str) -> Any:
    try:
        return kind.validate_python(given)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=accepted) from error


def _is_address(name: str) -> bool:
    if "%" in name:
        return False
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address of this machine."""
    if not 0 <= port < 2**16:
        raise InputError("not a port", source="--port", value=port, accepted="0 to 65535; 0 takes a free one")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise InputError(
            f"no address is known for this name ({error.strerror})",
            source="--host",
            value=host,
            accepted="a name or address of this machine",
        ) from error
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        raise ExternalError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            hint="choose another with --port; --port 0 takes a free one",
        ) from error
