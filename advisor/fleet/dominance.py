"""What the solver need not look at, because something else is at least as good in every respect.

Buying. An option *replaces* another of the same workload if it occupies no more blocks of any size, for no more minutes
and no more of them side by side, and costs no more to run. A kind of GPU *dominates* another if each option of that one
is replaced by one of its own, a card costs no more at every number (to buy, and over the horizon) and draws no more.
Then any plan that buys N cards of the dominated kind stays possible and costs no more when all their work moves and N
more of the dominating kind are bought instead: blocks add up, since (M + N) // c >= M // c + N // c, and prices fall
with the number. Of kinds that dominate each other the one with the smaller id counts as dominating.

Renting shares nothing between workloads, so that of two rents of a workload the lower is the better.

The best plan therefore needs only kinds that nothing dominates. A plan for W workloads that must leave out one of
several kinds, and itself uses at most W, needs only kinds that at most W others dominate: of W + 1 dominating kinds two
at least are not used by that plan besides the dominated one, and moving to one of them leaves out the same kind. The
same holds for the W + 1 lowest rents. Dominance is transitive, so what is dropped is always dominated by enough that is
kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.fleet.options import Choices, Option, Supply


def pruned(choices: Choices, keep: int) -> tuple[Option, ...]:
    """Return the options from which the best plan can be made, and ``keep - 1`` that must differ from another.

    Args:
        choices: all of them.
        keep: kinds that are kept of each chain of dominance; 1 for the best plan alone.
    """
    kept = [*_bought(choices, keep)]
    for workload in choices.workloads:
        kept += _rented([option for option in choices.of(workload) if option.way == "rent"], keep)
    return tuple(sorted(kept, key=lambda option: option.key))


def _rented(options: Sequence[Option], keep: int) -> list[Option]:
    """Return the lowest rent of each kind of GPU, of the ``keep`` cheapest kinds."""
    best: dict[str, Option] = {}
    for option in sorted(options, key=lambda option: (option.rent_cents, option.key)):
        best.setdefault(option.gpu, option)
    return list(best.values())[:keep]


def _bought(choices: Choices, keep: int) -> list[Option]:
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
                dominating[row, column] = _cheaper(choices.supplies[name], choices.supplies[other])
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
    return option.cost_cents, *minutes, *together


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


def _cheaper(supply: Supply, other: Supply) -> bool:
    """Say whether a card costs no more at any number, and draws no more."""
    if supply.gpu.tdp_w > other.gpu.tdp_w or supply.tiers[0].minimum_count > other.tiers[0].minimum_count:
        return False
    if supply.idle_cents > other.idle_cents:
        return False
    for theirs in other.tiers:
        ours = supply.tier_of(theirs.minimum_count)
        if supply.outlay_cents(ours) > other.outlay_cents(theirs):
            return False
        if supply.cost_cents(ours) > other.cost_cents(theirs):
            return False
    return True
