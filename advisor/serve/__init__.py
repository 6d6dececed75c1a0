"""The full-screen face in a browser: each tab gets a process of its own, and nobody without the address gets in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from advisor.errors import MissingExtraError


def serve(
    arguments: Sequence[str], *, host: str = "127.0.0.1", port: int = 8000, say: Callable[[str], None]
) -> None:
    """Serve ``gpu-advisor tui`` to browsers until the process is interrupted.

    Args:
        arguments: what follows ``gpu-advisor tui``: a workload and options.
        host: address or name of this machine to listen at.
        port: to listen at; 0 takes a free one.
        say: prints one line for the user at once, which holds the secret address to open.

    Raises:
        MissingExtraError: what serves pages is not installed.
        InputError: ``host`` or ``port`` is none of this machine's.
        ExternalError: the port is taken or not allowed.
    """
    try:
        from advisor.serve.server import serve_command
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"serving in a browser needs the package {error.name}", hint='pip install "gpu-advisor[serve]"'
        ) from error
    serve_command([sys.executable, "-m", "advisor", "tui", *arguments], host=host, port=port, say=say)
