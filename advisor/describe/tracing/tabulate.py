"""From recordings at two batch sizes to the rows of a table: every quantity as a fixed part and one for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

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

    They are alike at both batch sizes, and the larger batch has more of them; those of them that another batch does not
    add to have a row of their own. Sums over samples are one fewer than the samples.

    Raises:
        UntraceableError: one of them is started more often than in proportion to the samples.
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
            Row(
                operator=work.name, kind=work.kind.label, phase=phase.name.lower(),
                repeat=_number(each * work.repeat * weight), launches=0.0, launches_per_sample=_number(work.launches),
                flops=0.0, flops_per_sample=_number(work.flops), bytes=0.0, bytes_per_sample=_number(work.bytes),
                rows=_number(work.rows), rows_per_sample=0.0, columns=_number(work.columns), inner=_number(work.inner),
                inner_per_sample=0.0, batch=0.0, batch_per_sample=_number(work.batch),
                full_precision=work.full_precision,
            )
        )  # fmt: skip
        once = few[phase, work] - each * sizes[0]
        if once < -each:
            raise UntraceableError(work.name, "it is started more often for each sample of a larger batch")
        if once > 0:
            alike = replace(work, repeat=work.repeat * once)
            looped.append(_row(phase, alike, alike, sizes, weight))
    first, second = ([each for each in recording.works if each not in more] for recording in (small, large))
    return looped, first, second


def merged(found: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows with equal ones counted by ``repeat``, in the order of their first."""
    repeats: dict[Row, float] = {}
    for row in found:
        key = row._replace(repeat=1.0)
        repeats[key] = repeats.get(key, 0.0) + row.repeat
    return tuple(row._replace(repeat=_number(repeat)) for row, repeat in repeats.items())


def curved(small: Recording, large: Recording, sizes: Pair) -> list[str]:
    """Return the names of operators that compute or move more than in proportion to the batch."""
    _, first_works, second_works = _loops(small, large, sizes, 1.0)
    growth = sizes[1] / sizes[0] * (1 + 1e-6)
    found = [
        first.name
        for (_, first), (_, second) in zip(first_works, second_works, strict=False)
        if second.flops > growth * first.flops or second.bytes > growth * first.bytes
    ]
    return list(dict.fromkeys(found))


def farthest(found: Iterable[Row], third: Recording, size: float) -> float:
    """Return by what share FLOPs or bytes of a recording at a third batch size differ from those of rows."""
    rows_found = list(found)
    flops = sum(row.repeat * (row.flops + row.flops_per_sample * size) for row in rows_found)
    moved = sum(row.repeat * (row.bytes + row.bytes_per_sample * size) for row in rows_found)
    true_flops = sum(work.repeat * work.flops for _, work in third.works)
    true_moved = sum(work.repeat * work.bytes for _, work in third.works)
    return max(abs(each / true - 1) for each, true in ((flops, true_flops), (moved, true_moved)) if true)


def _row(phase: Phase, first: Work, second: Work, sizes: Pair, weight: float) -> Row:
    if first.columns != second.columns and first.rows == second.rows:
        first, second = _turned(first), _turned(second)
    pairs: Sequence[Pair] = [
        line(getattr(first, name), getattr(second, name), sizes)
        for name in ("flops", "bytes", "rows", "inner", "batch")
    ]
    flops, moved, tall, inner, batch = ((_number(a), _number(b)) for a, b in pairs)
    return Row(
        first.name, first.kind.label, phase.name.lower(), _number(first.repeat * weight), _number(first.launches), 0.0,
        *flops, *moved, *tall, _number(second.columns), *inner, *batch, first.full_precision,
    )  # fmt: skip


def _turned(work: Work) -> Work:
    """Return a product with its rows and columns exchanged, which costs the same."""
    return replace(work, rows=work.columns, columns=work.rows)


def _number(value: float) -> float:
    """Return a number as it is best read: whole where it is whole, else with nine digits."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= 1e-9 * max(abs(value), 1.0) else float(f"{value:.9g}")
