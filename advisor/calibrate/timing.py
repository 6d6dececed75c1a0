"""The stop watch of all measurements: warm up, repeat until the clock is sure, tell the median and how much it varies.

A GPU works on behind the host's back, so the host's clock would measure how fast kernels are enqueued. Time stamps that
the device itself takes between its kernels (events) measure the kernels. Where torch has none that are dependable, and
on a processor, the host waits for the device and reads its own clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from advisor.profile import Timing

WARM_UP_SHARE = 0.15
"""Share of the budget that goes into runs that do not count: libraries load kernels and clocks rise meanwhile."""

WARM_UP_RUNS = 2
LEAST_SHARE = 0.6
"""Share of the budget that is used even where repeats agree: a card meets its power limit only after a while."""

LEAST_REPEATS = 5
MOST_REPEATS = 2000
MOST_GROWTH = 10
"""A batch of runs grows by no more than this at once: the first run that was timed may have been none of the usual."""

SHORTEST_S = 1e-9
"""What takes less than one tick of a clock is taken to last this long."""


class Watch(Protocol):
    """A clock of one device.

    Attributes:
        least_s: shortest measurement that it is good for.
        tolerance: how far the medians of two halves of the repeats may lie apart for the repeats to be stable.
    """

    least_s: float
    tolerance: float

    def now(self) -> float:
        """Return the host's time in seconds, which budgets are counted in."""

    def start(self) -> Any:
        """Begin a repeat and return its first mark."""

    def mark(self) -> Any:
        """Return a mark between what was enqueued before and what comes after."""

    def reached(self, mark: Any) -> bool:
        """Say whether the device has come to a mark; does not wait for it."""

    def seconds(self, begin: Any, end: Any) -> float:
        """Return the time between two marks; waits for the device to reach them."""


class HostWatch:
    """The host's clock, for work that the host does itself."""

    least_s = 1e-3
    tolerance = 0.05
    """Processors share their cores and caches with everything else that runs."""

    def now(self) -> float:
        """Return the host's time in seconds."""
        return time.perf_counter()

    def start(self) -> float:
        """Begin a repeat and return its first mark."""
        return self.mark()

    def mark(self) -> float:
        """Return the time."""
        return time.perf_counter()

    def reached(self, mark: float) -> bool:
        """Say whether the host has come to a mark: always."""
        return True

    def seconds(self, begin: float, end: float) -> float:
        """Return the time between two marks."""
        return end - begin


class LaunchWatch(HostWatch):
    """The host's clock around enqueueing alone.

    Each repeat begins with an idle device, because its queue holds about a thousand kernels: a host that finds it full
    waits, and would be measured at the pace of the device.

    Args:
        wait: waits until the device has nothing to do.
    """

    def __init__(self, wait: Callable[[], object]) -> None:
        self._wait = wait

    def start(self) -> float:
        """Wait for the device and return the time."""
        self._wait()
        return self.mark()


class WaitingWatch(HostWatch):
    """The host's clock, read each time the device has done everything.

    Args:
        wait: waits until the device has nothing to do.
    """

    tolerance = 0.02

    def __init__(self, wait: Callable[[], object]) -> None:
        self._wait = wait

    def mark(self) -> float:
        """Wait for the device and return the time."""
        self._wait()
        return time.perf_counter()


class EventWatch:
    """Time stamps that a CUDA or ROCm device takes between its kernels, on its current stream.

    Args:
        device: the device.
    """

    # Events are half a microsecond fine, and starting after a pause costs some more.
    least_s = 2e-4
    tolerance = 0.02

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> float:
        """Return the host's time in seconds."""
        return time.perf_counter()

    def start(self) -> torch.cuda.Event:
        """Begin a repeat and return its first mark."""
        return self.mark()

    def mark(self) -> torch.cuda.Event:
        """Return an event that is recorded once everything enqueued before it is done."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def reached(self, mark: torch.cuda.Event) -> bool:
        """Say whether the event is recorded."""
        return bool(mark.query())

    def seconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the time between two events; waits for the later one."""
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3


def watch_of(device: torch.device) -> Watch:
    """Return the watch that measures work on a device.

    Raises:
        ValueError: there is none for this type of device.
    """
    if device.type == "cuda":
        return EventWatch(device)
    return HostWatch() if device.type == "cpu" else WaitingWatch(waiting(device))


def launch_watch(device: torch.device) -> Watch:
    """Return the watch that measures what the host takes to start work on a device, not the work.

    Holds for up to about a thousand kernels between two marks; of more, the last ones wait for a place in the queue.

    Raises:
        ValueError: there is none for this type of device.
    """
    return LaunchWatch(waiting(device))


def waiting(device: torch.device) -> Callable[[], object]:
    """Return what waits until a device has done all that was started.

    Raises:
        ValueError: nothing is known to wait for this type of device.
    """
    match device.type:
        case "cuda":
            return lambda: torch.cuda.synchronize(device)
        case "mps":
            return torch.mps.synchronize
        case "xpu":
            return lambda: torch.xpu.synchronize(device)
        case "cpu":
            return lambda: None
    raise ValueError(f"no watch for {device.type}")


def timed(
    run: Callable[[], object],
    device: torch.device,
    *,
    budget_s: float,
    least_repeats: int = LEAST_REPEATS,
    most_repeats: int = MOST_REPEATS,
    inner: int | None = None,
    watch: Watch | None = None,
) -> Timing:
    """Return how long something takes on a device.

    What is shorter than its clock is good for is run several times in each repeat; the repeat is then their mean.

    Args:
        run: starts it once; need not wait for the device.
        device: where it runs.
        budget_s: time for all of it, warm-up included; exceeded where ``least_repeats`` take longer.
        least_repeats: repeats that are measured however long they take.
        most_repeats: repeats that are enough however short they are.
        inner: runs in each repeat, None to choose.
        watch: clock, None for that of the device.
    """
    clock = watch_of(device) if watch is None else watch
    limits = _Limits(clock.now(), budget_s, least_repeats, most_repeats)
    chosen = _warm_up([run], clock, limits, inner)
    (seconds,) = _repeated([_batch(run, chosen)], clock, limits)
    return summary([each / chosen for each in seconds], clock.tolerance)


