"""Workload documents from names, files and standard input, with options laid over them."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.workload import Workload
from advisor.workload_file import (
    build_workload,
    is_file,
    parse_hours,
    read_request,
    read_set_option,
    read_setting,
    read_workload,
)

NAMED = "model: {name: gpt2}\n"


def write(folder: Path, text: str, name: str = "job.yaml") -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


def test_names_and_files_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert-base").mkdir()
    (tmp_path / "local").write_text(NAMED)
    assert not is_file("gpt2")
    assert not is_file("bert-base"), "a folder of the name of a model is not a document"
    assert not is_file("x" * 5000)
    for source in ("local", "missing.yaml", "missing.JSON", "./gpt2", "a/b", "a\\b"):
        assert is_file(source)


def test_a_bare_name():
    workload = read_workload("llama-3.1-8b")
    assert workload.model.name == "llama-3.1-8b"
    assert workload.model_dump(exclude_unset=True) == {"model": {"name": "llama-3.1-8b"}}


@pytest.mark.parametrize("name", ["job.yaml", "job.yml", "job.json"])
def test_files(tmp_path, name):
    document = {"model": {"name": "gpt2"}, "data": {"tokens": 2e9}, "batch": {"global": 64}}
    workload = read_workload(write(tmp_path, json.dumps(document), name))
    assert workload.data.tokens == 2_000_000_000
    assert workload.batch.global_size == 64


def test_yaml_reads_numbers_and_words_as_people_mean_them(tmp_path):
    text = NAMED + "data: {tokens: 2e9}\ncompile: true\nconstraints: {budget_usd: 3e3}\n"
    workload = read_workload(write(tmp_path, text))
    assert workload.data.tokens == 2_000_000_000
    assert workload.constraints.budget_usd == 3000


def test_standard_input_as_text_and_as_bytes():
    stream = io.TextIOWrapper(io.BytesIO(NAMED.encode()))
    assert read_workload("-", stdin=stream).model.name == "gpt2"
    assert read_workload("-", stdin=io.StringIO(NAMED)).model.name == "gpt2"
    with pytest.raises(InputError, match="no standard input"):
        read_workload("-", stdin=None)
    with pytest.raises(InputError, match="larger than 8 MiB"):
        read_workload("-", stdin=io.StringIO("x" * (9 * 2**20)))


def test_paths_in_a_document_are_relative_to_it(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    source = write(tmp_path / "jobs", "model: {huggingface: ./config.json}\n")
    assert read_workload(source).model.huggingface == str(tmp_path / "jobs" / "config.json")
    source = write(tmp_path / "jobs", "model: {table: t.json}\n")
    assert read_workload(source).model.table == str(tmp_path / "jobs" / "t.json")
    # A path given as an option is relative to where the command runs.
    overridden = read_workload(source, overrides={"model": {"huggingface": "./c.json"}})
    assert overridden.model.huggingface == str(tmp_path / "elsewhere" / "c.json")


def test_a_hub_id_is_left_alone(tmp_path):
    source = write(tmp_path, "model: {huggingface: meta-llama/Llama-3.1-8B}\n")
    assert read_workload(source).model.huggingface == "meta-llama/Llama-3.1-8B"


def test_a_config_json_is_a_workload(tmp_path):
    source = write(tmp_path, '{"model_type": "gpt2", "n_layer": 12}', "config.json")
    assert read_workload(source).model.huggingface == str(tmp_path / "config.json")


def test_overrides_win_and_make_room():
    document = {
        "model": {"name": "gpt2"},
        "sharding": "auto",
        "data": {"samples": 100, "epochs": 3},
        "batch": {"micro": 4},
    }
    overrides = {"sharding.data": 2, "data.tokens": "50M", "batch.micro": 8}
    workload = build_workload(document, "x", None, overrides=overrides)
    assert workload.sharding.data == 2
    assert workload.data.model_dump(exclude_none=True) == {"tokens": 50_000_000}
    assert workload.batch.micro == 8
    assert document["batch"] == {"micro": 4}, "the caller's document stays as it was"


def test_epochs_stay_with_the_unit_that_they_count():
    document = {"model": {"name": "gpt2"}, "data": {"samples": 100, "epochs": 3}}
    workload = build_workload(document, "x", None, overrides={"data.samples": 200})
    assert (workload.data.samples, workload.data.epochs) == (200, 3)


def test_batch_means_the_batch_of_the_task():
    document = {"model": {"name": "gpt2"}}
    trained = build_workload(document, "x", None, overrides={"batch": 8})
    served = build_workload(document, "x", None, overrides={"batch": 8, "task": "inference"})
    assert (trained.batch.global_size, trained.inference.batch) == (8, 1)
    assert (served.batch.global_size, served.inference.batch) == (None, 8)


def test_short_options():
    assert read_setting("--tokens", "data.tokens", "50e6").value == 50e6
    assert read_setting("--vendor", "constraints.vendors", "nvidia, amd").value == ["nvidia", "amd"]
    assert read_setting("--deadline", "constraints.deadline_h", "3d").value == 72
    assert read_setting("--budget", "constraints.budget_usd", "$3k").value == 3000
    assert read_set_option("sharding={data: 2}").value == {"data": 2}
    assert read_set_option("name=").value is None


@pytest.mark.parametrize(
    ("text", "hours"),
    [("72", 72), ("12h", 12), ("3d", 72), ("90min", 1.5), ("2w", 336), (".5 D", 12), ("36s", 0.01)],
)
def test_hours(text, hours):
    assert parse_hours(text) == pytest.approx(hours)


@pytest.mark.parametrize("text", ["", "soon", "3y", "-1", "1e9", "nan", "h", "1 2"])
def test_no_hours(text):
    with pytest.raises(InputError, match="not a duration"):
        parse_hours(text)


def test_an_error_names_the_option_or_the_line(tmp_path):
    source = write(tmp_path, NAMED + "batch: {micro: -1}\n")
    with pytest.raises(InputError) as fault:
        read_workload(source, overrides={"data.tokens": 5}, options={"data.tokens": "--tokens 5"})
    assert (fault.value.source, fault.value.line, fault.value.field) == (source, 2, "batch.micro")
    with pytest.raises(InputError) as fault:
        read_workload("gpt2", overrides={"data.tokens": -5}, options={"data.tokens": "--tokens -5"})
    assert (fault.value.source, fault.value.line) == ("--tokens -5", None)
    assert fault.value.field == "data.tokens"
    with pytest.raises(InputError, match="divide") as fault:
        read_workload(
            "gpt2",
            overrides={"batch.micro": 3, "batch.global": 10},
            options={"batch.micro": "--micro-batch 3", "batch.global": "--batch 10"},
        )
    assert fault.value.source == "--micro-batch 3, --batch 10"


def test_requests():
    workload, gpu, count = read_request(b'{"workload": "gpt2", "gpu": "rtx-4090"}\n', 1)
    assert (workload.model.name, gpu, count) == ("gpt2", "rtx-4090", None)
    for raw in (
        b"",
        b"[]",
        b"{}",
        b'{"workload": 5, "gpu": "x"}',
        b'{"workload": "gpt2", "gpu": 7}',
        b"\xff",
    ):
        with pytest.raises(InputError) as fault:
            read_request(raw, 7)
        assert (fault.value.source, fault.value.line) == ("standard input", 7)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["model", "task", "data", "batch", "sharding", "constraints", "lora", "software", "x"])


def outcome(call, *arguments, **options):
    """Return what a call returns, or the input error that it raises; anything else is a fault."""
    try:
        return call(*arguments, **options)
    except InputError as error:
        return error


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)
def test_anything_is_a_workload_or_an_input_error(document):
    found = outcome(build_workload, document, "x", None)
    assert isinstance(found, Workload) or str(found)


@settings(deadline=None)
@given(st.dictionaries(KEYS | st.text(max_size=5), VALUES, max_size=3), st.text(max_size=20))
def test_any_option_is_read_or_refused(overrides, text):
    found = outcome(build_workload, {"model": {"name": "gpt2"}}, "x", None, overrides=overrides)
    assert isinstance(found, Workload) or str(found)
    assert outcome(read_set_option, text)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_line_is_a_request_or_an_input_error(raw):
    found = outcome(read_request, raw, 1)
    assert isinstance(found, tuple) or found.line == 1
