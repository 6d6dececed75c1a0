"""What a fitted constant may be: bounds with reasons, read from the catalog, and where each constant stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from advisor.execution import Constants
from advisor.quantity import Model
from advisor.yaml_io import read_yaml

Factor = Annotated[float, Field(gt=1)]


class Bound(Model):
    """Physical limits of a constant, and one standard deviation around what it is drawn to, as a factor."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    spread: Factor
    because: str


class SharedBound(Bound):
    """A constant that all GPUs share, drawn to ``usual``."""

    usual: float = Field(gt=0)


class ArchitectureBound(Bound):
    """A constant of each architecture, drawn to the mean of its vendor, which is drawn to ``usual``."""

    spread_of_mean: Factor
    usual: Mapping[str, float]


class Bounds(Model):
    """Everything in ``bounds.yaml``."""

    date: str
    of_architectures: Mapping[str, ArchitectureBound]
    shared: Mapping[str, SharedBound]
    of_ages: Mapping[str, Bound]
    """Factors of older software, drawn to 1."""
    tied_ages: tuple[str, ...]
    """Frameworks that have too few runs each and share their factors."""


def load_bounds(root: Path) -> Bounds:
    """Return the bounds shipped under ``root``."""
    return Bounds.model_validate(read_yaml(root / "bounds.yaml"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that the fit chooses.

    Attributes:
        path: where it stands in ``efficiency.yaml``; empty for the mean of a vendor, which stands nowhere.
        also: further places that hold the same number.
        kind: what parameters of the same kind share: they act on different runs, one architecture or age each.
        group: the architecture entry, vendor or age whose runs it acts on; empty where it acts on all.
        low: least value.
        high: greatest value.
        usual: what it is drawn to, where it has no mean.
        mean: index of the parameter that it is drawn to, None where it is drawn to ``usual``.
        spread: one standard deviation, as a factor.
    """

    path: tuple[str | int, ...]
    also: tuple[tuple[str | int, ...], ...]
    kind: str
    group: str
    low: float
    high: float
    usual: float
    mean: int | None
    spread: float


def parameters(constants: Constants, bounds: Bounds) -> tuple[Parameter, ...]:
    """Return what is fitted, in a fixed order: shared constants, vendors' means, architectures, ages."""
    found = [
        Parameter(_path(name), (), name, "", each.low, each.high, each.usual, None, each.spread)
        for name, each in bounds.shared.items()
    ]
    for name, each in bounds.of_architectures.items():
        means: dict[str, int] = {}
        for vendor in sorted({vendor_of(entry.architectures) for entry in constants.architectures}):
            means[vendor] = len(found)
            found.append(
                Parameter(
                    (),
                    (),
                    f"mean {name}",
                    vendor,
                    each.low,
                    each.high,
                    each.usual[vendor],
                    None,
                    each.spread_of_mean,
                )
            )
        for index, entry in enumerate(constants.architectures):
            vendor = vendor_of(entry.architectures)
            path: tuple[str | int, ...] = ("architectures", index, *name.split("."))
            group = " ".join(entry.architectures)
            found.append(
                Parameter(
                    path, (), name, group, each.low, each.high, each.usual[vendor], means[vendor], each.spread
                )
            )
    for name, bound in bounds.of_ages.items():
        for framework, number, others in _ages(constants, bounds):
            place = ("software", "ages", framework, number, name)
            also = tuple(("software", "ages", other, number, name) for other in others)
            group = f"{framework} {number}"
            found.append(
                Parameter(place, also, f"age {name}", group, bound.low, bound.high, 1.0, None, bound.spread)
            )
    return tuple(found)


def vendor_of(architectures: tuple[str, ...]) -> str:
    """Return the vendor of an entry of architectures, cpu for processors."""
    return architectures[0].partition("/")[0]


def _path(name: str) -> tuple[str | int, ...]:
    return tuple(name.split(".", 2))


def _ages(constants: Constants, bounds: Bounds) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield framework and number of each age whose factors are fitted: not those of current PyTorch, which are 1."""
    for framework, ages in constants.software.ages.items():
        if framework in bounds.tied_ages[1:]:
            continue
        others = bounds.tied_ages[1:] if framework in bounds.tied_ages else ()
        for number in range(len(ages) - (framework == "pytorch")):
            yield framework, number, others


def value_at(document: Mapping[str, Any], path: tuple[str | int, ...]) -> float:
    """Return the number at a path of a document of constants."""
    node: Any = document
    for key in path:
        node = node[key]
    return float(node)


def put(document: Any, path: tuple[str | int, ...], value: float) -> None:
    """Set the number at a path of a document of constants."""
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def outside(constants: Constants, bounds: Bounds) -> list[str]:
    """Return the constants that lie outside their bounds, in words."""
    document = constants.model_dump()
    return [
        f"{'.'.join(map(str, place))} is {value_at(document, place):g}, not {each.low:g} to {each.high:g}"
        for each in parameters(constants, bounds)
        if each.path
        for place in (each.path, *each.also)
        if not each.low <= value_at(document, place) <= each.high
    ]


def rounded(value: float, digits: int = 3) -> float:
    """Return a number with so many significant digits, as the catalog holds it."""
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
