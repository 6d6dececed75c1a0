"""Markdown for issues, reports and chat: the same facts as the tables, nothing that a renderer could run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from advisor.accuracy_documents import AccuracyAnswer
from advisor.documents import (
    CompareAnswer,
    CpuDocument,
    EstimateAnswer,
    EstimateDocument,
    GpuAnswer,
    ModelAnswer,
    RecommendAnswer,
)
from advisor.quantity import Model
from advisor.render import accuracy, words
from advisor.units import format_count, plain

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~!])")


def render(answer: Model) -> str:
    """Return an answer as Markdown.

    Raises:
        TypeError: there is no Markdown for this kind of answer.
    """
    if isinstance(answer, RecommendAnswer):
        lines = _recommend(answer)
    elif isinstance(answer, EstimateAnswer):
        lines = _estimates(answer)
    elif isinstance(answer, CompareAnswer):
        lines = _compare(answer)
    elif isinstance(answer, GpuAnswer):
        lines = _gpus(answer)
    elif isinstance(answer, ModelAnswer):
        lines = _models(answer)
    elif isinstance(answer, AccuracyAnswer):
        lines = _accuracy(answer)
    else:
        raise TypeError(f"no Markdown for {type(answer).__name__}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return outside text as inert Markdown on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(plain(text).split()))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: int = 1) -> list[str]:
    """Return a table; the columns from ``numeric`` on are aligned to the right."""
    rules = ["---" if number < numeric else "---:" for number in range(len(header))]
    return [
        f"| {' | '.join(header)} |",
        f"| {' | '.join(rules)} |",
        *(f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows),
    ]


def _items(title: str, items: Sequence[str], level: int = 2) -> list[str]:
    return ["", f"{'#' * level} {title}", "", *(f"- {escape(item)}" for item in items)] if items else []


def _recommend(answer: RecommendAnswer) -> list[str]:
    rows = answer.recommendations
    lines = [f"# {escape(words.workload_title(answer.workload))}", "", f"{words.summary(answer)}."]
    lines += _items("What to relax", [item.message for item in answer.relax])
    if rows:
        header = (
            "#",
            "GPU",
            "Pareto",
            words.duration_header(rows),
            words.cost_header(rows),
            "Memory GiB",
            "Why",
        )
        table = _table(
            header,
            (
                (str(row.rank), words.title(row), "*" if row.pareto else "", words.duration(row),
                 words.cost(row.cost), words.memory(row.memory), words.why(row))
                for row in rows
            ),
            numeric=len(header),
        )  # fmt: skip
        ranked = f"Ranked by {escape(words.objective(answer))}"
        lines += ["", *table, "", ranked, ""]
        lines += [f"- **{escape(item.label)}**: {escape(words.pick(item))}" for item in answer.picks]
        lines += _cpu(answer.cpu)
        lines += ["", f"## Top pick: {escape(words.title(rows[0]))}"]
        lines += _estimate_body(rows[0])
    lines += _items("Notes", answer.warnings)
    found = words.groups(answer.excluded)
    if found:
        lines += ["", "## Left out", ""]
        for group in found:
            lines.append(f"- {group.number} {escape(group.title)}, e.g.")
            lines += [
                f"  - {escape(words.counted(item.name, item.count))}: {escape(item.reason)}"
                for item in group.examples
            ]
    return lines


def _estimates(answer: EstimateAnswer) -> list[str]:
    lines = [f"# {escape(words.workload_title(answer.workload))}"]
    for estimate in answer.estimates:
        verdict = "fits" if estimate.fits else "does not fit"
        lines += ["", f"## {escape(words.title(estimate))}: {verdict}", *_estimate_body(estimate)]
    lines += _cpu(answer.cpu)
    return lines + _items("Notes", answer.warnings)


def _cpu(document: CpuDocument | None) -> list[str]:
    return [] if document is None else [f"- **on a CPU**: {escape(words.cpu(document))}"]


def _estimate_body(estimate: EstimateDocument) -> list[str]:
    document = estimate.memory
    parts = ", ".join(f"{part.name} {words.gib(part.gib)}" for part in words.memory_parts(document))
    required = words.interval(document.required_gib, lambda value: f"{words.gib(value)} GiB")
    facts = [
        ("memory", f"{required} needed of {words.gib(document.available_gib)} GiB available: {parts}"),
        ("plan", words.plan(estimate.plan)),
        ("time", words.hours(estimate.total_time_h)),
        ("step", words.seconds(estimate.step_time_s)),
        ("throughput", words.rate(estimate.tokens_per_s or estimate.output_tokens_per_s, "tokens/s")),
        ("over a CPU", words.speed_up(estimate.speedup_over_cpu)),
        ("limited by", estimate.bottleneck or words.UNKNOWN),
        *words.cost_lines(estimate.cost, estimate.count),
        *((("rests on", rests),) if (rests := words.fitted_on(estimate)) else ()),
        *(("measured", words.evidence(item)) for item in estimate.evidence),
        *(
            ("would fit", f"{item.change}: needs {words.gib(item.required_gib)} GiB")
            for item in estimate.would_fit
        ),
    ]
    lines = ["", *(f"- **{label}**: {escape(text)}" for label, text in facts if text != words.UNKNOWN)]
    if estimate.breakdown:
        shares = (
            (item.kind, words.format_seconds(item.time_s), f"{item.share:.0%}") for item in estimate.breakdown
        )
        lines += ["", *_table(("Kind", "Time a step", "Share"), shares)]
    return lines + _items("Assumptions", estimate.assumptions, 3) + _items("Warnings", estimate.warnings, 3)


def _compare(answer: CompareAnswer) -> list[str]:
    header = ["", *(escape(words.title(estimate)) for estimate in answer.estimates)]
    rows = ((label, *cells) for label, cells in words.compare_rows(answer.estimates, answer.ratios))
    warnings = [
        f"{words.title(estimate)}: {warning}"
        for estimate in answer.estimates
        for warning in estimate.warnings
    ]
    return [
        f"# {escape(words.workload_title(answer.workload))}",
        "",
        *_table(header, rows),
        *_items("Warnings", warnings),
        *_items("Notes", answer.warnings),
    ]


def _gpus(answer: GpuAnswer) -> list[str]:
    if len(answer.gpus) == 1 and answer.gpus[0].entry is not None:
        gpu = answer.gpus[0]
        rows, sources = words.facts(gpu.entry or {})
        table = _table(("Field", "Value", "Source"), rows, numeric=3)
        listed = [f"{number}. {escape(source)}" for number, source in enumerate(sources, start=1)]
        remarks = [
            *_items(words.COMPATIBILITY, words.compatibility(gpu)),
            *_items("Remarks", words.remarks(gpu.entry or {})),
        ]
        return [
            f"# {escape(gpu.name)} ({escape(gpu.id)})",
            "",
            *table,
            "",
            "## Sources",
            "",
            *listed,
            *remarks,
        ]
    header = ("Id", "Name", "GiB", "GB/s", "fp32 TFLOP/s", "Tensor TFLOP/s", "TDP W", "Price", "Rent an hour")
    return _table(
        header,
        (
            (gpu.id, gpu.name, words.gib(gpu.memory_gib), f"{gpu.bandwidth_gb_s:.0f}",
             f"{gpu.fp32_tflops:.1f}", words.tensor_rate(gpu), f"{gpu.tdp_w:.0f}",
             words.price(gpu), words.money(gpu.rent_usd_per_gpu_h))
            for gpu in answer.gpus
        ),
        numeric=2,
    )  # fmt: skip


def _models(answer: ModelAnswer) -> list[str]:
    if len(answer.models) == 1 and answer.models[0].dimensions is not None:
        model = answer.models[0]
        facts = [
            ("family", model.family),
            ("parameters", f"{model.parameters:,}"),
            ("active parameters", f"{model.active_parameters:,}"),
            ("source", model.parameters_source),
            *words.flatten(model.dimensions or {}),
        ]
        return [f"# {escape(model.name)}", "", *_table(("Field", "Value"), facts, numeric=2)]
    rows = (
        (model.name, model.family, model.kind, format_count(model.parameters),
         format_count(model.active_parameters), str(model.sequence_length or words.UNKNOWN))
        for model in answer.models
    )  # fmt: skip
    return _table(("Name", "Family", "Kind", "Parameters", "Active", "Sequence"), rows, numeric=3)


def _accuracy(answer: AccuracyAnswer) -> list[str]:
    lines = ["# Predicted against published", "", f"{escape(accuracy.title(answer))}.", ""]
    lines += _table(accuracy.ERRORS_HEADER, accuracy.error_cells(answer.sections), numeric=2)
    lines += ["", escape(accuracy.outcomes(answer))]
    for section in answer.sections:
        if section.groups:
            lines += ["", f"## {escape(f'{section.title}, by {answer.by}')}", ""]
            lines += _table(accuracy.ERRORS_HEADER, accuracy.error_cells(section.groups), numeric=2)
    for contest in answer.contests:
        lines += ["", f"## {escape(accuracy.contest_title(contest))}", ""]
        lines += _table(accuracy.CONTEST_HEADER, accuracy.contest_cells(contest))
    lines += _items(
        "Farthest off under the shipped constants", [accuracy.row_line(row) for row in answer.worst]
    )
    lines += _items("Not predicted", accuracy.left_out(answer))
    return lines + _items("Notes", answer.notes)
