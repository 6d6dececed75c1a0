"""The one reader of documents: YAML 1.2 types, limits, and errors that say where."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from advisor.errors import InputError
from advisor.quantity import Model
from advisor.yaml_io import MAX_DEPTH, locate, parse, parse_json, parse_yaml, read_yaml, validate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e9", 2e9), ("1E3", 1000.0), ("-1.5e-3", -0.0015), (".5", 0.5), ("1.", 1.0), ("12", 12), ("+3", 3),
        ("0x1F", 31), ("0o17", 15), ("007", 7), ("no", "no"), ("on", "on"), ("yes", "yes"), ("y", "y"),
        ("True", True),
        ("false", False), ("~", None), ("null", None), ("1:30", "1:30"), ("2022-10", "2022-10"),
        ("2022-10-12", "2022-10-12"), ("1_000", "1_000"), ("50M", "50M"), ("'12'", "12"), ('"true"', "true"),
        ("!!str 12", "12"), ("!!float 3", 3.0), ("1e", "1e"), ("-", None), ("<<", "<<"),
    ],
)  # fmt: skip
def test_scalars_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    if text == "-":
        assert parse_yaml("- ") == [None]
        return
    read = parse_yaml(f"x: {text}")
    assert read == {"x": value}
    assert type(read["x"]) is type(value)  # type: ignore[index]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a: 1\nb: 2\na: 3", "twice", 3),
        ("", "empty", None),
        ("# only a comment", "empty", None),
        ("a: 1\nb: .nan", "NaN", 2),
        ("a: -.inf", "infinity", 1),
        ("a: 1e999", "too large", 1),
        ("a: " + "9" * 5000, "length", 1),
        ("[" * 41 + "]" * 41, "nested", 1),
        ("[" * 100_000, "nested", 1),
        ("a: !!python/object/apply:os.system [x]", "tag", 1),
        ("a: !secret b", "tag", 1),
        ("!!int many", "tag int", 1),
        ("--- 1\n--- 2", "more than one", 2),
        ("a: &x [*x]", "no earlier anchor", 1),
        ("a: *y", "no earlier anchor", 1),
        ("a: &x 1\nb: [" + "*x, " * 101 + "]", "aliases", 2),
        (BOMB, "repeat", 5),
        ("{[a]: b}", "key", 1),
        ("a: [1, 2", "YAML", 1),
        ("a: b: c", "YAML", 1),
        ("a: \x00", "YAML", None),
    ],
)
def test_refuses(text: str, words: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "doc.yaml")
    assert words in str(caught.value)
    assert caught.value.source == "doc.yaml"
    if line is not None:
        assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "length"),
        ("[" * 41 + "]" * 41, "nested"),
        ("[" * 200_000, "nested"),
        ("", "empty"),
        ('{"a": 1', "not valid JSON"),
        ("{a: 1}", "not valid JSON"),
    ],
)
def test_refuses_json(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(text, "doc.json")
    assert words in str(caught.value)
    assert caught.value.source == "doc.json"


def test_depth_of_the_limit_is_accepted() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_yaml(text) == parse_json(text)


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: two\r\n")
    assert read_yaml(path) == {"a": 1, "b": "two"}
    path = tmp_path / "w.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1,\r\n "b": "two"}')
    assert read_yaml(path) == {"a": 1, "b": "two"}


def test_unusable_files(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: 1\nname: Müller".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8") as caught:
        read_yaml(latin)
    assert caught.value.line == 2
    empty = tmp_path / "empty.yaml"
    empty.write_text("  \n")
    with pytest.raises(InputError, match="empty"):
        read_yaml(empty)
    with pytest.raises(InputError, match="folder"):
        read_yaml(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="file name"):
        read_yaml(Path("nul\0byte.yaml"))
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (8 * 2**20 + 1))
    with pytest.raises(InputError, match="larger"):
        read_yaml(large)


def test_text_cannot_steer_a_terminal() -> None:
    assert parse_yaml('name: "a\\e[31mb\\u202ec"') == {"name": "a\ufffd[31mb\ufffdc"}
    assert parse_json('{"a\\u001b": "\\u200b"}') == {"a\ufffd": "\ufffd"}


plain_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | plain_text | st.floats(-1e30, 1e30)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4)
)


@settings(max_examples=150, deadline=None)
@given(documents)
def test_reads_every_json_document_alike_as_json_and_as_yaml(document: object) -> None:
    text = json.dumps(document)
    assert parse_json(text) == document
    assert parse_yaml(text) == document


@settings(max_examples=100, deadline=None)
@given(documents)
def test_reads_what_pyyaml_writes(document: object) -> None:
    text = yaml.safe_dump(document, default_style='"', width=10**6)
    assert parse_yaml(text) == document


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_value_or_an_input_error(text: str) -> None:
    for source in ("x.yaml", "x.json"):
        with contextlib.suppress(InputError):
            parse(text, source)


class Inner(Model):
    size: int = Field(gt=0)
    mode: Literal["train", "inference"] = "train"
    count: Literal["auto"] | int = "auto"


class Outer(Model):
    name: str
    inner: Inner
    several: tuple[Inner, ...] = ()


@pytest.mark.parametrize(
    ("text", "field", "line", "candidate", "words"),
    [
        ("name: x\ninner:\n  size: 1\n  moed: train", "inner.moed", 4, "mode", "unknown field"),
        ("name: x\ninner:\n  size: 1\n  mode: trian", "inner.mode", 4, "train", "inference"),
        ("name: x\ninner:\n  size: 0", "inner.size", 3, None, "greater than 0"),
        ("name: x\ninner: {mode: train}", "inner.size", 2, None, "missing"),
        ("inner: {size: 1}", "name", 1, None, "missing"),
        (
            "name: x\ninner: {size: 1}\nseveral:\n- {size: 1}\n- {size: x}",
            "several.1.size",
            5,
            None,
            "integer",
        ),
        ("name: x\ninner: {size: 1, count: atuo}", "inner.count", 2, "auto", "integer"),
        ("[1, 2]", None, 1, None, "got"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    text: str, field: str | None, line: int, candidate: str | None, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        validate(Outer, parse_yaml(text), "doc.yaml", text)
    error = caught.value
    assert (error.source, error.field, error.line) == ("doc.yaml", field, line)
    assert words in str(error)
    if candidate:
        assert error.candidates[0] == candidate


def test_other_wrong_fields_are_counted() -> None:
    text = "name: 1\ninner: {size: 1, colour: red}"
    with pytest.raises(InputError, match="1 more"):
        validate(Outer, parse_yaml(text), "doc.yaml", text)


def test_locate() -> None:
    text = "a:\n  b: 1\n  c:\n  - x\n  - y\nd: 2\n"
    assert locate(text, ("a", "c", 1)) == 5
    assert locate(text, ("d",)) == 6
    assert locate(text, ("a", "absent")) == 1
    assert locate(text, ()) == 1
    assert locate("{", ("a",)) is None
    assert locate('{"a":\n 1}', ("a",)) == 1
