"""The command line: parse, call the service, hand the answer to a renderer.

Only argparse and light modules are imported at the top: ``--help`` and ``--version`` load nothing heavy.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn, TextIO, TypeVar

from advisor import __version__, diagnostics
from advisor.errors import AdvisorError, ExitCode, ExternalError, InputError, one_line, shorten
from advisor.help_examples import examples_of
from advisor.objective import OBJECTIVES
from advisor.paths import given_path, is_file, is_folder

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from advisor.calibration import StoredProfile
    from advisor.hub_model import HubModel
    from advisor.quantity import Model
    from advisor.quote_files import QuoteFiles
    from advisor.render.table import Page
    from advisor.service import Advisor, CodePolicy
    from advisor.torch_model import TorchModel
    from advisor.workload import Workload

_T = TypeVar("_T")

FORMATS = ("table", "json", "markdown", "csv", "html")
SCHEMAS = (
    "workload", "estimate", "recommend", "compare", "gpu", "model", "price", "table", "accuracy", "calibration",
    "calibrations", "check", "prices", "refresh", "price-import", "fleet", "fleet-file",
)  # fmt: skip
AXES = ("gpu", "source", "family", "method")
SHELLS = ("bash", "zsh", "tcsh")
_ABOUT = """\
WORKLOAD is the name of a shipped model, a YAML or JSON file, or - for standard
input. COMMAND --help explains a command.

exit codes: 0 answered, 1 nothing satisfies the question, 2 bad input, 3
something outside failed, 4 an optional extra is missing, 130 interrupted"""
_FORMAT_OF_SUFFIX = {".json": "json", ".md": "markdown", ".csv": "csv", ".html": "html"}
_TABLE_TOP = 10
_TOP = 20
_MIN_WIDTH = 40
_MAX_WIDTH = 1000
_MAX_LINE = 8 * 2**20


class _Short(NamedTuple):
    """A short option for one field of the workload."""

    option: str
    field: str
    metavar: str
    help: str


_JOB_OPTIONS = (
    _Short("--task", "task", "TASK", "train, finetune or inference"),
    _Short("--method", "method", "METHOD", "full, lora or qlora"),
    _Short("--precision", "precision", "P", "auto, fp32, tf32, fp16, bf16, fp8, int8, int4, fp4 or nf4"),
    _Short("--batch", "batch", "N", "global batch in samples (in inference: sequences at a time)"),
    _Short("--micro-batch", "batch.micro", "N", "samples on one GPU in one forward pass"),
    _Short("--tokens", "data.tokens", "N", "train on this many tokens, such as 50e6 or 2B"),
    _Short("--samples", "data.samples", "N", "train on this many samples"),
    _Short("--steps", "data.steps", "N", "train for this many optimizer steps"),
    _Short("--epochs", "data.epochs", "N", "passes over the samples or tokens"),
    _Short("--sequence-length", "data.sequence_length", "N", "tokens in one training sample"),
    _Short("--optimizer", "optimizer", "NAME", "sgd, adam, adamw, adamw-8bit, adafactor, lion, ..."),
    _Short("--checkpointing", "checkpointing", "WHAT", "activation checkpointing: none, selective, full"),
    _Short("--attention", "attention", "WHICH", "eager, flash or auto"),
    _Short("--sharding", "sharding", "HOW", "none, ddp, zero1, zero2, fsdp or auto"),
    _Short("--lora-rank", "lora.rank", "N", "rank of the LoRA adapters"),
    _Short("--prompt-tokens", "inference.prompt_tokens", "N", "tokens of a prompt in inference"),
    _Short("--new-tokens", "inference.new_tokens", "N", "tokens generated for a prompt"),
)
_LIMIT_OPTIONS = (
    _Short("--budget", "constraints.budget_usd", "USD", "spend at most this"),
    _Short("--deadline", "constraints.deadline_h", "TIME", "finish within hours, or 90min, 12h, 3d, 2w"),
    _Short("--max-count", "constraints.max_count", "N", "use at most this many GPUs"),
    _Short("--vendor", "constraints.vendors", "V[,V]", "nvidia, amd, intel, apple"),
    _Short("--segment", "constraints.segments", "S[,S]", "consumer, laptop, workstation, datacenter, ..."),
    _Short("--max-power", "constraints.max_power_w", "W", "draw at most this many watts"),
    _Short("--min-memory", "constraints.min_memory_gib", "GIB", "at least this much memory on a GPU"),
)
_COST_OPTIONS = (
    _Short("--country", "economics.country", "C", "code or name: tariff of electricity, carbon of the grid"),
    _Short("--electricity", "economics.electricity_usd_per_kwh", "USD", "price of a kWh"),
    _Short("--hours-per-week", "economics.hours_per_week", "H", "how much a bought GPU would be used"),
)
_SHORT_FORMS = (*_JOB_OPTIONS, *_LIMIT_OPTIONS, *_COST_OPTIONS)


class _Parser(argparse.ArgumentParser):
    """Reports what is wrong with a command line as every other bad input is reported."""

    def error(self, message: str) -> NoReturn:
        raise InputError(one_line(message), hint=f"{self.prog} --help")

    def _print_message(self, message: str, file: object = None) -> None:
        """Print help and version as answers are printed: argparse hides that they could not be written."""
        _emit(message)


class _PrintCompletion(argparse.Action):
    """Prints a completion script and ends."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: str | None = None
    ) -> None:
        import shtab

        _emit(shtab.complete(_completable(parser, shtab), str(values)))
        parser.exit(0)


