"""Every border of the program, each with the whole way that what is read there goes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from advisor import cli, diagnostics, service
from advisor.calibration import FOLDER as CALIBRATIONS
from advisor.calibration import load_suite, read_profile, stored_profiles
from advisor.catalog import load_devices, name_index
from advisor.cli import options
from advisor.errors import AdvisorError
from advisor.fetch.store import Store
from advisor.fleet_file import build_fleet
from advisor.hardware import NameIndex
from advisor.objective import OBJECTIVES
from advisor.price_book import load_prices
from advisor.quote_files import QuoteFiles, imported_quotes
from advisor.quotes import read
from advisor.quotes.products import Products
from advisor.quotes.store import import_quotes
from advisor.quotes.words import load_words
from advisor.render.calibration import render as render_calibration
from advisor.render.fleet import render as render_fleet
from advisor.render.json import render_line, render_operators
from advisor.render.prices import render as render_prices
from advisor.render.table import Page
from advisor.service import Advisor
from advisor.tui.desk import Question
from advisor.tui.fields import flattened, workload_fields
from advisor.tui.reading import answered, values_of
from advisor.tui.session import load_session, save_session
from advisor.workload import Workload
from advisor.workload_file import build_workload, read_request, read_set_option, read_setting, read_workload
from advisor.yaml_io import data_root, decode, parse

from . import seeds
from .campaign import Case
from .checks import UnsafeError, check_answer, check_csv, check_error, check_json, check_text
from .mutations import HOSTILE, NUMBERS, Mutator, encoded
from .network import http_case, hub_case, price_case
from .service import SERVICES, TODAY, gpu_ids, own_folder


def refusable(run: Callable[[random.Random, Path], str]) -> Case:
    """Return a case whose refusals are reported as the program does."""

    def case(rng: random.Random, folder: Path) -> str:
        try:
            return run(rng, folder)
        except AdvisorError as error:
            return check_error(error)

    return case


def ask(
    rng: random.Random, workload: Workload, advisor: Advisor | None = None, gpu: str | None = None
) -> str:
    """Ask about a workload in one of the ways, and render the answer."""
    advisor = advisor or SERVICES.few()
    gpus = gpu_ids(advisor.devices)[:7]
    chance = rng.random()
    if chance < 0.06 and gpu is None:
        found: Any = advisor.recommend(
            workload, objective=rng.choice(OBJECTIVES), limit=rng.choice((1, 5, None))
        )
        answer = "answered" if found.recommendations else "nothing fits"
    elif chance < 0.1 and gpu is None:
        found = advisor.compare(workload, gpus=rng.sample(gpus, 2), count=rng.choice((None, 1, 2)))
        answer = "answered"
    else:
        # Libraries of learners run on few.
        gpus = gpus if workload.model.learner is None else ["rtx-4090", "h100-sxm5-80gb"]
        count = rng.choice((None, None, None, 1, 1, 1, 1, 2, 4, 8, 64, 16384))
        cpu = advisor.constants.baseline.cpu if rng.random() < 0.05 else None
        found = advisor.estimate(workload, gpus=[gpu or rng.choice(gpus)], count=count, cpu=cpu)
        answer = "answered" if found.estimates[0].fits else "nothing fits"
    check_answer(rng, found)
    return answer


def workload_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, seeds.WORKLOADS)
    form = rng.choice(("yaml", "json"))
    document = seeds.rich_workload(rng) if rng.random() < 0.8 else None
    raw = mutator.bytes_of(mutator.document(document), form)
    source = f"job.{form}"
    text = decode(raw, source)
    return ask(
        rng, build_workload(parse(text, source), source, text, folder=folder, file=str(folder / source))
    )


def config_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, seeds.configs())
    path = folder / "config.json"
    path.write_bytes(mutator.bytes_of(mutator.document(), "json"))
    more: dict[str, object] = rng.choice(
        (
            {},
            {"task": "inference"},
            {"method": "lora", "data.tokens": 10**6},
            {"precision": "int4", "task": "inference"},
        )
    )
    return ask(rng, read_workload(str(path), overrides=more))


def table_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, seeds.tables())
    path = folder / "x.table.json"
    path.write_bytes(mutator.bytes_of(mutator.document(), "json"))
    more: dict[str, object] = rng.choice(
        ({}, {"task": "inference"}, {"data.samples": 10**6, "data.epochs": 2}, {"precision": "fp16"})
    )
    workload = read_workload(str(path), overrides=more)
    if rng.random() < 0.1:
        check_json(render_operators(SERVICES.few().describe(workload)), "table")
    return ask(rng, workload)


def overlay_case(rng: random.Random, folder: Path) -> str:
    own_folder(folder / "home")
    mutator = Mutator(rng, seeds.overlays())
    document = mutator.document()
    form = rng.choice(("yaml", "json"))
    catalog = folder / "catalog"
    catalog.mkdir()
    (catalog / f"mine.{form}").write_bytes(mutator.bytes_of(document, form))
    devices = load_devices([catalog])
    own = [device for device in devices if device.origin and device.origin.startswith(str(folder))]
    if not own:
        return "answered"
    # An index of all names is built for whoever asks; here only the entry itself counts.
    known = (*own, *SERVICES.few().devices)
    advisor = SERVICES.again(devices=known, _catalog=known, _index=name_index(known))
    device = rng.choice(own)
    workload = build_workload(rng.choice(seeds.WORKLOADS[1:13]), "job", None)
    if rng.random() < 0.2:
        check_answer(rng, advisor.gpu(device.id), others=1.0)
    if rng.random() < 0.1:
        check_answer(rng, advisor.recommend(workload, limit=3))
        return "answered"
    return ask(rng, workload, advisor, device.id)


def fleet_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, seeds.FLEETS)
    form = rng.choice(("yaml", "json"))
    source = f"fleet.{form}"
    text = decode(mutator.bytes_of(mutator.document(), form), source)
    answer = SERVICES.few().fleet(build_fleet(text, source, folder=folder))
    check_answer(rng, answer, others=0.0)
    chance = rng.random()
    if chance < 0.5:
        check_text(render_fleet(answer, Page(rng.choice((40, 80, 200)))), "table of a fleet")
    elif chance < 0.7:
        from advisor.render.csv import render as render_csv

        check_csv(render_csv(answer))
    return "answered" if answer.feasible else "nothing fits"


def quotes_case(rng: random.Random, folder: Path) -> str:
    own_folder(folder / "home")
    if rng.random() < 0.3:
        mutator = Mutator(rng, seeds.QUOTES)
        path = folder / _file_name(rng, "offer.json")
        raw = mutator.bytes_of(mutator.document(), "json")
    else:
        mutator = Mutator(rng, (_rows(rng.choice(seeds.price_tables())),))
        path = folder / _file_name(rng, rng.choice(("offer.csv", "offer.txt", "offer.tsv")))
        raw = _table_bytes(mutator, rng)
    path.write_bytes(raw)
    advisor = SERVICES.few()
    how: dict[str, Any] = {
        "rates": {"EUR": rng.choice((1.08, 1.08, 1e-300, 9e5)), "INR": 0.012, "CHF": 1.1, "JPY": 0.0065, "GBP": 1.3},
        "columns": rng.choice((*[{}] * 18, {"gpu": "Artikel"}, {rng.choice(HOSTILE): rng.choice(HOSTILE)})),
        "decimal": rng.choice((None, None, None, None, "comma", "point")),
        "date_order": rng.choice((None, "dmy", "dmy", "mdy")),
        "currency": rng.choice((None, "USD", "EUR", "EUR", "USD", "XXX", "\u0131")),
    }  # fmt: skip
    home = folder / "home" / "quotes"
    with patch.object(read, "Products", _products):
        imported = import_quotes(path, name_index(advisor._catalog), today=TODAY, folder=home, **how)
    check_json(imported.model_dump_json(by_alias=True))
    check_text(render_prices(imported, Page(rng.choice((40, 80, 200)))), "table of an import")
    records, messages = imported_quotes(folder / "home")
    if len(records) != len(imported.quotes):
        raise UnsafeError(f"{len(imported.quotes)} quotes were imported, {len(records)} are kept: {messages}")
    book = load_prices(
        advisor.devices, user_folder=folder / "home", quotes=records, today=TODAY, messages=messages
    )
    if rng.random() < 0.3:
        _check_prices(rng, advisor, book)
    return "answered"


@lru_cache(maxsize=1)
def _kept_products(names: NameIndex) -> Products:
    return Products(names, load_words().products)


def _products(names: NameIndex, words: object) -> Products:
    """Return the products of the catalog; they are the same in all cases, and cost more than reading a file."""
    return _kept_products(names)


def _file_name(rng: random.Random, name: str) -> str:
    """Return a file's name, sometimes one with letters that steer; what a file system refuses stays out."""
    if rng.random() < 0.9:
        return name
    odd = rng.choice(HOSTILE).replace("/", "").replace("\x00", "").encode("utf-8", "replace").decode()[:60]
    return f"{odd}{name}"


