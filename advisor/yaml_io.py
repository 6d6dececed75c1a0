"""The one reader of YAML and JSON documents: YAML 1.2 types, and every fault is an error that says where.

PyYAML's own rules are those of YAML 1.1: ``2e9`` is text, ``no`` is false, a second key silently replaces the
first. None of that happens here. The document is built straight from the parser's events, which is several
times as fast as building PyYAML's node tree and lets the limits act before anything large exists.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from advisor.errors import ExternalError, InputError, nearest, one_line, shorten
from advisor.units import plain

try:
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # PyYAML built without libyaml: slower, the same documents
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

MAX_BYTES = 8 * 2**20
"""Largest document read from a user, in bytes."""
MAX_DEPTH = 40
MAX_ALIASES = 100
MAX_EXPANDED = 20_000
"""Values that aliases may repeat in total: nested ones multiply, and a model is built for each of them."""
_MAX_NUMBER = 400

M = TypeVar("M", bound=BaseModel)

_INT = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_INT = re.compile(r"0o([0-7]+)\Z|0x([0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_WORDS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_CORE = "tag:yaml.org,2002:"


def _number(text: str) -> int | float | None:
    """Return the number that ``text`` is under the YAML 1.2 core schema, else None.

    Raises:
        ValueError: the number is infinite, not a number, or absurdly long.
    """
    if len(text) > _MAX_NUMBER and (_FLOAT.match(text) or _OTHER_INT.match(text)):
        raise ValueError("a number of this length is not accepted")
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        value = float(text)
        if math.isfinite(value):
            return value
        raise ValueError("the number is too large")
    if _NOT_FINITE.match(text):
        raise ValueError("infinity and NaN are not accepted; leave the field out where a number is not known")
    other = _OTHER_INT.match(text)
    if other is None:
        return None
    return int(other.group(1), 8) if other.group(1) else int(other.group(2), 16)


class _Loader(_BaseLoader):
    """Builds plain Python values from the parser's events."""

    source: str = ""

    def start(self, source: str) -> None:
        self.source = source
        self.aliases = 0
        self.count = 0
        self.repeated = 0
        self.anchored: dict[str, tuple[object, int]] = {}

    def fail(self, message: str, event: Event | None = None, **details: Any) -> InputError:
        line = event.start_mark.line + 1 if event is not None and event.start_mark else None
        return InputError(message, source=self.source, line=line, **details)

    def document(self) -> object:
        self.get_event()
        first = self.get_event()
        if isinstance(first, StreamEndEvent):
            raise self.fail("the document is empty")
        value = self.value(self.get_event(), 0)
        self.get_event()
        following = self.get_event()
        if isinstance(following, DocumentStartEvent):
            raise self.fail("more than one document in the file", following, accepted="one document")
        return value

    def value(self, event: Any, depth: int) -> object:
        self.count += 1
        if type(event) is ScalarEvent:
            return self.scalar(event)
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if depth >= MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} levels", event)
        before = self.count + self.repeated
        if type(event) is MappingStartEvent:
            built: object = self.mapping(event, depth)
        else:
            built = self.sequence(event, depth)
        if event.anchor:
            self.anchored[event.anchor] = (built, self.count + self.repeated - before + 1)
        return built

    def mapping(self, start: MappingStartEvent, depth: int) -> dict[str, object]:
        self.check_tag(start, "map")
        found: dict[str, object] = {}
        get_event = self.get_event
        while type(event := get_event()) is not MappingEndEvent:
            if type(event) is not ScalarEvent:
                raise self.fail("a key must be a plain word", event)
            key = plain(event.value)
            if key in found:
                raise self.fail("the key is there twice", event, field=key)
            found[key] = self.value(get_event(), depth + 1)
        return found

    def sequence(self, start: SequenceStartEvent, depth: int) -> list[object]:
        self.check_tag(start, "seq")
        found = []
        get_event = self.get_event
        while type(event := get_event()) is not SequenceEndEvent:
            found.append(self.value(event, depth + 1))
        return found

    def alias(self, event: AliasEvent) -> object:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise self.fail(f"more than {MAX_ALIASES} aliases", event)
        if event.anchor not in self.anchored:
            raise self.fail("the alias names no earlier anchor", event, value=f"*{event.anchor}")
        built, size = self.anchored[event.anchor]
        self.repeated += size
        if self.repeated > MAX_EXPANDED:
            raise self.fail("the aliases repeat too much", event)
        return built

    def scalar(self, event: ScalarEvent) -> object:
        text: str = event.value
        tag = event.tag
        if tag in (None, "!"):
            value: object = text if event.style or tag == "!" else self.resolved(text, event)
        else:
            value = self.tagged(text, event)
        value = plain(value) if type(value) is str else value
        if event.anchor:
            self.anchored[event.anchor] = (value, 1)
        return value

    def resolved(self, text: str, event: Event) -> object:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "+-.0123456789":
            return text
        try:
            number = _number(text)
        except ValueError as error:
            raise self.fail(str(error), event, value=shorten(text, 40)) from None
        return text if number is None else number

    def tagged(self, text: str, event: ScalarEvent) -> object:
        kind = (event.tag or "").removeprefix(_CORE)
        types = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
        if kind not in types:
            raise self.fail(
                "unknown tag", event, value=event.tag, accepted="no tags, or those of YAML's core"
            )
        value = text if kind == "str" else self.resolved(text, event)
        if kind == "float" and type(value) is int:
            value = float(value)
        if type(value) is not types[kind]:
            raise self.fail(f"not of the type that its tag {kind} says", event, value=text)
        return value

    def check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _CORE + kind):
            raise self.fail(
                "unknown tag", event, value=event.tag, accepted="no tags, or those of YAML's core"
            )


