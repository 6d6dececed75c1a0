"""The fields of a form, read off the pydantic model of the workload document."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from advisor.workload import Transformer, Workload

_UNITS = {"usd_per_kwh": "$/kWh", "usd": "$", "h": "h", "w": "W", "gib": "GiB"}
_NAMED_WITH_PARENT = {"batch": "batch", "lora": "lora", "software": "software", "latent_attention": "latent"}
"""Models whose fields do not say alone what they are, and what stands before the names of those."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the workload document.

    Attributes:
        path: dotted name, as ``--set`` and errors have it.
        choices: what it may be, where that is a short list; several of them where ``several``.
        default: what it is when left out, as text; empty where that is nothing.
    """

    path: str
    choices: tuple[str, ...] = ()
    several: bool = False
    default: str = ""

    @property
    def label(self) -> str:
        """What a reader is shown: the last part of the path, with its unit in brackets."""
        *parents, name = self.path.split(".")
        suffix = next((suffix for suffix in _UNITS if name.endswith(f"_{suffix}")), "")
        words = name.removesuffix(f"_{suffix}").replace("_", " ")
        if parents and parents[-1] in _NAMED_WITH_PARENT and parents[0] != "inference":
            words = f"{_NAMED_WITH_PARENT[parents[-1]]} {words}"
        return f"{words} ({_UNITS[suffix]})" if suffix else words

    @property
    def hint(self) -> str:
        """What to show while it is empty."""
        return self.default or (", ".join(self.choices) if self.several else "")


@dataclass(frozen=True, slots=True)
class Section:
    """Fields that belong together; ``tasks`` are those in which they mean something, all where empty."""

    title: str
    paths: tuple[str, ...]
    is_open: bool = False


SECTIONS = (
    Section("Job", ("task", "method", "data", "inference", "batch", "precision"), is_open=True),
    Section("Limits", ("constraints",), is_open=True),
    Section("Costs", ("economics",)),
    Section("Machine", ("host",)),
    Section(
        "How it runs",
        (
            "lora", "optimizer", "checkpointing", "attention", "sharding", "master_weights", "compile",
            "memory_format", "software",
        ),
    ),
    Section("Dimensions", ("model.transformer",)),
)  # fmt: skip
"""The form from top to bottom. The model itself stands above it, the name of the job is the file's."""

DIMENSIONS = "model.transformer."
"""What the paths of a transformer's dimensions begin with."""

APART = ("name", "model")
"""Fields that are no part of a section: one chooses a model, one does not type its description."""


@cache
def workload_fields() -> dict[str, Field]:
    """Return every field of a workload document by path, with the dimensions of a transformer, in their order."""
    found = (*fields_of(Workload, without=APART), *fields_of(Transformer, DIMENSIONS))
    return {field.path: field for field in found}


def section_fields(section: Section) -> list[Field]:
    """Return the fields of a section, in the order of its paths."""
    everything = workload_fields()
    return [
        field
        for start in section.paths
        for path, field in everything.items()
        if path == start or path.startswith(f"{start}.")
    ]


def relevant(path: str, task: str, method: str) -> bool:
    """Say whether a field means something for a task and a method."""
    serving = task == "inference"
    start = path.partition(".")[0]
    if start == "inference":
        return serving
    if start in ("data", "batch", "method", "optimizer", "checkpointing", "master_weights"):
        return not serving
    if start == "lora":
        return not serving and method in ("lora", "qlora")
    return True


def fields_of(model: type[BaseModel], prefix: str = "", *, without: Sequence[str] = ()) -> Iterator[Field]:
    """Yield the values that a pydantic model holds, those of models inside it too.

    Args:
        model: the model.
        prefix: what stands before their paths.
        without: fields to leave out.
    """
    for name, info in model.model_fields.items():
        if name in without:
            continue
        path = prefix + (info.alias or name)
        inner = [kind for kind in _kinds(info.annotation) if _is_model(kind)]
        choices = _choices(info.annotation)
        if inner and not choices:
            yield from fields_of(inner[0], f"{path}.")
        else:
            yield Field(path, choices, _is_several(info.annotation), _default(info))


def flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values of a document as one would type them, by path."""
    found: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = typed(value)
    return found


def typed(value: object) -> str:
    """Return a value as one would type it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | tuple):
        return ", ".join(typed(each) for each in value)
    return str(value)


def _kinds(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation, without what only validates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_several(annotation: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in _kinds(annotation))


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return what a value may be where nothing but listed words, or yes and no, are accepted."""
    kinds = [kind for kind in _kinds(annotation) if kind is not type(None)]
    kinds = [get_args(kind)[0] if get_origin(kind) is tuple else kind for kind in kinds]
    if kinds == [bool]:
        return ("false", "true")
    words = [kind for kind in kinds if get_origin(kind) is Literal]
    if not words or any(kind in (int, float, str) for kind in kinds):
        return ()
    return tuple(str(word) for kind in words for word in get_args(kind))


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={}) if not info.is_required() else None
    return "" if value is None else typed(value)