def _rows(raw: bytes) -> Any:
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        with contextlib.suppress(UnicodeError):
            text = raw.decode(encoding)
            break
    delimiter = max(";,\t", key=text.count)
    return [delimiter, *csv.reader(io.StringIO(text), delimiter=delimiter)]


def _table_bytes(mutator: Mutator, rng: random.Random) -> bytes:
    document = mutator.document()
    rows = document if isinstance(document, list) else [document]
    delimiter = rows[0] if rows and isinstance(rows[0], str) and rows[0] in (";", ",", "\t") else ","
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=str(delimiter))
    for row in rows[1:]:
        cells = row if isinstance(row, list) else [row]
        with contextlib.suppress(csv.Error):
            writer.writerow([str(cell) for cell in cells])
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"))
    return mutator.damaged(stream.getvalue().encode(encoding, "replace"), 0.2)


_PRICED = ("rtx-4090", "l4", "h100-sxm5-80gb")


def _check_prices(rng: random.Random, advisor: Advisor, book: Any) -> None:
    from advisor.price_answers import gpu_prices, prices_answer

    priced = [device for device in advisor.devices if device.id in _PRICED and book.records(device.id)]
    answer = prices_answer(
        [gpu_prices(each, book, everything=rng.random() < 0.5) for each in priced], book, book.messages
    )
    check_json(answer.model_dump_json(by_alias=True))
    if rng.random() < 0.2:
        check_text(render_prices(answer, Page(80)), "table of prices")
        from advisor.render.csv import render as render_csv

        check_csv(render_csv(answer))


