"""What each screen shows, line by line, and that it can be read in every theme."""

from __future__ import annotations

import asyncio
import re

import pytest
from textual.color import Color

from advisor.tui.app import AdvisorApp
from advisor.tui.themes import THEMES
from tests.tui_pictures import IMAGES, README_IMAGES, SCENES, WIDE, Scene, file_of, scene, text_of

READABLE = 3.0
"""Least contrast of text that anybody has to read (WCAG 2.2, 1.4.3, for large or bold text); greyed rows included."""

PLACES = [(place, size) for place in SCENES for size in place.sizes]
NAMES = [f"{place.name}-{size[0]}x{size[1]}" for place, size in PLACES]


@pytest.mark.parametrize(("place", "size"), PLACES, ids=NAMES)
def test_a_screen_shows_what_it_did(place: Scene, size: tuple[int, int]) -> None:
    """A difference is a change of the app, the catalog or the model: python -m tests.tui_pictures writes all again."""

    async def shown() -> str:
        async with scene(place, size) as app:
            return text_of(app)

    assert asyncio.run(shown()) == file_of(place, size).read_text(encoding="utf-8")


@pytest.mark.parametrize(("place", "size"), PLACES, ids=NAMES)
def test_a_screen_keeps_to_its_size(place: Scene, size: tuple[int, int]) -> None:
    lines = file_of(place, size).read_text(encoding="utf-8").splitlines()
    assert len(lines) == size[1]
    assert max(len(line) for line in lines) <= size[0]


def _luminance(color: Color) -> float:
    """Relative luminance (WCAG 2.2, definition of the same name)."""
    parts = [value / 255 for value in color.rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: Color, other: Color) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _unreadable(app: AdvisorApp) -> set[str]:
    """Return texts whose colour is too near to what is behind them."""
    found = set()
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            text = segment.text.strip()
            if (
                style is None
                or not re.search(r"[A-Za-z0-9]", text)
                or style.color is None
                or style.bgcolor is None
            ):
                continue
            ink, paper = (Color.from_rich_color(each) for each in (style.color, style.bgcolor))
            if style.reverse:
                ink, paper = paper, ink
            if _contrast(ink, paper) < READABLE:
                found.add(f"{text!r}: {ink.hex} on {paper.hex}")
    return found


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
@pytest.mark.parametrize("name", ["decide", "detail", "compare"])
def test_all_text_can_be_read_in_every_theme_and_the_text_is_the_same(theme: str, name: str) -> None:
    place = next(each for each in SCENES if each.name == name)

    async def look() -> tuple[str, set[str]]:
        async with scene(place, WIDE, theme=theme) as app:
            return text_of(app), _unreadable(app)

    text, unreadable = asyncio.run(look())
    assert unreadable == set()
    assert text == file_of(place, WIDE).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", README_IMAGES)
def test_a_picture_for_the_readme_loads_nothing(name: str) -> None:
    svg = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    assert "<svg" in svg
    addresses = set(re.findall(r"https?://[^\"')\s]+", svg))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