def _completable(parser: argparse.ArgumentParser, shtab: Any) -> argparse.ArgumentParser:
    """Mark what completes to files and folders."""
    kinds = {
        "output": shtab.FILE,
        "html": shtab.FILE,
        "workload": shtab.FILE,
        "catalog": shtab.DIRECTORY,
        "catalog_after": shtab.DIRECTORY,
    }
    for action in parser._actions:
        if action.dest in kinds:
            action.complete = kinds[action.dest]  # type: ignore[attr-defined]
        for inner in action.choices.values() if isinstance(action.choices, dict) else ():
            _completable(inner, shtab)
    return parser


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog=diagnostics.PROGRAM,
        usage="%(prog)s COMMAND ... [OPTIONS]",
        description="Which GPU to buy or rent for a model: memory, time, money and power, with\nevidence.",
        epilog=f"{_ABOUT}\n\n{examples_of('')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{diagnostics.PROGRAM} {__version__}")
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS, metavar="SHELL",
        help="print the completion script for bash, zsh or tcsh",
    )  # fmt: skip
    _add_common(parser, after=False)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=_Parser, prog=diagnostics.PROGRAM
    )

    def add(name: str, summary: str, arguments: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
            usage=f"%(prog)s{arguments} [OPTIONS]", epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        )  # fmt: skip

    recommend = add("recommend", "rank GPUs, and counts of them, for a workload", " WORKLOAD")
    recommend.add_argument("workload", metavar="WORKLOAD", help="model name, file, or -")
    recommend.add_argument(
        "--for", dest="objective", choices=OBJECTIVES, default="balanced", help="what to minimise (balanced)"
    )
    recommend.add_argument(
        "--top", metavar="N|all", help=f"list this many ({_TABLE_TOP} in a table, else {_TOP})"
    )
    _add_workload_options(recommend)

    estimate = add(
        "estimate", "memory, time and cost on the GPUs that you name", " (WORKLOAD --gpu ID[,ID] | --jsonl)"
    )
    estimate.add_argument("workload", metavar="WORKLOAD", nargs="?", help="model name, file, or -")
    estimate.add_argument("--gpu", action="append", metavar="ID[,ID]", help="GPU id or any of its names")
    estimate.add_argument("--count", metavar="N", help="how many of each GPU")
    estimate.add_argument(
        "--jsonl", action="store_true",
        help='read {"workload": ..., "gpu": ..., "count": 1} lines from standard input, answer line by line',
    )  # fmt: skip
    _add_workload_options(estimate)

    compare = add(
        "compare", "the same estimates side by side, with ratios to the first GPU", " WORKLOAD ID ID ..."
    )
    compare.add_argument("workload", metavar="WORKLOAD", help="model name, file, or -")
    compare.add_argument("gpu", metavar="ID", nargs="+", help="GPU id or any of its names")
    compare.add_argument("--count", metavar="N", help="how many of each GPU")
    _add_workload_options(compare)

    describe = add("describe", "write a model's operator table, for use where there is no torch", " WORKLOAD")
    describe.add_argument("workload", metavar="WORKLOAD", help="model name, file, or -")
    _add_workload_options(describe)

    gpus = add(
        "gpus", "list the catalog of GPUs, or show all facts of one with their sources", " [QUERY | show ID]"
    )
    gpus.add_argument(
        "words", nargs="*", metavar="QUERY | show ID", help="words to search for, or show and a GPU"
    )

    models = add(
        "models",
        "list the shipped models, or show the dimensions of one",
        " [QUERY | show NAME | fetch ORG/NAME]",
    )
    models.add_argument(
        "words",
        nargs="*",
        metavar="QUERY | show NAME | fetch ORG/NAME",
        help="words to search for; show and a model; "
        "fetch asks the Hugging Face hub for the config of one, and keeps it",
    )

    accuracy = add("accuracy", "predicted against published, for all runs that are shipped", "")
    accuracy.add_argument("--by", choices=AXES, help="group the figures by this")
    accuracy.add_argument(
        "--worst", metavar="N", default="1", help="list this many of each kind that are off the most (1)"
    )
    accuracy.add_argument("--html", metavar="FILE", help="also write a report with plots that loads nothing")

    calibrate = add(
        "calibrate",
        "measure this machine, so that estimates for it and its relatives follow",
        " [show | export | import | remove ...]",
    )
    calibrate.add_argument(
        "words", nargs="*", metavar="show [NAME] | export NAME FILE | import FILE | remove NAME",
        help="look after calibrations; measure when left out",
    )  # fmt: skip
    calibrate.add_argument(
        "--device", metavar="NAME", help="cuda:0, mps, xpu:0 or cpu; the first GPU when left out"
    )
    calibrate.add_argument(
        "--quick", action="store_true", help="a few tests in about 20 s, not all in under 3 min"
    )
    calibrate.add_argument(
        "--dry-run", action="store_true", help="say what would be measured, and how long it takes"
    )
    calibrate.add_argument(
        "--check",
        metavar="WORKLOAD",
        help="run this workload for a short while and compare with its estimate",
    )
    _add_workload_options(calibrate)

    prices = add(
        "prices",
        "dated prices: list them, ask live sources, or take in your quotes",
        " [show | refresh | import | remove ...]",
    )
    prices.add_argument(
        "words", nargs="*", metavar="show [ID] | refresh | import FILE | remove NAME",
        help="what to do; show when left out. Only refresh uses the network",
    )  # fmt: skip
    prices.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME",
        help="refresh this source alone; may be given again",
    )
    prices.add_argument(
        "--source-url",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="ask a mirror of a source instead",
    )
    _add_price_options(prices)

    fleet = add("fleet", "the cheapest set of GPUs to buy and rent for several workloads together", " FLEET")
    fleet.add_argument(
        "fleet", metavar="FLEET", help="YAML or JSON file with workloads and how often each runs"
    )
    fleet.add_argument(
        "--no-calibration", action="store_true", help="leave calibrations of this machine and team out"
    )
    _add_price_options(fleet)

    tui = add(
        "tui", "the full-screen app; tui > choice.json leaves the GPU that you choose as JSON", " [WORKLOAD]"
    )
    tui.add_argument(
        "workload", metavar="WORKLOAD", nargs="?", help="model name or file; the last one when left out"
    )
    _add_workload_options(tui)

    serve = add(
        "serve",
        "the same app in a browser, for this machine alone unless --host says otherwise",
        " [WORKLOAD]",
    )
    serve.add_argument(
        "workload", metavar="WORKLOAD", nargs="?", help="model name or file; the last one when left out"
    )
    serve.add_argument("--host", metavar="NAME", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    serve.add_argument(
        "--port", metavar="N", default="8000", help="port to listen at (8000); 0 finds a free one"
    )

    schema = add("schema", "print the JSON Schema of a document", " KIND")
    schema.add_argument("kind", choices=SCHEMAS, metavar="KIND", help=", ".join(SCHEMAS))
    for each in commands.choices.values():
        _add_common(each, after=True)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, after: bool) -> None:
    """Add the options that stand before or after the command; those after it win."""
    group = parser.add_argument_group("output and catalog")

    def add(*names: str, default: object = None, **details: Any) -> None:
        group.add_argument(*names, default=argparse.SUPPRESS if after else default, **details)

    add("--json", action="store_true", default=False, help="the same as --format json")
    add("--format", choices=FORMATS, help="table, unless --output ends in .json, .md, .csv or .html")
    add("--output", metavar="FILE", help="write to a file, all of it or nothing")
    add("--force", action="store_true", default=False, help="let --output and --html replace a file")
    add(
        "--catalog", action="append", metavar="DIR", dest="catalog_after" if after else "catalog",
        help="folder of your own catalog entries; may be given again",
    )  # fmt: skip
    add("--width", metavar="N", help="columns of a table (of the terminal, else 80)")
    add("--no-color", action="store_true", default=False, help="no colour; NO_COLOR does the same")
    add("--debug", action="store_true", default=False, help="print the traceback of an error")


