"""Hostile input: names that steer, paths that lead elsewhere, what a redirect carries, digits of other scripts."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from price_server import PriceServer, Say, without_proxies

from advisor.calibration import read_profile
from advisor.catalog import load_devices
from advisor.describe.network_table import read_table
from advisor.diagnostics import error_answer
from advisor.errors import ExternalError, InputError
from advisor.fetch.http import Http
from advisor.fetch.offers import Answer, FormatChangedError, Stamp
from advisor.fetch.sources import open_sources
from advisor.hardware import LaunchPrice
from advisor.prices import PriceRecord
from advisor.quotes.product_text import gpus_named
from advisor.render.json import render_line
from advisor.service import Advisor
from advisor.tui.widgets.table import cell
from advisor.units import plain
from advisor.workload_file import build_workload, read_request
from advisor.yaml_io import parse_json, validate
from tests.fuzz.checks import check_csv, check_html, check_markdown, check_text
from tests.fuzz.mutations import HOSTILE
from tests.fuzz.seeds import PROFILE, overlays, profile_with, tables
from tests.fuzz.service import TODAY

FORMATS = ("table", "markdown", "csv", "html", "json")
CHECKS = {"markdown": check_markdown, "csv": check_csv, "html": check_html}
NAMES = [name for name in HOSTILE if 0 < len(name) < 1000]
STEERING = [name for name in NAMES if plain(name) != name or "\n" in name]


def check_report(text: str, form: str) -> None:
    CHECKS[form](text) if form in CHECKS else check_text(text, form)


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with PriceServer() as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(timeout_s=2, attempts=1) as client:
        yield client


# Names in reports: a GPU of the user's own and a workload, through every format


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog folder in which a GPU is called by everything that is hostile."""
    folder = tmp_path_factory.mktemp("team")
    entry = next(iter(overlays()[0]["devices"].values()))
    devices = {
        f"odd-{number}": entry | {"name": name, "doubts": [name], "notes": name, "identifiers": {}}
        for number, name in enumerate(NAMES)
    }
    (folder / "mine.json").write_text(json.dumps(overlays()[0] | {"devices": devices}))
    return folder


@pytest.mark.parametrize("form", FORMATS)
def test_names_of_gpus_and_jobs_steer_no_report(run, team: Path, tmp_path: Path, form: str) -> None:
    gpus = ",".join(f"odd-{number}" for number in range(len(NAMES)))
    name = "\n".join(each for each in NAMES if len(each) < 100)
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"name": name, "model": {"name": "gpt2"}, "task": "inference"}))
    code, out, err = run("estimate", job, "--gpu", gpus, "--catalog", team, "--format", form)
    assert code == 0, err
    check_report(out, form)
    check_text(err, "stderr")
    if form == "json":
        assert json.loads(out)["workload"]["name"] == plain(name)
        assert [each["name"] for each in json.loads(out)["estimates"]] == [plain(each) for each in NAMES]


@pytest.mark.parametrize("form", FORMATS)
def test_names_in_the_catalog_steer_no_list(run, team: Path, form: str) -> None:
    for argv in (("gpus", "odd"), ("gpus", "show", "odd-0"), ("gpus", "show", "odd-24")):
        code, out, err = run(*argv, "--catalog", team, "--format", form)
        assert code == 0, err
        check_report(out, form)


def test_a_cell_of_the_app_is_one_line() -> None:
    for name in NAMES:
        (part,) = cell(name)
        assert len(part.text.splitlines()) <= 1
        check_text(part.text, "a cell")


# What is said on standard error, and in a stream


@pytest.mark.parametrize("name", STEERING)
def test_what_is_wrong_is_said_in_lines_of_our_own(run, tmp_path: Path, name: str) -> None:
    argv = name.replace("\x00", "").encode("utf-8", "replace").decode() or "x"
    lines = []
    for command in (
        ("estimate", "gpt2", "--gpu", "l4", "--set", f"{argv}=1"),
        ("estimate", "gpt2", "--gpu", "l4", f"--{argv}"),
        ("gpus", "show", argv),
        ("prices", "remove", argv),
        ("calibrate", "remove", argv),
        ("schema", argv),
    ):
        code, out, err = run(*command)
        assert code in (2, 3, 4) or argv.startswith("-"), (command, out, err)
        check_text(err, "stderr")
        lines += err.splitlines()
    assert all(line.startswith(("gpu-advisor: ", "  ")) for line in lines), lines


