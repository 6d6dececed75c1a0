"""What every command needs before it asks: the service, the workload, permission to run code, quotes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from advisor import diagnostics
from advisor.cli.options import SHORT_FORMS
from advisor.errors import InputError
from advisor.paths import given_path, is_folder

if TYPE_CHECKING:
    import datetime

    from advisor.hub_model import HubModel
    from advisor.quote_files import QuoteFiles
    from advisor.service import Advisor, CodePolicy
    from advisor.torch_model import TorchModel
    from advisor.workload import Workload


_T = TypeVar("_T")


def whole_number(option: str, text: str, low: int, high: int) -> int:
    """Return the number that an option gives.

    Raises:
        InputError: it is none, or out of bounds.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InputError(
            "not an accepted number",
            source=option,
            value=text,
            accepted=f"a whole number from {low} to {high}",
        )
    return int(text)


def quote_files(args: argparse.Namespace) -> QuoteFiles:
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


def names_of(given: Sequence[str]) -> list[str]:
    """Return names that stand apart or with commas between them."""
    return [name.strip() for part in given for name in part.split(",") if name.strip()]


def open_service(args: argparse.Namespace, ask: Callable[[TorchModel], bool] | None = None) -> Advisor:
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
        quotes=quote_files(args), today=_as_of(args), hub=_kept_model,
    )  # fmt: skip


def _kept_model(name: str) -> HubModel:
    """Return a model of the Hugging Face hub that ``models fetch`` has kept; nobody is asked."""
    from advisor.fetch.hub import Hub
    from advisor.user_data import user_data_folder

    return Hub(user_data_folder(), None).model(name)


def _code_policy(args: argparse.Namespace, ask: Callable[[TorchModel], bool] | None = None) -> CodePolicy:
    """Return whether the code of a model may run: by the option, or by a yes to a question."""
    from advisor.service import CodePolicy

    if ask is None and getattr(args, "workload", None) is None:
        return CodePolicy()
    policy = CodePolicy(allowed=(lambda _: True) if args.allow_code else ask or _ask_about_code)
    if args.trace_timeout is None:
        return policy
    return CodePolicy(policy.allowed, float(whole_number("--trace-timeout", args.trace_timeout, 1, 86400)))


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


def read_question(args: argparse.Namespace) -> Workload:
    """Return the workload of a command, with the fields that its options set.

    Raises:
        InputError: the document or an option is wrong.
    """
    from advisor.workload_file import Setting, read_set_option, read_setting, read_workload

    settings = [
        read_setting(short.option, short.field, text)
        for short in SHORT_FORMS
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


def blaming_options(args: argparse.Namespace, ask: Callable[[], _T], gpus: Sequence[str] = ()) -> _T:
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
