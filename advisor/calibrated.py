"""What calibrations say about devices: from measured tests to factors on what the shipped constants predict.

Each test of the suite is predicted as any workload is, operator by operator, and compared with what it took. Where a
test holds several kinds of operators its ratio is dealt to them by their share of its predicted time, over and over
until that settles (the expectation-maximisation of emission tomography, Shepp and Vardi 1982, on a log scale).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from advisor.calibration import StoredProfile
from advisor.describe.network_table import describe_network
from advisor.describe.subject import NetworkSubject, Subject, TransformerSubject
from advisor.describe.variant import Variant
from advisor.estimation.interval import combined
from advisor.estimation.network import links
from advisor.estimation.time import row_times
from advisor.execution import (
    NOT_CALIBRATED,
    Constants,
    DeviceCalibration,
    MeasuredLink,
    StartFactors,
    StepKind,
    SubjectKind,
    pace_key,
)
from advisor.hardware import Device
from advisor.link_fit import MeasuredLinks, fitted_links
from advisor.network import NetworkTable
from advisor.operators import Kind, OperatorTable, Phase
from advisor.plan import Search
from advisor.problem import problem_of, teams
from advisor.profile import Profile, SuiteResult
from advisor.suite import Suite, SuiteTest
from advisor.workload import Batch, Data, Precision, Workload

SUBJECTS: tuple[SubjectKind, ...] = ("transformer", "network")

ROUNDS = 60
"""Rounds of dealing; the factors stand still long before."""

LEAST_SHARE = 0.2
"""A kernel that does its work in less than this part of the measured time says nothing about its pace."""


WIDEST_SPREAD = 3.0
"""Repeats that vary by more than this factor were disturbed: their median is that of the disturbance."""


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What the constants predict of one test, in seconds.

    Attributes:
        kernels: of the work of kernels, by pace and by phase.
        starting: of what kernels take beside their work, by phase.
        host: of the host, by phase.
        synchronous: whether the host runs the kernels itself.
    """

    kernels: Mapping[Phase, Mapping[str, float]]
    starting: Mapping[Phase, float]
    host: Mapping[Phase, float]
    synchronous: bool


_Base = tuple[SuiteResult, SuiteTest, Prediction]
"""A test that was run, and what the shipped constants predict of it."""


@dataclass(frozen=True, slots=True)
class _Observation:
    """A measured time of kernels, less what is not their work, and what was predicted of it by pace."""

    measured_s: float
    predicted: Mapping[str, float]


