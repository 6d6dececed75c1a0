"""What the solver need not look at, because something else is at least as good in every respect.

Buying. An option *replaces* another of the same workload if it occupies no more blocks of any size, for no more minutes
and no more of them side by side, and costs no more to run. A kind of GPU *dominates* another if each option of that one
is replaced by one of its own, and every number of its cards that the other is sold in is sold too, costs no more with
the machines around them (over the horizon; to buy, where there is a budget) and draws no more where power is limited.
Then any plan that has cards of the dominated kind and none of the dominating one stays possible and costs no more when
as many of the dominating kind are bought instead. If it has both, moving all to one kind can cost more: two machines of
two cards each may cost less than one of four. Of kinds that dominate each other the one with the smaller id counts as
dominating.

Renting shares nothing between workloads, so that of two rents of a workload the lower is the better.

A plan for W workloads has at most W kinds, and at most as many as can be bought and run for what some plan costs that
is known (:func:`most_kinds`). Of K kinds that dominate one of at most K in a plan, one at least is not among the
others, and all can move to it: the best plan needs only kinds that fewer than K others dominate. A plan that must leave
out one of several kinds needs only kinds that at most K others dominate: of K + 1 two at least are not used, and moving
to one of them leaves out the same kind. The same holds for the K + 1 lowest rents. Dominance is transitive, so what is
dropped is always dominated by enough that is kept.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from advisor.fleet.options import CentsMachine, CentsTier, Choices, Option, Supply, machine_cents

Aim = Literal["cost", "outlay", "power"]
"""What a plan is judged by: the total over the horizon, what counts against the budget, the power of bought cards."""


def pruned(choices: Choices, keep: int, matters: Collection[Aim]) -> tuple[Option, ...]:
    """Return the options from which the best plan can be made.

    Args:
        choices: all of them.
        keep: kinds that are kept of each chain of dominance: as many as a plan has at most, one more for a plan that
            must differ from another.
        matters: what is limited or minimised; in anything else nothing need be better.
    """
    kept = [*_bought(choices, keep, matters)]
    for workload in choices.workloads:
        kept += _rented([option for option in choices.of(workload) if option.way == "rent"], keep)
    return tuple(sorted(kept, key=lambda option: option.key))


def most_kinds(choices: Choices, ceiling_cents: int | None) -> int:
    """Return how many kinds of GPUs a plan has at most: no more than workloads, nor than its cost pays for.

    Args:
        choices: all of them.
        ceiling_cents: the most that the plan may cost over the horizon; None is no limit.
    """
    workloads = len(choices.workloads)
    if ceiling_cents is None:
        return workloads
    left = ceiling_cents - sum(
        min((option.cost_cents for option in choices.of(name)), default=0) for name in choices.workloads
    )
    bought = {option.gpu for option in choices.options if option.way == "buy"}
    least = sorted(_least_cents(choices.supplies[name]) for name in bought)
    paid = list(accumulate(least[:workloads]))
    return max(1, bisect_right(paid, left))


def _least_cents(supply: Supply) -> int:
    """Return what the cheapest number of cards costs that is sold."""
    return min((supply.cents(tier, number).kept for number, tier in supply.numbers(1)), default=0)


def _rented(options: Sequence[Option], keep: int) -> list[Option]:
    """Return the lowest rent of each kind of GPU, of the ``keep`` cheapest kinds."""
    best: dict[str, Option] = {}
    for option in sorted(options, key=lambda option: (option.rent_cents, option.key)):
        best.setdefault(option.gpu, option)
    return list(best.values())[:keep]


def _bought(choices: Choices, keep: int, matters: Collection[Aim]) -> list[Option]:
    by_gpu: dict[str, dict[str, list[Option]]] = {}
    for option in choices.options:
        if option.way == "buy":
            by_gpu.setdefault(option.gpu, {}).setdefault(option.workload, []).append(option)
    names = sorted(by_gpu)
    if not names:
        return []
    sizes = choices.sizes
    for found in by_gpu.values():
        for workload, options in found.items():
            found[workload] = _undominated(options, sizes)
    dominating = np.ones((len(names), len(names)), dtype=bool)
    for workload in choices.workloads:
        dominating &= _replaces([by_gpu[name].get(workload, []) for name in names], sizes)
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if dominating[row, column]:
                dominating[row, column] = _cheaper(choices.supplies[name], choices.supplies[other], matters)
    mutual = dominating & dominating.T
    strict = dominating & (~mutual | np.triu(np.ones_like(mutual), 1))
    return [
        option
        for name, dominated in zip(names, strict.sum(axis=0), strict=True)
        if dominated < keep
        for options in by_gpu[name].values()
        for option in options
    ]


def _undominated(options: Sequence[Option], sizes: Sequence[int]) -> list[Option]:
    """Return the options of one workload on one kind of GPU that no other replaces."""
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: (_needs(option, sizes), option.count)):
        if not any(_at_most(_needs(other, sizes), _needs(option, sizes)) for other in kept):
            kept.append(option)
    return kept


def _needs(option: Option, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return everything in which less is better."""
    minutes = (option.minutes * option.blocks(size) for size in sizes)
    together = (option.side_by_side * option.blocks(size) for size in sizes) if option.served else ()
    return option.cost_cents, -option.host_saved_cents, *minutes, *together


