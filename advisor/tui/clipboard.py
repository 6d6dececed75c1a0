"""Copying: by the program that this desktop has for it, else by asking the terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

LIMIT_S = 2.0


def copy_command(environment: Mapping[str, str], platform: str) -> Sequence[str] | None:
    """Return the program that fills the clipboard of the desktop that the user sits at; None over ssh or without one.

    Args:
        environment: of the process.
        platform: as ``sys.platform``.
    """
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return None
    if platform == "darwin":
        wanted: list[list[str]] = [["pbcopy"]]
    elif platform == "win32":
        wanted = [["clip"]]
    elif environment.get("WAYLAND_DISPLAY"):
        wanted = [["wl-copy"]]
    elif environment.get("DISPLAY"):
        wanted = [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    else:
        wanted = [["clip.exe"]] if "WSL_DISTRO_NAME" in environment else []
    return next((command for command in wanted if shutil.which(command[0])), None)


def copied_by_desktop(text: str) -> bool:
    """Fill the clipboard of the desktop; say whether that was possible."""
    command = copy_command(os.environ, sys.platform)
    if command is None:
        return False
    encoding = "utf-16-le" if command[0].startswith("clip") else "utf-8"
    try:
        subprocess.run(
            command, input=text.encode(encoding), timeout=LIMIT_S, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return True