@dataclass
class Reading:
    """Reads profiles with the suite of the catalog.

    Attributes:
        suite: the tests.
        tables: their operator tables.
        constants: as shipped.
    """

    suite: Suite
    tables: Mapping[str, NetworkTable]
    constants: Constants
    _subjects: dict[str, Subject] = field(default_factory=dict)

    def calibration(
        self, stored: StoredProfile, device: Device, warnings: Sequence[str]
    ) -> DeviceCalibration:
        """Return what a profile says of the device that was measured.

        Args:
            stored: the profile.
            device: its entry of the catalog, or :func:`advisor.unlisted.unlisted_device`.
            warnings: what to say of it wherever it counts.
        """
        profile = stored.profile
        relation = "this processor" if device.kind == "cpu" else "this GPU"
        start = DeviceCalibration(
            profile=stored.name,
            date=profile.date,
            measured=profile.device.name,
            torch=profile.software.torch,
            relation=relation,
            weight=1.0,
            context_mib=profile.context_mib,
            total_mib=profile.device.memory_mib if device.kind == "gpu" else None,
            warnings=tuple(warnings),
            **self._power(profile),
        )
        bases = [
            (result, test, self._base(result, test, device))
            for result in profile.tests
            if (test := self.suite.tests.get(result.test)) is not None and test.purpose != "step"
        ]
        starting: dict[SubjectKind, StartFactors] = {}
        pace: dict[str, float] = {}
        # What kernels take beside their work is known better once their work is, and the other way round.
        for _ in range(2):
            starting = self._starting(bases, pace)
            pace = self._paces(bases, starting)
        paced = start.model_copy(update={"starting": starting, "pace": pace})
        steps = self._steps(profile, device, paced)
        return paced.model_copy(
            update={
                "step": {key: math.exp(statistics.fmean(logs)) for key, logs in steps.items()},
                "spread": {key: self._spread(logs) for key, logs in steps.items() if key in SUBJECTS},
            }
        )

    def links(self, profile: Profile, device: Device) -> dict[str, MeasuredLink | None]:
        """Return what measured collectives say of the links of a device, as fields of its calibration."""
        shipped = links([device], self.constants.network)
        found = fitted_links(
            profile.collectives, switched=bool(shipped.switched[0]), domain=int(shipped.domain[0])
        )
        return {"inside": _link(found.inside), "between": _link(found.between)}

    def predicted_step_s(self, result: SuiteResult, device: Device, calibration: DeviceCalibration) -> float:
        """Return the seconds of a whole training step under a calibration.

        Args:
            result: which test, and how it was run.
            device: where.
            calibration: of the device.
        """
        search, _ = self._search(result, self.suite.tests[result.test], device, calibration)
        return float(search.best(1).step_s[0])

    def prediction(self, result: SuiteResult, device: Device, calibration: DeviceCalibration) -> Prediction:
        """Return what is predicted of one test by kernels, under a calibration."""
        search, constants = self._search(result, self.suite.tests[result.test], device, calibration)
        return _prediction(search, constants, result.precision)

    def _base(self, result: SuiteResult, test: SuiteTest, device: Device) -> Prediction:
        search, constants = self._search(result, test, device, NOT_CALIBRATED)
        return _prediction(search, constants, result.precision)

    def _search(
        self, result: SuiteResult, test: SuiteTest, device: Device, calibration: DeviceCalibration
    ) -> tuple[Search, Constants]:
        constants = self.constants.model_copy(update={"calibrations": {device.id: calibration}})
        problem = problem_of(workload_of(test, result), self._subject(result.test, test))
        (team,) = teams(problem, [device], constants)
        return team.search, constants

    def rates_tflops(self, profile: Profile) -> dict[Precision, float]:
        """Return the best measured rate of large products by precision, in TFLOP/s."""
        found: dict[Precision, float] = {}
        for result in self._results(profile, "operators"):
            if result.test in LARGE_PRODUCTS and result.forward is not None:
                flops = self._table(result).flops(result.batch, phases=(Phase.FORWARD,))
                rate = flops / result.forward.median_s / 1e12
                found[result.precision] = max(rate, found.get(result.precision, 0.0))
        return found

    def bandwidth_gb_s(self, profile: Profile) -> float | None:
        """Return the measured rate of large copies, reads and writes together, in GB/s; None where there is none."""
        for result in self._results(profile, "operators"):
            if result.test == "copy" and result.forward is not None:
                table = self._table(result)
                moved = table.repeat * (table.bytes_fixed + table.bytes_per_sample * result.batch)
                return float(moved[table.phase == Phase.FORWARD].sum()) / result.forward.median_s / 1e9
        return None

    def _table(self, result: SuiteResult) -> OperatorTable:
        element = 4.0 if result.precision in ("fp32", "tf32") else 2.0
        variant = Variant(compute_bytes=element, optimizer="none")
        return describe_network(self.tables[result.test], variant, training=True).table

    def _subject(self, name: str, test: SuiteTest) -> Subject:
        if name not in self._subjects:
            transformer = test.model.transformer
            if transformer is not None:
                self._subjects[name] = TransformerSubject(transformer, name, "calibration")
            else:
                self._subjects[name] = NetworkSubject(self.tables[name])
        return self._subjects[name]

    def _results(self, profile: Profile, purpose: str) -> Iterator[SuiteResult]:
        for result in profile.tests:
            test = self.suite.tests.get(result.test)
            if test is not None and test.purpose == purpose:
                yield result

    def _starting(self, bases: Sequence[_Base], pace: Mapping[str, float]) -> dict[SubjectKind, StartFactors]:
        """Return the factors on starting kernels, by what is run."""
        return {
            self._kind(result): _start_factors(result, base, pace)
            for result, test, base in bases
            if test.purpose == "launches"
        }

    def _kind(self, result: SuiteResult) -> SubjectKind:
        return self._subject(result.test, self.suite.tests[result.test]).evidence_kind

    def _paces(
        self, bases: Sequence[_Base], starting: Mapping[SubjectKind, StartFactors]
    ) -> dict[str, float]:
        """Return the factors on the time of kernels by pace."""
        observations: list[_Observation] = []
        for result, test, base in bases:
            if test.purpose != "operators":
                continue
            starts = starting.get(self._kind(result)) or next(iter(starting.values()), StartFactors())
            for phase, measured_s in _phases(result).items():
                beside = base.starting[phase] * starts.kernel
                if base.synchronous:
                    beside += base.host[phase] * getattr(starts, phase.name.lower())
                left = measured_s - beside
                if base.kernels[phase] and left > LEAST_SHARE * measured_s:
                    observations.append(_Observation(left, base.kernels[phase]))
        return _dealt(observations, self.constants.calibration.prior_tests)

    def _steps(self, profile: Profile, device: Device, start: DeviceCalibration) -> dict[str, list[float]]:
        """Return the logarithms of measured over predicted whole steps, by :meth:`StepKind.keys`."""
        found: dict[str, list[float]] = {}
        for result in self._results(profile, "step"):
            if result.step is None or result.step.spread > WIDEST_SPREAD:
                continue
            predicted_s = self.predicted_step_s(result, device, start)
            kind = StepKind(self._kind(result), nhwc=result.memory_format == "nhwc")
            for key in kind.keys(result.precision):
                found.setdefault(key, []).append(math.log(result.step.median_s / predicted_s))
        return found

    def _spread(self, logs: Sequence[float]) -> float:
        """Return the spread of whole steps: that of calibrations, and what the steps themselves differ by."""
        apart = math.exp(1.28 * statistics.stdev(logs)) if len(logs) > 1 else 1.0
        return combined(self.constants.calibration.spread, apart)

    def _power(self, profile: Profile) -> dict[str, float | None]:
        """Return the draw when idle, in products and in streaming kernels, where a sensor saw it."""
        products: list[float] = []
        streams: list[float] = []
        for result in self._results(profile, "operators"):
            if result.power_w is None:
                continue
            if result.test in PRODUCTS:
                products.append(result.power_w)
            elif result.test in STREAMS:
                streams.append(result.power_w)
        return {
            "idle_w": profile.sensors.idle_w,
            "matrix_w": statistics.median(products) if products else None,
            "memory_w": statistics.median(streams) if streams else None,
        }


