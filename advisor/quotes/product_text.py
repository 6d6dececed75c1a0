"""What a vendor's text of a product consists of: words that may be a name's, sizes of memory, numbers of GPUs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from advisor.hardware import MARKS, words

_UNIT = re.compile(r"(?<=\d)\s+(?=g(?:i?b)?\b)", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s_\-/()\[\],;:|\u2010-\u2015\"]+")
_SIZE = re.compile(r"o?(\d{1,4})g(?:i?b)?(?:d\dx?)?")
"""Memory: 24gb, 24g, and in part numbers o24g or 24gd6x."""
_TIMES = re.compile(r"(\d{1,4})[x\u00d7]|[x\u00d7](\d{1,4})")
_GPUS = re.compile(r"(\d{1,4})[\s-]?gpus?\b", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,4}")
_MOST_NAMED = 64
"""A larger number before a name is no number of GPUs."""


def raw_words(text: str) -> list[str]:
    """Return all words of a text in small letters, ``48 GB`` as one."""
    shown = unicodedata.normalize("NFKC", MARKS.sub(" ", text))
    parts = (part.strip(".!*'+") for part in _BETWEEN.split(_UNIT.sub("", shown).lower()))
    return [part for part in parts if part]


def name_words(text: str, left_out: Sequence[str]) -> list[str]:
    """Return the words that may be part of a name, and sizes of memory.

    Args:
        text: of a vendor.
        left_out: words, and pairs of words, that are never part of one ("gddr6", "tensor core").
    """
    found = [word for word in raw_words(text) if not is_noise(word)]
    kept: list[str] = []
    for word in found:
        if kept and f"{kept[-1]} {word}" in left_out:
            kept.pop()
        elif word not in left_out:
            kept.append(word)
    return kept


@lru_cache(maxsize=4096)
def is_noise(word: str) -> bool:
    """Say whether names of devices are compared without the word ("nvidia", "geforce")."""
    # A name that is all noise keeps it, so the word gets company.
    return words(f"{word} x") == ("x",)


def memory_gb(word: str) -> int | None:
    """Return the size of memory that a word says, None where it says none."""
    match = _SIZE.fullmatch(word)
    return int(match.group(1)) if match else None


def gpus_named(text: str, tokens: Sequence[str], start: int, end: int) -> int:
    """Return how many GPUs a text speaks of: ``8x H100``, ``L40S (x4)``, ``HGX H100 8-GPU``; 1 where it says nothing.

    Args:
        text: of a vendor.
        tokens: its words as :func:`name_words` returns them.
        start: the first word of the name.
        end: the word behind the name.
    """
    counts = {1, *(int(gpus.group(1)) for gpus in _GPUS.finditer(text))}
    beside = list(tokens[max(0, start - 1) : start])
    if tokens[end - 1] != "pcie":  # whose lanes are written x16
        beside.extend(tokens[end : end + 1])
    for word in beside:
        if times := _TIMES.fullmatch(word):
            counts.add(int(times.group(1) or times.group(2)))
    before = [word for word in tokens[max(0, start - 2) : start] if word not in ("x", "\u00d7")]
    if before and _COUNT.fullmatch(before[-1]) and int(before[-1]) <= _MOST_NAMED:
        counts.add(int(before[-1]))
    return max(counts)
