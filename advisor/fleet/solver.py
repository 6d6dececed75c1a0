"""The cheapest plan as a mixed-integer linear program, solved to proven optimality by HiGHS (scipy.optimize.milp).

Variables, for each option a 0/1 choice; for each kind of GPU that can be bought the blocks of each size that its jobs
occupy and, for each piece (numbers with one price of a card in one set of machines), a 0/1 choice of the piece and the
packs of cards that are sold together. Constraints, in the words of :func:`advisor.fleet.options.least_cards`: one
option a workload; minutes and replicas fit into the blocks; blocks fit into the cards. Amounts are whole cents and
whole minutes, so that the solver's tolerances decide nothing; its answer is priced again in whole numbers, and each
workload is given the option of the smallest id among equally cheap ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from advisor.errors import ExternalError, MissingExtraError
from advisor.fleet.dominance import Aim, most_kinds, pruned
from advisor.fleet.market import Limits
from advisor.fleet.options import CentsTier, Choices, Option, Piece, Supply, cents, least_cards, pieces
from advisor.fleet.plan import Plan, plan_of
from advisor.workload import Way

WAYS: tuple[Way, ...] = ("buy", "rent")

MAX_NODES = 100_000
"""Branches after which the solver gives up on a proof; a number of branches, not a time, so that answers repeat."""

_USD = 0.01
_GAVE_UP = 1
"""scipy's status of a solver that reached a limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the solver is asked besides the choices."""

    limits: Limits = field(default_factory=Limits)
    aim: Aim = "cost"
    ways: Collection[Way] = WAYS
    without_one_of: frozenset[tuple[str, Way]] | None = None
    """Kinds of GPUs, and how they are had, of which the plan must leave out one at least."""
    below_cents: int | None = None
    """The most that the plan may cost over the horizon."""

    @property
    def matters(self) -> frozenset[Aim]:
        """What of a plan is limited or minimised."""
        limited: dict[Aim, bool] = {
            "cost": self.below_cents is not None,
            "outlay": self.limits.budget_usd is not None,
            "power": self.limits.max_power_w is not None,
        }
        return frozenset({self.aim, *(aim for aim, given in limited.items() if given)})

    def allows(self, plan: Plan) -> bool:
        """Say whether a plan answers this question, if not best."""
        if self.below_cents is not None and plan.total_cents > self.below_cents:
            return False
        unlike = self.without_one_of is None or not self.without_one_of <= plan.sources
        return plan.keeps(self.limits) and unlike


def best_plan(choices: Choices, question: Question) -> Plan | None:
    """Return the best plan, None where there is none.

    Raises:
        MissingExtraError: scipy is not installed.
        ExternalError: the solver gave up before it had found one.
    """
    differs, ceiling = question.without_one_of is not None, question.below_cents
    few = pruned(choices, 1 + differs, question.matters)
    plan = None
    if ceiling is None and question.aim == "cost":
        plan = _best_of(few, choices, question)
        ceiling = None if plan is None else plan.total_cents
    options = pruned(choices, most_kinds(choices, ceiling) + differs, question.matters)
    return plan if plan is not None and options == few else _best_of(options, choices, question)


def _best_of(options: Sequence[Option], choices: Choices, question: Question) -> Plan | None:
    """Return the best plan of these options."""
    options = [option for option in options if option.way in question.ways]
    if len({option.workload for option in options}) < len(choices.workloads):
        return None
    program = _Program(choices, options, question)
    while (found := program.solved()) is not None:
        plan = plan_of(found.options, choices, found.cards, proven=found.proven)
        if plan is not None and question.allows(plan):
            return _polished(plan, choices, options, question) if question.aim == "cost" else plan
        # Within its tolerances, but not to the cent.
        program.refuse(found.options)
    return None


def _polished(plan: Plan, choices: Choices, options: Sequence[Option], question: Question) -> Plan:
    """Return the plan in which no other option of one workload is cheaper, or as cheap with a smaller id."""
    improved = True
    while improved:
        improved = False
        for workload in choices.workloads:
            others = [option for option in plan.options if option.workload != workload]
            for option in options:
                if option.workload == workload:
                    other = plan_of([*others, option], choices, proven=plan.proven)
                    if other is not None and other.order < plan.order and question.allows(other):
                        plan, improved = other, True
    return plan


@dataclass(frozen=True, slots=True)
class _Found:
    options: Sequence[Option]
    cards: Mapping[str, int]
    proven: bool