def _add_price_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "prices", "Quotes count before public prices, as long as they are valid."
    )
    group.add_argument(
        "--quotes", action="append", default=[], metavar="FILE",
        help="count with the quotes of this CSV or JSON file, without importing it; may be given again",
    )  # fmt: skip
    group.add_argument(
        "--rate",
        action="append",
        default=[],
        metavar="EUR=1.08",
        help="US dollars for one unit of a currency in quotes",
    )
    group.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="gpu=HEADING",
        help="what a column of your quotes is called",
    )
    group.add_argument(
        "--decimal", choices=("comma", "point"), help="how quotes write decimals, where it cannot be told"
    )
    group.add_argument(
        "--date-order", choices=("dmy", "mdy"), help="how quotes write dates, where it cannot be told"
    )
    group.add_argument(
        "--currency", metavar="CODE", help="of quotes that name none, or only a sign that several share ($)"
    )
    group.add_argument(
        "--vat", metavar="PERCENT",
        help="VAT in prices that quotes say are with it, where they name no rate: it is taken out (0 leaves it in)",
    )  # fmt: skip
    group.add_argument(
        "--as-of", metavar="DATE", help="the day on which ages of prices and ends of quotes count (today)"
    )


def _add_workload_options(parser: argparse.ArgumentParser) -> None:
    job = parser.add_argument_group("job", "These override the fields of the workload document.")
    _add_short(job, _JOB_OPTIONS)
    job.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="FIELD=VALUE",
        help="set any field, such as batch.micro=8 or model.transformer.layers=40; may be given again",
    )  # fmt: skip
    limits = parser.add_argument_group("limits", "What breaks one of these is left out, with the reason.")
    _add_short(limits, _LIMIT_OPTIONS)
    acquire = limits.add_mutually_exclusive_group()
    acquire.add_argument("--buy-only", dest="acquire", action="store_const", const="buy", help="never rent")
    acquire.add_argument("--rent-only", dest="acquire", action="store_const", const="rent", help="never buy")
    _add_short(parser.add_argument_group("costs"), _COST_OPTIONS)
    _add_price_options(parser)
    evidence = parser.add_argument_group("estimate")
    evidence.add_argument(
        "--with-cpu", nargs="?", const="local", metavar="ID",
        help="compare with this processor of the catalog, or with that of this machine",
    )  # fmt: skip
    evidence.add_argument(
        "--no-calibration", action="store_true", help="leave calibrations of this machine and team out"
    )
    evidence.add_argument(
        "--allow-code",
        action="store_true",
        help="run the code of a model given as model.torch; read it first",
    )
    evidence.add_argument(
        "--trace-timeout", metavar="SECONDS", help="end that code after this many seconds (300)"
    )


