"""Paths as users write them, also such as the system refuses, and names of files that every system accepts."""

from __future__ import annotations

import re
from pathlib import Path

_LONGEST_STEM_BYTES = 200
"""A file's name may have 255 bytes: room for a number and a suffix."""
_RESERVED = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"))
)
"""Names that Windows takes for devices, whatever stands behind the first dot."""


def given_path(text: str | Path) -> Path:
    """Return a path with the user's folder for ``~``; as it is where there is no such user, as a shell leaves it."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def file_stem(text: str, otherwise: str) -> str:
    """Return a name for a file, without a suffix, that no system reads as a folder, a drive or a device.

    Args:
        text: the name that is wanted; what cannot stand in a file's name becomes ``-``.
        otherwise: the name where nothing of it is left.
    """
    stem = (
        re.sub(r"[^\w.-]+", "-", text)
        .encode("utf-8", "ignore")[:_LONGEST_STEM_BYTES]
        .decode("utf-8", "ignore")
    )
    stem = stem.strip(".-") or otherwise
    return f"{stem}-" if stem.partition(".")[0].casefold() in _RESERVED else stem


def is_file(path: Path) -> bool:
    """Say whether there is such a file; not where the system refuses the name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Say whether there is such a folder; not where the system refuses the name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Say whether anything has this path; not where the system refuses the name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