def profile_case(rng: random.Random, folder: Path) -> str:
    own_folder(folder)
    mutator = Mutator(rng, _profiles())
    form = rng.choice(("yaml", "json"))
    path = folder / CALIBRATIONS / "mine.yaml"
    path.parent.mkdir()
    path.write_bytes(mutator.bytes_of(mutator.document(), form))
    known = SERVICES.few().devices
    advisor = SERVICES.again(without=("_corrected",), _catalog=known)
    advisor.__dict__.pop("devices")
    found, problems = stored_profiles(())
    for problem in problems:
        check_text("\n".join(diagnostics.plain(line) for line in problem.splitlines()), "a problem")
    answer = advisor.calibrations()
    check_json(answer.model_dump_json(by_alias=True))
    check_text(render_calibration(answer, Page(80)), "list of calibrations")
    if not found:
        read_profile(path)
    if not answer.calibrations:
        return "refused"
    check_text(
        render_calibration(advisor.calibrations("mine"), Page(rng.choice((40, 80, 200)))), "a calibration"
    )
    gpu = found[0].profile.device.gpu
    gpu = gpu if gpu in gpu_ids(advisor.devices) else rng.choice(gpu_ids(advisor.devices))
    return ask(rng, build_workload(rng.choice(seeds.WORKLOADS[1:7]), "job", None), advisor, gpu)


@lru_cache(maxsize=1)
def _profiles() -> tuple[Any, ...]:
    tests = list(load_suite(data_root()).tests)
    few = [*tests[:3], "copy"]
    unlisted = {"gpu": None, "vendor": "nvidia", "name": "NVIDIA RTX 9090"}
    return (
        seeds.PROFILE, seeds.profile_with(tests), seeds.profile_with(few), seeds.profile_with(few, **unlisted),
        seeds.profile_with(tests[3:8], gpu="h100-sxm5-80gb"),
        seeds.profile_with(few, **unlisted | {"vendor": "amd", "compute_capability": None}),
    )  # fmt: skip


