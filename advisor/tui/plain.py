"""The only door for outside text into a widget."""

from __future__ import annotations

from textual.content import Content

from advisor import units


def plain(text: object) -> Content:
    """Return text as content in which square brackets are letters and nothing steers the terminal.

    Textual reads markup in every string that a widget is given: a name such as ``[/]`` would end the app, and
    ``[@click=...]`` would be a working link.
    """
    return Content("\n".join(units.plain(line) for line in str(text).splitlines()))
