"""The whole specification of one device of the catalog: every fact with its unit and its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual.content import Content

from advisor.documents import EstimateDocument, ExcludedDocument, GpuDocument, RecommendAnswer
from advisor.render import words
from advisor.tui.plain import plain
from advisor.tui.widgets.reader import Reader

_UNITS = {
    "gb_s": "GB/s", "gbps": "Gbit/s", "gib": "GiB", "mib": "MiB", "mhz": "MHz", "tflops": "TFLOP/s", "bits": "bit",
    "w": "W", "usd": "USD",
}  # fmt: skip
"""Units by the end of a field's name."""

_LEFT_OUT = ("id", "name")
"""Fields that the heading shows."""


WIDEST_LABEL = 20
"""Longer labels push their value to the right instead of that of all others."""


class Fact(NamedTuple):
    """One number of a catalog entry: where it belongs, what it is, its value with the unit, its source by number."""

    part: str
    label: str
    value: str
    source: str


def fact(field: str, value: str, source: str) -> Fact:
    """Return a field such as ``memory.bandwidth_gb_s`` as people read it.

    Args:
        field: dotted, with the unit at its end.
        value: as text, without its unit.
        source: number of its source.
    """
    part, _, rest = field.rpartition(".")
    if rest.isdigit():
        # One of a list: what it is of comes first in its own text.
        part, _, rest = part.rpartition(".")
        name, _, amount = value.partition(" ")
        return Fact(f"{part} {rest}".replace("_", " "), name, amount, source)
    label, unit = rest, ""
    for end, written in _UNITS.items():
        if rest.endswith(f"_{end}") or rest == end:
            label, unit = rest.removesuffix(end).rstrip("_"), f" {written}"
            break
    return Fact(part.replace("_", " "), (label or "price").replace("_", " "), value + unit, source)


def specification(gpu: GpuDocument, answer: RecommendAnswer | None = None) -> Content:
    """Return everything that is known of a device.

    Args:
        gpu: with its whole catalog entry.
        answer: what lies on the desk, for what the workload would take there.
    """
    entry = gpu.entry or {}
    rows, sources = words.facts(entry)
    lines: list[Content] = [plain(gpu.name).stylize("bold"), plain(gpu.id).stylize("dim")]
    if gpu.overrides or gpu.origin != "catalog":
        replaced = ", in place of the shipped entry" if gpu.overrides else ""
        lines.append(plain(f"! from {gpu.origin}{replaced}").stylize("$text-warning"))
    if answer is not None:
        lines += _section("This workload on it", _of_workload(gpu, answer))
    lines += _section("Prices", _prices(gpu))
    lines += _section(words.COMPATIBILITY, (plain(f"- {text}") for text in words.compatibility(gpu)))
    parts: dict[str, list[Fact]] = {"": []}
    for row in rows:
        if row[0] not in _LEFT_OUT:
            found = fact(*row)
            parts.setdefault(found.part, []).append(found)
    for part, members in parts.items():
        lines += _section(part or "device", _aligned(members))
    lines += _section(
        "Sources", (plain(f"[{place}] {source}") for place, source in enumerate(sources, start=1))
    )
    lines += _section("Doubts and remarks", (plain(f"- {remark}") for remark in words.remarks(entry)))
    return Content("\n").join(lines)


def _section(title: str, lines: Iterable[Content]) -> list[Content]:
    found = list(lines)
    return (
        [Content(""), plain(title[:1].upper() + title[1:]).stylize("bold $text-accent"), *found]
        if found
        else []
    )


def _aligned(facts: Sequence[Fact]) -> Iterator[Content]:
    width = min(max((len(each.label) for each in facts), default=0), WIDEST_LABEL)
    for each in facts:
        line = plain(f"{each.label:<{width}}  ").stylize("dim") + plain(each.value)
        yield line + plain(f"  [{each.source}]").stylize("dim") if each.source else line


def _prices(gpu: GpuDocument) -> Iterator[Content]:
    for label, usd, source in (
        ("buy", gpu.purchase_usd, gpu.purchase_price),
        ("rent, per hour", gpu.rent_usd_per_gpu_h, gpu.rent_price),
    ):
        said = "not known" if usd is None else words.money(usd)
        line = plain(f"{label:<14}  ").stylize("dim") + plain(said)
        yield line if source is None else line + plain(f", {source}")


def _of_workload(gpu: GpuDocument, answer: RecommendAnswer) -> Iterator[Content]:
    """Yield what the answer on the desk says of this device; that it says nothing is said, too."""
    found = [row for row in answer.recommendations if row.gpu == gpu.id]
    excluded = [row for row in answer.excluded if row.gpu == gpu.id]
    for row in found:
        yield plain(f"#{row.rank} of {answer.qualified}: {_taken(row)}")
    for out in excluded:
        yield plain(f"left out{_number(out)}: {out.reason}")
    if not found and not excluded:
        listed = answer.shown < answer.qualified
        yield plain(
            f"not among the {answer.shown} that the answer lists of {answer.qualified}"
            if listed
            else "the answer does not mention it"
        )


def _taken(row: EstimateDocument) -> str:
    return (
        f"{words.counted(row.name, row.count)}, {words.memory(row.memory)} GiB, {words.duration(row)}, "
        f"{words.cost(row.cost)}"
    )


def _number(out: ExcludedDocument) -> str:
    return "" if out.count in (None, 1) else f" with {out.count}"


class Specification(Reader):
    """The facts of the device under the cursor, to scroll through."""

    DEFAULT_CSS: ClassVar[str] = """
    Specification { padding: 0 1; }
    """

    def show(self, gpu: GpuDocument, answer: RecommendAnswer | None) -> None:
        """Show a device; see :func:`specification`."""
        self.read(specification(gpu, answer), anew=True)
