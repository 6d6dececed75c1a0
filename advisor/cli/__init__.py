"""The command line: parse, call the service, hand the answer to a renderer.

Only argparse and light modules are imported at the top: ``--help`` and ``--version`` load nothing heavy.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from advisor import diagnostics
from advisor.cli import apps, asking, keeping, listing
from advisor.cli.opening import whole_number
from advisor.cli.options import build_parser
from advisor.cli.output import MAX_WIDTH, MIN_WIDTH, check_output, emit, has_screen, silence_stdout
from advisor.errors import AdvisorError, ExitCode, ExternalError, InputError, shorten

_FORMAT_OF_SUFFIX = {".json": "json", ".md": "markdown", ".csv": "csv", ".html": "html"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code.

    Args:
        argv: the arguments; those of the process when left out.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        # One question ends with its process: looking for garbage among the catalog's objects costs a tenth of the time.
        gc.freeze()
        gc.set_threshold(50_000)
        _leave_on_signals()
    # Read before the arguments are parsed, since errors of the parser are reported with them too.
    debug, color = "--debug" in arguments, "--no-color" not in arguments
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except AdvisorError as error:
        return diagnostics.report_error(error, debug=debug, color=color)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return ExitCode.ANSWERED
    except OSError as error:
        place = "" if error.filename is None else f"{shorten(str(error.filename))}: "
        outside = ExternalError(f"{place}{error.strerror or error}")
        return diagnostics.report_error(outside, debug=debug, color=color)
    except Exception as error:  # noqa: BLE001 - the last resort: a fault of ours must not look like a crash
        return diagnostics.report_crash(error, debug=debug, color=color)


def _leave_on_signals() -> None:
    """Clean up when the process is told to end: unfinished files go, and so do the processes that it started."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # One that is ignored, as under nohup, stays ignored.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(arguments: Sequence[str]) -> int:
    parser = build_parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as end:
        # Raised by --help, --version and --print-completion, after they have printed.
        return int(end.code or 0)
    if args.command is None:
        if not has_screen(sys.stdin, sys.stdout, sys.stderr) or set(arguments) - {"--no-color", "--debug"}:
            emit(parser.format_help())
            return ExitCode.ANSWERED
        args = parser.parse_args([*arguments, "tui"])
    prepare(args)
    return COMMANDS[args.command](args)


def prepare(args: argparse.Namespace) -> None:
    """Settle the options that every command has, and refuse what would only fail after the work."""
    if args.json and args.format not in (None, "json"):
        raise InputError(
            "the options disagree", source=f"--json --format {args.format}", accepted="one of them"
        )
    suffix = os.path.splitext(args.output or "")[1].lower()  # noqa: PTH122 - pathlib is not loaded here
    args.format = "json" if args.json else args.format or _FORMAT_OF_SUFFIX.get(suffix, "table")
    args.catalog = [*(args.catalog or ()), *getattr(args, "catalog_after", ())]
    args.width = None if args.width is None else whole_number("--width", args.width, MIN_WIDTH, MAX_WIDTH)
    if getattr(args, "count", None) is not None:
        args.count = whole_number("--count", args.count, 1, 16384)
    for option in ("output", "html"):
        if (name := getattr(args, option, None)) is not None:
            check_output(f"--{option}", name, force=args.force)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "recommend": asking.recommend,
    "estimate": asking.estimate,
    "compare": asking.compare,
    "describe": asking.describe,
    "gpus": listing.gpus,
    "models": listing.models,
    "accuracy": listing.accuracy,
    "calibrate": keeping.calibrate_device,
    "tui": apps.open_app,
    "serve": apps.serve_app,
    "prices": keeping.look_after_prices,
    "fleet": asking.decide_fleet,
    "schema": listing.print_schema,
}