def session_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, (seeds.SESSION, seeds.SESSION | {"source": "gpt2", "settings": {}}))
    document = mutator.document()
    if isinstance(document, dict) and rng.random() < 0.7:
        fields = list(workload_fields())
        known = _fields_with_texts()
        chosen = [
            rng.choice(fields) if rng.random() < 0.3 else rng.choice(list(known))
            for _ in range(rng.randint(0, 3))
        ]
        document["settings"] = {
            field: rng.choice(known[field]) if field in known and rng.random() < 0.7 else _typed(rng)
            for field in chosen
        }
    path = folder / "session.json"
    path.write_bytes(mutator.bytes_of(document, "json"))
    session = load_session(path)
    save_session(session, path)
    if load_session(path) != session:
        raise UnsafeError("a session that was kept is another")
    advisor = SERVICES.few()
    source = session.source or ""
    said = values_of(advisor, source)
    for text in said.values():
        check_text(text, "a value of a form")
    question = Question(source, dict(session.settings), session.objective)
    check_answer(rng, answered(advisor, question).answer)
    return "answered"


def _typed(rng: random.Random) -> str:
    """Return what somebody may type into a field."""
    chance = rng.random()
    if chance < 0.4:
        return str(rng.choice(NUMBERS))[:500]
    if chance < 0.6:
        return rng.choice(HOSTILE)
    if chance < 0.8:
        return rng.choice((
            "auto", "none", "full", "lora", "inference", "bf16", "int4", "fsdp", "nvidia", "nvidia,amd",
            "rent", "12h", "3d", "90min",
            "50M", "2B", "1e6", "$3000", "{data: 2, tensor: 2}", "[1, 2]", "true", "null", "all-linear", "2.9",
            "DE", "1 000", "1,000",
        ))  # fmt: skip
    units = ("h", "d", "w", "min", "s", "M", "k", "B", "T", " billion", "%", "GiB", "")
    return f"{rng.choice(NUMBERS)}{rng.choice(units)}"[:500]


def set_case(rng: random.Random, folder: Path) -> str:
    document = rng.choice(seeds.WORKLOADS[:14])
    known = _fields_with_texts()
    fields = [field for field in (*workload_fields(), *cli_fields()) if field in known or rng.random() < 0.2]
    settings = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        field = rng.choice(fields)
        if rng.random() < 0.1:
            field = rng.choice(
                (
                    field + "." + field,
                    field.partition(".")[0],
                    field + rng.choice(HOSTILE),
                    rng.choice(HOSTILE),
                )
            )
        text = _typed(rng) if field not in known or rng.random() < 0.3 else rng.choice(known[field])
        if text and rng.random() < 0.3 and text[-1].isdigit():
            text = rng.choice(
                (
                    f"{text}0",
                    f"{text}e3",
                    f"{text}e-3",
                    text[:-1],
                    f"-{text}",
                    f"{text}.5",
                    f"0{text}",
                    f"{text}K",
                )
            )
        if rng.random() < 0.6:
            settings.append(read_set_option(f"{field}={text}"))
        else:
            settings.append(read_setting("--option", field, text))
    overrides = {each.field: each.value for each in settings}
    options = {each.field: each.option for each in settings}
    return ask(
        rng, build_workload(document, "job.yaml", None, folder=folder, overrides=overrides, options=options)
    )


@lru_cache(maxsize=1)
def _fields_with_texts() -> Mapping[str, tuple[str, ...]]:
    """Return texts that a field can hold, by field: those of the documents to start from."""
    found: dict[str, list[str]] = {}
    for document in seeds.WORKLOADS:
        if isinstance(document, dict):
            own = {key: value for key, value in document.items() if key != "model"}
            for field, text in flattened(own).items():
                found.setdefault(field, []).append(text)
    return {field: tuple(texts) for field, texts in found.items()}


def cli_fields() -> list[str]:
    """Return the fields that short options set."""
    return [short.field for short in options.SHORT_FORMS]


