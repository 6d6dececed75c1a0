"""Which GPU of the catalog an offer means: by instance type, by name, by memory. Exact or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from advisor.fetch.offers import Offer
from advisor.hardware import REPORTED_MEMORY_TOLERANCE, Device, NameIndex, normalise
from advisor.quantity import Model
from advisor.version import __version__
from advisor.yaml_io import data_root, read_yaml, validate

_ANY = "any"

Count = Annotated[int, Field(ge=1, le=4096)]


class NamesFile(Model):
    """The file catalog/prices/names.yaml."""

    instances: Mapping[str, Mapping[str, Mapping[str, Count | None]]]
    names: Mapping[str, Mapping[str, tuple[str, ...]]]
    assumed: Mapping[str, Mapping[str, tuple[str, ...]]]
    instance_is_a_name: tuple[str, ...]
    said_memory_gb: Mapping[str, tuple[float, ...]]
    not_counted: Mapping[str, Mapping[str, str]]
    evidence: Mapping[str, str]

    def gpu_ids(self) -> set[str]:
        """Return every id that the file mentions."""
        by_instance = {gpu_id for rules in self.instances.values() for gpu_id in rules}
        tables = (*self.names.values(), *self.assumed.values())
        by_name = {gpu_id for names in tables for ids in names.values() for gpu_id in ids}
        return by_instance | by_name | set(self.said_memory_gb)


@lru_cache(maxsize=2)
def load_names(root: Path | None = None) -> NamesFile:
    """Return the shipped names.

    Raises:
        InputError: the file is wrong.
    """
    path = (root or data_root()) / "prices" / "names.yaml"
    return validate(NamesFile, read_yaml(path), "prices/names.yaml")


@dataclass(frozen=True)
class Found:
    """The GPU that an offer means, and how many of it.

    Attributes:
        gpu_id: in the catalog.
        count: at least 1.
        assumed: whether the offer leaves the form of the board open.
    """

    gpu_id: str
    count: int
    assumed: bool = False


@dataclass(frozen=True)
class NotFound:
    """Why an offer is left out; ``name`` is what the source calls the GPU where that is not known."""

    reason: str
    name: str | None = None


class Names:
    """Resolves what sources call GPUs.

    Args:
        devices: the catalog.
        file: of names, the shipped one when left out; what it says of a GPU that ``devices`` lacks is not used.
    """

    def __init__(self, devices: Iterable[Device], file: NamesFile | None = None) -> None:
        self._file = file or load_names()
        gpus = [device for device in devices if device.kind == "gpu" and device.segment != "laptop"]
        self._catalog = NameIndex(gpus)
        self._names = self._known(self._file.names)
        self._assumed = self._known(self._file.assumed)
        self._instances = {
            provider: [
                (_pattern(text), gpu_id, count)
                for gpu_id, patterns in rules.items()
                if gpu_id in self._catalog.by_id
                for text, count in patterns.items()
            ]
            for provider, rules in self._file.instances.items()
        }
        self._not_counted = {
            provider: [(_pattern(text), reason) for text, reason in rules.items()]
            for provider, rules in self._file.not_counted.items()
        }

    def _known(
        self, tables: Mapping[str, Mapping[str, tuple[str, ...]]]
    ) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {
            provider: {
                normalise(name): tuple(gpu_id for gpu_id in ids if gpu_id in self._catalog.by_id)
                for name, ids in names.items()
            }
            for provider, names in tables.items()
        }

    def digest(self) -> str:
        """Return what changes when the same offers would be read differently."""
        catalog = sorted(
            (name, [device.id for device in found]) for name, found in self._catalog.by_name.items()
        )
        text = f"{__version__} {self._file.model_dump_json()} {catalog}"
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]

    def find(self, offer: Offer) -> Found | NotFound:
        """Return the GPU that ``offer`` means."""
        instance = offer.instance or ""
        for pattern, reason in self._not_counted.get(offer.provider, ()):
            if pattern.fullmatch(instance):
                return NotFound(reason)
        for pattern, gpu_id, count in self._instances.get(offer.provider, ()):
            if pattern.fullmatch(instance):
                return self._checked(offer, gpu_id, count)
        names = (instance,) if offer.provider in self._file.instance_is_a_name and instance else ()
        for name in (*names, *offer.names):
            fitting = self._fitting(self._candidates(offer.provider, name), offer.memory_gb)
            if len(fitting) == 1:
                return self._checked(offer, fitting[0], None)
        assumed = self._assumed.get(offer.provider, {})
        for name in offer.names:
            fitting = self._fitting(assumed.get(normalise(name), ()), offer.memory_gb)
            if len(fitting) == 1:
                found = self._checked(offer, fitting[0], None)
                return replace(found, assumed=True) if isinstance(found, Found) else found
        return _unknown(offer)

    def _candidates(self, provider: str, name: str) -> tuple[str, ...]:
        key = normalise(name)
        for names in (self._names.get(provider, {}), self._names.get(_ANY, {})):
            if key in names:
                return names[key]
        return tuple(device.id for device in self._catalog.by_name.get(key, ()))

    def _checked(self, offer: Offer, gpu_id: str, count: int | None) -> Found | NotFound:
        if not self._fitting((gpu_id,), offer.memory_gb):
            return _unknown(offer)
        if offer.count is None and count is None:
            return NotFound("the number of GPUs is not known")
        if None not in (offer.count, count) and offer.count != count:
            return NotFound("the number of GPUs is not what this instance type holds")
        return Found(gpu_id, offer.count or count or 1)

    def _fitting(self, gpu_ids: Iterable[str], memory_gb: float | None) -> list[str]:
        if memory_gb is None:
            return list(gpu_ids)
        distances = {gpu_id: self._distance(gpu_id, memory_gb) for gpu_id in gpu_ids}
        least = min(distances.values(), default=1.0)
        if least > REPORTED_MEMORY_TOLERANCE:
            return []
        return [gpu_id for gpu_id, distance in distances.items() if distance <= least + 1e-9]

    def _distance(self, gpu_id: str, memory_gb: float) -> float:
        sizes = (self._catalog.by_id[gpu_id].memory.size_gib, *self._file.said_memory_gb.get(gpu_id, ()))
        return min(abs(memory_gb - size) / size for size in sizes)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.IGNORECASE)


def _unknown(offer: Offer) -> NotFound:
    called = next((name for name in offer.names if name), offer.instance or "no name")
    size = "" if offer.memory_gb is None else f" {offer.memory_gb:g} GB"
    return NotFound("the name is not known", f"{called}{size} ({offer.provider})")
