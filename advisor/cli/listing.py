"""Commands that look something up: gpus, models, accuracy, schema."""

from __future__ import annotations

import argparse

from advisor.cli.opening import open_service, whole_number
from advisor.cli.output import deliver, page_of, show, write_file
from advisor.errors import ExitCode, InputError
from advisor.paths import given_path


def gpus(args: argparse.Namespace) -> int:
    """List devices, or show one."""
    name, query = _shown_or_searched(args, "ID")
    advisor = open_service(args)
    show(args, advisor.gpus(query) if name is None else advisor.gpu(name))
    return ExitCode.ANSWERED


def models(args: argparse.Namespace) -> int:
    """List models, show one, or fetch the config of one from the hub."""
    if args.words[:1] == ["fetch"]:
        if len(args.words) != 2:
            raise InputError("missing", source="NAME", accepted="models fetch ORGANISATION/MODEL")
        return _fetch_model(args, args.words[1])
    name, query = _shown_or_searched(args, "NAME")
    advisor = open_service(args)
    show(args, advisor.models(query) if name is None else advisor.model(name))
    return ExitCode.ANSWERED


def _shown_or_searched(args: argparse.Namespace, what: str) -> tuple[str | None, str | None]:
    """Return the name after ``show``, or what to search for."""
    if args.words[:1] != ["show"]:
        return None, " ".join(args.words) or None
    name = " ".join(args.words[1:])
    if not name:
        raise InputError("missing", source=what, accepted=f"{args.command} show {what}")
    return name, None


def accuracy(args: argparse.Namespace) -> int:
    """Compare predictions with all published runs."""
    worst = whole_number("--worst", args.worst, 0, 1_000_000)
    answer = open_service(args).accuracy(args.by, worst=worst)
    if args.html is not None:
        from advisor.render.accuracy_html import render as render_html

        write_file("--html", given_path(args.html), render_html(answer), force=args.force)
    if args.format == "table":
        from advisor.render.accuracy import render as render_accuracy

        deliver(args, render_accuracy(answer, page_of(args)))
    else:
        show(args, answer)
    return ExitCode.ANSWERED


def print_schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a document."""
    from advisor.render.json import render_schema
    from advisor.schemas import schema

    deliver(args, render_schema(schema(args.kind)))
    return ExitCode.ANSWERED


def _fetch_model(args: argparse.Namespace, name: str) -> int:
    """Ask the Hugging Face hub for a model's config, and keep it for workloads that name it."""
    from advisor.describe.named import transformer_names
    from advisor.fetch.http import Http
    from advisor.fetch.hub import Hub
    from advisor.user_data import user_data_folder
    from advisor.yaml_io import data_root

    hub = Hub(user_data_folder(), Http, shipped=tuple(transformer_names(data_root())))
    show(args, open_service(args).fetched(hub.model(name, refresh=True)))
    return ExitCode.ANSWERED