def jsonl_case(rng: random.Random, folder: Path) -> str:
    mutator = Mutator(rng, tuple(
        {"workload": workload, "gpu": gpu, "count": count}
        for workload in seeds.WORKLOADS[:14] for gpu, count in (("rtx-4090", 1), ("GeForce GTX 1050", 2), ("L4", None))
    ))  # fmt: skip
    raw = mutator.bytes_of(mutator.document(), "json")
    workload, gpu, count = read_request(raw, 1)
    answer = SERVICES.few().estimate(workload, gpus=[gpu], count=count)
    line = render_line(answer.estimates[0])
    check_json(line)
    if line.count("\n") != 1:
        raise UnsafeError("an answer is not one line")
    return "answered"


def _words() -> dict[str, tuple[str, ...]]:
    models = (
        "gpt2",
        "resnet50",
        "llama-3.1-8b",
        "no-such",
        "-",
        "job.yaml",
        "missing.yaml",
        "config.json",
        ".",
        "/",
        "",
    )
    gpus = ("rtx-4090", "l4", "gtx-1050-2gb", "rtx-4090,l4", "nope", "a100", ",", "")
    return {
        "recommend": models, "estimate": models, "compare": models, "describe": models, "gpus": (*gpus, "show"),
        "models": (*models, "show"), "accuracy": (), "calibrate": ("show", "import", "export", "remove",
        "job.yaml", "mine"),
        "prices": ("show", "import", "remove", *gpus, "offer.csv", "../../x"), "fleet": ("fleet.yaml",
        "missing.yaml", "/"),
        "schema": options.SCHEMAS, "tui": models, "": (), "reccomend": models,
    }  # fmt: skip


_COSTLY = frozenset({"accuracy", "calibrate"})
_OPTIONS_WITHOUT = ("--json", "--force", "--no-color", "--buy-only", "--rent-only", "--with-cpu",
    "--no-calibration", "--quick",
                    "--allow-code", "--help", "--version", "--jsonl")  # fmt: skip
_OPTIONS_WITH = ("--format", "--output", "--catalog", "--width", "--for", "--top", "--gpu", "--count", "--set",
    "--quotes", "--rate",
                 "--column", "--decimal", "--date-order", "--currency", "--as-of", "--trace-timeout",
                 "--print-completion",
                 "--source", "--source-url")  # fmt: skip


def command_case(rng: random.Random, folder: Path) -> str:
    own_folder(folder / "home")
    _files_for_commands(rng, folder)
    argv = _command_line(rng)
    measures = "calibrate" in argv and not {"show", "import", "export", "remove", "--help"} & set(argv)
    if (
        measures
        or "fetch" in argv
        or "refresh" in argv
        or "serve" in argv
        or ("accuracy" in argv and "--help" not in argv)
    ):
        argv = ["schema", *argv]
    stdin = rng.choice(
        (
            b"",
            encoded(rng.choice(seeds.WORKLOADS), "json"),
            b"\xff\xfe",
            b'{"workload": "gpt2", "gpu": "l4"}\n{\n',
        )
    )
    code, out, err, crash = run_command(argv, stdin, folder)
    if crash is not None:
        raise crash
    check_text(err, "stderr")
    if "\x1b" not in out and "--print-completion" not in argv:
        check_text(out, "stdout")
    elif "--print-completion" not in argv:
        raise UnsafeError("an escape sequence on standard output")
    if code not in (0, 1, 2, 3, 4, 130):
        raise UnsafeError(f"exit code {code}")
    if "Traceback" in err or "internal error" in err:
        raise UnsafeError(err[-2000:])
    if code in (2, 3, 4) and not err and "--jsonl" not in argv:
        raise UnsafeError(f"exit code {code} without a word")
    return {0: "answered", 1: "nothing fits", 2: "refused", 3: "outside", 4: "extra", 130: "interrupted"}[
        code
    ]


def _files_for_commands(rng: random.Random, folder: Path) -> None:
    if rng.random() < 0.5:
        return
    mutator = Mutator(rng, seeds.WORKLOADS[:14])
    (folder / "job.yaml").write_bytes(mutator.bytes_of(mutator.document(), "yaml"))
    (folder / "config.json").write_bytes(encoded(rng.choice(seeds.configs()), "json"))
    (folder / "offer.csv").write_bytes(rng.choice(seeds.price_tables()))
    (folder / "fleet.yaml").write_bytes(encoded(rng.choice(seeds.FLEETS), "yaml"))


