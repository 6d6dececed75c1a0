"""The cheapest plan as a mixed-integer linear program, solved to proven optimality by HiGHS (scipy.optimize.milp).

Variables, for each option a 0/1 choice; for each kind of GPU that can be bought the cards at each volume break, a 0/1
choice of the break, and the blocks of each size that its jobs occupy. Constraints, in the words of
:func:`advisor.fleet.options.least_cards`: one option a workload; minutes and replicas fit into the blocks; blocks fit
into the cards. Amounts are whole cents and whole minutes, so that the solver's tolerances decide nothing; its answer is
priced again in whole numbers, and each workload is given the option of the smallest id among equally cheap ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from advisor.errors import ExternalError, MissingExtraError
from advisor.fleet.dominance import pruned
from advisor.fleet.market import Limits, Way
from advisor.fleet.options import Choices, Option, cents, least_cards
from advisor.fleet.plan import Plan, plan_of

Aim = Literal["cost", "outlay", "power"]
"""What is minimised: the total over the horizon, what counts against the budget, or the power of bought cards."""

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
    keep = 1 if question.without_one_of is None else len(choices.workloads) + 1
    options = [option for option in pruned(choices, keep) if option.way in question.ways]
    if len({option.workload for option in options}) < len(choices.workloads):
        return None
    program = _Program(choices, options, question)
    while (found := program.solved()) is not None:
        plan = plan_of(found.options, choices, found.cards, proven=found.proven)
        if question.allows(plan):
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
                    if other.order < plan.order and question.allows(other):
                        plan, improved = other, True
    return plan


@dataclass(frozen=True, slots=True)
class _Found:
    options: Sequence[Option]
    cards: Mapping[str, int]
    proven: bool


class _Program:
    """The linear program, built row by row."""

    def __init__(self, choices: Choices, options: Sequence[Option], question: Question) -> None:
        self.choices = choices
        self.options = options
        self.columns = 0
        self.upper: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.costs: dict[int, float] = {}
        self.outlays: dict[int, float] = {}
        self.watts: dict[int, float] = {}
        self.cards: dict[str, list[int]] = {}
        self.chosen = [self._column(1) for _ in options]
        for workload in choices.workloads:
            self._row({column: 1.0 for column, each in self._of(workload=workload)}, 1, 1)
        for column, option in enumerate(options):
            self.costs[column] = _USD * option.cost_cents
            self.outlays[column] = _USD * option.rent_cents
        for gpu in sorted({option.gpu for option in options if option.way == "buy"}):
            self._buy(gpu)
        self._limit(question)

    def _column(self, upper: float) -> int:
        self.upper.append(upper)
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
        most = max(sum(alone.values()), supply.largest_minimum)
        self.cards[gpu] = []
        breaks = []
        for tier in supply.tiers:
            cards, taken = self._column(most), self._column(1)
            self.costs[cards] = _USD * supply.cost_cents(tier)
            self.outlays[cards] = _USD * supply.outlay_cents(tier)
            self.watts[cards] = supply.gpu.tdp_w
            self._row({cards: 1, taken: -tier.minimum_count}, 0, np.inf)
            self._row({cards: 1, taken: -most}, -np.inf, 0)
            self.cards[gpu].append(cards)
            breaks.append(taken)
        self._row(dict.fromkeys(breaks, 1.0), 0, 1)
        all_cards = dict.fromkeys(self.cards[gpu], 1.0)
        for column, option in here:
            # Follows from the rest for whole numbers; without it the relaxation would buy fractions of a card.
            self._row({**all_cards, column: -least_cards([option], capacity, sizes)}, 0, np.inf)
        for size in sizes:
            blocks = self._column(most // size)
            self._row({**all_cards, blocks: -size}, 0, np.inf)
            minutes = {column: -option.minutes * option.blocks(size) / capacity for column, option in here}
            self._row({blocks: 1, **minutes}, 0, np.inf)
            served = {
                column: -option.side_by_side * option.blocks(size) for column, option in here if option.served
            }
            if served:
                self._row({blocks: 1, **served}, 0, np.inf)

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
            integrality=np.ones(self.columns),
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
        whole = np.rint(result.x).astype(int)
        return _Found(
            options=[option for column, option in enumerate(self.options) if whole[column]],
            cards={gpu: int(whole[columns].sum()) for gpu, columns in self.cards.items()},
            proven=result.status == 0,
        )