@lru_cache(maxsize=1)
def data_root() -> Path:
    """Return the folder of the shipped data: inside the installed package, else beside it in a checkout.

    Raises:
        ExternalError: neither folder exists; the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_catalog", package.parent / "catalog"):
        if (folder / "gpus").is_dir():
            return folder
    raise ExternalError(f"the data folder is missing beside {package}", hint="install gpu-advisor again")


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what is in a file.

    Raises:
        InputError: the path is missing, a directory, empty, or too large.
        ExternalError: the system refused to read it.
    """
    source = str(path)
    try:
        if path.is_dir():
            raise InputError("this is a folder, not a file", source=source)
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise InputError("no such file", source=source) from None
    except ValueError:
        raise InputError("not a usable file name", source=shorten(source)) from None
    except OSError as error:
        raise ExternalError(f"{source}: cannot be read ({error.strerror or error})") from None
    if len(raw) > max_bytes:
        raise InputError(f"the file is larger than {max_bytes / 2**20:g} MiB", source=source)
    if not raw.strip():
        raise InputError("the file is empty", source=source)
    return raw


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises:
        InputError: the path is missing, a directory, empty, too large, or not UTF-8.
        ExternalError: the system refused to read it.
    """
    return decode(read_bytes(path, max_bytes=max_bytes), str(path))


def decode(raw: bytes, source: str) -> str:
    """Return UTF-8 bytes as text, without a byte order mark.

    Raises:
        InputError: the bytes are not UTF-8, or there is nothing in them.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError("the text is not UTF-8", source=source, line=line, accepted="UTF-8") from None
    if not text.strip():
        raise InputError("the document is empty", source=source)
    return text


def parse_yaml(text: str, source: str = "text") -> object:
    """Return the one YAML 1.2 document in ``text`` as dicts, lists, strings, numbers, bools and None.

    Raises:
        InputError: with the line; see the module for what is refused.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"the document is larger than {MAX_BYTES / 2**20:g} MiB", source=source)
    try:
        loader = _Loader(text.removeprefix("\ufeff"))
        loader.start(source)
        try:
            return loader.document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        # What is missing at the end of the text is reported on the line behind it.
        line = min(mark.line, text.count("\n")) + 1 if mark else None
        # Newer libyaml scans ahead, and meets a limit of its own, far beyond ours, before the first event.
        too_deep = "nesting depth" in (error.problem or "")
        words = (
            f"nested deeper than {MAX_DEPTH} levels"
            if too_deep
            else f"not valid YAML: {plain(', '.join(parts))}"
        )
        raise InputError(words, source=source, line=line) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"not valid YAML: {plain(str(error)).splitlines()[0]}", source=source) from None


def parse_json(text: str, source: str = "text") -> object:
    """Return the JSON document in ``text``, under the same protections as :func:`parse_yaml`.

    Raises:
        InputError: with the line where it is known.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"the document is larger than {MAX_BYTES / 2**20:g} MiB", source=source)
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise InputError("the document is empty", source=source)
    try:
        value = json.loads(text, object_pairs_hook=_pairs(source), parse_constant=_constant(source))
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", source=source, line=error.lineno) from None
    except RecursionError:
        raise InputError(f"nested deeper than {MAX_DEPTH} levels", source=source) from None
    except ValueError:
        raise InputError("a number of this length is not accepted", source=source) from None
    return _checked(value, source, 0)


def _pairs(source: str) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
            raise InputError("the key is there twice", source=source, field=plain(twice))
        return found

    return build


def _constant(source: str) -> Callable[[str], object]:
    def refuse(word: str) -> object:
        raise InputError("infinity and NaN are not accepted", source=source, value=word)

    return refuse