def phased(
    phases: Sequence[tuple[str, Callable[[], object]]],
    device: torch.device,
    budget_s: float,
    *,
    least_repeats: int = LEAST_REPEATS,
    most_repeats: int = MOST_REPEATS,
    watch: Watch | None = None,
) -> dict[str, Timing]:
    """Return how long each of several things takes that follow one another, such as forward, backward and optimizer.

    Args:
        phases: names and what starts them once; run in this order again and again.
        device: where they run.
        budget_s: time for all of it, warm-up included; exceeded where ``least_repeats`` take longer.
        least_repeats: repeats that are measured however long they take.
        most_repeats: repeats that are enough however short they are.
        watch: clock, None for that of the device.
    """
    clock = watch_of(device) if watch is None else watch
    limits = _Limits(clock.now(), budget_s, least_repeats, most_repeats)
    runs = [run for _, run in phases]
    _warm_up(runs, clock, limits, 1)
    series = _repeated(runs, clock, limits)
    return {
        name: summary(seconds, clock.tolerance) for (name, _), seconds in zip(phases, series, strict=True)
    }


def summary(seconds: Sequence[float], tolerance: float) -> Timing:
    """Return median, spread and stability of repeats.

    Args:
        seconds: of each repeat, in the order in which they ran.
        tolerance: how far the medians of both halves may lie apart.
    """
    values = np.maximum(seconds, SHORTEST_S)
    middle = float(np.median(values))
    # The ratio that eight in ten stay within, not a standard deviation: a few repeats that the system interrupted
    # would dominate that.
    spread = float(np.exp(np.quantile(np.abs(np.log(values / middle)), 0.8, method="higher")))
    return Timing(median_s=middle, spread=spread, repeats=len(values), stable=is_stable(values, tolerance))


def is_stable(seconds: Sequence[float] | np.ndarray, tolerance: float) -> bool:
    """Say whether the first and the second half of the repeats agree: a card that still heats up slows down.

    Args:
        seconds: of each repeat, in the order in which they ran; fewer than two agree with nothing.
        tolerance: how far the medians of both halves may lie apart.
    """
    half = len(seconds) // 2
    if half == 0:
        return False
    first, second = float(np.median(seconds[:half])), float(np.median(seconds[-half:]))
    return abs(second - first) <= tolerance * min(first, second)


@dataclass(frozen=True, slots=True)
class _Limits:
    """When a measurement ends."""

    begun: float
    budget_s: float
    least_repeats: int
    most_repeats: int

    def used(self, now: float) -> float:
        """Return the share of the budget that is used up."""
        return (now - self.begun) / self.budget_s if self.budget_s > 0 else math.inf


def _batch(run: Callable[[], object], count: int) -> Callable[[], object]:
    if count == 1:
        return run

    def several() -> None:
        for _ in range(count):
            run()

    return several


def _warm_up(runs: Sequence[Callable[[], object]], watch: Watch, limits: _Limits, inner: int | None) -> int:
    """Run without keeping times and return how many runs a repeat needs.

    The runs are timed in batches as they will be later: alone, a short kernel is measured with the pause before it.
    """
    count, done = inner or 1, 0
    while True:
        begin = watch.start()
        for run in runs:
            _batch(run, count)()
        seconds = watch.seconds(begin, watch.mark())
        done += count
        used = limits.used(watch.now())
        if inner is None and seconds < watch.least_s and used < 1:
            count = grown(count, seconds, watch.least_s)
        elif done >= WARM_UP_RUNS and used >= WARM_UP_SHARE:
            return count


def grown(count: int, seconds: float, least_s: float) -> int:
    """Return how many runs to try next where ``count`` of them were too short to measure.

    Args:
        count: runs that were tried.
        seconds: what they took together.
        least_s: what a measurement should take.
    """
    wanted = count * least_s / max(seconds, SHORTEST_S)
    return max(count + 1, math.ceil(min(wanted * 1.1, count * MOST_GROWTH)))


def _repeated(runs: Sequence[Callable[[], object]], watch: Watch, limits: _Limits) -> list[list[float]]:
    """Return the seconds of each run in each repeat."""
    series: list[list[float]] = [[] for _ in runs]
    waiting = _marks(runs, watch)
    while True:
        # The next repeat is enqueued before this one is waited for: a device that runs dry pauses before it goes on.
        ahead = _marks(runs, watch)
        _keep(waiting, series, watch)
        waiting = ahead
        if _enough(series, watch, limits):
            _keep(waiting, series, watch)
            return series


def _marks(runs: Sequence[Callable[[], object]], watch: Watch) -> list[Any]:
    marks = [watch.start()]
    for run in runs:
        run()
        marks.append(watch.mark())
    return marks


def _keep(marks: Sequence[Any], series: Sequence[list[float]], watch: Watch) -> None:
    for seconds, begin, end in zip(series, marks, marks[1:], strict=False):
        seconds.append(watch.seconds(begin, end))


def _enough(series: Sequence[list[float]], watch: Watch, limits: _Limits) -> bool:
    repeats = len(series[0]) + 1
    if repeats < limits.least_repeats:
        return False
    used = limits.used(watch.now())
    if used >= 1 or repeats >= limits.most_repeats:
        return True
    return used >= LEAST_SHARE and all(is_stable(seconds, watch.tolerance) for seconds in series)
