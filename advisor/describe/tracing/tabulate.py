"""From recordings at two batch sizes to the rows of a table: every quantity as a fixed part and one for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from advisor.describe.tracing.device_tensor import UntraceableError
from advisor.describe.tracing.kernels import Work
from advisor.describe.tracing.recorder import Recording
from advisor.network import Linear, Row
from advisor.operators import Phase

Pair = tuple[float, float]


def line(first: float, second: float, sizes: Pair) -> Pair:
    """Return (fixed, per sample) of a quantity measured at two batch sizes.

    One that grows faster than the batch is taken as proportional to it at the larger size.
    """
    slope = (second - first) / (sizes[1] - sizes[0])
    fixed = first - slope * sizes[0]
    if slope < 0:
        return max(first, second), 0.0
    if fixed < -1e-6 * abs(second):
        return 0.0, second / sizes[1]
    return max(fixed, 0.0), slope


def linear(first: float, second: float, sizes: Pair) -> Linear:
    """Return :func:`line` as a document's quantity, in whole bytes."""
    fixed, per_sample = line(first, second, sizes)
    return Linear(fixed=round(fixed), per_sample=_number(per_sample))


def rows(small: Recording, large: Recording, sizes: Pair, weight: float) -> list[Row]:
    """Return a row for each operator of two recordings of the same step.

    Raises:
        UntraceableError: the step runs other operators at another batch size.
    """
    looped, first_works, second_works = _loops(small, large, sizes, weight)
    if len(first_works) != len(second_works):
        raise UntraceableError(
            "the step",
            f"it starts {len(small.works)} kernels with {sizes[0]:g} samples and {len(large.works)} with {sizes[1]:g}, "
            "and more than a loop over the samples is the reason",
        )
    found = list(looped)
    for (phase, first), (other, second) in zip(first_works, second_works, strict=True):
        if (phase, first.name, first.kind) != (other, second.name, second.kind):
            raise UntraceableError(first.name, f"with another batch size {second.name} runs in its place")
        found.append(_row(phase, first, second, sizes, weight))
    return found


def _loops(
    small: Recording, large: Recording, sizes: Pair, weight: float
) -> tuple[list[Row], list[tuple[Phase, Work]], list[tuple[Phase, Work]]]:
    """Return rows for kernels that are started once for each sample, and the other kernels of both recordings.

    They are alike at both batch sizes, and the larger batch has more of them.
    """
    if len(small.works) == len(large.works):
        return [], small.works, large.works
    few, many = Counter(small.works), Counter(large.works)
    more = {
        each: (many[each] - count) / (sizes[1] - sizes[0])
        for each, count in few.items()
        if many[each] > count
    }
    looped = []
    for (phase, work), each in more.items():
        looped.append(
            (
                work.name, work.kind.label, phase.name.lower(), _number(each * work.repeat * weight), 0.0,
                _number(work.launches), 0.0, _number(work.flops), 0.0, _number(work.bytes), _number(work.rows), 0.0,
                _number(work.columns), _number(work.inner), 0.0, 0.0, _number(work.batch), work.full_precision,
            )
        )  # fmt: skip
    first, second = ([each for each in recording.works if each not in more] for recording in (small, large))
    return looped, first, second


def merged(found: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows with equal ones counted by ``repeat``, in the order of their first."""
    repeats: dict[tuple[object, ...], float] = {}
    for row in found:
        key = (*row[:3], *row[4:])
        repeats[key] = repeats.get(key, 0.0) + row[3]
    return tuple((*key[:3], _number(repeat), *key[3:]) for key, repeat in repeats.items())  # type: ignore[misc]


def _row(phase: Phase, first: Work, second: Work, sizes: Pair, weight: float) -> Row:
    if first.columns != second.columns and first.rows == second.rows:
        first, second = _turned(first), _turned(second)
    pairs: Sequence[Pair] = [
        line(getattr(first, name), getattr(second, name), sizes)
        for name in ("flops", "bytes", "rows", "inner", "batch")
    ]
    flops, moved, tall, inner, batch = ((_number(a), _number(b)) for a, b in pairs)
    return (
        first.name, first.kind.label, phase.name.lower(), _number(first.repeat * weight), _number(first.launches), 0.0,
        *flops, *moved, *tall, _number(second.columns), *inner, *batch, first.full_precision,
    )  # fmt: skip


def _turned(work: Work) -> Work:
    """Return a product with its rows and columns exchanged, which costs the same."""
    return Work(
        work.name, work.kind, work.flops, work.bytes, work.launches, rows=work.columns, columns=work.rows,
        inner=work.inner, batch=work.batch, repeat=work.repeat, full_precision=work.full_precision,
    )  # fmt: skip


def _number(value: float) -> float:
    """Return a number as it is best read: whole where it is whole, else with nine digits."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= 1e-9 * max(abs(value), 1.0) else float(f"{value:.9g}")