@pytest.mark.parametrize("name", NAMES)
def test_an_error_in_a_stream_is_one_line_without_what_steers(name: str) -> None:
    line = json.dumps({"workload": {"model": {"name": "gpt2"}, name: name}, "gpu": name})
    with pytest.raises(InputError) as caught:
        read_request(line.encode(), 1)
    answer = render_line(error_answer(caught.value), exclude_none=True)
    assert answer.count("\n") == 1
    check_text(answer, "JSON")
    check_text(str(caught.value).replace("\n  ", " "), "the error")


def test_halves_of_characters_do_not_come_through() -> None:
    assert parse_json('{"\\ud800": "\\udfff"}') == {"\ufffd": "\ufffd"}
    assert parse_json('"\\ud83c\\udff3"') == "\U0001f3f3"


# The network: what a redirect carries, what a server once said, versions of a format


def test_what_a_redirect_carries_is_not_unpacked(server: PriceServer, http: Http) -> None:
    server.serve("/there", Say(b"here"))
    bomb = gzip.compress(b"0" * 100_000_000)
    away = {"Location": "/there", "Content-Encoding": "gzip"}
    tracemalloc.start()
    reply = http.get(server.serve("/bomb", Say(bomb, 302, headers=away)), limit_bytes=1000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply.body == b"here"
    assert most < 10_000_000
    away["Content-Encoding"] = "deflate"
    assert http.get(server.serve("/broken", Say(b"no such thing", 302, headers=away))).body == b"here"


@pytest.mark.parametrize("etag", ['"é"', '"²"', '"a\x7f"', '"\ud800"', '"a\r\nX: 1"'])
def test_a_stamp_that_no_header_may_hold_is_not_sent(server: PriceServer, http: Http, etag: str) -> None:
    assert http.get(server.serve("/a", Say(b"new")), etag=etag, last_modified=etag).body == b"new"
    assert not {"If-None-Match", "If-Modified-Since", "X"} & set(server.asked[0].headers)


def test_an_address_with_half_a_character_is_none(http: Http) -> None:
    with pytest.raises(ExternalError, match="not a web address"):
        http.get("https://example.org/\ud800")


def read_all(answer: Answer | None) -> None:
    """Offers are read as they are asked for."""
    assert answer is not None
    list(answer.offers)


@pytest.mark.parametrize("member", ["../../aws.csv", "/aws.csv", "a/aws.csv", "AWS.CSV"])
def test_a_zip_is_read_by_the_one_name_that_counts(
    server: PriceServer, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "instance_name\n")
    body = path.read_bytes()
    path.unlink()
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(body))
    (source,) = open_sources(["gpuhunt"], [f"gpuhunt={server.url}/v3"])
    with pytest.raises(FormatChangedError, match=r"does not hold aws\.csv"):
        read_all(source.ask(http, "aws", Stamp(), TODAY, lambda pages: None))
    assert list(tmp_path.iterdir()) == []


def test_a_zip_of_a_version_to_come_is_a_format_that_changed(
    server: PriceServer, http: Http, tmp_path: Path
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("aws.csv", "instance_name\n")
    body = bytearray(path.read_bytes())
    directory = body.index(b"PK\x01\x02")
    body[directory + 6] = 79  # the version that is needed to unpack it
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(bytes(body)))
    (source,) = open_sources(["gpuhunt"], [f"gpuhunt={server.url}/v3"])
    with pytest.raises(FormatChangedError, match=r"zip file version 7\.9"):
        read_all(source.ask(http, "aws", Stamp(), TODAY, lambda pages: None))


# Paths: a user's own file may name any file; what is kept, exported or removed by a name stays in its folder


@pytest.mark.parametrize(
    "name", ["../outside", "..\\outside", "/etc/passwd", "..", ".", "a/../../outside", "outside\x00"]
)
def test_names_of_what_is_kept_lead_nowhere_else(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / "home"
    for folder in ("quotes", "calibration", "hub"):
        (home / folder).mkdir(parents=True)
    outside = [home / "outside.json", home / "outside.yaml", tmp_path / "outside.json"]
    for path in outside:
        path.write_text("{}")
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(home))
    for command in (
        ("prices", "remove"),
        ("calibrate", "remove"),
        ("calibrate", "show"),
        ("models", "fetch"),
    ):
        code, _, err = run(*command, name)
        assert code == 2, err
    assert all(path.read_text() == "{}" for path in outside)


