"""Collectives really run between two processes here, and the links that are fitted to them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from advisor.calibrate.collectives import (
    OPERATIONS,
    STEP,
    VARIABLES,
    Team,
    rank_of,
    run_ranks,
    sizes,
    teams,
)
from advisor.calibrate.process import under_torchrun
from advisor.errors import ExitCode, InputError
from advisor.estimation.network import Links
from advisor.link_fit import GATHERS, collective_s, fitted_links
from advisor.profile import CollectiveResult, Timing

ROOT = Path(__file__).parents[1]

SCRIPT = """
import os, sys, time
from pydantic import TypeAdapter
from advisor.calibrate import collectives
from advisor.errors import AdvisorError
from advisor.profile import CollectiveResult

what, most = sys.argv[1], int(sys.argv[2])
collectives.QUICK_S, collectives.MOST_BYTES["cpu"] = 0.01, most

def say(text):
    print(text, file=sys.stderr)

def end(self, *args):
    if self._place.rank == 1 and what == "dies":
        os._exit(9)
    if self._place.rank == 1 and what == "hangs":
        time.sleep(30)
    return repeat(self, *args)

repeat, collectives._Measurement._repeat = collectives._Measurement._repeat, end
try:
    found = collectives.run_ranks("cpu", quick=True, report=say, limit_s=3.0 if what == "hangs" else 60.0)
except AdvisorError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
if found is not None:
    results, notes = found
    assert not notes, notes
    print(TypeAdapter(list[CollectiveResult]).dump_json(results).decode())
