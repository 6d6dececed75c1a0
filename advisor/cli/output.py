"""Answers on their way out: rendered, written to standard output or to a file, all of it or nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from advisor import diagnostics
from advisor.errors import ExternalError, InputError
from advisor.paths import given_path, is_file, is_folder

if TYPE_CHECKING:
    from pathlib import Path

    from advisor.quantity import Model
    from advisor.render.table import Page


MIN_WIDTH = 40
MAX_WIDTH = 1000


def has_screen(*streams: TextIO | None) -> bool:
    """Say whether a full-screen app can be shown: terminals, or a browser that textual-serve draws in."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    terminals = all(stream is not None and stream.isatty() for stream in streams)
    return terminals and os.environ.get("TERM") != "dumb"


def show(args: argparse.Namespace, answer: Model, notes: Sequence[str] = ()) -> None:
    """Render an answer and deliver it."""
    if args.format == "json":
        from advisor.render.json import render as render_json

        text = render_json(answer)
    elif args.format == "markdown":
        from advisor.render.markdown import render as render_markdown

        text = render_markdown(answer)
    elif args.format == "csv":
        from advisor.render.csv import render as render_csv

        text = render_csv(answer)
        diagnostics.report_notes(notes, color=not args.no_color)
    elif args.format == "html":
        from advisor.render.html import render as render_html

        text = render_html(answer)
    else:
        from advisor.render.table import render as render_table

        text = render_table(answer, page_of(args))
    deliver(args, text)


def page_of(args: argparse.Namespace) -> Page:
    """Return what standard output, or the file, can show."""
    import shutil

    from advisor.render.table import Page

    to_file = args.output is not None
    stream = None if to_file else sys.stdout
    terminal = stream is not None and stream.isatty()
    columns = os.environ.get("COLUMNS", "")
    if args.width is not None:
        width = args.width
    elif columns.isascii() and columns.isdigit() and 0 < len(columns.lstrip("0")) < 10:
        width = int(columns)
    else:
        width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
    return Page(
        width=min(max(width, MIN_WIDTH), MAX_WIDTH),
        color=not args.no_color and diagnostics.wants_color(stream),
        ascii=not to_file and ascii_only(stream),
    )


def ascii_only(stream: TextIO | None) -> bool:
    """Return whether the user's locale, or the encoding of the stream, has no box-drawing characters."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    if not encoding.startswith("utf"):
        return True
    # Under LANG=C Python itself sets LC_CTYPE to C.UTF-8 (PEP 538): this value says nothing about the user.
    category = os.environ.get("LC_CTYPE", "")
    chosen = os.environ.get("LC_ALL") or ("" if category == "C.UTF-8" else category) or os.environ.get("LANG")
    return chosen in ("C", "POSIX")


def deliver(args: argparse.Namespace, text: str) -> None:
    """Write an answer to where it was asked for."""
    if args.output is None:
        emit(text)
    else:
        write_file("--output", given_path(args.output), text, force=args.force)


def emit(text: str) -> None:
    """Write to standard output as UTF-8, or what the terminal has instead, and flush.

    Raises:
        BrokenPipeError: nobody reads any more.
        ExternalError: it cannot be written.
    """
    stream = sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    buffer = getattr(stream, "buffer", None)
    try:
        if buffer is None:
            stream.write(text)
        elif stream.isatty():
            stream.write(text.encode(encoding, "replace").decode(encoding))
        else:
            stream.flush()
            buffer.write(text.encode("utf-8"))
            buffer.flush()
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_stdout()
        raise ExternalError(f"standard output: cannot be written ({error.strerror or error})") from None


def check_output(option: str, name: str, *, force: bool) -> None:
    """Refuse a file that could not be written after the work.

    Raises:
        InputError: it is a folder, lies in none, or exists and may not be replaced.
    """
    path = given_path(name)
    if is_folder(path):
        raise InputError("this is a folder", source=f"{option} {name}", accepted="a file")
    if not is_folder(path.parent):
        raise InputError(
            "the folder does not exist", source=option, value=name, accepted="a file in a folder"
        )
    if is_file(path) and not force:
        raise InputError("the file exists", source=f"{option} {name}", hint="--force replaces it")


def write_file(option: str, path: Path, text: str, *, force: bool) -> None:
    """Write all of a file or nothing of it."""
    from advisor.whole_file import write_text_file

    try:
        write_text_file(path, text, replace=force)
    except InputError as error:
        raise InputError(error.message, source=f"{option} {path}", hint="--force replaces it") from None


def silence_stdout() -> None:
    """Point standard output nowhere, so that the interpreter's last flush does not fail on a closed pipe."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