def _add_short(group: argparse._ArgumentGroup, options: Sequence[_Short]) -> None:
    for short in options:
        group.add_argument(
            short.option,
            dest=f"short_{short.field}",
            metavar=short.metavar,
            help=short.help.replace("%", "%%"),
        )


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
        _silence_stdout()
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
        if not _has_screen(sys.stdin, sys.stdout, sys.stderr) or set(arguments) - {"--no-color", "--debug"}:
            _emit(parser.format_help())
            return ExitCode.ANSWERED
        args = parser.parse_args([*arguments, "tui"])
    _prepare(args)
    return _COMMANDS[args.command](args)


def _prepare(args: argparse.Namespace) -> None:
    """Settle the options that every command has, and refuse what would only fail after the work."""
    if args.json and args.format not in (None, "json"):
        raise InputError(
            "the options disagree", source=f"--json --format {args.format}", accepted="one of them"
        )
    suffix = os.path.splitext(args.output or "")[1].lower()  # noqa: PTH122 - pathlib is not loaded here
    args.format = "json" if args.json else args.format or _FORMAT_OF_SUFFIX.get(suffix, "table")
    args.catalog = [*(args.catalog or ()), *getattr(args, "catalog_after", ())]
    args.width = None if args.width is None else _whole("--width", args.width, _MIN_WIDTH, _MAX_WIDTH)
    if getattr(args, "count", None) is not None:
        args.count = _whole("--count", args.count, 1, 16384)
    for option in ("output", "html"):
        if (name := getattr(args, option, None)) is not None:
            _check_output(f"--{option}", name, force=args.force)