LARGE_PRODUCTS = ("linear-wide", "linear-square")
"""Tests whose rate stands for the peak of a device that the catalog does not have."""

PRODUCTS = ("linear-wide", "linear-square", "convolution-early", "convolution-late")
STREAMS = ("copy", "layer-norm", "activation", "batch-norm")
"""Tests whose draw stands for matrix products, and for kernels that stream memory."""


def _link(found: MeasuredLinks | None) -> MeasuredLink | None:
    if found is None:
        return None
    return MeasuredLink(
        bandwidth_gb_s=found.bandwidth_gb_s, latency_us=max(found.latency_us, 0.0), gpus=found.ranks
    )


def workload_of(test: SuiteTest, result: SuiteResult) -> Workload:
    """Return a test as a workload."""
    return Workload(
        model=test.model,
        task="train",
        data=Data(sequence_length=test.sequence_length),
        batch=Batch.model_validate({"global": result.batch, "micro": result.batch}),
        precision=result.precision,
        master_weights="fp32" if test.mixed else "none",
        optimizer=test.optimizer,
        checkpointing="none",
        sharding="none",
        memory_format=result.memory_format,
    )


def _prediction(search: Search, constants: Constants, precision: Precision) -> Prediction:
    """Return the seconds of the one plan of a search, by kernels and by phase."""
    table = search.group.describe(1, False).table
    rates, software = search.group.rates, search.group.software
    seconds = row_times(table, rates, search.micro, constants.kernel, software)[:, 0, 0]
    launches = table.repeat * (table.launches + table.launches_per_sample * search.micro[0])
    starting = launches * float(rates.kernel_s[0]) + table.repeat * table.seconds
    factors = {
        Phase.FORWARD: software.forward_launch * rates.forward_host,
        Phase.BACKWARD: software.backward_launch * rates.backward_host,
        Phase.OPTIMIZER: software.optimizer_launch * rates.optimizer_host,
    }
    kernels: dict[Phase, dict[str, float]] = {phase: {} for phase in Phase}
    beside, host = dict.fromkeys(Phase, 0.0), dict.fromkeys(Phase, 0.0)
    for place in range(len(table)):
        phase = Phase(int(table.phase[place]))
        key = pace_key(
            Kind(int(table.kind[place])),
            phase is Phase.BACKWARD,
            "fp32" if table.full_precision[place] else precision,
        )
        work = float(seconds[place] - starting[place])
        kernels[phase][key] = kernels[phase].get(key, 0.0) + work
        beside[phase] += float(starting[place])
        host[phase] += float(launches[place] * rates.launch_s[0]) * float(np.ravel(factors[phase])[0])
    return Prediction(
        kernels=kernels,
        starting=beside,
        host=host,
        synchronous=bool(rates.overlap_exponent[0] == 1.0),
    )


def _work(predicted: Prediction, phase: Phase, pace: Mapping[str, float]) -> float:
    return sum(seconds * pace.get(name, 1.0) for name, seconds in predicted.kernels[phase].items())


