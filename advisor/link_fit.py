"""From measured collectives to the links of an estimate: bandwidth and latency within a node and between nodes.

The fit asks :func:`advisor.estimation.network.transfer_time` itself what a link of one byte a second and what a latency
of one second would cost, so that an estimate with the fitted links gives the measured times back, whatever the formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.estimation.network import GPUS_PER_NODE, Links, transfer_time
from advisor.operators import Floats
from advisor.profile import CollectiveResult

GATHERS = {"all-gather": 1.0, "reduce-scatter": 1.0, "all-reduce": 2.0}
"""How many gathers each operation costs. Copies between two GPUs are no part of the fit: estimates charge none."""

USUAL_SPREAD = 0.05
"""Relative error that even repeats which agree perfectly are taken to have: the formula is no truer than that."""

OUTLIER = 0.1
"""Relative errors beyond this count by their size and no more by its square, as in Huber's loss."""

ROUNDS = 50
BOUND_BY_NODE = 0.9
"""A team that reaches this share of what links within its node allow is not held up by those between nodes."""


@dataclass(frozen=True, slots=True)
class MeasuredLinks:
    """What one GPU's links were measured to carry.

    Attributes:
        bandwidth_gb_s: one way, as :class:`advisor.estimation.network.Links` has it: of ``inside`` or ``between``.
        latency_us: of a gather between two GPUs; grows with the logarithm of their number.
        ranks: GPUs that took part; of two, ``inside`` may be a bridge that only pairs have.
        nodes: over which they were spread.
    """

    bandwidth_gb_s: float
    latency_us: float
    ranks: int
    nodes: int


@dataclass(frozen=True, slots=True)
class FittedLinks:
    """Links within a node and between nodes, None where nothing was measured that tells."""

    inside: MeasuredLinks | None
    between: MeasuredLinks | None


def fitted_links(results: Sequence[CollectiveResult], *, switched: bool, domain: int) -> FittedLinks:
    """Return the links that explain measured collectives best.

    Args:
        results: of one machine or one cluster.
        switched: whether each GPU of a node keeps its bandwidth whatever the others do; see :class:`Links`.
        domain: GPUs that share the fast links.
    """
    second = _links(switched, domain, latency_s=1.0)
    within, crossing = _links(switched, domain, inside=1.0), _links(switched, domain, between=1.0)
    near: list[MeasuredLinks] = []
    far: list[MeasuredLinks] = []
    for team in _teams(results):
        crosses = team[0].ranks * _spacing(team[0]) > domain
        found = _fitted(team, crossing if crosses else within, second)
        if found is not None:
            (far if crosses else near).append(found)
    # The largest team within a node shares its links as the jobs do that fill it.
    inside = near[-1] if near else None
    return FittedLinks(inside, _holding_up(far, inside, switched))


def collective_s(results: Sequence[CollectiveResult], link: Links) -> Floats:
    """Return the seconds that an estimate with given links has for each measured collective.

    Args:
        results: all-gathers, reduce-scatters and all-reduces.
        link: of one device, arrays of shape [1].
    """
    gathers = np.array([GATHERS[each.operation] for each in results])
    size = np.array([float(each.size_bytes) for each in results])
    count = np.array([float(each.ranks) for each in results])
    spacing = np.array([_spacing(each) for each in results])
    return gathers * transfer_time(size, count, spacing, link)


def _spacing(result: CollectiveResult) -> float:
    """Return the GPUs between neighbours with which an estimate sees as many nodes as were measured.

    It knows nodes of eight alone: four ranks in each of several nodes are every second GPU of such nodes.
    """
    return 1.0 if result.nodes == 1 else max(GPUS_PER_NODE * result.nodes / result.ranks, 1.0)


def _teams(results: Sequence[CollectiveResult]) -> list[list[CollectiveResult]]:
    """Return what each team measured, the smallest team first."""
    teams: dict[tuple[int, int], list[CollectiveResult]] = {}
    for each in results:
        if each.operation in GATHERS:
            teams.setdefault((each.ranks, each.nodes), []).append(each)
    return [teams[key] for key in sorted(teams)]


def _holding_up(
    between: Sequence[MeasuredLinks], inside: MeasuredLinks | None, switched: bool
) -> MeasuredLinks | None:
    """Return the links between nodes, by the largest team that they hold up.

    A team with many GPUs in each node crosses with as many network cards at once; where the links within the node are
    what limits it, its time says nothing of those cards, and a team with fewer GPUs a node has to.
    """
    if inside is None:
        return between[-1] if between else None
    limit = BOUND_BY_NODE * inside.bandwidth_gb_s * (1.0 if switched else 2 / GPUS_PER_NODE)
    held_up = [each for each in between if each.bandwidth_gb_s * each.ranks / each.nodes < limit]
    # Where they hold up none, the fastest team shows the least that they must carry.
    return held_up[-1] if held_up else max(between, key=lambda each: each.bandwidth_gb_s, default=None)


def _links(
    switched: bool,
    domain: int,
    *,
    inside: float = math.inf,
    between: float = math.inf,
    latency_s: float = 0.0,
) -> Links:
    """Return links in bytes a second of which only those that are given limit anything."""
    return Links(
        inside=np.array([inside]),
        between=np.array([between]),
        latency_s=np.array([latency_s]),
        node_latency_s=np.array([latency_s]),
        switched=np.array([switched]),
        bridged=np.zeros(1),
        domain=np.array([domain]),
    )


def _fitted(team: Sequence[CollectiveResult], unit: Links, second: Links) -> MeasuredLinks | None:
    """Return the links of one team, None where its times show latency alone: they do not grow with the size.

    Args:
        team: results of the same ranks.
        unit: links of one byte a second.
        second: links of a latency of one second.
    """
    measured = np.array([each.timing.median_s for each in team])
    # Dividing by what was measured makes the errors relative: the smallest message counts as much as the largest.
    columns = np.column_stack([collective_s(team, unit), collective_s(team, second)]) / measured[:, None]
    noise = np.log([each.timing.spread for each in team])
    solution = _least_errors(columns, 1 / np.hypot(noise, USUAL_SPREAD))
    if solution is None:
        return None
    seconds_per_byte, latency_s = solution
    return MeasuredLinks(1e-9 / seconds_per_byte, 1e6 * latency_s, team[0].ranks, team[0].nodes)


def _least_errors(columns: Floats, trust: Floats) -> tuple[float, float] | None:
    """Return the factors of two columns, the first positive and the second not negative, that sum up to ones best.

    Args:
        columns: shape [N, 2].
        trust: of each row, shape [N].
    """
    scale = np.linalg.norm(columns, axis=0)
    scaled = columns / scale
    if np.linalg.matrix_rank(scaled, tol=1e-9) < 2:
        return None
    weight = trust
    factors = np.zeros(2)
    for _ in range(ROUNDS):
        factors = np.linalg.lstsq(scaled * weight[:, None], weight, rcond=None)[0]
        if factors[1] < 0:
            factors = np.array(
                [np.linalg.lstsq(scaled[:, :1] * weight[:, None], weight, rcond=None)[0][0], 0.0]
            )
        error = np.abs(scaled @ factors - 1)
        weight = trust * np.sqrt(OUTLIER / np.maximum(error, OUTLIER))
    slope, constant = factors / scale
    return (float(slope), float(constant)) if slope > 0 else None
