"""The shipped transformers by name: dimensions, published parameter count, usual length.

``models/index.yaml`` says which family file holds a name, so that one lookup reads two small files. Parsed
files are kept for the life of the process; the data they hold is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from advisor.errors import InputError, nearest
from advisor.quantity import Model
from advisor.workload import Count, Size, Transformer
from advisor.yaml_io import read_yaml, validate


class NamedModel(Model):
    """A shipped transformer.

    ``parameters`` is the published count, with shared tensors counted once; ``sequence_length`` is the usual
    length of one training sample in tokens.
    """

    name: str
    family: str
    released: str
    """Year and month."""
    transformer: Transformer
    parameters: Count
    parameters_source: str
    sequence_length: Size
    aliases: tuple[str, ...] = ()
    notes: str | None = None


class _Index(Model):
    """Content of ``models/index.yaml``: family file, then name, then the other names of the model."""

    transformers: Mapping[str, Mapping[str, tuple[str, ...]]]


def load_named(root: Path, name: str) -> NamedModel:
    """Return the shipped transformer of a name or alias; case and underscores do not matter.

    Args:
        root: the catalog folder.
        name: such as ``llama-3.1-8b``.

    Raises:
        InputError: no shipped transformer has this name (with the nearest names), or its file is malformed.
    """
    places = transformer_names(root)
    key = name.strip().lower().replace("_", "-")
    if key not in places:
        raise InputError(
            "no shipped transformer has this name",
            field="model.name",
            value=name,
            candidates=nearest(key, places),
        )
    family, canonical = places[key]
    return _load(root, family, canonical)


def list_models(root: Path) -> tuple[NamedModel, ...]:
    """Return every shipped transformer, in the order of the index.

    Raises:
        InputError: a file of the catalog is malformed.
    """
    return tuple(
        _load(root, family, name) for family, names in _index(root).transformers.items() for name in names
    )


def model_names(root: Path) -> tuple[str, ...]:
    """Return the names of the shipped transformers without their aliases; reads the index only.

    Raises:
        InputError: the index is malformed.
    """
    return tuple(name for names in _index(root).transformers.values() for name in names)


@lru_cache(maxsize=8)
def _index(root: Path) -> _Index:
    path = root / "models" / "index.yaml"
    return validate(_Index, read_yaml(path), str(path))


@lru_cache(maxsize=8)
def transformer_names(root: Path) -> Mapping[str, tuple[str, str]]:
    """Return, for every name and alias, the family file and the name in it."""
    return {
        known: (family, name)
        for family, names in _index(root).transformers.items()
        for name, aliases in names.items()
        for known in (name, *aliases)
    }


@lru_cache(maxsize=128)
def _entries(root: Path, family: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the unchecked entries of a family file by name."""
    path = _path(root, family)
    document = read_yaml(path)
    models = document.get("models") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(models, list):
        raise InputError("a family file holds family and a list of models", source=str(path))
    common = {"family": document.get("family")}
    return {entry.get("name", ""): common | entry for entry in models if isinstance(entry, dict)}


@lru_cache(maxsize=1024)
def _load(root: Path, family: str, name: str) -> NamedModel:
    entry = _entries(root, family).get(name)
    source = str(_path(root, family))
    if entry is None:
        raise InputError(f"the index names {name}, and this file does not describe it", source=source)
    return validate(NamedModel, entry, source)


def _path(root: Path, family: str) -> Path:
    return root / "models" / "transformers" / f"{family}.yaml"