"""

Results = list[CollectiveResult]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: object) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | {k: str(v) for k, v in more.items()}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "ranks.py"
    path.write_text(SCRIPT)
    return path


def test_two_ranks_measure_all_operations_and_sizes(script: Path) -> None:
    from pydantic import TypeAdapter

    most = 2**18
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
            "--master-port", str(free_port()), str(script), "measures", str(most),
        ],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = TypeAdapter(Results).validate_json(done.stdout)
    expected = {(operation, size) for operation in OPERATIONS for size in (4096, 16384, 65536, most)}
    assert {(each.operation, each.size_bytes) for each in results} == expected
    assert len(results) == len(expected)
    assert {(each.ranks, each.nodes, each.library) for each in results} == {(2, 1, "gloo")}
    assert all(each.timing.repeats >= 5 for each in results)
    assert [line for line in done.stderr.splitlines() if "among" in line] == [
        f"{operation} among all 2 ranks" for operation in OPERATIONS
    ]
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("what", ["dies", "hangs"])
def test_ranks_that_lose_one_end_with_a_message(script: Path, what: str) -> None:
    place = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    first, second = (
        subprocess.Popen(
            [sys.executable, str(script), what, "4096"], env=environment(RANK=rank, LOCAL_RANK=rank, **place),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    )  # fmt: skip
    try:
        output, errors = first.communicate(timeout=60)
    finally:
        for each in (first, second):
            each.kill()
            each.communicate()
    assert first.returncode == ExitCode.OUTSIDE_FAILED, errors
    assert "rank 0 of 2 has lost the others" in errors
    assert "Traceback" not in errors
    assert not output


def under(monkeypatch: pytest.MonkeyPatch, *values: int) -> None:
    for name, value in zip(VARIABLES, (*values, "127.0.0.1", 29500), strict=True):
        monkeypatch.setenv(name, str(value))


def test_torchrun_is_known_by_all_that_it_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    under(monkeypatch, 1, 4, 1, 2)
    assert under_torchrun()
    assert rank_of(os.environ).local_world == 2
    for name in VARIABLES:
        with monkeypatch.context() as without:
            without.delenv(name)
            assert not under_torchrun()


@pytest.mark.parametrize(
    ("values", "message"),
    [((0, 1, 0, 1), "nobody"), ((0, 4, 0, 3), "different numbers")],
)
def test_ranks_that_cannot_be_measured_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: tuple[int, ...], message: str
) -> None:
    under(monkeypatch, *values)
    with pytest.raises(InputError, match=message):
        run_ranks("cpu", quick=True, report=lambda _: None)


def test_devices_that_cannot_communicate_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    under(monkeypatch, 0, 2, 0, 2)
    with pytest.raises(InputError, match="do not communicate") as error:
        run_ranks("mps", quick=True, report=lambda _: None)
    assert error.value.accepted == "cuda, rocm, xpu, cpu"


@pytest.mark.parametrize(
    ("world", "local", "expected"),
    [
        (2, 2, [((0, 1), 1)]),
        (2, 1, [((0, 1), 2)]),
        (4, 4, [((0, 1, 2, 3), 1), ((0, 1), 1)]),
        (3, 1, [((0, 1, 2), 3), ((0, 1), 2)]),
        (4, 2, [((0, 1, 2, 3), 2), ((0, 1), 1), ((0, 2), 2), ((0, 1), 1)]),
        (16, 8, [(tuple(range(16)), 2), (tuple(range(8)), 1), ((0, 8), 2), ((0, 1), 1)]),
    ],
)
def test_teams_tell_links_inside_a_node_from_those_between(
    world: int, local: int, expected: list[tuple[tuple[int, ...], int]]
) -> None:
    found: tuple[Team, ...] = teams(world, local)
    assert [(team.ranks, team.nodes) for team in found] == expected
    assert all(0 in team.ranks for team in found)


def test_sizes_grow_to_what_a_device_and_a_mode_allow() -> None:
    assert list(sizes("cpu", quick=False))[-1] == 16 * 2**20
    assert list(sizes("cuda", quick=True))[-1] == 256 * 2**20
    full = list(sizes("cuda", quick=False))
    assert (full[0], full[-1]) == (4096, 2**30)
    assert all(large == STEP * small for small, large in pairwise(full))


def links(
    inside: float, between: float, latency_us: float, node_latency_us: float, switched: bool, domain: int = 8
) -> Links:
    return Links(
        inside=np.array([inside * 1e9]), between=np.array([between * 1e9]), latency_s=np.array([latency_us * 1e-6]),
        node_latency_s=np.array([node_latency_us * 1e-6]), switched=np.array([switched]), bridged=np.zeros(1),
        domain=np.array([domain]),
    )  # fmt: skip


def measured(link: Links, *groups: tuple[int, int], noise: np.random.Generator | None = None) -> Results:
    """Return the results that a machine with given links would give, for teams of (ranks, nodes)."""
    steady = Timing(median_s=1.0, spread=1.01, repeats=20, stable=True)
    plain = [
        CollectiveResult.model_validate(
            {"operation": operation, "ranks": ranks, "nodes": nodes, "library": "nccl", "size_bytes": size,
             "timing": steady}
        )
        for ranks, nodes in groups for operation in GATHERS for size in sizes("cuda", quick=True)
    ]  # fmt: skip
    times = collective_s(plain, link)
    if noise is not None:
        times = times * np.exp(noise.normal(0, 0.03, len(times)))
    return [
        each.model_copy(update={"timing": steady.model_copy(update={"median_s": float(time)})})
        for each, time in zip(plain, times, strict=True)
    ]


rates = st.floats(1, 900)
waits = st.floats(1, 500)


@given(rates, waits, st.sampled_from([2, 3, 4, 8]), st.booleans())
def test_links_of_a_node_are_found_again(inside: float, latency: float, ranks: int, switched: bool) -> None:
    results = measured(links(inside, 50, latency, 10, switched), (ranks, 1))
    found = fitted_links(results, switched=switched, domain=8)
    assert found.between is None
    assert found.inside is not None
    assert found.inside.bandwidth_gb_s == pytest.approx(inside, rel=0.01)
    assert found.inside.latency_us == pytest.approx(latency, rel=0.01)
    assert (found.inside.ranks, found.inside.nodes) == (ranks, 1)


@given(rates, rates, waits, waits, st.sampled_from([2, 4, 8]), st.integers(2, 8), st.booleans())
def test_links_between_nodes_are_found_again_and_give_the_measured_times_back(
    inside: float, between: float, latency: float, node_latency: float, local: int, nodes: int, switched: bool
) -> None:
    link = links(inside, between, latency, node_latency, switched)
    results = measured(link, (local * nodes, nodes), (local, 1), (nodes, nodes))
    found = fitted_links(results, switched=switched, domain=8)
    assert found.inside is not None
    assert found.between is not None
    assert found.inside.bandwidth_gb_s == pytest.approx(inside, rel=0.01)
    assert found.between.latency_us == pytest.approx(node_latency, rel=0.01)
    share = 1.0 if switched else 0.25
    if between <= inside * share:
        assert found.between.bandwidth_gb_s == pytest.approx(between, rel=0.01)
    again = links(
        found.inside.bandwidth_gb_s, found.between.bandwidth_gb_s, found.inside.latency_us, found.between.latency_us,
        switched,
    )  # fmt: skip
    assert collective_s(results, again) == pytest.approx(collective_s(results, link), rel=0.01)


def test_a_rack_with_one_domain_has_links_inside_alone() -> None:
    results = measured(links(700, 50, 20, 40, True, domain=72), (8, 2), (16, 4))
    found = fitted_links(results, switched=True, domain=72)
    assert found.between is None
    assert found.inside is not None
    assert found.inside.bandwidth_gb_s == pytest.approx(700, rel=0.01)


def test_noise_and_one_wild_size_move_the_links_little() -> None:
    results = measured(links(300, 50, 15, 30, True), (8, 1), noise=np.random.default_rng(5))
    wild = results[-1].timing
    results[-1] = results[-1].model_copy(
        update={"timing": wild.model_copy(update={"median_s": 5 * wild.median_s})}
    )
    found = fitted_links(results, switched=True, domain=8).inside
    assert found is not None
    assert found.bandwidth_gb_s == pytest.approx(300, rel=0.1)
    assert found.latency_us == pytest.approx(15, rel=0.1)


def test_times_that_do_not_grow_with_the_size_tell_no_bandwidth() -> None:
    falling = [
        each.model_copy(
            update={"timing": Timing(median_s=1e-3 / (1 + place), spread=1.1, repeats=9, stable=True)}
        )
        for place, each in enumerate(measured(links(300, 50, 15, 30, True), (8, 1))[:3])
    ]
    assert fitted_links(falling, switched=True, domain=8).inside is None
    assert fitted_links(falling[:1], switched=True, domain=8).inside is None
    assert fitted_links([], switched=True, domain=8).inside is None


def test_copies_between_two_gpus_are_no_part_of_the_fit() -> None:
    results = measured(links(300, 50, 15, 30, True), (8, 1))
    slow = Timing(median_s=9.0, spread=1.1, repeats=9, stable=True)
    copy = results[0].model_copy(update={"operation": "point-to-point", "timing": slow})
    assert fitted_links([*results, copy], switched=True, domain=8) == fitted_links(
        results, switched=True, domain=8
    )
