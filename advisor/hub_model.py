"""Models of the Hugging Face hub: what their names look like, and what the hub says of one. Asks nobody."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import Field

from advisor.errors import InputError
from advisor.quantity import Model
from advisor.units import format_count, plain

TOLERANCE = 0.02
"""Largest relative disagreement between two parameter counts of a model that needs no explanation."""

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,126}[A-Za-z0-9_])?", re.ASCII)
_FILES = (".json", ".yaml", ".yml", ".git", ".ipynb", ".safetensors", ".gguf")
_PACKED = frozenset({"I32", "U32", "U8", "I64"})
"""Types in which quantised repositories store several weights an element."""


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository of the hub, and the branch, tag or commit where one is named."""

    repository: str
    """``organisation/model``."""
    revision: str | None = None

    @property
    def model(self) -> str:
        """The part behind the slash."""
        return self.repository.partition("/")[2]

    @property
    def text(self) -> str:
        """The whole name as one types it."""
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"

    @property
    def folder(self) -> str:
        """Name of a folder of its own. The hub tells no two names apart by case, and allows no ``--`` in them."""
        name = self.repository.casefold().replace("/", "--")
        return name if self.revision is None else f"{name}@{quote(self.revision, safe='')}"


class HubModel(Model):
    """What the hub says of a model."""

    name: str
    """``organisation/model``."""
    revision: str | None = None
    """Branch, tag or commit that was asked for."""
    commit: str | None = None
    config: Mapping[str, Any]
    """The parsed ``config.json``."""
    parameters: int | None = Field(default=None, ge=0)
    """Elements of all stored tensors; None where they are not known."""
    weight_dtypes: Mapping[str, int] = {}
    """The same by type, in the words of safetensors (``BF16``)."""
    date: datetime.date
    """Day of the answer."""
    origin: str
    """Host that was asked."""
    warnings: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where and when it was read, for assumptions."""
        commit = f", commit {self.commit[:12]}" if self.commit else ""
        revision = f" at {self.revision}" if self.revision else ""
        return f"{self.origin}/{self.name}{revision}, asked on {self.date.isoformat()}{commit}"

    @property
    def quantisation(self) -> str | None:
        """The method by which the weights were quantised, None where the config names none."""
        said = self.config.get("quantization_config")
        method = said.get("quant_method") if isinstance(said, Mapping) else None
        return method if isinstance(method, str) and method else None

    def disagreement(self, described: int) -> str | None:
        """Return how the stored weights disagree with a description of the config, None within 2 %.

        Args:
            described: parameters that the description counts.
        """
        stored = self.parameters
        if stored is None or abs(stored - described) <= TOLERANCE * described:
            return None
        counts = f"{self.name}: the hub stores {format_count(stored)} weights"
        ours = f"its config describes {format_count(described)} parameters"
        if self.quantisation is not None and not _PACKED.isdisjoint(self.weight_dtypes):
            return f"{counts}, several of them packed into one ({self.quantisation}); {ours}, and these count"
        return (
            f"{counts}, {ours} ({stored / described - 1:+.0%}): a part is not described, or is stored twice"
        )


def is_hub_id(text: str) -> bool:
    """Say whether a text has the form ``organisation/model`` or ``organisation/model@revision``."""
    repository, at, revision = text.partition("@")
    parts = repository.split("/")
    return (
        len(parts) == 2
        and all(_PART.fullmatch(part) and "--" not in part and ".." not in part for part in parts)
        and not parts[1].lower().endswith(_FILES)
        and (
            not at
            or (_REVISION.fullmatch(revision) is not None and ".." not in revision and "//" not in revision)
        )
    )


def parse_hub_id(text: str) -> HubName:
    """Return a name of the hub in its parts.

    Raises:
        InputError: it has another form: a path, an address, a name without an organisation.
    """
    if not is_hub_id(text):
        raise InputError(
            "not a model of the Hugging Face hub",
            field="model.huggingface",
            value=plain(text),
            accepted="organisation/model or organisation/model@revision, or the path of a config.json",
        )
    repository, _, revision = text.partition("@")
    return HubName(repository, revision or None)
