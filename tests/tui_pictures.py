"""Pictures of the app: ``python -m tests.tui_pictures`` in a checkout writes them again.

As text for the tests that compare them (tests/data/tui), as SVG for the README (tests/screenshots). Both show one
question with the shipped catalog and no calibration, so they change only with the app, the catalog or the cost model.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from advisor.service import open_advisor
from advisor.tui.app import AdvisorApp
from advisor.tui.session import Session
from advisor.user_data import DATA_VARIABLE

TEXTS = Path(__file__).parent / "data" / "tui"
IMAGES = Path(__file__).parent / "screenshots"
SETTINGS = {"method": "lora", "data.tokens": "50e6", "constraints.budget_usd": "2500"}
NARROW, WIDE = (80, 24), (140, 45)
PATIENCE = 400
"""How often to look whether a screen is ready, a twentieth of a second apart."""


class Scene(NamedTuple):
    """A screen to look at: the keys that lead there, and the sizes at which it is kept."""

    name: str
    keys: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...] = (NARROW, WIDE)
    until: str = ""
    """Text that says that the screen is complete."""


SCENES = (
    Scene("decide", (), until="qualify"),
    Scene("form", ("w",), (NARROW,), until="budget ($)"),
    Scene("model", ("o", *"llama8b"), until="Enter chooses"),
    Scene("detail", ("enter",), until="Memory"),
    Scene("compare", ("space", "down", "space", "2"), until="total time"),
    Scene("pareto", ("3",), until="answers by"),
    Scene("catalog", ("4",), until="GiB"),
    Scene("prices", ("6",), until="newest shipped"),
    Scene("fleet", ("7", "a", "4", "enter"), (WIDE,), until="The cheapest"),
    Scene("fleet-list", ("7", "a", "4", "enter"), (NARROW,), until="not written"),
    Scene("export", ("ctrl+s",), until="Write"),
    Scene("help", ("question_mark",), until="Describe the job"),
)
README_IMAGES = {"decide": WIDE, "detail": WIDE, "pareto": WIDE}


service = cache(partial(open_advisor, today=datetime.date(2026, 11, 23)))
"""One for all pictures: none of them changes it. The day is fixed, since prices are shown with their age."""


def text_of(app: AdvisorApp) -> str:
    """Return what the screen shows, without the blanks at the ends of lines."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


@asynccontextmanager
async def scene(place: Scene, size: tuple[int, int], **session: Any) -> AsyncIterator[AdvisorApp]:
    """Open the app and go to a screen; it is complete when this returns."""
    fields = {"source": "llama-3.1-8b", "settings": SETTINGS} | session
    app = AdvisorApp(lambda _: service(), Session(**fields), folder=Path("/work"))
    async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
        await _until(app, pilot, "qualify")
        for key in place.keys:
            await pilot.press(key)
            await pilot.pause(0.05)
        if place.until:
            await _until(app, pilot, place.until)
        await _settled(app, pilot)
        yield app


async def _until(app: AdvisorApp, pilot: Any, mark: str) -> None:
    for _ in range(PATIENCE):
        await pilot.pause(0.05)
        if app.desk.answer is not None and mark in text_of(app):
            return
    raise AssertionError(f"{mark!r} is not on the screen:\n{text_of(app)}")


async def _settled(app: AdvisorApp, pilot: Any) -> None:
    """Wait until nothing has changed for a while: plots and evidence come after the rest."""
    same, before = 0, ""
    for _ in range(PATIENCE):
        await pilot.pause(0.03)
        now = text_of(app)
        same = same + 1 if now == before else 0
        before = now
        if same >= 10:
            return


def file_of(place: Scene, size: tuple[int, int]) -> Path:
    """Return where the text of a scene is kept."""
    return TEXTS / f"{place.name}-{size[0]}x{size[1]}.txt"


def without_fonts(svg: str) -> str:
    """Return a picture that loads no font from elsewhere; the reader's own monospaced one does."""
    return re.sub(r"@font-face \{.*?\}\n*", "", svg, flags=re.S)


async def write() -> None:
    """Write all pictures."""
    TEXTS.mkdir(parents=True, exist_ok=True)
    IMAGES.mkdir(exist_ok=True)
    for place in SCENES:
        for size in place.sizes:
            async with scene(place, size) as app:
                file_of(place, size).write_text(text_of(app), encoding="utf-8")
                if README_IMAGES.get(place.name) == size:
                    svg = without_fonts(app.export_screenshot(title="gpu-advisor"))
                    (IMAGES / f"{place.name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    """Write all pictures, without the calibrations of whoever does it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[DATA_VARIABLE] = folder
        asyncio.run(write())


if __name__ == "__main__":
    main()