def _worth_buying(supply: Supply, needed: int) -> tuple[list[CentsTier], int]:
    """Return the tiers in which a plan may buy, and the most cards that it may.

    Args:
        supply: a kind of GPU.
        needed: cards if all workloads ran on it, each on cards of its own.
    """
    first = min(supply.numbers(needed), default=None, key=lambda item: item[0])
    if first is None:
        return list(supply.tiers), max(each.maximum_count or 0 for each in supply.tiers)
    number, tier = first
    paid = supply.cents(tier, number)
    tiers, most = [], number
    for each in supply.tiers:
        least = supply.stepped(each.minimum_count)
        if least > number:
            # A break far off, whose cards cost more than all that can be needed.
            if all(more >= less for more, less in zip(supply.cents(each, least), paid, strict=True)):
                continue
            most = max(most, least)
        tiers.append(each)
    return tiers, most


class _Program:
    """The linear program, built row by row."""

    def __init__(self, choices: Choices, options: Sequence[Option], question: Question) -> None:
        self.choices = choices
        self.options = options
        self.columns = 0
        self.upper: list[float] = []
        self.whole: list[bool] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.costs: dict[int, float] = {}
        self.outlays: dict[int, float] = {}
        self.watts: dict[int, float] = {}
        self.cards: dict[str, dict[int, float]] = {}
        """Of each kind the columns that count its cards, with the cards of a pack."""
        self.chosen = [self._column(1) for _ in options]
        for workload in choices.workloads:
            self._row({column: 1.0 for column, each in self._of(workload=workload)}, 1, 1)
        for column, option in enumerate(options):
            self.costs[column] = _USD * option.cost_cents
            self.outlays[column] = _USD * option.rent_cents
        for gpu in sorted({option.gpu for option in options if option.way == "buy"}):
            self._buy(gpu)
        self._limit(question)

    def _column(self, upper: float, *, whole: bool = True) -> int:
        self.upper.append(upper)
        self.whole.append(whole)
        self.columns += 1
        return self.columns - 1

    def _row(self, terms: Mapping[int, float], low: float, high: float) -> None:
        self.rows.append((dict(terms), low, high))

    def _of(
        self, *, workload: str | None = None, source: tuple[str, Way] | None = None
    ) -> list[tuple[int, Option]]:
        return [
            (column, option)
            for column, option in enumerate(self.options)
            if workload in (None, option.workload) and source in (None, option.source)
        ]

    def _buy(self, gpu: str) -> None:
        """Add the cards of one kind, their price, and the blocks into which the work on them must fit."""
        supply, capacity = self.choices.supplies[gpu], self.choices.capacity
        here = self._of(source=(gpu, "buy"))
        sizes = [size for size in self.choices.sizes if size <= max(option.count for _, option in here)]
        alone: dict[str, int] = {}
        for _, option in here:
            needed = least_cards([option], capacity, sizes)
            alone[option.workload] = max(alone.get(option.workload, 0), needed)
        tiers, most = _worth_buying(supply, sum(alone.values()))
        cards: dict[int, float] = {}
        idle = {column: _USD * option.host_saved_cents for column, option in here}
        taken = [self._piece(supply, piece, cards, idle) for piece in pieces(supply, tiers, most)]
        self._row(dict.fromkeys(taken, 1.0), 0, 1)
        if any(each.idle_cents for each in supply.machines):
            spent = self._column(np.inf, whole=False)
            self.costs[spent] = 1.0
            self._row({**idle, spent: 1.0}, 0, np.inf)
        self.cards[gpu] = cards
        # These follow from the rest for whole numbers; without them the relaxation would buy fractions of a card.
        for workload in alone:
            mine = [(column, option) for column, option in here if option.workload == workload]
            self._row({**dict.fromkeys(taken, 1.0), **{column: -1.0 for column, _ in mine}}, 0, np.inf)
            least_of = {column: supply.stepped(least_cards([each], capacity, sizes)) for column, each in mine}
            if max(least_of.values()) > supply.step:
                self._row({**cards, **{column: -least for column, least in least_of.items()}}, 0, np.inf)
        for size in sizes:
            blocks = self._column(most // size)
            self._row({**cards, blocks: -size}, 0, np.inf)
            minutes = {column: -option.minutes * option.blocks(size) / capacity for column, option in here}
            self._row({blocks: 1, **minutes}, 0, np.inf)
            served = {
                column: -option.side_by_side * option.blocks(size) for column, option in here if option.served
            }
            if served:
                self._row({blocks: 1, **served}, 0, np.inf)

    def _piece(self, supply: Supply, piece: Piece, cards: dict[int, float], idle: dict[int, float]) -> int:
        """Add the cards of one piece with their machines, and return the column that says whether it is taken.

        Args:
            supply: a kind of GPU.
            piece: numbers of it.
            cards: takes the column of the cards.
            idle: takes the columns of machines with what they spend idle, negated.
        """
        step, tier = supply.step, piece.tier
        packs, taken = self._column(piece.most // step), self._column(1)
        cards[packs] = step
        self.costs[packs] = _USD * step * supply.unit_cost_cents(tier)
        self.outlays[packs] = _USD * step * supply.unit_outlay_cents(tier)
        self.watts[packs] = step * supply.gpu.tdp_w
        self._row({packs: step, taken: -piece.least}, 0, np.inf)
        self._row({packs: step, taken: -piece.most}, -np.inf, 0)
        if piece.machine is None:
            return taken
        machines, each = taken, float(piece.number or 1)
        if piece.number is None:
            machines = self._column(math.ceil(piece.most / piece.machine.places))
            self._row({machines: piece.machine.places, packs: -step}, 0, np.inf)
        self.costs[machines] = _USD * each * piece.machine.kept_cents
        self.outlays[machines] = _USD * each * piece.machine.outlay_cents
        idle[machines] = -_USD * each * piece.machine.idle_cents
        return taken

    def _limit(self, question: Question) -> None:
        limits = question.limits
        if limits.budget_usd is not None:
            self._row(self.outlays, -np.inf, _USD * cents(limits.budget_usd))
        if limits.max_power_w is not None and self.watts:
            self._row(self.watts, -np.inf, limits.max_power_w)
        if question.below_cents is not None:
            self._row(self.costs, -np.inf, _USD * question.below_cents)
        if question.without_one_of is not None:
            self._differ(question.without_one_of)
        self.aim = {"cost": self.costs, "outlay": self.outlays, "power": self.watts}[question.aim]

    def _differ(self, sources: frozenset[tuple[str, Way]]) -> None:
        """Leave one of ``sources`` unused."""
        terms: dict[int, float] = {}
        for source in sources:
            used = self._column(1)
            # Whatever uses the source makes this 1, and at least one 0 is asked for.
            for column, _ in self._of(source=source):
                self._row({used: 1, column: -1}, 0, np.inf)
            terms[used] = -1.0
        self._row(terms, 1 - len(sources), np.inf)

    def refuse(self, options: Sequence[Option]) -> None:
        """Rule out one choice of options."""
        taken = [column for column, option in enumerate(self.options) if option in options]
        self._row(dict.fromkeys(taken, 1.0), -np.inf, len(taken) - 1)

    def solved(self) -> _Found | None:
        """Return the best choice, None where there is none."""
        try:
            from scipy.optimize import Bounds, LinearConstraint, milp
            from scipy.sparse import csr_array
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"deciding on a fleet needs the package {error.name}", hint='pip install "gpu-advisor[fleet]"'
            ) from error
        entries = [(row, *term) for row, (terms, _, _) in enumerate(self.rows) for term in terms.items()]
        at, columns, values = (np.array(each) for each in zip(*entries, strict=True))
        matrix = csr_array((values.astype(float), (at, columns)), shape=(len(self.rows), self.columns))
        result: Any = milp(
            c=np.array([self.aim.get(column, 0.0) for column in range(self.columns)]),
            integrality=np.array(self.whole, dtype=int),
            bounds=Bounds(0, np.array(self.upper)),
            constraints=LinearConstraint(
                matrix,
                np.array([low for _, low, _ in self.rows]),
                np.array([high for _, _, high in self.rows]),
            ),
            options={"mip_rel_gap": 0.0, "presolve": True, "node_limit": MAX_NODES},
        )
        if result.x is None:
            if result.status == _GAVE_UP:
                raise ExternalError(
                    f"the solver found no fleet in {MAX_NODES:,} branches",
                    hint="plan fewer workloads at a time, or leave GPUs out (constraints)",
                )
            return None
        whole = np.rint(np.where(self.whole, result.x, 0.0)).astype(int)
        return _Found(
            options=[option for column, option in enumerate(self.options) if whole[column]],
            cards={
                gpu: sum(int(pack * whole[column]) for column, pack in packs.items())
                for gpu, packs in self.cards.items()
            },
            proven=result.status == 0,
        )
