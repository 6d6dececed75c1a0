"""Commands that open the full-screen app, in the terminal or in a browser."""

from __future__ import annotations

import argparse
import os
import sys

from advisor import diagnostics
from advisor.cli.opening import open_service, whole_number
from advisor.cli.options import SHORT_FORMS
from advisor.cli.output import has_screen, show
from advisor.errors import ExitCode, InputError


def open_app(args: argparse.Namespace) -> int:
    """Run the app; what was chosen in it goes to standard output."""
    if not has_screen(sys.stdin, sys.stderr):
        raise InputError(
            "the app needs a terminal for standard input and standard error, and TERM not dumb", source="tui",
            hint="recommend answers the same question as text or JSON; serve shows the app in a browser",
        )  # fmt: skip
    if args.no_color:
        os.environ["NO_COLOR"] = "1"
    if args.workload == "-":
        raise InputError(
            "standard input is the keyboard here", source="WORKLOAD", value="-", accepted="a file"
        )
    from pathlib import Path

    from advisor.tui.start import run

    left = run(
        lambda allow: open_service(args, None if args.allow_code else allow),
        args.workload,
        _typed(args),
        folder=Path.cwd(),
    )
    if left.problem is not None:
        diagnostics.report_notes([str(left.problem)], color=not args.no_color)
    if left.code:
        return left.code
    to_terminal = sys.stdout is None or sys.stdout.isatty() or bool(os.environ.get("TEXTUAL_DRIVER"))
    if left.choice is None:
        return ExitCode.ANSWERED if to_terminal else ExitCode.INTERRUPTED
    if not to_terminal and args.format == "table":
        args.format = "json"
    show(args, left.choice)
    return ExitCode.ANSWERED


def _typed(args: argparse.Namespace) -> dict[str, str]:
    """Return what the options set, as text by field: a form shows it as it was typed."""
    from advisor.errors import nearest
    from advisor.tui.fields import workload_fields

    found = {
        short.field: text
        for short in SHORT_FORMS
        if (text := getattr(args, f"short_{short.field}")) is not None
    }
    if "batch" in found:
        serving = found.get("task") == "inference"
        found["inference.batch" if serving else "batch.global"] = found.pop("batch")
    if args.acquire is not None:
        found["constraints.acquire"] = args.acquire
    for text in args.settings:
        field, equals, value = text.partition("=")
        if not equals or field.strip() not in workload_fields():
            raise InputError(
                "the app has no such field", source="--set", value=text,
                accepted="FIELD=VALUE, such as batch.micro=8",
                candidates=nearest(field.strip(), list(workload_fields())),
            )  # fmt: skip
        found[field.strip()] = value
    return found


def serve_app(args: argparse.Namespace) -> int:
    """Show the app in a browser until it is stopped."""
    from advisor.serve import serve

    arguments = [] if args.workload is None else [args.workload]
    for folder in args.catalog:
        arguments += ["--catalog", folder]
    if args.no_color:
        arguments.append("--no-color")
    port = whole_number("--port", args.port, 0, 65535)

    def say(text: str) -> None:
        diagnostics.report_notes([text], color=not args.no_color)

    serve(arguments, host=args.host, port=port, say=say)
    return ExitCode.ANSWERED
