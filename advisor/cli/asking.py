"""Commands that answer a question: recommend, estimate, compare, describe, fleet, and the stream of lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import BinaryIO

from advisor import diagnostics
from advisor.cli.opening import blaming_options, names_of, open_service, read_question, whole_number
from advisor.cli.options import TABLE_TOP, TOP
from advisor.cli.output import deliver, emit, page_of, show
from advisor.errors import AdvisorError, ExitCode, InputError

_MAX_LINE = 8 * 2**20


def recommend(args: argparse.Namespace) -> int:
    """Rank GPUs for a workload."""
    limit = _limit(args)
    advisor, workload = open_service(args), read_question(args)
    answer = blaming_options(
        args, lambda: advisor.recommend(workload, objective=args.objective, limit=limit, cpu=args.with_cpu)
    )
    show(args, answer, answer.warnings)
    return ExitCode.ANSWERED if answer.recommendations else ExitCode.UNSATISFIED


def _limit(args: argparse.Namespace) -> int | None:
    if args.top is None:
        return TABLE_TOP if args.format == "table" else TOP
    return None if args.top == "all" else whole_number("--top", args.top, 1, 1_000_000)


def estimate(args: argparse.Namespace) -> int:
    """Estimate a workload on the GPUs named, or answer a stream of lines."""
    if args.jsonl:
        return _stream(args)
    gpus = names_of(args.gpu or ())
    if args.workload is None or not gpus:
        missing = "WORKLOAD" if args.workload is None else "--gpu"
        raise InputError(
            "missing", source=missing, accepted="gpu-advisor estimate WORKLOAD --gpu ID[,ID...], or --jsonl"
        )
    advisor, workload = open_service(args), read_question(args)
    answer = blaming_options(
        args, lambda: advisor.estimate(workload, gpus=gpus, count=args.count, cpu=args.with_cpu), gpus
    )
    show(args, answer, answer.warnings)
    return _fitting(estimate.fits for estimate in answer.estimates)


def compare(args: argparse.Namespace) -> int:
    """Put the estimates of several GPUs side by side."""
    gpus = names_of(args.gpu)
    if len(gpus) < 2:
        raise InputError(
            "nothing to compare with", source="ID", value=", ".join(gpus), accepted="two GPUs or more"
        )
    advisor, workload = open_service(args), read_question(args)
    answer = blaming_options(
        args, lambda: advisor.compare(workload, gpus=gpus, count=args.count, cpu=args.with_cpu), gpus
    )
    show(args, answer, answer.warnings)
    return _fitting(estimate.fits for estimate in answer.estimates)


def _fitting(fits: Iterator[bool]) -> ExitCode:
    return ExitCode.ANSWERED if any(fits) else ExitCode.UNSATISFIED


def describe(args: argparse.Namespace) -> int:
    """Write a model's operator table."""
    from advisor.render.json import render_operators

    if args.format not in ("table", "json"):
        raise InputError("an operator table is JSON", source="--format", value=args.format, accepted="json")
    advisor, workload = open_service(args), read_question(args)
    table = blaming_options(args, lambda: advisor.describe(workload))
    deliver(args, render_operators(table))
    return ExitCode.ANSWERED


def decide_fleet(args: argparse.Namespace) -> int:
    """Find the cheapest GPUs for several workloads."""
    from advisor.fleet_file import read_fleet

    if args.format not in ("table", "json", "csv"):
        raise InputError(
            "a fleet has no such form", source="--format", value=args.format, accepted="table, json, csv"
        )
    fleet = read_fleet(args.fleet)
    answer = open_service(args).fleet(fleet)
    if args.format == "table":
        from advisor.render.fleet import render as render_fleet

        deliver(args, render_fleet(answer, page_of(args)))
    else:
        show(args, answer)
    return ExitCode.ANSWERED if answer.feasible else ExitCode.UNSATISFIED


def _stream(args: argparse.Namespace) -> int:
    """Answer one line of standard input after the other, each as soon as it is there."""
    from advisor.render.json import render_line
    from advisor.workload_file import read_request

    if args.workload is not None or args.gpu or args.output is not None:
        raise InputError(
            "the options disagree", source="--jsonl", accepted="neither WORKLOAD, --gpu nor --output"
        )
    if sys.stdin is None:
        raise InputError("there is no standard input", source="--jsonl")
    advisor = open_service(args)
    code = ExitCode.ANSWERED
    for number, raw in enumerate(_lines(sys.stdin.buffer), start=1):
        try:
            if raw is None:
                raise InputError(
                    f"the line is longer than {_MAX_LINE >> 20} MiB", source="standard input", line=number
                )
            workload, gpu, count = read_request(raw, number)
            answer = advisor.estimate(workload, gpus=[gpu], count=count)
            line = render_line(answer.estimates[0])
        except AdvisorError as error:
            located = error
            if isinstance(error, InputError):
                located = error.located(source="standard input", line=number)
            line = render_line(diagnostics.error_answer(located), exclude_none=True)
            code = ExitCode.BAD_INPUT
        emit(line)
    return code


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None for one that is too long, which is skipped without being held."""
    while raw := stream.readline(_MAX_LINE + 1):
        if len(raw) <= _MAX_LINE:
            yield raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = stream.readline(_MAX_LINE)
        yield None
