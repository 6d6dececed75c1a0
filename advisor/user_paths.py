"""Paths as users write them: any text, also what the system refuses (too long, no such home, no file name)."""

from __future__ import annotations

from pathlib import Path


def user_path(text: str) -> Path:
    """Return the path that a text names; ``~`` is a home, and stays where there is no such user."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def resolved(path: Path) -> Path:
    """Return a path without links and dots; as it is where it can name no file."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


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