def test_a_file_of_quotes_is_kept_in_its_folder_whatever_it_is_called(
    run, tmp_path: Path, monkeypatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(home))
    for number, name in enumerate(
        ("..csv", "...json.csv", "\u202e..\\..\\x.csv", "-rf.csv", "CON.csv", "=1+1.csv")
    ):
        path = tmp_path / name
        path.write_text(f"vendor,gpu,price usd\nAcme,rtx-4090,{1500 + number}\n")
        code, out, err = run("prices", "import", path)
        assert code == 0, err
        check_text(out, "an import")
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert len(kept) == 6
    assert {path.parent for path in kept} == {home / "quotes"}


def test_what_comes_from_elsewhere_names_no_file(tmp_path: Path) -> None:
    """Of the hub a config is taken for its sizes alone: paths in it mean nothing."""
    from advisor.describe.huggingface import transformer_from_config

    config = {
        "model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257,
        "_name_or_path": "/etc/passwd",
        "table": "/etc/passwd", "auto_map": {"AutoModel": "evil--evil.py"},
        "quantization_config": {"path": "/etc/passwd"},
    }  # fmt: skip
    assert transformer_from_config(config) == transformer_from_config(
        {
            key: value
            for key, value in config.items()
            if key.startswith("n_") or key in ("model_type", "vocab_size")
        }
    )