def _start_factors(result: SuiteResult, base: Prediction, pace: Mapping[str, float]) -> StartFactors:
    """Return the factors on starting kernels that one test shows, where the work of kernels is known by pace."""
    kernel = _kernel(result, base, pace)
    hosts: dict[str, float] = {}
    for phase, measured_s in _phases(result).items():
        if not base.host[phase]:
            continue
        # A processor's own kernels wait in the same queue: the measured time holds both.
        spent = _work(base, phase, pace) + base.starting[phase] * kernel if base.synchronous else 0.0
        hosts[phase.name.lower()] = max(measured_s - spent, LEAST_SHARE * measured_s) / base.host[phase]
    return StartFactors(kernel=kernel, **hosts)


def _kernel(result: SuiteResult, base: Prediction, pace: Mapping[str, float]) -> float:
    """Return the factor on what a kernel takes beside its work, 1 where the test does not say.

    A GPU replays kernels without their launches. A processor starts its kernels itself, so that only their sum with the
    launches is seen: half of the least of it counts as the kernels'.
    """
    starting = base.starting
    if base.synchronous:
        least = [seconds / starting[phase] for phase, seconds in _phases(result).items() if starting[phase]]
        return min(0.5 * min(least), 1.0) if least else 1.0
    if result.replayed is None or not starting[Phase.FORWARD]:
        return 1.0
    replayed_s = result.replayed.median_s
    left = max(replayed_s - _work(base, Phase.FORWARD, pace), LEAST_SHARE * replayed_s)
    return left / starting[Phase.FORWARD]


def _phases(result: SuiteResult) -> dict[Phase, float]:
    """Return the measured seconds by phase; repeats that have nothing in common say nothing."""
    timings = {
        Phase.FORWARD: result.forward,
        Phase.BACKWARD: result.backward,
        Phase.OPTIMIZER: result.optimizer,
    }
    return {
        phase: timing.median_s
        for phase, timing in timings.items()
        if timing is not None and timing.spread <= WIDEST_SPREAD
    }


def _dealt(observations: Sequence[_Observation], prior_tests: float) -> dict[str, float]:
    """Return the factor of each pace under which the predictions come nearest to what was measured."""
    names = sorted({name for each in observations for name in each.predicted})
    if not names:
        return {}
    predicted = np.array([[each.predicted.get(name, 0.0) for name in names] for each in observations])
    measured = np.array([each.measured_s for each in observations])
    logs = np.zeros(len(names))
    for _ in range(ROUNDS):
        now = predicted * np.exp(logs)
        total = now.sum(axis=1)
        shares = now / total[:, None]
        # A kind that is a small part of a test is hardly seen through it.
        weights = shares**2
        off = np.log(measured / total)
        logs = logs + (weights.T @ off - prior_tests * logs) / (weights.sum(axis=0) + prior_tests)
    return {name: math.exp(value) for name, value in zip(names, logs, strict=True)}


def spread_to_relatives(
    calibrations: Mapping[str, DeviceCalibration],
    devices: Sequence[Device],
    weight: Callable[[Device, Device], tuple[float, str] | None],
) -> dict[str, DeviceCalibration]:
    """Return the calibrations of all devices that any of ``calibrations`` says something about.

    Args:
        calibrations: of measured devices, by id.
        devices: all devices.
        weight: how far the calibration of the first device counts for the second, and why; None where it does not.
    """
    measured = {device.id: device for device in devices if device.id in calibrations}
    found = dict(calibrations)
    for device in devices:
        if device.id in calibrations:
            continue
        near = [
            (*how, calibrations[name])
            for name, other in measured.items()
            if calibrations[name].pace and (how := weight(other, device)) is not None and how[0] > 0
        ]
        if near:
            power, relation, calibration = max(near, key=lambda each: (each[0], each[2].date))
            found[device.id] = shrunk(calibration, power, relation)
    return found


def shrunk(calibration: DeviceCalibration, power: float, relation: str) -> DeviceCalibration:
    """Return what a calibration says of a relative: every factor to a power below 1; what is the card's own goes."""
    return DeviceCalibration.model_validate(
        {
            "profile": calibration.profile, "date": calibration.date, "measured": calibration.measured,
            "torch": calibration.torch,
            "relation": relation, "weight": power,
            "pace": {name: value**power for name, value in calibration.pace.items()},
            "step": {name: value**power for name, value in calibration.step.items()},
            "starting": {
                kind: {name: value**power for name, value in factors.model_dump().items()}
                for kind, factors in calibration.starting.items()
            },
            "warnings": calibration.warnings,
        }
    )  # fmt: skip
