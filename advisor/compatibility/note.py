"""A remark on whether a GPU works: with software, or in a machine."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.compatibility_tables import Fact, Level, Topic
from advisor.quantity import Model

_ORDER: tuple[Level, ...] = ("blocked", "caution", "works")


class CompatibilityNote(Model):
    """One sentence for a buyer: what works, what does not, and the way out."""

    topic: Topic
    level: Level
    text: str
    source: str
    unverified: bool = False

    @classmethod
    def of(cls, topic: Topic, level: Level, text: str, *facts: Fact) -> CompatibilityNote:
        """Return the note that rests on ``facts``: it is as doubtful as the most doubtful of them."""
        return cls(
            topic=topic,
            level=level,
            text=text,
            source="; ".join(dict.fromkeys(fact.source for fact in facts)),
            unverified=any(fact.unverified for fact in facts),
        )


def in_order(notes: Iterable[CompatibilityNote]) -> tuple[CompatibilityNote, ...]:
    """Return the notes, what is blocked first, then what needs care; otherwise as they were."""
    return tuple(sorted(notes, key=lambda note: _ORDER.index(note.level)))


def that_matter(notes: Iterable[CompatibilityNote]) -> tuple[CompatibilityNote, ...]:
    """Return the notes that belong beside an estimate: what is blocked and what needs care."""
    return tuple(note for note in in_order(notes) if note.level != "works")
