"""Answers as one HTML file that loads nothing: what a person who signs the order reads, with plots and evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from advisor.accuracy_documents import AccuracyAnswer
from advisor.documents import (
    CompareAnswer,
    CpuDocument,
    Document,
    EstimateAnswer,
    EstimateDocument,
    GpuAnswer,
    ModelAnswer,
    PickDocument,
    RecommendAnswer,
    RecommendationDocument,
)
from advisor.quantity import Model
from advisor.render import accuracy_html, charts, html_estimate, words
from advisor.render.html_page import Cell, definitions, items, page, table, text
from advisor.render.html_scatter import hours_shown, scatter
from advisor.units import format_count
from advisor.version import __version__

_DETAILED = 3
"""Recommendations that are shown in full."""

_STYLE = charts.STYLE + html_estimate.STYLE


def render(answer: Model) -> str:
    """Return an answer as a self-contained HTML document.

    Raises:
        TypeError: there is no report of this kind of answer.
    """
    if isinstance(answer, RecommendAnswer):
        return _page(answer, words.workload_title(answer.workload), _recommend(answer))
    if isinstance(answer, EstimateAnswer):
        return _page(answer, words.workload_title(answer.workload), _estimates(answer))
    if isinstance(answer, CompareAnswer):
        return _page(answer, words.workload_title(answer.workload), _compare(answer))
    if isinstance(answer, GpuAnswer):
        return _page(answer, _gpus_title(answer), _gpus(answer))
    if isinstance(answer, ModelAnswer):
        return _page(answer, _models_title(answer), _models(answer))
    if isinstance(answer, AccuracyAnswer):
        return accuracy_html.render(answer)
    raise TypeError(f"no report of {type(answer).__name__}")


def _page(answer: Document, title: str, body: Iterator[str]) -> str:
    schema = str(getattr(answer, "schema_"))  # noqa: B009 - each kind of document declares its own
    lines = [
        f"<main><h1>{text(title)}</h1>",
        *body,
        "</main>",
        f"<footer><p>gpu-advisor {text(__version__)}; --json writes the same facts as {text(schema)}.</p>",
        "<p>(a-b) is an 80 % interval: the true value lies in it in about eight of ten cases. "
        f"{words.UNKNOWN} is not known.</p></footer>",
    ]
    return page(f"gpu-advisor: {title}", lines, style=_STYLE)


def _recommend(answer: RecommendAnswer) -> Iterator[str]:
    rows = answer.recommendations
    yield f'<p class="{"faint" if rows else "answer"}">{text(words.summary(answer))}.</p>'
    if rows:
        yield from _verdict(answer)
    yield from items("What to relax", [item.message for item in answer.relax])
    yield from _workload(answer.workload)
    if rows:
        yield from scatter(rows)
        yield "<h2>Ranking</h2>"
        yield from _ranking(answer)
        yield from _cpu(answer.cpu, rows[0])
        for row in rows[:_DETAILED]:
            yield from html_estimate.section(row, f"#{row.rank} {words.title(row)}", f"rank{row.rank}")
    yield from _left_out(answer)
    yield from items("Notes", answer.warnings)


def _verdict(answer: RecommendAnswer) -> Iterator[str]:
    """Yield the answer in two sentences, and the picks with their prices."""
    best = answer.recommendations[0]
    dated = f" (prices as of {best.cost.prices_as_of})" if best.cost.prices_as_of else ""
    fit = "" if words.verdict(best) == "fits" else f"; it {words.verdict(best)}, see its memory below"
    facts = [
        f"{label} {value}"
        for label, value in (
            (words.duration_header(answer.recommendations).lower(), words.duration(best)),
            (words.cost_header(answer.recommendations).lower(), words.cost(best.cost)),
        )
        if value != words.UNKNOWN
    ]
    first = f"Best overall is {words.title(best)}: {', '.join(facts)}{dated}{fit}."
    named: dict[str, list[str]] = {}
    for pick in answer.picks:
        named.setdefault(words.counted(pick.name, pick.count), []).append(pick.label)
    second = "; ".join(f"{' and '.join(labels)}: {name}" for name, labels in named.items())
    sentences = first + (f" {second[0].upper()}{second[1:]}." if second else "")
    yield f'<p class="answer">{text(sentences)}</p>'
    if answer.picks:
        shown = {row.rank: row for row in answer.recommendations}
        header = ("Pick", "GPU, rank, time and price", "Source of the price")
        rows = [(pick.label, words.pick(pick), _price(pick, shown.get(pick.rank))) for pick in answer.picks]
        yield from table("Picks", header, rows, words=(0, 1, 2))


def _price(pick: PickDocument, row: RecommendationDocument | None) -> str:
    """Return kind, date and source of the price behind a pick."""
    if row is None:
        return "not among the rows shown: --top all shows it"
    cost = row.cost
    by = {"best to rent": "rent", "best to buy": "buy", "cheapest to buy": "buy"}.get(
        pick.label, cost.total_by
    )
    return (cost.rent_price if by == "rent" else cost.purchase_price) or words.UNKNOWN


def _workload(workload: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>The workload as given</h2>"
    yield from definitions(words.flatten(workload))


def _ranking(answer: RecommendAnswer) -> Iterator[str]:
    rows = answer.recommendations
    by_job = any(row.cost.rent_usd is not None for row in rows)
    header = (
        "#", "GPU", "Count", "Memory, GiB", words.duration_header(rows),
        words.cost_header(rows), "Buy", "Rent" if by_job else "Rent a GPU-hour", "Energy", "Why",
    )  # fmt: skip
    yield f"<p>Ranked by {text(words.objective(answer))}</p>"
    yield from table(
        words.summary(answer),
        header,
        (_ranked(row, by_job=by_job) for row in rows),
        words=(1, 9),
        named_by=1,
        sortable=True,
    )
    yield (
        '<p class="faint">*: no other answer is both faster and cheaper. Memory is needed / available: the line '
        "in a bar is the 80 % interval, the upright mark the limit. A click on a title sorts.</p>"
    )


def _ranked(row: RecommendationDocument, *, by_job: bool) -> tuple[str | Cell, ...]:
    need, cost = row.memory.required_gib, row.cost
    interval = words.interval(need, words.gib)
    fit = f"{interval} / {words.gib(row.memory.available_gib)}"
    bar = f"<br>{words.verdict(row)} {html_estimate.fit_bar(row.memory)}"
    hours = hours_shown(row)
    total = cost.total_usd if cost.total_usd is not None else cost.purchase_usd
    rent = cost.rent_usd if by_job else cost.rent_usd_per_gpu_h
    energy = row.energy_kwh
    return (
        Cell(str(row.rank), row.rank),
        words.short_name(row.name) + (" *" if row.pareto else ""),
        Cell(str(row.count), row.count),
        Cell(fit, need.value / row.memory.available_gib, bar),
        Cell(words.duration(row), _known(None if hours is None else hours[0])),
        Cell(words.cost(cost), _known(total)),
        Cell(words.price(cost), _known(cost.purchase_usd)),
        Cell(words.money(rent), _known(rent)),
        Cell(
            f"{energy.value:,.3g} kWh" if energy else words.UNKNOWN, _known(energy.value if energy else None)
        ),
        words.why(row),
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _cpu(document: CpuDocument | None, first: EstimateDocument | None = None) -> list[str]:
    return [] if document is None else [f"<p>The same on a CPU: {text(words.cpu(document, first))}.</p>"]


def _left_out(answer: RecommendAnswer) -> Iterator[str]:
    found = words.groups(answer.excluded)
    if not found:
        return
    yield f"<h2>Left out: {sum(group.number for group in found)} GPUs</h2>"
    for group in found:
        first = {item.gpu: item for item in reversed(answer.excluded) if item.constraint == group.constraint}
        yield f"<details><summary>{group.number} {text(group.title)}</summary><ul>"
        for item in reversed(first.values()):
            yield f"<li>{text(words.counted(item.name, item.count))}: {text(item.reason)}</li>"
        yield "</ul></details>"


def _estimates(answer: EstimateAnswer) -> Iterator[str]:
    yield from _in_short(answer.estimates)
    yield from _workload(answer.workload)
    yield from _cpu(answer.cpu)
    yield from _sections(answer.estimates)
    yield from items("Notes", answer.warnings)


def _in_short(estimates: Sequence[EstimateDocument]) -> Iterator[str]:
    """Yield one sentence an estimate."""
    for estimate in estimates:
        facts = [words.duration(estimate), words.cost(estimate.cost)] if estimate.fits else []
        facts = [fact for fact in (*facts, words.required(estimate)) if fact != words.UNKNOWN]
        if estimate.cost.prices_as_of:
            facts.append(f"prices as of {estimate.cost.prices_as_of}")
        sentence = f"{words.title(estimate)} {words.verdict(estimate)}: {'; '.join(facts)}."
        yield f'<p class="answer">{text(sentence)}</p>'


def _sections(estimates: Sequence[EstimateDocument]) -> Iterator[str]:
    for number, estimate in enumerate(estimates, start=1):
        yield from html_estimate.section(estimate, words.title(estimate), f"estimate{number}")


def _compare(answer: CompareAnswer) -> Iterator[str]:
    yield from _in_short(answer.estimates)
    yield from _workload(answer.workload)
    yield "<h2>Side by side</h2>"
    header = ("", *(words.title(estimate) for estimate in answer.estimates))
    rows = [(label, *cells) for label, cells in words.compare_rows(answer.estimates, answer.ratios)]
    yield from table(f"Ratios are to {words.title(answer.estimates[0])}", header, rows)
    yield from _cpu(answer.cpu)
    yield from _sections(answer.estimates)
    yield from items("Notes", answer.warnings)


def _gpus_title(answer: GpuAnswer) -> str:
    gpu = answer.gpus[0] if len(answer.gpus) == 1 else None
    return (
        f"{gpu.name} ({gpu.id})" if gpu is not None and gpu.entry is not None else f"{len(answer.gpus)} GPUs"
    )


def _gpus(answer: GpuAnswer) -> Iterator[str]:
    if len(answer.gpus) == 1 and answer.gpus[0].entry is not None:
        entry = answer.gpus[0].entry
        rows, sources = words.facts(entry)
        yield from table("Facts", ("Field", "Value", "Source"), rows, words=(0, 1))
        listed = "".join(f"<li>{text(source)}</li>" for source in sources)
        yield f"<h2>Sources</h2><ol>{listed}</ol>"
        yield from items(words.COMPATIBILITY, words.compatibility(answer.gpus[0]))
        yield from items("Remarks", words.remarks(entry))
        return
    header = ("Id", "Name", "GiB", "GB/s", "fp32 TFLOP/s", "Tensor TFLOP/s", "TDP W", "Price", "Rent an hour")
    cells = [
        (
            gpu.id,
            gpu.name,
            Cell(words.gib(gpu.memory_gib), gpu.memory_gib),
            Cell(f"{gpu.bandwidth_gb_s:.0f}", gpu.bandwidth_gb_s),
            Cell(f"{gpu.fp32_tflops:.1f}", gpu.fp32_tflops),
            Cell(
                words.tensor_rate(gpu), _known(gpu.tensor_tflops.get("bf16", gpu.tensor_tflops.get("fp16")))
            ),
            Cell(f"{gpu.tdp_w:.0f}", gpu.tdp_w),
            Cell(words.price(gpu), _known(gpu.purchase_usd)),
            Cell(words.money(gpu.rent_usd_per_gpu_h), _known(gpu.rent_usd_per_gpu_h)),
        )
        for gpu in answer.gpus
    ]
    yield from table("Catalog of GPUs", header, cells, words=(0, 1), sortable=True)


def _models_title(answer: ModelAnswer) -> str:
    return answer.models[0].name if _one_model(answer) else f"{len(answer.models)} models"


def _one_model(answer: ModelAnswer) -> bool:
    return len(answer.models) == 1 and answer.models[0].dimensions is not None


def _models(answer: ModelAnswer) -> Iterator[str]:
    if _one_model(answer):
        model = answer.models[0]
        yield from definitions(
            [
                ("family", model.family),
                ("parameters", f"{model.parameters:,}"),
                ("active parameters", f"{model.active_parameters:,}"),
                ("source", model.parameters_source),
            ]
        )
        yield from table("Dimensions", ("Field", "Value"), words.flatten(model.dimensions or {}))
        return
    header = ("Name", "Family", "Kind", "Parameters", "Active", "Sequence")
    rows = [
        (
            model.name,
            model.family,
            model.kind,
            Cell(format_count(model.parameters), model.parameters),
            Cell(format_count(model.active_parameters), model.active_parameters),
            Cell(str(model.sequence_length or words.UNKNOWN), _known(model.sequence_length)),
        )
        for model in answer.models
    ]
    yield from table("Shipped models", header, rows, words=(0, 1, 2), sortable=True)
