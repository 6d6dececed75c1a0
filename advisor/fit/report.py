"""From published figures with their predictions to the document that says how far off they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from advisor.accuracy_documents import (
    AccuracyAnswer,
    Axis,
    ContestDocument,
    GroupDocument,
    LeftOutDocument,
    MethodDocument,
    RowDocument,
    SectionDocument,
)
from advisor.estimation.network import GPUS_PER_NODE
from advisor.fit.comparison import Comparison
from advisor.fit.runs import LeftOut
from advisor.fit.statistics import (
    baseline_view,
    errors,
    grouped,
    noise_floor,
    outcomes,
    ranking,
    unseen_view,
    worst,
)

OUTCOMES = "outcomes"
"""Section of the rows that say whether a run fitted."""


class _Section(NamedTuple):
    """A kind of rows."""

    id: str
    title: str
    holds: Callable[[Comparison], bool]


def _trains(subjects: Sequence[str], least: int, most: float) -> Callable[[Comparison], bool]:
    return lambda row: row.quantity == "training" and row.subject in subjects and least <= row.count <= most


def _remembers(kind: str) -> Callable[[Comparison], bool]:
    return lambda row: row.quantity == "memory" and row.memory_kind == kind


_NETWORKS = ("transformer", "network")
_MANY = float("inf")
_SECTIONS = (
    _Section("training-one", "Training, one GPU", _trains(_NETWORKS, 1, 1)),
    _Section(
        "transformers-node", f"Transformers, 2-{GPUS_PER_NODE} GPUs", _trains(("transformer",), 2, GPUS_PER_NODE)
    ),
    _Section(
        "transformers-nodes", f"Transformers, >{GPUS_PER_NODE} GPUs",
        _trains(("transformer",), GPUS_PER_NODE + 1, _MANY),
    ),
    _Section("networks-several", "Networks, several GPUs", _trains(("network",), 2, _MANY)),
    _Section("inference", "Inference, networks", lambda row: row.quantity == "inference"),
    _Section("memory-allocated", "Memory, allocated", _remembers("allocated")),
    _Section("memory-reserved", "Memory, reserved", _remembers("reserved")),
    _Section("memory-device", "Memory, whole device", _remembers("device")),
    _Section("memory-statement", "Memory, not explained", _remembers("statement")),
    _Section("learners", "Learners, no networks", _trains(("learner",), 1, _MANY)),
)  # fmt: skip

_KEYS: Mapping[Axis, Callable[[Comparison], str]] = {
    "gpu": lambda row: row.gpu,
    "source": lambda row: row.source.split(" ")[0],
    "family": lambda row: row.family,
    "method": lambda row: row.method,
}

_Method = Literal["unseen", "shipped", "peak", "roofline", "scaled-roofline", "parameters"]
_METHODS: Mapping[_Method, str] = {
    "unseen": "this model, unseen",
    "shipped": "this model, shipped",
    "peak": "peak FLOP/s x constant",
    "roofline": "plain roofline",
    "scaled-roofline": "roofline x constant",
    "parameters": "20 bytes a parameter",
}

_SCALED: Sequence[_Method] = ("peak", "scaled-roofline")
"""Methods whose constant is chosen with the measured figures known."""

_CONTESTS: Sequence[tuple[str, str, Sequence[str], Sequence[_Method]]] = (
    ("training-one", "Training, one GPU", ("training-one",), ("peak", "roofline", "scaled-roofline")),
    (
        "training-several", "Training, several GPUs",
        ("transformers-node", "transformers-nodes", "networks-several"), ("peak", "roofline", "scaled-roofline"),
    ),
    ("inference", "Inference of networks", ("inference",), ("peak", "roofline", "scaled-roofline")),
    (
        "memory", "Memory of training, all kinds",
        ("memory-allocated", "memory-reserved", "memory-device", "memory-statement"), ("parameters",),
    ),
)  # fmt: skip
"""Id, title, the sections whose rows are compared, and the simpler methods."""

_NOTES = (
    "unseen: predicted with constants fitted on other GPUs and other families alone; shipped: with the constants of "
    "the catalog, which were fitted on many of these rows",
    "error: predicted over measured, less one; bias: its median, above 0 where predictions are too high; inside: "
    "share of measured figures inside the 80 % interval; width: median of its upper over its lower end",
    "order: of pairs of GPUs measured in the same setting, the share whose faster one is predicted to be faster; over "
    "10 %: of pairs that differ by more; lost: throughput per GPU lost by taking the GPU that is predicted to be the "
    "fastest in a setting, its mean and its 90th percentile; suites may choose a batch for each GPU, and those that "
    "put each GPU into another computer are left out (measurements/doubts.yaml)",
    "peak FLOP/s x constant: operations over the dense peak of the precision times the utilisation that makes the "
    "median of predicted over measured 1 on these very rows, and roofline x constant likewise",
    "plain roofline: each kernel as long as its operations at the peak or its traffic at the bandwidth of the "
    "datasheet",
    "20 bytes a parameter: over the GPUs that share the weights, for training of all weights",
    "unseen GPUs may have siblings among the seen ones (an A100 with 40 GB beside one with 80); intervals are "
    "quantiles of these very errors, so that 80 % lie inside by construction, and single sources between 50 and 100 %",
    "inference is a forward pass of a network; no run of a language model that generates is among them",
    "whole device: most rows are batches that fill the card on purpose, which say that a run fits and not what it "
    "needs",
    "learners, no networks: whole trainings per hour; constants are those of current releases of the libraries, and "
    "most rows are of releases years older, which --by family tells apart",
)


def accuracy_answer(
    comparisons: Iterable[Comparison],
    left_out: Iterable[LeftOut],
    *,
    constants_date: str,
    by: Axis | None = None,
    worst_rows: int = 0,
) -> AccuracyAnswer:
    """Return the document of published figures beside their predictions.

    Args:
        comparisons: every published figure.
        left_out: runs that are not predicted.
        constants_date: of the shipped constants.
        by: what to group the rows of each section by; None for no groups.
        worst_rows: how many of the rows that are off the most to list of each section.
    """
    rows = tuple(comparisons)
    sections = {section.id: tuple(filter(section.holds, rows)) for section in _SECTIONS}
    section_of = {id(row): name for name, held in sections.items() for row in held}

    def document(row: Comparison) -> RowDocument:
        return _row(row, section_of.get(id(row), OUTCOMES))

    return AccuracyAnswer(
        constants_date=constants_date,
        by=by,
        sections=tuple(
            _section(section, sections[section.id], by) for section in _SECTIONS if sections[section.id]
        ),
        outcomes=outcomes(rows),
        noise_floor=noise_floor(rows),
        contests=tuple(
            contest
            for name, title, parts, simple in _CONTESTS
            if (contest := _contest(name, title, [row for part in parts for row in sections[part]], simple))
        ),
        worst=tuple(
            document(row) for held in sections.values() for row in worst(held, worst_rows)
        ),
        rows=tuple(document(row) for row in rows),
        left_out=tuple(
            LeftOutDocument(
                source=run.measurement.source, row=run.measurement.row, gpu=run.measurement.gpu,
                model=run.measurement.model, reason=run.reason,
            )
            for run in left_out
        ),
        notes=_NOTES,
    )  # fmt: skip


def _section(section: _Section, rows: Sequence[Comparison], by: Axis | None) -> SectionDocument:
    whole = _group(section.title, rows)
    parts = () if by is None else tuple(_group(name, group) for name, group in grouped(rows, _KEYS[by]))
    return SectionDocument(
        id=section.id, title=section.title, name=whole.name, rows=whole.rows, unseen=whole.unseen,
        shipped=whole.shipped, groups=parts,
    )  # fmt: skip


def _group(name: str, rows: Sequence[Comparison]) -> GroupDocument:
    shipped = errors(rows)
    assert shipped is not None, "groups have rows"
    return GroupDocument(name=name, rows=len(rows), unseen=errors(unseen_view(rows)), shipped=shipped)


def _contest(
    name: str, title: str, rows: Sequence[Comparison], simple: Sequence[_Method]
) -> ContestDocument | None:
    """Return this model and simpler methods on the rows that all of them have a figure for."""
    common = [row for row in rows if all(method in row.baselines for method in simple)]
    if unseen := unseen_view(common):
        common = [row for row in common if row.unseen is not None]
    if not common:
        return None
    views: dict[_Method, Sequence[Comparison]] = {"unseen": unseen, "shipped": common}
    views |= {method: baseline_view(common, method, scaled=method in _SCALED) for method in simple}
    methods = tuple(_method(method, held) for method, held in views.items() if held)
    return ContestDocument(id=name, title=title, rows=len(common), methods=methods)


def _method(method: _Method, rows: Sequence[Comparison]) -> MethodDocument:
    found = errors(rows)
    assert found is not None, "methods have rows"
    order = ranking(row for row in rows if row.quantity != "memory")
    return MethodDocument(
        method=method, title=_METHODS[method], rows=found.rows, median=found.median, mean=found.mean,
        p90=found.p90, ranking=order,
    )  # fmt: skip


def _row(row: Comparison, section: str) -> RowDocument:
    return RowDocument(
        section=section, quantity=row.quantity, unit=row.unit, gpu=row.gpu, count=row.count, model=row.model,
        family=row.family, method=row.method, precision=row.precision, memory_kind=row.memory_kind,
        measured=row.measured, predicted=row.predicted, low=row.low, high=row.high, unseen=row.unseen,
        unseen_low=row.unseen_low, unseen_high=row.unseen_high, source=row.source, row=row.row, date=row.date,
    )  # fmt: skip