def _command_line(rng: random.Random) -> list[str]:
    words = _words()
    command = rng.choice([each for each in words for _ in range(1 if each in _COSTLY else 3)])
    argv = [command] if command else []
    choices = words[command]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        argv.append(rng.choice(choices) if choices and rng.random() < 0.85 else rng.choice(HOSTILE))
    if command == "estimate" and rng.random() < 0.7:
        argv += ["--gpu", rng.choice(("rtx-4090", "l4", "gtx-1050-2gb", "nope"))]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4))):
        argv += _option(rng)
    if rng.random() < 0.1:
        rng.shuffle(argv)
    # The system passes no NUL, and undecodable bytes as lone surrogates.
    return [each.replace("\x00", "")[:5000] for each in argv]


def _option(rng: random.Random) -> list[str]:
    chance = rng.random()
    if chance < 0.25:
        return [rng.choice(_OPTIONS_WITHOUT)]
    if chance < 0.6:
        short = rng.choice(options.SHORT_FORMS)
        known = _fields_with_texts().get(short.field)
        return [short.option, rng.choice(known) if known and rng.random() < 0.7 else _typed(rng)]
    option = rng.choice(_OPTIONS_WITH)
    values: Mapping[str, tuple[str, ...]] = {
        "--format": options.FORMATS, "--output": ("out.json", "out.md", "/dev/null", "no/such/x", "."),
        "--catalog": (".", "nowhere"),
        "--width": ("40", "80", "\u00b2", "1000"), "--for": tuple(OBJECTIVES), "--top": ("1", "all", "\u0663"),
        "--gpu": ("l4", "nope"),
        "--count": ("1", "2", "\u00b2", "16385"), "--set": ("batch.micro=8", "data.tokens=50M", "model={}",
        "a.b.c=1", "="),
        "--quotes": ("offer.csv", "missing.csv"), "--rate": ("EUR=1.08", "EUR=nan", "=", "EUR"),
        "--column": ("gpu=Artikel", "="),
        "--decimal": ("comma", "point"), "--date-order": ("dmy", "mdy"), "--currency": ("USD", "EUR"),
        "--as-of": ("2026-11-23", "0001-01-01", "9999-12-31", "2026-W01-1"), "--print-completion": options.SHELLS,
    }  # fmt: skip
    value = rng.choice(values[option]) if option in values and rng.random() < 0.75 else _typed(rng)
    return [f"{option}={value}"] if rng.random() < 0.2 else [option, value]


def run_command(argv: list[str], stdin: bytes, folder: Path) -> tuple[int, str, str, Exception | None]:
    """Run a command line in this process, in a folder; return its code, what it wrote, and what it tripped over."""
    crashes: list[Exception] = []

    def crashed(error: Exception, **_: object) -> int:
        crashes.append(error)
        return 99

    def opened(folders: Any = (), code: Any = None, **options: Any) -> Advisor:
        if folders or options.get("quotes") not in (None, QuoteFiles()) or options.get("today") is not None:
            return Advisor(folders, code=code, **options)
        return SERVICES.few()

    def no_app(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a case opened the app")

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    kept = sys.stdin, sys.stdout, sys.stderr, diagnostics.report_crash, service.open_advisor, Path.cwd()
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin), "utf-8"), out, err
    diagnostics.report_crash, service.open_advisor = crashed, opened  # type: ignore[assignment]
    os.chdir(folder)
    try:
        code = int(cli.main(argv))
        out.flush()
        err.flush()
    finally:
        sys.stdin, sys.stdout, sys.stderr, diagnostics.report_crash, service.open_advisor = kept[:5]
        os.chdir(kept[5])
    written = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return code, written[0], written[1], crashes[0] if crashes else None


