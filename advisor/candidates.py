"""A number of one GPU for a problem, with its best plan, duration and costs: what is filtered and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from advisor.economics import Costs, Power, Prices, Terms, energy_kwh, job_costs
from advisor.estimation.power import average_power_w, draw_of
from advisor.execution import CHECKPOINTING, NOT_CALIBRATED, Constants, Layout
from advisor.hardware import Device
from advisor.operators import Description
from advisor.plan import Choices
from advisor.problem import Problem, Team
from advisor.workload import Checkpointing

REFERENCE_STEPS = 1000
"""Steps by which jobs of unknown length are compared."""


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """One way to run the job. Times and costs are None where nothing fits.

    ``hours`` is the whole job, or :data:`REFERENCE_STEPS` steps where its length is not known; costs go with it.
    """

    team: Team
    index: int
    count: int
    fits: bool
    layout: Layout
    micro_batch: int
    checkpointing: Checkpointing
    samples: float
    step_s: float
    required_bytes: float
    available_bytes: float
    matrix_share: float
    busy_share: float
    hours: float
    power_w: float
    energy_kwh: float
    power: Power
    prices: Prices
    terms: Terms
    costs: Costs

    @property
    def device(self) -> Device:
        """The GPU."""
        return self.team.devices[self.index]

    @property
    def rent_usd_per_h(self) -> float | None:
        """Rent of all GPUs for an hour; None where it is not known, or nothing fits."""
        return self.costs.hourly.rent if self.fits else None

    @property
    def samples_in_a_pass(self) -> float:
        """Samples of one GPU in one pass."""
        return self.micro_batch if self.team.search.freedom.training else self.micro_batch / self.layout.data

    def passes(self) -> list[Description]:
        """Return what a step runs, each as often as :meth:`runs` says."""
        return self.team.search.passes(self.layout)

    def runs(self) -> list[float]:
        """Return how often a step runs each of its passes."""
        search = self.team.search
        if search.freedom.training:
            return [self.samples / (self.micro_batch * self.layout.data)]
        return [1.0] if search.group.decode is None else [1.0, float(search.group.new_tokens)]

    @property
    def samples_per_s(self) -> float:
        """Samples of all GPUs together."""
        return self.samples / self.step_s


def candidates(
    problem: Problem,
    team: Team,
    count: int,
    choices: Choices,
    prices: Mapping[str, Prices],
    terms: Terms,
    constants: Constants,
) -> list[Candidate]:
    """Return the candidate of each device of a team that has prices, for ``count`` GPUs.

    Args:
        problem: what is to be run.
        team: the devices.
        count: GPUs of one kind.
        choices: the plans found for ``count``.
        prices: of one GPU, by id.
        terms: under which it is bought, powered and rented.
        constants: for the power model.
    """
    if not problem.has_length:
        # Nobody knows how many rentals the job is.
        terms = replace(terms, minimum_rental_h=0.0)
    acquire = problem.workload.constraints.acquire
    found = []
    for index, device in enumerate(team.devices):
        if device.id not in prices:
            continue
        step_s, samples = float(choices.step_s[index]), float(choices.samples[index])
        steps = problem.steps_of(samples) or REFERENCE_STEPS
        hours = steps * step_s / 3600.0
        watts = device.board.tdp_w / device.board.devices_per_board
        matrix, busy = float(choices.matrix_share[index]), float(choices.busy_share[index])
        draw = draw_of(watts, constants.calibrations.get(device.id, NOT_CALIBRATED), constants.power)
        power = Power(count * average_power_w(draw, matrix, busy), count * draw.idle_w)
        offered = prices[device.id]
        found.append(
            Candidate(
                team=team,
                index=index,
                count=count,
                fits=bool(choices.fits[index]),
                layout=choices.layouts[int(choices.layout[index])],
                micro_batch=int(choices.micro_batch[index]),
                checkpointing=CHECKPOINTING[int(choices.checkpointing[index])],
                samples=samples,
                step_s=step_s,
                required_bytes=float(choices.required[index]),
                available_bytes=float(team.search.group.available[index]),
                matrix_share=matrix,
                busy_share=busy,
                hours=hours,
                power_w=power.working_w,
                energy_kwh=energy_kwh(power.working_w, hours),
                power=power,
                prices=offered,
                terms=terms,
                costs=job_costs(offered, count, hours, power, terms, acquire),
            )
        )
    return found
