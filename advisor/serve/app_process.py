"""A Textual app in a process of its own, spoken to over pipes in the packets of Textual's web driver."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, TypeVar, cast

from textual_serve._binary_encode import load

from advisor.units import plain

_T = TypeVar("_T")

_READY = b"__GANGLION__\n"
_DRIVER = {
    "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
    "TEXTUAL_COLOR_SYSTEM": "truecolor",
    "TEXTUAL_FPS": "60",
}
_STOP_S = 3.0
_CHUNK_S = 30.0
# The app writes chunks and screens from two threads: small ones find room in the pipe, and so stay whole.
_CHUNK_LENGTH = 4 * 1024
_LAST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """How an app ended: a sentence for its user, and what it printed to standard error."""

    message: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that the app offers to its user."""

    key: str
    file_name: str
    mime_type: str
    encoding: str
    name: str | None
    chunks: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class AppProcess:
    """One app for one browser tab.

    textual-serve has a class for this, too; but that one goes through a shell, prints what failed to our standard
    output, waits for ever for an app that hangs, and passes a file that stopped half-way for a whole one.

    Args:
        command: starts the app.
        draw: takes what the app writes to its terminal.
        tell: takes a message for the page.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        draw: Callable[[bytes], Awaitable[None]],
        tell: Callable[[list[object]], Awaitable[None]],
    ) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._draw = draw
        self._tell = tell
        self._offered: dict[str, Delivery] = {}
        self._delivering: dict[str, Delivery] = {}

    async def start(self, width: int, height: int) -> None:
        """Start the process.

        Args:
            width: of the terminal in cells.
            height: of the terminal in cells.

        Raises:
            OSError: the system cannot start it.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_DRIVER, "COLUMNS": str(width), "ROWS": str(height)},
            # A process group of its own, so that what the app has started can be ended with it.
            start_new_session=True,
        )
        self._stdin = _there(self._process.stdin)
        self._stdout = _there(self._process.stdout)
        self._printed = asyncio.create_task(_last_bytes(_there(self._process.stderr)))

    async def run(self) -> Ended:
        """Pass on what the app writes until it ends, and say how it ended."""
        started = False
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._stdout.readuntil(_READY)
            started = True
            await self._pass_on()
        # What is still to come is no packet: an app that has left its screen may print a farewell.
        farewell = asyncio.create_task(_last_bytes(self._stdout))
        exit_code = await self._exited()
        await farewell
        details = "\n".join(
            plain(line) for line in (await self._printed).decode(errors="replace").splitlines()
        )
        if not started:
            return Ended(f"The app could not start (exit code {exit_code}).", details)
        if exit_code:
            return Ended(f"The app has stopped with an error (exit code {exit_code}).", details)
        return Ended("The app has ended. Reload to start it again.", details)

    async def stop(self) -> None:
        """Ask the app to end, and end it and all that it has started where it does not."""
        if self._process is None:
            return
        # An app that reads nothing takes no request to end either.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await self._send(type="quit")
        await self._exited()

    async def type(self, text: str) -> None:
        """Pass on what a terminal sends for keys and mouse."""
        await self._write(b"D", text.encode())

    async def resize(self, width: int, height: int) -> None:
        """Tell the size of the terminal in cells."""
        await self._send(type="resize", width=width, height=height)

    async def focus(self, focused: bool) -> None:
        """Tell whether the terminal has the focus."""
        await self._send(type="focus" if focused else "blur")

    def take(self, key: str) -> Delivery | None:
        """Return the file that was offered under a key; each can be taken once."""
        return self._offered.pop(key, None)

    async def chunks(self, delivery: Delivery) -> AsyncIterator[bytes]:
        """Yield the content of a file that the app has offered.

        Raises:
            TimeoutError: the app has stopped sending; what came is not all.
        """
        self._delivering[delivery.key] = delivery
        try:
            while True:
                await self._send(
                    type="deliver_chunk_request", key=delivery.key, size=_CHUNK_LENGTH, name=delivery.name
                )
                async with asyncio.timeout(_CHUNK_S):
                    chunk = await delivery.chunks.get()
                if not chunk:
                    return
                yield chunk
        finally:
            del self._delivering[delivery.key]

    async def _exited(self) -> int:
        """Return the exit code; end the app where it stays, and what it has started in any case."""
        process = _there(self._process)
        # Asyncio waits for the pipes, too, which what the app has started may still hold.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
        if os.name == "posix":
            # macOS answers "not permitted" where only the dead are left.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()

    async def _pass_on(self) -> None:
        while True:
            head = await self._stdout.readexactly(5)
            payload = await self._stdout.readexactly(int.from_bytes(head[1:], "big"))
            # Where the tab is closed nobody reads this; that the app shall end it is told by stop().
            with suppress(ConnectionResetError):
                match head[:1]:
                    case b"D":
                        await self._draw(payload)
                    case b"P":
                        self._receive(cast("tuple[str, str, str | bytes]", load(payload)))
                    case b"M":
                        meta = json.loads(payload)
                        if meta["type"] == "exit":
                            return
                        await self._obey(meta)

    async def _obey(self, meta: dict[str, Any]) -> None:
        if meta["type"] == "open_url":
            await self._tell(["open_url", {"url": meta["url"], "new_tab": meta["new_tab"]}])
        elif meta["type"] == "deliver_file_start":
            self._offered[meta["key"]] = Delivery(
                key=meta["key"],
                file_name=PurePath(meta["path"]).name,
                mime_type=meta["mime_type"] or "application/octet-stream",
                encoding=meta["encoding"] or "utf-8",
                name=meta["name"],
            )
            await self._tell(["deliver_file_start", meta["key"]])

    def _receive(self, packet: tuple[str, str, str | bytes]) -> None:
        _, key, chunk = packet
        delivery = self._delivering.get(key)
        if delivery is not None:
            delivery.chunks.put_nowait(chunk.encode(delivery.encoding) if isinstance(chunk, str) else chunk)

    async def _send(self, **meta: object) -> None:
        await self._write(b"M", json.dumps(meta).encode())

    async def _write(self, kind: bytes, payload: bytes) -> None:
        # An app that has just ended reads no more; run() is about to say so.
        with suppress(ConnectionError):
            self._stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._stdin.drain()


def _there(part: _T | None) -> _T:
    """Return what a started process has."""
    assert part is not None
    return part


async def _last_bytes(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, and return the last of it."""
    last = b""
    while data := await stream.read(_LAST_BYTES):
        last = (last + data)[-_LAST_BYTES:]
    return last
