"""Plans that were found for a problem, kept for questions that differ only in what no plan depends on.

How much data there is, what may be spent and what a kilowatt-hour costs change which answer is best, but not how a
number of GPUs would run one step. Somebody who tries budgets waits for the search once.
"""

from __future__ import annotations

from collections.abc import Sequence

from advisor.documents import EvidenceDocument
from advisor.execution import Constants
from advisor.hardware import Device
from advisor.plan import Choices
from advisor.problem import Problem, Team, teams
from advisor.workload import Constraints, Data, Economics

KEPT_DEVICES = 1100
"""Devices in the searches that are kept: four rankings of the whole catalog, or hundreds of questions about one."""


class Searched:
    """The best plans of devices, each number of GPUs searched once.

    Args:
        problem: what is to be run; data, limits and prices do not count.
        devices: that can run it.
        constants: of the cost model.
    """

    def __init__(self, problem: Problem, devices: Sequence[Device], constants: Constants) -> None:
        self.devices = len(devices)
        self.subject = problem.subject
        """Held as long as the search is: the search is found by its identity."""
        self.teams = teams(problem, devices, constants)
        self.evidence: dict[tuple[str, int], tuple[EvidenceDocument, ...]] = {}
        """Published runs near to a number of a device, where somebody looked for them."""
        self._choices: dict[tuple[int, int], Choices | None] = {}

    def best(self, team: Team, count: int) -> Choices | None:
        """Return the best plan of each device of a team; None where the layout or batch cannot be split so."""
        key = (self.teams.index(team), count)
        if key not in self._choices:
            try:
                self._choices[key] = team.search.best(count)
            except LookupError:
                self._choices[key] = None
        return self._choices[key]


class SearchedBefore:
    """The last few searches."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Searched] = {}
        self._devices = 0

    def of(self, problem: Problem, devices: Sequence[Device], constants: Constants) -> Searched:
        """Return the search for a problem on these devices: an earlier one where it is the same."""
        key = _key(problem, devices)
        found = self._kept.pop(key, None)
        if found is None:
            found = Searched(problem, devices, constants)
            self._devices += found.devices
        self._kept[key] = found
        while len(self._kept) > 1 and self._devices > KEPT_DEVICES:
            self._devices -= self._kept.pop(next(iter(self._kept))).devices
        return found


def _key(problem: Problem, devices: Sequence[Device]) -> tuple[object, ...]:
    """Return everything that a plan depends on."""
    workload = problem.workload.model_copy(
        update={"name": None, "data": Data(), "constraints": Constraints(), "economics": Economics()}
    )
    return (
        workload.model_dump_json(),
        id(problem.subject),
        problem.sequence_length,
        problem.freedom,
        tuple(device.id for device in devices),
    )
