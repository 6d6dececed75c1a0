"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from advisor.errors import ExternalError, InputError


@contextmanager
def whole_file(folder: Path, data: bytes) -> Iterator[Path]:
    """Yield a finished file under a passing name, for the caller to move to its own; gone afterwards if not moved.

    Args:
        folder: of the file that it becomes, so that moving it is one step.
        data: its content.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with open(handle, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(data)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_text_file(path: Path, text: str, *, replace: bool) -> None:
    """Write a file for the user, all of it or nothing; a device or a named pipe is written to, not replaced.

    Args:
        path: where to.
        text: its content, as UTF-8.
        replace: whether a file that exists may be replaced.

    Raises:
        InputError: it exists and may not be replaced.
        ExternalError: it cannot be written.
    """
    data = text.encode("utf-8")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        with whole_file(path.parent, data) as temporary:
            if replace:
                temporary.replace(path)
            else:
                _move_where_nothing_is(temporary, path)
    except FileExistsError:
        raise InputError("the file exists", value=str(path)) from None
    except OSError as error:
        raise ExternalError(f"{path}: cannot be written ({error.strerror or error})") from None


def _move_where_nothing_is(temporary: Path, path: Path) -> None:
    """Give a file its name in one step, so that of two that want it one is told.

    Raises:
        FileExistsError: the name is taken.
        OSError: the file cannot be moved.
    """
    if path.is_symlink() or path.exists():
        raise FileExistsError
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: the name is taken first, and what it holds a moment later.
        path.open("xb").close()
        temporary.replace(path)
