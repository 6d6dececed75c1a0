"""The served app in a real browser: it is drawn, obeys mouse and keys, delivers a file, and calls nobody else."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from advisor.serve.server import Server

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Page, WebSocket

playwright = pytest.importorskip("playwright.async_api", reason="the package playwright drives the browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_S = 30


class Terminal:
    """What a page shows and asks for, as far as it can be seen from outside: the screen itself is one picture."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.drawn = ""
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("websocket", self._opened)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        # A busy machine makes xterm.js complain of its own slowness.
        if message.type in ("error", "warning") and "task queue exceeded" not in message.text:
            self.complaints.append(message.text)

    def _opened(self, socket: WebSocket) -> None:
        self.requested.append(socket.url)
        socket.on("framereceived", self._received)

    def _received(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes):
            self.drawn += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame.decode())

    async def shows(self, text: str) -> None:
        """Wait until a text has been drawn since this was last asked."""
        async with asyncio.timeout(WAIT_S):
            while text not in self.drawn:
                await asyncio.sleep(0.05)
        self.drawn = ""

    async def click(self, *, column: int, line: int) -> None:
        """Click into a cell, counted from the left and from above."""
        screen = await self.page.locator(".xterm-screen").bounding_box()
        found = re.search(r"width=(\d+)&height=(\d+)", " ".join(self.requested))
        assert screen is not None
        assert found is not None
        columns, lines = (int(number) for number in found.groups())
        await self.page.mouse.click(
            screen["x"] + (column + 0.5) * screen["width"] / columns,
            screen["y"] + (line + 0.5) * screen["height"] / lines,
        )

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)


APP = """
import io, json, os
from textual.app import App
from textual.widgets import Button, Input, Static

class Small(App):
    AUTO_FOCUS = "Input"
    clicks = 0

    def compose(self):
        yield Button("Save", id="save")
        yield Input()
        yield Static("nothing yet", markup=False)

    def on_button_pressed(self):
        self.clicks += 1
        what = {"clicks": self.clicks, "typed": self.query_one(Input).value}
        self.deliver_text(io.StringIO(json.dumps(what)), save_filename="what.json", mime_type="application/json")

    def on_input_changed(self, event):
        self.query_one(Static).update(f"read {event.value}")

Small().run()
"""


Check = Callable[[Terminal, str], Awaitable[None]]


def in_browser(command: list[str], check: Check) -> None:
    """Serve an app, open it in a browser, and call ``check`` with the page and the address it should have."""

    async def run() -> None:
        async with Server(command, port=0) as server, playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
            page = await browser.new_page(viewport={"width": 1400, "height": 800})
            terminal = Terminal(page)
            await page.goto(server.url)
            base = server.url.partition("?")[0]
            await check(terminal, base)
            hosts = {re.sub(r"^\w+://", "", url).partition("/")[0] for url in terminal.requested}
            assert hosts == {base.removeprefix("http://").removesuffix("/")}
            assert not terminal.complaints
            await browser.close()

    asyncio.run(run())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_gpu_is_clicked_opened_and_saved() -> None:
    async def check(terminal: Terminal, _: str) -> None:
        await terminal.shows("qualify")
        ranking = await saved_json(terminal)
        await terminal.click(column=60, line=9)
        await terminal.page.keyboard.press("Enter")
        await terminal.shows("roofline")
        detail = await saved_json(terminal)
        ranked = [each["gpu"] for each in ranking["recommendations"]]
        assert detail["estimates"][0]["gpu"] in ranked[1:]

    in_browser([sys.executable, "-m", "advisor", "tui", "resnet50"], check)


async def saved_json(terminal: Terminal) -> dict[str, Any]:
    """Export what the screen shows as JSON, and read the file that the browser saves."""
    page = terminal.page
    await page.keyboard.press("Control+s")
    await terminal.shows("Export what this screen shows")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Space")
    await terminal.shows(".json")
    async with page.expect_download() as waiting:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
    download = await waiting.value
    found: dict[str, Any] = json.loads((await download.path()).read_text(encoding="utf-8"))
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_mouse_keys_and_files_work_and_the_end_is_told(tmp_path: Path) -> None:
    script = tmp_path / "small.py"
    script.write_text(APP, encoding="utf-8")

    async def check(terminal: Terminal, base: str) -> None:
        await look_round(terminal, base, tmp_path)

    in_browser([sys.executable, str(script)], check)


async def look_round(terminal: Terminal, base: str, folder: Path) -> None:
    page = terminal.page
    assert page.url == base
    await terminal.shows("nothing yet")
    assert await page.locator("#terminal").is_visible()
    assert not await page.locator("#starting").is_visible()
    assert not await page.locator("#ended").is_visible()
    assert await page.evaluate("document.fonts.check('16px \"Roboto Mono\"')")

    await page.keyboard.type("gr\u00fc\u00df")
    await terminal.shows("read gr\u00fc\u00df")
    async with page.expect_download() as waiting:
        await terminal.click(column=4, line=1)
    download = await waiting.value
    assert download.suggested_filename == "what.json"
    await terminal.click(column=20, line=4)
    await page.keyboard.press("Backspace")
    await terminal.shows("read gr\u00fc")
    content = (await download.path()).read_text(encoding="utf-8")
    assert json.loads(content) == {"clicks": 1, "typed": "gr\u00fc\u00df"}

    assert await colours_of(page, folder / "screen.png") > 20

    await page.keyboard.press("Control+q")
    await page.get_by_text("The app has ended. Reload to start it again.").wait_for()
    await page.get_by_role("button", name="Reload").click()
    await terminal.shows("nothing yet")


async def colours_of(page: Page, path: Path) -> int:
    """Save a picture of the page, and count its colours."""
    picture = await page.screenshot(path=path)
    counted = await page.evaluate(
        """async (encoded) => {
            const picture = await createImageBitmap(new Blob([Uint8Array.from(encoded)]));
            const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
            canvas.drawImage(picture, 0, 0);
            const pixels = canvas.getImageData(0, 0, picture.width, picture.height).data;
            return new Set(new Uint32Array(pixels.buffer)).size;
        }""",
        list(picture),
    )
    return int(counted)
