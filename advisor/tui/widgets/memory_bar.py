"""The memory of one GPU as a bar: its parts by letters, what is needed with its interval, and the card's limit."""

from __future__ import annotations

from textual.content import Content

from advisor.documents import MemoryDocument
from advisor.render import words
from advisor.tui.plain import plain
from advisor.tui.widgets.fitted import flowing, stacked

LIMIT = "┃"

_STYLES = {
    "P": "$text-primary on $primary-muted",
    "G": "$text-secondary on $secondary-muted",
    "O": "$text-accent on $accent-muted",
    "A": "$text-success on $success-muted",
    "T": "$text-warning on $warning-muted",
    "H": "$text-error on $error-muted",
    "M": "$foreground 65% on $panel",
}
"""Every part has its letter too."""

_OVER = "bold reverse $text-error"
_LIMIT_STYLE = "bold $text-error"


def scale_gib(document: MemoryDocument) -> float:
    """Return what the whole length of a bar has to stand for, so that all of a document can be drawn."""
    parts = sum(part.gib for part in words.memory_parts(document))
    return max(document.available_gib, document.required_gib.high, parts)


def bar(document: MemoryDocument, cells: int, scale: float) -> Content:
    """Return the parts of the memory as letters up to the limit, and visibly beyond it where they do not fit.

    Args:
        document: what to draw.
        cells: length that ``scale`` takes.
        scale: in GiB; at least :func:`scale_gib`.
    """
    limit = _cell(document.available_gib, cells, scale)
    drawn = []
    reached = 0.0
    for part in words.memory_parts(document):
        start = _cell(reached, cells, scale)
        reached += part.gib
        drawn += [part.letter] * (_cell(reached, cells, scale) - start)
    pieces = [
        Content.styled(letter, _OVER if place >= limit else _STYLES[letter])
        for place, letter in enumerate(drawn)
    ]
    pieces += [Content.styled("." if place < limit else " ", "dim") for place in range(len(drawn), cells)]
    pieces.insert(limit, Content.styled(LIMIT, _LIMIT_STYLE))
    return Content("").join(pieces)


def memory_bar(document: MemoryDocument, width: int) -> Content:
    """Return the bar with what is needed, the limit and the legend below it.

    Args:
        document: what to draw.
        width: in cells.
    """
    cells, scale = width - 1, scale_gib(document)
    fits = document.required_gib.value <= document.available_gib
    legend = (
        plain(part.letter).stylize(_STYLES[part.letter]) + plain(f" {part.name} {words.gib(part.gib)}")
        for part in words.memory_parts(document)
    )
    limit = _cell(document.available_gib, cells, scale)
    said = f"limit {words.gib(document.available_gib)} GiB"
    return stacked(
        (
            bar(document, cells, scale),
            _interval(document, cells, scale).stylize("" if fits else "$text-error"),
            _pointing(limit, said, width).stylize(_LIMIT_STYLE),
            flowing(legend, width),
        )
    )


def _cell(gib: float, cells: int, scale: float) -> int:
    return min(round(gib / scale * cells), cells) if scale > 0 else 0


def _interval(document: MemoryDocument, cells: int, scale: float) -> Content:
    """Return the interval of what is needed under the bar, with its meaning where there is room for that."""
    need = document.required_gib
    low, value, high = (min(_cell(gib, cells, scale), cells - 1) for gib in (need.low, need.value, need.high))
    line = [" "] * low + ["─"] * (high - low + 1)
    if high > low:
        line[low], line[high] = "├", "┤"
    line[value] = "┼"
    for said in (" needed, 80 % interval ", " needed "):
        if low >= len(said):
            line[low - len(said) : low] = said
            break
    return plain("".join(line))


def _pointing(place: int, said: str, width: int) -> Content:
    """Return a text that points up at a place, to whichever side it has room."""
    right = f"{'':<{place}}^ {said}"
    return plain(right if len(right) <= width else f"{said + ' ^':>{place + 1}}")
