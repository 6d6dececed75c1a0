"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from advisor.errors import ExternalError, InputError

_PREFIX = ".gpu-advisor-"
_SUFFIX = ".tmp"
_ABANDONED_S = 3600.0
"""Age of an unfinished file from which on nobody writes to it any more."""


@contextmanager
def whole_file(folder: Path, data: bytes) -> Iterator[Path]:
    """Yield a finished file under a passing name, for the caller to move to its own; gone afterwards if not moved.

    Args:
        folder: of the file that it becomes, so that moving it is one step.
        data: its content.

    Raises:
        OSError: it cannot be written.
    """
    _sweep(folder)
    handle, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
    temporary = Path(name)
    try:
        with open(handle, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(data)
            stream.flush()
            # Else the name can reach the disk before the content, and a loss of power leaves an empty file.
            os.fsync(handle)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed left unfinished."""
    with suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink(missing_ok=True)


def name_new_file(temporary: Path, path: Path) -> None:
    """Give a finished file a name that nobody has: of two processes that want it one gets it.

    Args:
        temporary: as :func:`whole_file` yields it.
        path: the name, in the same folder.

    Raises:
        FileExistsError: the name is taken.
        OSError: it cannot be written.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links (FAT, some network folders): the name is taken first, and filled then.
        path.open("x").close()
        temporary.replace(path)


def write_text_file(path: Path, text: str, *, replace: bool) -> None:
    """Write a file for the user, all of it or nothing.

    A device or a named pipe is written to, not replaced; so is what a symbolic link leads to.

    Args:
        path: where to.
        text: its content, as UTF-8.
        replace: whether a file that exists may be replaced; it keeps its permissions.

    Raises:
        InputError: it exists and may not be replaced.
        ExternalError: it cannot be written.
    """
    data = text.encode("utf-8")
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with whole_file(target.parent, data) as temporary:
            if not replace:
                name_new_file(temporary, target)
                return
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
    except FileExistsError:
        raise InputError("the file exists", value=str(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExternalError(f"{path}: cannot be written ({reason})") from None
