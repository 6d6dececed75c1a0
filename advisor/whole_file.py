"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
