"""Commands that measure or keep something of the user's: calibrations, prices, quotes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from advisor import diagnostics
from advisor.cli.opening import blaming_options, open_service, quote_files, read_question
from advisor.cli.output import check_output, deliver, page_of, show, write_file
from advisor.errors import ExitCode, InputError
from advisor.paths import given_path

if TYPE_CHECKING:
    from advisor.calibration import StoredProfile
    from advisor.quantity import Model


def calibrate_device(args: argparse.Namespace) -> int:
    """Measure a device, check a workload on it, or look after calibrations."""
    _check_calibrate_options(args)
    if args.words:
        return _look_after(args)
    if args.check is not None:
        return _check(args)
    from advisor.calibrate.session import Session

    session = Session(open_service(args), diagnostics.StepProgress(color=not args.no_color))
    if args.dry_run:
        session.announce(args.device, quick=args.quick)
        return ExitCode.ANSWERED
    run = session.calibrate(args.device, quick=args.quick)
    if run.profile is not None:
        _show_calibration(args, run.profile)
    return ExitCode.INTERRUPTED if run.interrupted else ExitCode.ANSWERED


def _check_calibrate_options(args: argparse.Namespace) -> None:
    """Refuse, before anything is measured, options that contradict each other or ask for what there is not."""
    if args.format not in ("table", "json"):
        raise InputError(
            "a calibration has no such form", source="--format", value=args.format, accepted="table, json"
        )
    jobs = {"--check": args.check is not None, "--dry-run": args.dry_run, "--quick": args.quick}
    given = [name for name, there in jobs.items() if there]
    if args.words and given:
        raise InputError(
            "the options disagree", source=f"{args.words[0]} {' '.join(given)}",
            accepted=f"{args.words[0]} alone: it measures nothing",
        )  # fmt: skip
    if args.check is not None and len(given) > 1:
        raise InputError("the options disagree", source=" ".join(given), accepted="--check alone")
    if args.dry_run and args.format == "json":
        raise InputError("a dry run has no document", source="--dry-run", accepted="no --json")


def _check(args: argparse.Namespace) -> int:
    from advisor.calibrate.session import Session

    args.workload = args.check
    advisor, workload = open_service(args), read_question(args)
    session = Session(advisor, diagnostics.StepProgress(color=not args.no_color))
    answer = blaming_options(args, lambda: session.check(workload, args.device))
    _show_calibration(args, answer)
    return ExitCode.ANSWERED


def _look_after(args: argparse.Namespace) -> int:
    """Show, export, import or remove calibrations; nothing here needs torch."""
    from pathlib import Path

    from advisor import calibration

    verb, *rest = args.words
    wanted = {"show": (0, 1), "export": (2, 2), "import": (1, 1), "remove": (1, 1)}
    if verb not in wanted or not wanted[verb][0] <= len(rest) <= wanted[verb][1]:
        raise InputError(
            "not understood", source="calibrate", value=" ".join(args.words),
            accepted="show [NAME], export NAME FILE, import FILE, remove NAME, or nothing of these to measure",
        )  # fmt: skip
    if verb == "show":
        answer = open_service(args).calibrations(*rest)
        _show_calibration(args, answer)
        return ExitCode.ANSWERED
    if verb == "import":
        profile = calibration.read_profile(given_path(rest[0]))
        path = calibration.keep(profile, Path(rest[0]).stem)
        diagnostics.report_notes([f"kept as {path.stem} ({path})"], color=not args.no_color)
        return ExitCode.ANSWERED
    stored = calibration.profile_of(rest[0], _stored(args))
    if verb == "export":
        check_output("export", rest[1], force=args.force)
        text = calibration.text_of(stored.profile)
        write_file("export", given_path(rest[1]), text, force=args.force)
    else:
        calibration.remove(stored)
        diagnostics.report_notes([f"removed {stored.path}"], color=not args.no_color)
    return ExitCode.ANSWERED


def _stored(args: argparse.Namespace) -> Sequence[StoredProfile]:
    from advisor.calibration import stored_profiles

    found, problems = stored_profiles([given_path(folder) for folder in args.catalog])
    diagnostics.report_notes(problems, color=not args.no_color)
    return found


def _show_calibration(args: argparse.Namespace, answer: Model) -> None:
    """Deliver a profile, a list of them or a check."""
    if args.format == "table":
        from advisor.render.calibration import render as render_calibration

        deliver(args, render_calibration(answer, page_of(args)))
    else:
        show(args, answer)


def look_after_prices(args: argparse.Namespace) -> int:
    """Show prices, ask live sources, or look after imported quotes."""
    verb, *rest = args.words or ["show"]
    wanted = {"show": (0, 8), "refresh": (0, 0), "import": (1, 1), "remove": (1, 1)}
    if verb not in wanted or not wanted[verb][0] <= len(rest) <= wanted[verb][1]:
        raise InputError(
            "not understood", source="prices", value=" ".join(args.words),
            accepted="show [ID], refresh, import FILE, remove NAME",
        )  # fmt: skip
    if args.format not in ("table", "json", "csv"):
        raise InputError(
            "prices have no such form", source="--format", value=args.format, accepted="table, json, csv"
        )
    if verb != "refresh" and (args.source or args.source_url):
        raise InputError("the options disagree", source="--source", accepted="prices refresh")
    if verb == "refresh":
        return _refresh_prices(args)

    from advisor.price_care import import_quotes, remove_quotes

    advisor = open_service(args)
    if verb == "show":
        _show_prices(args, advisor.price_list(" ".join(rest) or None))
    elif verb == "import":
        path = given_path(rest[0])
        _show_prices(args, import_quotes(advisor, path, quote_files(args), force=args.force))
    else:
        path = remove_quotes(rest[0])
        diagnostics.report_notes([f"removed {path}"], color=not args.no_color)
    return ExitCode.ANSWERED


def _refresh_prices(args: argparse.Namespace) -> int:
    from advisor.price_care import refresh_prices

    progress = diagnostics.SourceProgress(color=not args.no_color)
    try:
        answer = refresh_prices(
            open_service(args), progress, chosen=args.source, mirrors=args.source_url, force=args.force
        )
    finally:
        progress.ended()
    _show_prices(args, answer)
    return ExitCode.OUTSIDE_FAILED if answer.all_failed else ExitCode.ANSWERED


def _show_prices(args: argparse.Namespace, answer: Model) -> None:
    if args.format == "table":
        from advisor.render.prices import render as render_prices

        deliver(args, render_prices(answer, page_of(args)))
    else:
        show(args, answer)