def _whole(option: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InputError(
            "not an accepted number",
            source=option,
            value=text,
            accepted=f"a whole number from {low} to {high}",
        )
    return int(text)


def _recommend(args: argparse.Namespace) -> int:
    limit = _limit(args)
    advisor, workload = _open(args), _read(args)
    answer = _blaming(
        args, lambda: advisor.recommend(workload, objective=args.objective, limit=limit, cpu=args.with_cpu)
    )
    _show(args, answer, answer.warnings)
    return ExitCode.ANSWERED if answer.recommendations else ExitCode.UNSATISFIED


def _limit(args: argparse.Namespace) -> int | None:
    if args.top is None:
        return _TABLE_TOP if args.format == "table" else _TOP
    return None if args.top == "all" else _whole("--top", args.top, 1, 1_000_000)


def _estimate(args: argparse.Namespace) -> int:
    if args.jsonl:
        return _stream(args)
    gpus = _names(args.gpu or ())
    if args.workload is None or not gpus:
        missing = "WORKLOAD" if args.workload is None else "--gpu"
        raise InputError(
            "missing", source=missing, accepted="gpu-advisor estimate WORKLOAD --gpu ID[,ID...], or --jsonl"
        )
    advisor, workload = _open(args), _read(args)
    answer = _blaming(
        args, lambda: advisor.estimate(workload, gpus=gpus, count=args.count, cpu=args.with_cpu), gpus
    )
    _show(args, answer, answer.warnings)
    return _fitting(estimate.fits for estimate in answer.estimates)


def _compare(args: argparse.Namespace) -> int:
    gpus = _names(args.gpu)
    if len(gpus) < 2:
        raise InputError(
            "nothing to compare with", source="ID", value=", ".join(gpus), accepted="two GPUs or more"
        )
    advisor, workload = _open(args), _read(args)
    answer = _blaming(
        args, lambda: advisor.compare(workload, gpus=gpus, count=args.count, cpu=args.with_cpu), gpus
    )
    _show(args, answer, answer.warnings)
    return _fitting(estimate.fits for estimate in answer.estimates)


def _fitting(fits: Iterator[bool]) -> ExitCode:
    return ExitCode.ANSWERED if any(fits) else ExitCode.UNSATISFIED


def _describe(args: argparse.Namespace) -> int:
    from advisor.render.json import render_operators

    if args.format not in ("table", "json"):
        raise InputError("an operator table is JSON", source="--format", value=args.format, accepted="json")
    advisor, workload = _open(args), _read(args)
    table = _blaming(args, lambda: advisor.describe(workload))
    _deliver(args, render_operators(table))
    return ExitCode.ANSWERED


def _gpus(args: argparse.Namespace) -> int:
    name, query = _shown_or_searched(args, "ID")
    advisor = _open(args)
    _show(args, advisor.gpus(query) if name is None else advisor.gpu(name))
    return ExitCode.ANSWERED


def _models(args: argparse.Namespace) -> int:
    if args.words[:1] == ["fetch"]:
        if len(args.words) != 2:
            raise InputError("missing", source="NAME", accepted="models fetch ORGANISATION/MODEL")
        return _fetch_model(args, args.words[1])
    name, query = _shown_or_searched(args, "NAME")
    advisor = _open(args)
    _show(args, advisor.models(query) if name is None else advisor.model(name))
    return ExitCode.ANSWERED


def _shown_or_searched(args: argparse.Namespace, what: str) -> tuple[str | None, str | None]:
    """Return the name after ``show``, or what to search for."""
    if args.words[:1] != ["show"]:
        return None, " ".join(args.words) or None
    name = " ".join(args.words[1:])
    if not name:
        raise InputError("missing", source=what, accepted=f"{args.command} show {what}")
    return name, None


def _accuracy(args: argparse.Namespace) -> int:
    worst = _whole("--worst", args.worst, 0, 1_000_000)
    answer = _open(args).accuracy(args.by, worst=worst)
    if args.html is not None:
        from advisor.render.accuracy_html import render as render_html

        _write_file("--html", given_path(args.html), render_html(answer), force=args.force)
    if args.format == "table":
        from advisor.render.accuracy import render as render_accuracy

        _deliver(args, render_accuracy(answer, _page(args)))
    else:
        _show(args, answer)
    return ExitCode.ANSWERED


def _calibrate(args: argparse.Namespace) -> int:
    _check_calibrate_options(args)
    if args.words:
        return _look_after(args)
    if args.check is not None:
        return _check(args)
    from advisor.calibrate.session import Session

    session = Session(_open(args), diagnostics.StepProgress(color=not args.no_color))
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
    advisor, workload = _open(args), _read(args)
    session = Session(advisor, diagnostics.StepProgress(color=not args.no_color))
    answer = _blaming(args, lambda: session.check(workload, args.device))
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
        answer = _open(args).calibrations(*rest)
        _show_calibration(args, answer)
        return ExitCode.ANSWERED
    if verb == "import":
        profile = calibration.read_profile(given_path(rest[0]))
        path = calibration.keep(profile, Path(rest[0]).stem)
        diagnostics.report_notes([f"kept as {path.stem} ({path})"], color=not args.no_color)
        return ExitCode.ANSWERED
    stored = calibration.profile_of(rest[0], _stored(args))
    if verb == "export":
        _check_output("export", rest[1], force=args.force)
        text = calibration.text_of(stored.profile)
        _write_file("export", given_path(rest[1]), text, force=args.force)
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

        _deliver(args, render_calibration(answer, _page(args)))
    else:
        _show(args, answer)


def _prices(args: argparse.Namespace) -> int:
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

    advisor = _open(args)
    if verb == "show":
        _show_prices(args, advisor.price_list(" ".join(rest) or None))
    elif verb == "import":
        path = given_path(rest[0])
        _show_prices(args, import_quotes(advisor, path, _quote_files(args), force=args.force))
    else:
        path = remove_quotes(rest[0])
        diagnostics.report_notes([f"removed {path}"], color=not args.no_color)
    return ExitCode.ANSWERED


def _refresh_prices(args: argparse.Namespace) -> int:
    from advisor.price_care import refresh_prices

    progress = diagnostics.SourceProgress(color=not args.no_color)
    try:
        answer = refresh_prices(
            _open(args), progress, chosen=args.source, mirrors=args.source_url, force=args.force
        )
    finally:
        progress.ended()
    _show_prices(args, answer)
    return ExitCode.OUTSIDE_FAILED if answer.all_failed else ExitCode.ANSWERED


def _show_prices(args: argparse.Namespace, answer: Model) -> None:
    if args.format == "table":
        from advisor.render.prices import render as render_prices

        _deliver(args, render_prices(answer, _page(args)))
    else:
        _show(args, answer)


def _fleet(args: argparse.Namespace) -> int:
    from advisor.fleet_file import read_fleet

    if args.format not in ("table", "json", "csv"):
        raise InputError(
            "a fleet has no such form", source="--format", value=args.format, accepted="table, json, csv"
        )
    fleet = read_fleet(args.fleet)
    answer = _open(args).fleet(fleet)
    if args.format == "table":
        from advisor.render.fleet import render as render_fleet

        _deliver(args, render_fleet(answer, _page(args)))
    else:
        _show(args, answer)
    return ExitCode.ANSWERED if answer.feasible else ExitCode.UNSATISFIED


def _quote_files(args: argparse.Namespace) -> QuoteFiles:
    """Return the files of quotes that the options name, and how to read them."""
    from advisor.quote_files import read_how

    return read_how(
        args.quotes, rates=args.rate, columns=args.column, decimal=args.decimal, date_order=args.date_order,
        currency=args.currency, vat=args.vat,
    )  # fmt: skip


def _as_of(args: argparse.Namespace) -> datetime.date | None:
    import datetime

    if args.as_of is None:
        return None
    try:
        return datetime.date.fromisoformat(args.as_of)
    except ValueError:
        raise InputError(
            "not a day", source="--as-of", value=args.as_of, accepted="such as 2026-11-23"
        ) from None


def _has_screen(*streams: TextIO | None) -> bool:
    """Say whether a full-screen app can be shown: terminals, or a browser that textual-serve draws in."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    terminals = all(stream is not None and stream.isatty() for stream in streams)
    return terminals and os.environ.get("TERM") != "dumb"


def _tui(args: argparse.Namespace) -> int:
    """Run the app; what was chosen in it goes to standard output."""
    if not _has_screen(sys.stdin, sys.stderr):
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
        lambda allow: _open(args, None if args.allow_code else allow),
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
    _show(args, left.choice)
    return ExitCode.ANSWERED


def _typed(args: argparse.Namespace) -> dict[str, str]:
    """Return what the options set, as text by field: a form shows it as it was typed."""
    from advisor.errors import nearest
    from advisor.tui.fields import workload_fields

    found = {
        short.field: text
        for short in _SHORT_FORMS
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


def _serve(args: argparse.Namespace) -> int:
    from advisor.serve import serve

    arguments = [] if args.workload is None else [args.workload]
    for folder in args.catalog:
        arguments += ["--catalog", folder]
    if args.no_color:
        arguments.append("--no-color")
    port = _whole("--port", args.port, 0, 65535)

    def say(text: str) -> None:
        diagnostics.report_notes([text], color=not args.no_color)

    serve(arguments, host=args.host, port=port, say=say)
    return ExitCode.ANSWERED


def _schema(args: argparse.Namespace) -> int:
    from advisor.render.json import render_schema
    from advisor.schemas import schema

    _deliver(args, render_schema(schema(args.kind)))
    return ExitCode.ANSWERED


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "recommend": _recommend,
    "estimate": _estimate,
    "compare": _compare,
    "describe": _describe,
    "gpus": _gpus,
    "models": _models,
    "accuracy": _accuracy,
    "calibrate": _calibrate,
    "tui": _tui,
    "serve": _serve,
    "prices": _prices,
    "fleet": _fleet,
    "schema": _schema,
}


def _names(given: Sequence[str]) -> list[str]:
    return [name.strip() for part in given for name in part.split(",") if name.strip()]


def _open(args: argparse.Namespace, ask: Callable[[TorchModel], bool] | None = None) -> Advisor:
    """Return the service with the user's catalog folders.

    Args:
        args: of the command line.
        ask: asks whether the code of a model may run; on the terminal where it is left out.
    """
    from advisor.service import open_advisor

    folders = [given_path(folder) for folder in args.catalog]
    for folder in folders:
        if not is_folder(folder):
            raise InputError(
                "not a folder", source="--catalog", value=str(folder), accepted="a folder of YAML files"
            )
    if not hasattr(args, "quotes"):
        return open_advisor(folders, _code_policy(args, ask), hub=_kept_model)
    return open_advisor(
        folders, _code_policy(args, ask), calibrated=not getattr(args, "no_calibration", False),
        quotes=_quote_files(args), today=_as_of(args), hub=_kept_model,
    )  # fmt: skip


def _kept_model(name: str) -> HubModel:
    """Return a model of the Hugging Face hub that ``models fetch`` has kept; nobody is asked."""
    from advisor.fetch.hub import Hub
    from advisor.user_data import user_data_folder

    return Hub(user_data_folder(), None).model(name)


def _fetch_model(args: argparse.Namespace, name: str) -> int:
    """Ask the Hugging Face hub for a model's config, and keep it for workloads that name it."""
    from advisor.describe.named import transformer_names
    from advisor.fetch.http import Http
    from advisor.fetch.hub import Hub
    from advisor.user_data import user_data_folder
    from advisor.yaml_io import data_root

    hub = Hub(user_data_folder(), Http, shipped=tuple(transformer_names(data_root())))
    _show(args, _open(args).fetched(hub.model(name, refresh=True)))
    return ExitCode.ANSWERED


def _code_policy(args: argparse.Namespace, ask: Callable[[TorchModel], bool] | None = None) -> CodePolicy:
    """Return whether the code of a model may run: by the option, or by a yes to a question."""
    from advisor.service import CodePolicy

    if ask is None and getattr(args, "workload", None) is None:
        return CodePolicy()
    policy = CodePolicy(allowed=(lambda _: True) if args.allow_code else ask or _ask_about_code)
    if args.trace_timeout is None:
        return policy
    return CodePolicy(policy.allowed, float(_whole("--trace-timeout", args.trace_timeout, 1, 86400)))


def _ask_about_code(model: TorchModel) -> bool:
    """Ask whether the code of a model may run; no where nobody can answer."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return False
    code = [
        f"{part.factory}({', '.join(f'{name}={value!r}' for name, value in part.args.items())})"
        for part in model.steps
    ]
    code += [f"loss {part.loss}" for part in model.steps if part.loss and ":" in part.loss]
    return diagnostics.confirm(
        f"This runs the code of {', '.join(code)} (looked for in {model.folder or '.'} too). Run it?"
    )


def _read(args: argparse.Namespace) -> Workload:
    from advisor.workload_file import Setting, read_set_option, read_setting, read_workload

    settings = [
        read_setting(short.option, short.field, text)
        for short in _SHORT_FORMS
        if (text := getattr(args, f"short_{short.field}")) is not None
    ]
    if args.acquire is not None:
        settings.append(Setting("constraints.acquire", [args.acquire], f"--{args.acquire}-only"))
    settings += [read_set_option(text) for text in args.settings]
    return read_workload(
        args.workload,
        overrides={setting.field: setting.value for setting in settings},
        options={setting.field: setting.option for setting in settings},
        stdin=sys.stdin,
    )


def _blaming(args: argparse.Namespace, ask: Callable[[], _T], gpus: Sequence[str] = ()) -> _T:
    """Ask the service; an error that does not say where its value came from is told by the arguments."""
    try:
        return ask()
    except InputError as error:
        if error.source is None and error.value in gpus:
            error.source = "--gpu" if args.command == "estimate" else "ID"
        elif error.source is None and error.field == "cpu":
            error.source, error.field = "--with-cpu", None
        elif error.source is None:
            error.source = "standard input" if args.workload == "-" else args.workload
        raise


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
    advisor = _open(args)
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
        _emit(line)
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


def _show(args: argparse.Namespace, answer: Model, notes: Sequence[str] = ()) -> None:
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

        text = render_table(answer, _page(args))
    _deliver(args, text)


def _page(args: argparse.Namespace) -> Page:
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
        width=min(max(width, _MIN_WIDTH), _MAX_WIDTH),
        color=not args.no_color and diagnostics.wants_color(stream),
        ascii=not to_file and _ascii_only(stream),
    )


def _ascii_only(stream: TextIO | None) -> bool:
    """Return whether the user's locale, or the encoding of the stream, has no box-drawing characters."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    if not encoding.startswith("utf"):
        return True
    # Under LANG=C Python itself sets LC_CTYPE to C.UTF-8 (PEP 538): this value says nothing about the user.
    category = os.environ.get("LC_CTYPE", "")
    chosen = os.environ.get("LC_ALL") or ("" if category == "C.UTF-8" else category) or os.environ.get("LANG")
    return chosen in ("C", "POSIX")


def _deliver(args: argparse.Namespace, text: str) -> None:
    if args.output is None:
        _emit(text)
    else:
        _write_file("--output", given_path(args.output), text, force=args.force)


def _emit(text: str) -> None:
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
        _silence_stdout()
        raise ExternalError(f"standard output: cannot be written ({error.strerror or error})") from None


def _check_output(option: str, name: str, *, force: bool) -> None:
    path = given_path(name)
    if is_folder(path):
        raise InputError("this is a folder", source=f"{option} {name}", accepted="a file")
    if not is_folder(path.parent):
        raise InputError(
            "the folder does not exist", source=option, value=name, accepted="a file in a folder"
        )
    if is_file(path) and not force:
        raise InputError("the file exists", source=f"{option} {name}", hint="--force replaces it")


def _write_file(option: str, path: Path, text: str, *, force: bool) -> None:
    """Write all of a file or nothing of it."""
    from advisor.whole_file import write_text_file

    try:
        write_text_file(path, text, replace=force)
    except InputError as error:
        raise InputError(error.message, source=f"{option} {path}", hint="--force replaces it") from None


def _silence_stdout() -> None:
    """Point standard output nowhere, so that the interpreter's last flush does not fail on a closed pipe."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
