"""The stop watch, under a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from advisor.calibrate.timing import (
    LEAST_REPEATS,
    HostWatch,
    LaunchWatch,
    WaitingWatch,
    grown,
    is_stable,
    launch_watch,
    phased,
    summary,
    timed,
    watch_of,
)

CPU = torch.device("cpu")


class Turned(HostWatch):
    """A clock that stands still but for what the work adds."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def mark(self) -> float:
        return self.time

    def taking(self, seconds: Callable[[int], float]) -> Callable[[], None]:
        """Return work whose n-th run takes ``seconds(n)``."""
        runs = iter(range(10**9))

        def run() -> None:
            self.time += seconds(next(runs))

        return run


def test_steady_work_is_measured_exactly() -> None:
    watch = Turned()
    timing = timed(watch.taking(lambda n: 0.01), CPU, budget_s=1.0, watch=watch)
    assert timing.median_s == pytest.approx(0.01)
    assert timing.spread == pytest.approx(1.0)
    assert timing.stable
    assert watch.time <= 1.02


def test_short_work_is_repeated_within_one_measurement() -> None:
    watch = Turned()
    timing = timed(watch.taking(lambda n: 1e-5), CPU, budget_s=1.0, watch=watch)
    assert timing.median_s == pytest.approx(1e-5)
    runs_each = watch.time / 1e-5 / timing.repeats
    assert 100 <= runs_each <= 150


def test_runs_in_a_measurement_can_be_fixed() -> None:
    watch = Turned()
    timing = timed(watch.taking(lambda n: 0.01), CPU, budget_s=1.0, inner=10, least_repeats=3, watch=watch)
    assert timing.median_s == pytest.approx(0.01)
    assert timing.repeats <= 9


def test_slow_first_runs_do_not_count() -> None:
    watch = Turned()
    timing = timed(watch.taking(lambda n: 5.0 if n == 0 else 1e-4), CPU, budget_s=10.0, watch=watch)
    assert timing.median_s == pytest.approx(1e-4)
    assert timing.spread == pytest.approx(1.0)


def test_work_that_slows_down_uses_the_whole_budget_and_is_not_stable() -> None:
    watch = Turned()
    timing = timed(watch.taking(lambda n: 0.01 * 1.01**n), CPU, budget_s=2.0, watch=watch)
    assert not timing.stable
    assert watch.time >= 2.0


def test_work_that_settles_is_stopped_before_the_budget_is_over() -> None:
    watch = Turned()
    assert timed(watch.taking(lambda n: 0.01), CPU, budget_s=10.0, watch=watch).stable
    assert 6.0 <= watch.time <= 6.1


def test_work_longer_than_the_budget_still_gets_its_least_repeats() -> None:
    watch = Turned()
    assert timed(watch.taking(lambda n: 100.0), CPU, budget_s=1.0, watch=watch).repeats == LEAST_REPEATS


def test_most_repeats_end_a_measurement() -> None:
    watch = Turned()
    assert (
        timed(watch.taking(lambda n: 0.01), CPU, budget_s=100.0, most_repeats=12, watch=watch).repeats == 12
    )


def test_phases_are_told_apart() -> None:
    watch = Turned()
    order: list[str] = []

    def phase(name: str, seconds: float) -> tuple[str, Callable[[], None]]:
        def run() -> None:
            order.append(name)
            watch.time += seconds

        return name, run

    found = phased([phase("forward", 0.01), phase("backward", 0.02)], CPU, 1.0, watch=watch)
    assert {name: timing.median_s for name, timing in found.items()} == pytest.approx(
        {"forward": 0.01, "backward": 0.02}
    )
    assert order == ["forward", "backward"] * (len(order) // 2)


def test_one_unstable_phase_keeps_all_going() -> None:
    watch = Turned()
    phases = [("steady", watch.taking(lambda n: 0.01)), ("slower", watch.taking(lambda n: 0.01 * 1.02**n))]
    found = phased(phases, CPU, 2.0, watch=watch)
    assert found["steady"].stable
    assert not found["slower"].stable
    assert watch.time >= 2.0


def test_work_that_takes_no_time_at_all_ends() -> None:
    watch = Turned()
    calls = 0

    def now() -> float:
        nonlocal calls
        calls += 1
        return calls * 0.4

    watch.now = now  # type: ignore[method-assign]
    assert timed(lambda: None, CPU, budget_s=1.0, watch=watch).median_s > 0


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60))
def test_eight_in_ten_repeats_lie_within_the_spread(seconds: list[float]) -> None:
    timing = summary(seconds, 0.02)
    slack = 1 + 1e-9
    low, high = timing.median_s / timing.spread / slack, timing.median_s * timing.spread * slack
    assert sum(low <= each <= high for each in seconds) >= 0.8 * len(seconds)


def test_a_rare_interruption_does_not_widen_the_spread() -> None:
    assert summary([1.0] * 19 + [50.0], 0.02).spread == 1.0


@pytest.mark.parametrize(
    ("seconds", "stable"),
    [
        ([1.0], False),
        ([1.0, 1.0], True),
        ([1.0, 1.0, 1.019, 1.019], True),
        ([1.0, 1.0, 1.021, 1.021], False),
        ([1.021, 1.021, 1.0, 1.0], False),
        ([1.0, 9.0, 1.0, 1.0, 9.0, 1.0], True),
    ],
)
def test_halves_that_agree_are_stable(seconds: list[float], stable: bool) -> None:
    assert is_stable(seconds, 0.02) is stable


@given(st.integers(1, 10**6), st.floats(0, 1e-3, exclude_max=True))
def test_batches_grow_by_steps_until_they_are_long_enough(count: int, seconds: float) -> None:
    more = grown(count, seconds, 1e-3)
    assert count < more <= max(10 * count, count + 1)
    assert more >= 10 * count or more * seconds >= 1e-3 * count


def test_the_host_waits_for_the_device_before_it_counts_launches_and_not_while() -> None:
    waits: list[str] = []
    watch = LaunchWatch(lambda: waits.append("waited"))
    begin = watch.start()
    assert waits == ["waited"]
    assert watch.seconds(begin, watch.mark()) >= 0
    assert waits == ["waited"]


def test_without_time_stamps_of_the_device_each_mark_waits() -> None:
    waits: list[str] = []
    watch = WaitingWatch(lambda: waits.append("waited"))
    begin = watch.start()
    assert watch.seconds(begin, watch.mark()) >= 0
    assert len(waits) == 2


def test_a_product_on_this_processor_takes_longer_when_it_is_larger() -> None:
    torch.set_num_threads(1)
    small, large = torch.randn(32, 32), torch.randn(512, 512)
    times = [timed(lambda a=a: a @ a, CPU, budget_s=0.2).median_s for a in (small, large)]
    assert times[0] < times[1]
    assert timed(lambda: small @ small, CPU, budget_s=0.1, watch=launch_watch(CPU)).median_s < times[1]


def test_unknown_devices_have_no_watch() -> None:
    with pytest.raises(ValueError, match="meta"):
        watch_of(torch.device("meta"))
