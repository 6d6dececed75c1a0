"""The options of the command line: every command with what it accepts. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from advisor import __version__, diagnostics
from advisor.cli.output import emit
from advisor.errors import InputError, one_line
from advisor.help_examples import examples_of
from advisor.objective import OBJECTIVES

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
TABLE_TOP = 10
TOP = 20


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
SHORT_FORMS = (*_JOB_OPTIONS, *_LIMIT_OPTIONS, *_COST_OPTIONS)


class _Parser(argparse.ArgumentParser):
    """Reports what is wrong with a command line as every other bad input is reported."""

    def error(self, message: str) -> NoReturn:
        raise InputError(one_line(message), hint=f"{self.prog} --help")

    def _print_message(self, message: str, file: object = None) -> None:
        """Print help and version as answers are printed: argparse hides that they could not be written."""
        emit(message)


class _PrintCompletion(argparse.Action):
    """Prints a completion script and ends."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: str | None = None
    ) -> None:
        import shtab

        emit(shtab.complete(_completable(parser, shtab), str(values)))
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
        "--top", metavar="N|all", help=f"list this many ({TABLE_TOP} in a table, else {TOP})"
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