def _checked(value: object, source: str, depth: int) -> object:
    """Return a JSON value with plain strings; refuse what is nested too deeply or not finite."""
    if type(value) is str:
        return plain(value)
    if type(value) is float and not math.isfinite(value):
        raise InputError("the number is too large", source=source, value=value)
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise InputError(f"nested deeper than {MAX_DEPTH} levels", source=source)
    if isinstance(value, dict):
        return {plain(key): _checked(item, source, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_checked(item, source, depth + 1) for item in value]
    return value


def parse(text: str, source: str) -> object:
    """Return the document in ``text``: JSON where the source ends in ``.json``, else YAML (which holds JSON).

    Raises:
        InputError: the document is refused.
    """
    return parse_json(text, source) if source.lower().endswith(".json") else parse_yaml(text, source)


def read_yaml(path: Path) -> object:
    """Return the YAML or (``.json``) JSON document of a file.

    Raises:
        InputError: the file or the document is refused, with file and line.
        ExternalError: the system refused to read it.
    """
    return parse(read_text(path), str(path))


def yaml_text(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, its fields in their order."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def locate(text: str, keys: Sequence[str | int]) -> int | None:
    """Return the line, from 1, of the field at ``keys`` in a YAML or JSON text, or of its nearest parent.

    None where the text cannot be parsed.
    """
    try:
        node = yaml.compose(text.removeprefix("\ufeff"), Loader=_BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    if node is None:
        return None
    line = int(node.start_mark.line) + 1
    for key in keys:
        found = next((pair for pair in _children(node) if pair[0] == str(key)), None)
        if found is None:
            break
        _, line, node = found
    return line


def _children(node: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield (key or index, line, node) for what is directly under a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield str(index), item.start_mark.line + 1, item


def validate(
    model_class: type[M], data: object, source: str, text: str | None = None, *, at: Sequence[str | int] = ()
) -> M:
    """Return ``data`` as a model, or one error that says file, line, field, value and what is accepted.

    Args:
        model_class: the model to build.
        data: plain values, as :func:`parse` returns them.
        source: file name or other origin, for the message.
        text: the document, to find the line.
        at: where ``data`` stands in the document, when it is not the whole of it.

    Raises:
        InputError: ``data`` does not fit the model.
    """
    try:
        return model_class.model_validate(data)
    except ValidationError as error:
        raise _input_error(error, model_class, data, source, text, tuple(at)) from None
    except InputError as error:
        raise error.located(source=source, line=locate(text, at) if text else None) from None


def _input_error(
    error: ValidationError,
    model_class: type[BaseModel],
    data: object,
    source: str,
    text: str | None,
    at: tuple[str | int, ...],
) -> InputError:
    faults = [(_path(data, fault["loc"], fault["type"]), fault) for fault in error.errors(include_url=False)]
    # Of the branches of a union the one that got furthest is the one that was meant; a misspelled name
    # explains a missing field beside it.
    path, first = max(faults, key=lambda item: (len(item[0]), item[1]["type"] == "extra_forbidden"))
    together = [fault for where, fault in faults if where == path]
    others = {where for where, _ in faults if where[: len(path)] != path[: len(where)]}
    kind = first["type"]
    value = None if kind == "missing" else first.get("input")
    accepted: str | None = None
    candidates: tuple[str, ...] = ()
    if kind == "extra_forbidden":
        message = "unknown field"
        fields = _fields_at(model_class, path[:-1])
        accepted = ", ".join(fields) or None
        candidates = nearest(str(path[-1]), fields) if path else ()
    elif kind == "missing":
        message = "the field is missing"
    elif kind == "value_error":
        message = plain(one_line(str(first["msg"]))).removeprefix("Value error, ")
        value = None if isinstance(value, dict | list) else value
    else:
        message = "not an accepted value"
        expectations = dict.fromkeys(_expectation(fault) for fault in together)
        accepted = plain("; or ".join(expectations))
        choices = [
            choice
            for fault in together
            for choice in re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", "")))
        ]
        candidates = nearest(value, choices) if isinstance(value, str) else ()
    return InputError(
        message,
        source=source,
        field=".".join(str(part) for part in (*at, *path)) or None,
        line=locate(text, (*at, *path)) if text else None,
        value=value,
        accepted=accepted,
        candidates=candidates,
        hint=f"{len(others)} more field(s) of the document need correction" if others else None,
    )


def _expectation(fault: Mapping[str, Any]) -> str:
    expected = fault.get("ctx", {}).get("expected")
    if expected:
        return str(expected)
    if fault["type"] == "string_type" and isinstance(fault.get("input"), int | float):
        return 'text; in quotes, such as "2.10", it is not read as a number'
    message = str(fault["msg"])
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def _path(data: Any, location: Sequence[str | int], kind: str) -> tuple[str | int, ...]:
    """Return the part of pydantic's location that the document has: without the names of union branches."""
    path: list[str | int] = []
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if _holds(data, part):
            path.append(part)
            data = data[part]
        elif last and kind == "missing":
            path.append(part)
    return tuple(path)


def _holds(data: object, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)


def _fields_at(model_class: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the field names of the model, or models, that stand at ``path``."""
    models: list[type[BaseModel]] = [model_class]
    for part in path:
        inner: list[type[BaseModel]] = []
        for model in models:
            field = model.model_fields.get(str(part))
            if field is not None:
                inner.extend(_models_in(field.annotation))
        # An index or a key of a mapping stays among the same models.
        models = inner or models
    return list(
        dict.fromkeys(field.alias or name for model in models for name, field in model.model_fields.items())
    )


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
