"""What evidence of every kind has in common: a run near to a question, and a run beside its prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from advisor.hardware import Device


class PublishedRun(Protocol):
    """What a published run says, as far as a comparison with its prediction needs it."""

    @property
    def published_speed(self) -> float | None:
        """Throughput of all GPUs together in ``speed_unit``; None: not published."""

    @property
    def speed_unit(self) -> str:
        """Unit of the throughput, such as tokens/s."""

    @property
    def memory_gib(self) -> float | None:
        """Peak of the fullest GPU; None: not published."""

    @property
    def memory_kind(self) -> str | None:
        """What the memory counts."""


Run = TypeVar("Run", bound=PublishedRun)


@dataclass(frozen=True, slots=True)
class Near(Generic[Run]):
    """A measurement, its distance from the question, and the difference in words."""

    measurement: Run
    distance: float
    similarity: str


@dataclass(frozen=True, slots=True)
class Comparison(Generic[Run]):
    """A near measurement beside what is predicted for exactly that run."""

    near: Near[Run]
    measured: float
    predicted: float
    unit: str


def compared(
    near: Iterable[Near[Run]],
    throughput: Callable[[Run], float | None],
    memory: Callable[[Run], float | None],
) -> Iterator[Comparison[Run]]:
    """Yield each near measurement with its prediction: of throughput, or of memory where no speed is published.

    Args:
        near: the measurements found.
        throughput: predicted for a run in its ``speed_unit``, None where the run cannot be predicted.
        memory: GiB predicted for a run, of the kind that the measurement names; None where it cannot be.
    """
    for each in near:
        run = each.measurement
        if run.published_speed is not None:
            measured, predicted, unit = run.published_speed, throughput(run), run.speed_unit
        elif run.memory_gib is not None:
            measured, predicted, unit = run.memory_gib, memory(run), f"GiB {run.memory_kind}"
        else:
            continue
        if predicted is not None:
            yield Comparison(each, measured, predicted, unit)


def related(one: Device, other: Device) -> bool:
    """Return whether two devices have the same architecture."""
    return (one.vendor, one.architecture) == (other.vendor, other.architecture)


def related_gpus(gpu: Device, devices: Iterable[Device]) -> frozenset[str]:
    """Return the ids of the devices with the architecture of ``gpu``."""
    return frozenset(device.id for device in devices if related(device, gpu))


def doublings(one: float, other: float) -> float:
    """Return how often one number must be doubled or halved to become the other."""
    return abs(math.log2(one / other))


def newest_first(date: str) -> float:
    """Return a key that sorts dates such as ``2024`` or ``2024-05-31`` with the newest first."""
    digits = date.replace("-", "").ljust(8, "0")[:8]
    return -float(digits) if digits.isdigit() else 0.0


def software_document(framework: str, version: str) -> dict[str, str]:
    """Return the ``software`` of a workload document; an empty version is left out."""
    return {"framework": framework} | ({"version": version} if version else {})
