"""The rows of the ranking: what qualifies, and greyed with the reason what does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from advisor.documents import ExcludedDocument, MemoryDocument, RecommendAnswer, RecommendationDocument
from advisor.render import words
from advisor.tui.desk import Choice
from advisor.tui.widgets.table import Column, Part, Row, cell
from advisor.units import format_count, plain

PICKED, FRONT = "+", "*"
_BAR = 6
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def key_of(choice: Choice) -> str:
    """Return the key of a row."""
    return f"{choice.gpu} {choice.count}"


def choice_of(key: str) -> Choice:
    """Return what a row is about."""
    gpu, count = key.rsplit(" ", 1)
    return Choice(gpu, int(count))


def ranking_columns(answer: RecommendAnswer | None, *, narrow: bool = False) -> tuple[Column, ...]:
    """Return the columns of a ranking, their titles as the answer needs them."""
    rows = answer.recommendations if answer is not None else ()
    return (
        Column("mark", ""),
        Column("rank", "#", right=True),
        Column("gpu", "GPU", widest=22 if narrow else 26),
        Column("memory", "Memory GiB"),
        Column("time", words.duration_header(rows)),
        Column("cost", "Cost of run" if words.cost_header(rows) == "Cost" else "Price", right=True),
        Column("buy", "Buy", right=True),
        Column("rent", "Rent $/h", right=True),
        Column("energy", "kWh", right=True),
        Column("power", "W", right=True),
        Column("value", "Value", right=True, descending=True),
        Column("speed", "Speed/s", right=True, descending=True),
        Column("plan", "Plan", widest=48),
    )


def ranking_rows(
    answer: RecommendAnswer, compared: Collection[Choice], *, excluded: bool = True, narrow: bool = False
) -> Iterator[Row]:
    """Yield the rows of an answer in its order, then what is left out.

    Args:
        answer: of ``recommend``.
        compared: what is picked out for comparison.
        excluded: whether to show what is left out.
        narrow: whether there is no room for bars.
    """
    for item in answer.recommendations:
        yield _ranked(item, Choice(item.gpu, item.count) in compared, narrow=narrow)
    if excluded:
        for group in words.groups(answer.excluded):
            yield from (_left_out(each) for each in answer.excluded if each.constraint == group.constraint)


def _ranked(item: RecommendationDocument, picked: bool, *, narrow: bool) -> Row:
    cost, time = item.cost, item.total_time_h or item.time_per_output_token_s or item.step_time_s
    energy = None if item.energy_kwh is None else item.energy_kwh.value
    speed = item.tokens_per_s or item.samples_per_s
    value = item.samples_per_s_per_1000_usd
    rent = cost.rent_usd_per_h
    total = cost.total_usd if cost.total_usd is not None else cost.purchase_usd
    marks = cell(Part(PICKED if picked else " ", "accent"), Part(FRONT if item.pareto else " ", "good"))
    return Row(
        key=key_of(Choice(item.gpu, item.count)),
        cells=(
            marks,
            str(item.rank),
            words.title(item),
            _memory(item.memory, narrow=narrow),
            words.duration(item),
            words.cost(cost),
            words.price(cost),
            words.UNKNOWN if rent is None else f"{rent:,.2f}",
            words.UNKNOWN if energy is None else f"{energy:,.3g}",
            words.UNKNOWN if item.power_w is None else f"{item.power_w:,.0f}",
            words.UNKNOWN if value is None else f"{value:,.3g}",
            words.UNKNOWN if speed is None else format_count(speed.value),
            _plan(item),
        ),
        order={
            "rank": item.rank,
            "gpu": words.title(item).lower(),
            "memory": item.memory.required_gib.value / item.memory.available_gib,
            "time": None if time is None else time.value,
            "cost": total,
            "buy": cost.purchase_usd,
            "rent": rent,
            "energy": energy,
            "power": item.power_w,
            "value": value,
            "speed": None if speed is None else speed.value,
        },
        words=f"{item.gpu} {item.name} {item.plan.precision}",
    )


def _plan(item: RecommendationDocument) -> str:
    plan = item.plan
    parts = [words.precision(plan), f"micro {plan.micro_batch}"]
    if plan.checkpointing != "none":
        parts.append(f"{plan.checkpointing} checkpointing")
    if plan.sharding.strategy != "none" or plan.sharding.tensor * plan.sharding.pipeline > 1:
        parts.append(words.layout(plan.sharding))
    return ", ".join(parts)


def _memory(document: MemoryDocument, *, narrow: bool) -> Sequence[Part]:
    """Return needed over available memory with a bar; where the interval goes beyond the card, with a ``?``."""
    share = document.required_gib.value / document.available_gib
    tight = document.required_gib.high > document.available_gib
    eighths = min(round(share * _BAR * 8), _BAR * 8)
    bar = _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    style = "warn" if tight else "good"
    text = f"{words.gib(document.required_gib.value)}/{words.gib(document.available_gib)}"
    note = Part(f"{text}{'?' if tight else ''}", style if narrow else "")
    return cell(note) if narrow else cell(Part(f"{bar:<{_BAR}}", style), " ", note)


def _left_out(item: ExcludedDocument) -> Row:
    name = words.counted(item.name, item.count)
    return Row(
        key=f"{item.gpu} {item.count or 1}",
        cells=("", "-", name),
        note=plain(item.reason),
        dim=True,
        words=f"{item.gpu} {item.name} {item.reason}",
    )


def status(answer: RecommendAnswer) -> str:
    """Return the answer in a line: how many qualify and the best of them, or what to relax."""
    if not answer.recommendations:
        return "; ".join(
            ["No GPU satisfies all constraints", *(plain(each.message) for each in answer.relax)]
        )
    first = answer.recommendations[0]
    number = f"{answer.qualified} of {answer.qualified + len(answer.excluded)} qualify"
    return f"{number}; best: {words.title(first)}, {words.duration(first)}, {words.cost(first.cost)}"


def picks_line(answer: RecommendAnswer) -> str:
    """Return the answers that people ask for by name; one that is asked for by several names once."""
    labels: dict[tuple[str, int], list[str]] = {}
    texts: dict[tuple[str, int], str] = {}
    for pick in answer.picks:
        key = (pick.gpu, pick.count)
        labels.setdefault(key, []).append(pick.label)
        price = f" {words.price(pick)}" if pick.purchase_usd and pick.label != "best to rent" else ""
        texts[key] = texts.get(key) or f"{words.counted(pick.name, pick.count)}{price}"
    return "  |  ".join(f"{', '.join(names)}: {texts[key]}" for key, names in labels.items())