def kept_case(rng: random.Random, folder: Path) -> str:
    """Damage what the program itself keeps in the user's folder, and ask for prices."""
    own_folder(folder)
    advisor = SERVICES.few()
    which = rng.choice(("live", "history", "state", "quotes"))
    if which in ("live", "history"):
        rows = [",", ["gpu_id", "kind", "provider", "region", "instance", "gpus_per_instance", "price_usd",
            "date", "source", "note"],
                ["rtx-4090", "cloud_on_demand", "vast", "", "", "1", "0.4", "2026-11-20", "vastai", "median of 3"],
                ["l4", "cloud_spot", "aws", "us-east-1", "g6.xlarge", "1", "0.3", "2026-11", "gpuhunt",
                ""]]  # fmt: skip
        mutator = Mutator(rng, (rows,))
        name = "live/vastai.csv" if which == "live" else "history/vastai/2026-11-20.csv"
        raw = _table_bytes(mutator, rng)
    elif which == "state":
        part = {"stamp": {"etag": "x"}, "checked": "2026-11-20", "taken": "2026-11-20"}
        mutator = Mutator(
            rng,
            ({"url": "https://x", "digest": "d", "asked": "2026-11-20T00:00:00Z", "parts": {"vast": part}},),
        )
        name, raw = "state/vastai.json", mutator.bytes_of(mutator.document(), "json")
    else:
        record = {"gpu_id": "rtx-4090", "kind": "quote", "provider": "Acme", "price_usd": 1650.0,
            "date": "2026-11-20", "source": "q",
                  "minimum_count": 1, "valid_until": "2027-01-01", "currency": "EUR",
                  "price_in_currency": 1500.0}  # fmt: skip
        kept = {"file": "q.csv", "digest": "d", "as_of": "2026-11-20", "columns": {}, "messages": [],
                "quotes": [{"record": record, "line": "line 2", "text": "RTX 4090", "rate": 1.1}]}  # fmt: skip
        mutator = Mutator(rng, (kept,))
        name, raw = "../quotes/q.json", mutator.bytes_of(mutator.document(), "json")
    path = folder / "prices" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "prices").mkdir(exist_ok=True)
    path.write_bytes(raw)
    store = Store(folder)
    store.live("vastai")
    store.state("vastai")
    records, messages = imported_quotes(folder)
    book = load_prices(advisor.devices, user_folder=folder, quotes=records, today=TODAY, messages=messages)
    for message in book.messages:
        check_text(message, "a message")
    _check_prices(rng, advisor, book)
    if which == "history":
        check_json(SERVICES.again(prices=book).price_list("rtx-4090").model_dump_json(by_alias=True))
    if rng.random() < 0.2 and which in ("live", "quotes"):
        fresh = SERVICES.again(prices=book)
        return ask(rng, build_workload(seeds.WORKLOADS[1], "job", None), fresh)
    return "answered"


def parser_case(rng: random.Random, folder: Path) -> str:
    """Bytes that are hardly a document any more: the reader of YAML and JSON alone."""
    corpus = (*seeds.WORKLOADS, *seeds.configs()[:10], seeds.PROFILE, *seeds.FLEETS)
    mutator = Mutator(rng, corpus)
    form = rng.choice(("yaml", "json"))
    raw = mutator.damaged(encoded(rng.choice(corpus), form))
    if rng.random() < 0.3:
        raw = mutator.damaged(raw)
    document = parse(decode(raw, f"x.{form}"), f"x.{form}")
    check_text(
        json.dumps(document, ensure_ascii=False)
        .encode("utf-8", "surrogatepass")
        .decode("utf-8", "replace")
        .replace("\\", ""),
        "document",
    )
    return "answered"


BORDERS: Mapping[str, tuple[Case, int]] = {
    "documents": (refusable(parser_case), 150),
    "workload": (refusable(workload_case), 10),
    "config": (refusable(config_case), 2),
    "table": (refusable(table_case), 2),
    "overlay": (refusable(overlay_case), 3),
    "fleet": (refusable(fleet_case), 1),
    "quotes": (refusable(quotes_case), 8),
    "kept": (refusable(kept_case), 4),
    "prices": (refusable(price_case), 10),
    "hub": (refusable(hub_case), 2),
    "http": (refusable(http_case), 8),
    "profile": (refusable(profile_case), 1),
    "session": (refusable(session_case), 4),
    "set": (refusable(set_case), 16),
    "jsonl": (refusable(jsonl_case), 18),
    "command": (command_case, 2),
}
"""The case of each border, and its share of a campaign."""