@pytest.mark.parametrize("place", ["table", "huggingface"])
def test_a_file_that_is_no_model_is_refused_without_its_content(run, tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password: hunter2\n")
    job = tmp_path / "job.yaml"
    job.write_text(f"model: {{{place}: ./secret.txt}}\n")
    code, out, err = run("estimate", job, "--gpu", "l4")
    assert code == 2
    assert "hunter2" not in out + err


@pytest.mark.parametrize("path", ["/", "/etc", "/dev/zero", "/proc/self/mem", "a\x00b", "x" * 5000, "\ud800"])
@pytest.mark.parametrize("place", ["table", "huggingface"])
def test_paths_that_are_no_file_are_refused(path: str, place: str) -> None:
    with pytest.raises((InputError, ExternalError)):
        Advisor(today=TODAY).estimate(build_workload({"model": {place: path}}, "job", None), gpus=["l4"])


@pytest.mark.parametrize("path", ["~no-such-user/x.yaml", "x" * 5000, "/" + "x/" * 3000, "\ud800.yaml"])
@pytest.mark.parametrize(
    "before",
    [
        ("recommend",), ("fleet",), ("prices", "import"), ("calibrate", "import"), ("gpus", "l4", "--output"),
        ("gpus", "l4", "--catalog"), ("gpus", "l4", "--quotes"), ("recommend", "gpt2", "--quotes"),
        ("describe", "gpt2", "--output"),
    ],
)  # fmt: skip
def test_paths_on_the_command_line_that_are_none_are_refused(run, before: tuple[str, ...], path: str) -> None:
    code, _, err = run(*before, path)
    assert code in (2, 3), err
    assert "internal error" not in err
    check_text(err, "stderr")


def test_a_folder_that_is_no_catalog_is_not_searched_through(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advisor.catalog.MOST_ENTRIES", 5)
    for number in range(7):
        (tmp_path / f"{number}.txt").write_text("")
    code, _, err = run("gpus", "l4", "--catalog", tmp_path)
    assert code == 2
    assert "more than 5" in err


# Documents: what is no number, no day, no generation


@pytest.mark.parametrize("version", ["\u00b2", "\u0661", "2", "", "1.0", "9" * 5000])
def test_versions_that_are_not_ours(tmp_path: Path, version: str) -> None:
    table, profile = tmp_path / "x.json", tmp_path / "x.yaml"
    table.write_text(json.dumps(tables()[0] | {"schema": f"gpu-advisor/table/{version}"}))
    profile.write_text(json.dumps(PROFILE | {"schema": f"gpu-advisor/calibration/{version}"}))
    with pytest.raises(InputError) as caught:
        read_table(table)
    assert caught.value.field == "schema"
    with pytest.raises(InputError) as caught:
        read_profile(profile)
    assert caught.value.field == "schema"


def test_digits_that_are_no_numbers() -> None:
    assert gpus_named("\u1369 rtx-4090", ["\u1369", "rtx-4090"], 1, 2) == 1
    assert gpus_named("4 rtx-4090", ["4", "rtx-4090"], 1, 2) == 4


@pytest.mark.parametrize("columns", ["\u00b2", "\u0663", "9" * 5000, "-1", "0", "x"])
def test_a_width_of_the_terminal_that_is_none(run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    run("gpus", "l4")
    monkeypatch.setenv("COLUMNS", columns)
    from advisor import cli

    assert cli.main(["gpus", "l4"]) == 0


@pytest.mark.parametrize("place", ["operator", "kind", "phase"])
@pytest.mark.parametrize("value", [[], {}, None, 1, "no-such"])
def test_words_of_an_operator_that_are_none(tmp_path: Path, place: str, value: object) -> None:
    document = json.loads(json.dumps(tables()[0]))
    columns = ("operator", "kind", "phase")
    document["traces"][0]["operators"][0][columns.index(place)] = value
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    if place == "operator" and value == "no-such":
        read_table(path)
        return
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert str(caught.value.field).startswith("traces.0.operators.0")


@pytest.mark.parametrize(
    "day", ["2026-02-30", "2026-13", "0000", "2026-00-01", "\u0662\u0660\u0662\u0666", "2025-0000"]
)
def test_prices_are_of_days_that_exist(day: str) -> None:
    record = {"gpu_id": "l4", "kind": "quote", "price_usd": 1.0, "source": "x"}
    with pytest.raises(InputError) as caught:
        validate(PriceRecord, record | {"date": day}, "prices")
    assert caught.value.field == "date"
    launch = {"usd": 1599, "date": day, "source": "x"}
    with pytest.raises(InputError) as caught:
        validate(LaunchPrice, launch, "catalog")
    assert caught.value.field == "date"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"links": {"pcie_generation": 4000}}, "links.pcie_generation"),
        ({"links": {"pcie_generation": 0}}, "links.pcie_generation"),
        ({"links": {"pcie_lanes": -1}}, "links.pcie_lanes"),
        ({"memory": {"size_gib": 1e300}}, "memory.size_gib"),
        ({"memory": {"size_gib": 1e-300}}, "memory.size_gib"),
        ({"board": {"tdp_w": 1e-300}}, "board.tdp_w"),
        ({"compute_capability": "8"}, "compute_capability"),
        ({"compute_capability": "\u0668.9"}, "compute_capability"),
        ({"architecture": "Rubin"}, "architecture"),
        ({"architecture": "Apple GPU"}, "architecture"),
    ],
)
def test_a_device_says_what_devices_can_be(tmp_path: Path, change: dict[str, object], field: str) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"devices": {"rtx-4090": change}}))
    with pytest.raises(InputError) as caught:
        load_devices([tmp_path])
    assert caught.value.field == f"devices.rtx-4090.{field}"
    assert caught.value.line is not None
    assert caught.value.accepted


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"compute_capability": None}, False),
        ({"compute_capability": None, "vendor": "amd"}, True),
        ({"compute_capability": "1.0"}, False),
        ({"units": 10_000, "power_limit_w": None}, True),
        ({"memory_mib": 1e8}, True),
    ],
)
@pytest.mark.parametrize("seconds", [1e-9, 0.01, 1e6])
def test_a_profile_stands_for_a_device_or_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], counts: bool, seconds: float
) -> None:
    """A card that the catalog has not: its generation is not known, or what was measured is no rate of any."""
    own: dict[str, object] = {"gpu": None, "vendor": "nvidia", "name": "NVIDIA RTX 9090"}
    document = profile_with(("linear-wide", "copy"), **own | change)
    for result in document["tests"]:
        result["forward"] = result["forward"] | {"median_s": seconds}
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path))
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "mine.yaml").write_text(json.dumps(document))
    advisor = Advisor(today=TODAY)
    found = [device for device in advisor.devices if device.name == "NVIDIA RTX 9090"]
    assert len(found) == (counts and seconds == 0.01)
    for device in found:
        advisor.estimate(build_workload("gpt2", "job", None), gpus=[device.id])


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"data": {"samples": 1, "epochs": 1e-300}}, "data.epochs"),
        ({"economics": {"hours_per_week": 1e-300}}, "economics.hours_per_week"),
        ({"economics": {"horizon_years": 5e-324}}, "economics.horizon_years"),
        ({"constraints": {"budget_usd": 1e300}}, "constraints.budget_usd"),
        ({"constraints": {"deadline_h": 1e-300}}, "constraints.deadline_h"),
    ],
)
def test_amounts_have_ends(document: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        build_workload({"model": {"name": "gpt2"}} | document, "job", None)
    assert caught.value.field == field
    assert caught.value.accepted