def _at_most(ours: Sequence[int], theirs: Sequence[int]) -> bool:
    return all(one <= other for one, other in zip(ours, theirs, strict=True))


def _replaces(by_gpu: Sequence[Sequence[Option]], sizes: Sequence[int]) -> NDArray[np.bool_]:
    """Return for each pair of kinds whether every option of the second is replaced by one of the first."""
    needs = [[_needs(option, sizes) for option in options] for options in by_gpu]
    width = max((len(each) for options in needs for each in options), default=1)
    tables = [np.array(options, dtype=np.int64).reshape(len(options), width) for options in needs]
    all_needs = np.concatenate(tables)
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    found = np.ones((len(tables), len(tables)), dtype=bool)
    for row, table in enumerate(tables):
        if len(table):
            replaced = (table[:, None, :] <= all_needs[None, :, :]).all(axis=2).any(axis=0)
        else:
            replaced = np.zeros(len(all_needs), dtype=bool)
        found[row] = np.bincount(owner[~replaced], minlength=len(tables)) == 0
    return found


def _cheaper(supply: Supply, other: Supply, matters: Collection[Aim]) -> bool:
    """Say whether each number in which the other is sold costs no more with its machines, and draws no more."""
    if other.step % supply.step or ("power" in matters and supply.gpu.tdp_w > other.gpu.tdp_w):
        return False
    for theirs in other.tiers:
        for number in _corners(supply, theirs):
            ours = supply.tier_of(number)
            if ours is None or supply.unit_cost_cents(ours) > other.unit_cost_cents(theirs):
                return False
            if "outlay" in matters and supply.unit_outlay_cents(ours) > other.unit_outlay_cents(theirs):
                return False
    return _housed_for_less(supply.machines, other.machines)


def _corners(supply: Supply, theirs: CentsTier) -> Iterator[int]:
    """Yield the numbers within a tier of another kind from which on another tier of ``supply`` holds, or none."""
    yield theirs.minimum_count
    for ours in supply.tiers:
        after = () if ours.maximum_count is None else (ours.maximum_count + 1,)
        yield from (number for number in (ours.minimum_count, *after) if theirs.holds_for(number))


@lru_cache(maxsize=4096)
def _housed_for_less(ours: tuple[CentsMachine, ...], theirs: tuple[CentsMachine, ...]) -> bool:
    """Say whether the machines around any number of cards cost no more."""
    if not ours or ours == theirs:
        return True
    if not theirs:
        return not any(each.outlay_cents or each.idle_cents for each in ours)
    one, other = ours[-1].places, theirs[-1].places
    # Of P places at most, from P x P cards on every P more take one more of the largest machines.
    again = math.lcm(one, other)
    if not _at_most(machine_cents(ours[-1:], again), machine_cents(theirs[-1:], again)):
        return False
    last = max(one, other) ** 2 + again
    return all(
        _at_most(machine_cents(ours, count), machine_cents(theirs, count)) for count in range(1, last + 1)
    )
