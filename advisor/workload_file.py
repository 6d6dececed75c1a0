"""Workload documents: a model's name, a YAML or JSON file, or standard input, with options laid over it."""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from pydantic import Field

from advisor import paths
from advisor.errors import InputError
from advisor.paths import given_path
from advisor.quantity import Model
from advisor.units import parse_count
from advisor.workload import Workload
from advisor.yaml_io import MAX_BYTES, decode, parse, parse_json, parse_yaml, read_text, validate

STDIN = "standard input"
_SUFFIXES = (".yaml", ".yml", ".json")
_AMOUNTS = ("samples", "tokens", "steps")
_HOURS = {"": 1.0, "s": 1 / 3600, "min": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*\Z")

Form = Literal["value", "list", "hours", "number"]
"""How the text of an option is read: a YAML scalar, a comma list, a duration or a plain number."""

FORMS: Mapping[str, Form] = {
    "constraints.acquire": "list",
    "constraints.budget_usd": "number",
    "constraints.deadline_h": "hours",
    "constraints.max_power_w": "number",
    "constraints.min_memory_gib": "number",
    "constraints.segments": "list",
    "constraints.vendors": "list",
    "economics.electricity_usd_per_kwh": "number",
    "economics.hours_per_week": "number",
    "lora.targets": "list",
}
"""How the text of a field is read where that is not as a YAML scalar."""


class Setting(NamedTuple):
    """One field set on the command line, and the option that did it."""

    field: str
    value: object
    option: str


class Request(Model):
    """One line of ``estimate --jsonl``."""

    workload: str | Mapping[str, object]
    gpu: str
    count: int | None = Field(default=None, ge=1, le=16384)


def is_file(source: str) -> bool:
    """Return whether a WORKLOAD names a file and not a shipped model."""
    if any(separator in source for separator in "/\\") or source.lower().endswith(_SUFFIXES):
        return True
    return paths.is_file(Path(source))


def read_setting(option: str, field: str, text: str) -> Setting:
    """Return what a short option such as ``--tokens 50e6``, or a field of a form, sets.

    Raises:
        InputError: the text has not the form that the option needs.
    """
    label = f"{option} {text}"
    form = FORMS.get(field, "value")
    try:
        if form == "list":
            value: object = [part.strip() for part in text.split(",") if part.strip()]
        elif form == "hours":
            value = parse_hours(text)
        elif form == "number":
            value = parse_count(text.removeprefix("$"))
        else:
            value = _scalar(text)
    except InputError as error:
        raise _blamed(error, option, field) from None
    return Setting(field, value, label)


def read_set_option(text: str) -> Setting:
    """Return what ``--set batch.micro=8`` sets; the value is read as YAML.

    Raises:
        InputError: there is no ``=``, no field, or the value is not YAML.
    """
    field, equals, value = text.partition("=")
    field = field.strip()
    if not equals or not all(field.split(".")):
        raise InputError(
            "not a field and a value",
            source="--set",
            value=text,
            accepted="FIELD=VALUE, such as batch.micro=8",
        )
    try:
        return Setting(field, _scalar(value), f"--set {text}")
    except InputError as error:
        raise _blamed(error, "--set", field) from None


def parse_hours(text: str) -> float:
    """Return hours for ``72``, ``12h``, ``3d``, ``90min`` or ``2w``.

    Raises:
        InputError: the text is no duration.
    """
    match = _DURATION.match(text.lower())
    unit = _HOURS.get(match.group(2)) if match else None
    if match is None or unit is None or not math.isfinite(float(match.group(1))):
        raise InputError("not a duration", value=text, accepted="hours (72), or 90min, 12h, 3d, 2w")
    return float(match.group(1)) * unit


def read_workload(
    source: str,
    *,
    overrides: Mapping[str, object] | None = None,
    options: Mapping[str, str] | None = None,
    stdin: TextIO | None = None,
) -> Workload:
    """Return the workload that ``source`` names, with ``overrides`` laid over it.

    Args:
        source: name of a shipped model, path of a YAML or JSON file, or ``-`` for standard input.
        overrides: value by dotted field, such as ``{"batch.micro": 8}``. The field ``batch`` with a number is
            the batch of whatever the task is: ``inference.batch`` or ``batch.global``.
        options: for each overridden field, the option that set it; errors name it.
        stdin: where ``-`` reads from.

    Raises:
        InputError: the document or an override is wrong; says where.
        ExternalError: the file cannot be read.
    """
    text: str | None = None
    folder = Path()
    label = source
    if source == "-":
        label = STDIN
        text = _read_stream(stdin)
    elif is_file(source):
        path = given_path(source)
        text = read_text(path)
        folder = path.parent
    elif not source.strip():
        raise InputError(
            "empty name", source="WORKLOAD", accepted="a model's name, a YAML or JSON file, or -"
        )
    data = source if text is None else parse(text, label)
    return build_workload(
        data, label, text, folder=folder, file=label, overrides=overrides or {}, options=options or {}
    )


def read_request(raw: bytes, line: int) -> tuple[Workload, str, int | None]:
    """Return workload, GPU and count of one JSON line.

    Args:
        raw: the line as it was read.
        line: its number, from 1, for errors.

    Raises:
        InputError: the line is no request; says what is wrong with it.
    """
    try:
        data = parse_json(decode(raw, STDIN), STDIN)
        if not isinstance(data, dict):
            raise InputError(
                "not a request", value=data, accepted='{"workload": ..., "gpu": ..., "count": 1}'
            )
        request = validate(Request, data, STDIN)
        return build_workload(request.workload, STDIN, None, at="workload"), request.gpu, request.count
    except InputError as error:
        error.line = line
        error.source = STDIN
        raise


def build_workload(
    data: object,
    source: str,
    text: str | None,
    *,
    folder: Path = Path(),
    file: str = "",
    overrides: Mapping[str, object] | None = None,
    options: Mapping[str, str] | None = None,
    at: str = "",
) -> Workload:
    """Return plain values in the shape of a workload document, or a bare model name, as a workload.

    Args:
        data: what the document holds.
        source: origin of ``data``, for errors.
        text: the document, to find lines.
        folder: what relative paths in the document are relative to.
        file: the document's path; a bare Hugging Face config or operator table becomes the model itself.
        overrides: see :func:`read_workload`.
        options: see :func:`read_workload`.
        at: where ``data`` stands in a larger document.

    Raises:
        InputError: the document or an override is wrong.
    """
    overrides = overrides or {}
    options = options or {}
    if isinstance(data, str):
        data = {"model": {"name": data}}
    elif isinstance(data, dict) and "model" not in data and "model_type" in data and file:
        data = {"model": {"huggingface": file}}
        folder, text = Path(), None
    elif isinstance(data, dict) and str(data.get("schema", "")).startswith("gpu-advisor/table/") and file:
        data = {"model": {"table": file}}
        folder, text = Path(), None
    if not isinstance(data, dict):
        raise InputError(
            "not a workload document", source=source, field=at or None, value=data,
            accepted="a mapping with at least model, or a model's name",
        )  # fmt: skip
    document = _with_absolute_paths(data, folder)
    merged = _with_absolute_paths(_merged(document, overrides, options), Path())
    place = tuple(part for part in at.split(".") if part)
    if not overrides:
        return validate(Workload, merged, source, text, at=place)
    try:
        return validate(Workload, merged, source, text, at=place)
    except InputError as error:
        culprits = _culprits(error, overrides, options) or _if_sound(document, options)
        if not culprits:
            raise
        raise _blamed(error, ", ".join(culprits), error.field) from None


def _culprits(error: InputError, overrides: Mapping[str, object], options: Mapping[str, str]) -> list[str]:
    """Return the options that set the field an error is about, or a field inside it."""
    if error.field is None:
        return []
    wrong = error.field.split(".")
    found = []
    for field in overrides:
        parts = field.split(".")
        if parts == wrong[: len(parts)] or (len(wrong) > 1 and wrong == parts[: len(wrong)]):
            found.append(options.get(field, field))
    return found


def _if_sound(document: Mapping[str, object], options: Mapping[str, str]) -> list[str]:
    """Return all options when the document by itself is a workload: then their combination is wrong."""
    try:
        validate(Workload, document, "")
    except InputError:
        return []
    return list(options.values())


def _blamed(error: InputError, option: str, field: str | None) -> InputError:
    return InputError(
        error.message, source=option, field=field, value=error.value, accepted=error.accepted,
        candidates=error.candidates, hint=error.hint,
    )  # fmt: skip


def _scalar(text: str) -> object:
    return parse_yaml(text, "") if text.strip() else None


def _merged(
    document: Mapping[str, object], overrides: Mapping[str, object], options: Mapping[str, str]
) -> dict[str, object]:
    merged = copy.deepcopy(dict(document))
    settings = dict(overrides)
    batch = settings.pop("batch", None)
    for field, value in settings.items():
        _drop_replaced_amounts(merged, field, overrides)
        _put(merged, field, value, options.get(field, field))
    if isinstance(batch, dict):
        merged["batch"] = batch
    elif batch is not None:
        field = "inference.batch" if merged.get("task") == "inference" else "batch.global"
        _put(merged, field, batch, options.get("batch", field))
    return merged


def _put(document: dict[str, object], field: str, value: object, option: str) -> None:
    """Set a dotted field; a scalar on the way (``sharding: auto``) gives way to a mapping."""
    *parents, last = field.split(".")
    inside = document
    for depth, part in enumerate(parents, start=1):
        found = inside.get(part)
        if isinstance(found, list):
            raise InputError(
                "a list has no fields",
                source=option,
                field=".".join(parents[:depth]),
                accepted="the whole list",
            )
        following = found if isinstance(found, dict) else {}
        inside[part] = following
        inside = following
    inside[last] = value


def _drop_replaced_amounts(document: dict[str, object], field: str, overrides: Mapping[str, object]) -> None:
    """Let an amount given as an option replace the one in the document, in whatever unit that was."""
    parent, _, amount = field.rpartition(".")
    data = document.get("data")
    if parent != "data" or amount not in _AMOUNTS or not isinstance(data, dict):
        return
    # Epochs count the samples or tokens they were written with.
    replaced = _AMOUNTS if amount in data else (*_AMOUNTS, "epochs")
    for other in replaced:
        if other != amount and f"data.{other}" not in overrides:
            data.pop(other, None)


def _with_absolute_paths(document: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Return the document with the paths inside it resolved against the folder it lies in."""
    found = dict(document)
    model = found.get("model")
    if not isinstance(model, dict):
        return found
    model = dict(model)
    for key in ("huggingface", "table"):
        value = model.get(key)
        if isinstance(value, str) and value and (key == "table" or _is_config_path(value, folder)):
            model[key] = _absolute(folder / given_path(value))
    if isinstance(model.get("torch"), dict):
        own = model["torch"].get("folder")
        if own is None or isinstance(own, str):
            model["torch"] = model["torch"] | {"folder": _absolute(folder / given_path(own or "."))}
    found["model"] = model
    return found


def _absolute(path: Path) -> str:
    """Return a path from the root; links that lead in a circle are left to whoever opens it."""
    try:
        return os.path.realpath(path)
    except ValueError:
        # A character that no path can have.
        return str(path)


def _is_config_path(value: str, folder: Path) -> bool:
    """Tell a path from a hub id: ids look like ``owner/name``."""
    if value.startswith((".", "~")) or value.lower().endswith(_SUFFIXES) or Path(value).is_absolute():
        return True
    return paths.is_file(folder / value)


def _read_stream(stdin: TextIO | None) -> str:
    if stdin is None:
        raise InputError("there is no standard input", source=STDIN)
    buffer = getattr(stdin, "buffer", None)
    read = stdin.read if buffer is None else buffer.read
    chunk = read(MAX_BYTES + 1)
    raw = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
    if len(raw) > MAX_BYTES:
        raise InputError(f"the document is larger than {MAX_BYTES / 2**20:g} MiB", source=STDIN)
    return decode(raw, STDIN)
