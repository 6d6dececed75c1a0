"""Collectives among several devices, measured in every rank that ``torchrun`` started.

All ranks do the same in the same order: what one of them finds out alone, such as memory that ran out, is agreed on
before it counts, because a rank that leaves a collective out leaves the others waiting.
"""

from __future__ import annotations

import atexit
import datetime
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist

from advisor.calibrate.process import VARIABLES
from advisor.calibrate.timing import LEAST_REPEATS, Watch, summary, watch_of
from advisor.errors import ExitCode, ExternalError, InputError
from advisor.profile import Backend, CollectiveResult
from advisor.units import GIB, MIB

Operation = Literal["all-reduce", "all-gather", "reduce-scatter", "point-to-point"]
Library = Literal["nccl", "gloo", "rccl", "xccl"]
Report = Callable[[str], None]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
LIBRARIES: Mapping[Backend, tuple[Library, str]] = {
    "cuda": ("nccl", "nccl"),
    "rocm": ("rccl", "nccl"),
    "xpu": ("xccl", "xccl"),
    "cpu": ("gloo", "gloo"),
}
"""Library of each kind of device, and torch's name for it."""

# Torch 2.13 renamed both; the old names warn there, and warnings would stand between the lines of the report.
_GATHER: Callable[..., Any] = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_SCATTER: Callable[..., Any] = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor

LEAST_BYTES = 4096
MOST_BYTES = {"cpu": 16 * MIB, "quick": 256 * MIB, "full": 1 * GIB}
STEP = 4

QUICK_S = 0.1
FULL_S = 0.3
"""What the repeats of one operation with one size may take."""

MOST_REPEATS = 50
MOST_INNER = 20
"""Operations in one repeat, as in NCCL's tests; sums of more would leave the range of the numbers."""

LONGEST_S = 2.0
"""Sizes are left out where a single operation would take longer."""

LIMIT_S = 120.0
"""A rank that waits this long for the others gives up."""


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of this process among those that ``torchrun`` started, counted from 0."""

    rank: int
    world: int
    local_rank: int
    local_world: int


@dataclass(frozen=True, slots=True)
class Team:
    """Ranks that communicate while the others wait.

    Attributes:
        name: for whoever waits.
        ranks: those of the whole world that take part, rank 0 among them.
        nodes: on how many nodes they are.
        operations: what they do.
    """

    name: str
    ranks: tuple[int, ...]
    nodes: int
    operations: tuple[Operation, ...] = OPERATIONS


def rank_of(environment: Mapping[str, str]) -> Rank:
    """Return the place of this process.

    Raises:
        InputError: nodes run different numbers of ranks, or there is a single rank.
    """
    place = Rank(*(int(environment[name]) for name in VARIABLES[:4]))
    if place.world < 2:
        raise InputError(
            "a single rank has nobody to communicate with", field="torchrun --nproc-per-node", value=place.world,
            accepted="2 or more", hint="without torchrun the device itself is measured",
        )  # fmt: skip
    if place.world % place.local_world:
        raise InputError(
            "the nodes run different numbers of ranks", field="torchrun --nproc-per-node",
            value=f"{place.world} ranks, {place.local_world} on this node", accepted="the same number on each node",
        )  # fmt: skip
    return place


def teams(world: int, local_world: int) -> tuple[Team, ...]:
    """Return the teams that tell the links inside a node from those between nodes.

    Args:
        world: all ranks.
        local_world: ranks of one node; they follow one another.
    """
    nodes = world // local_world
    found = [Team(f"all {world} ranks", tuple(range(world)), nodes)]
    if nodes > 1 and local_world > 1:
        found.append(Team(f"the {local_world} ranks of one node", tuple(range(local_world)), 1))
        found.append(Team("one rank of each node", tuple(range(0, world, local_world)), nodes))
    if world > 2:
        found.append(Team("ranks 0 and 1", (0, 1), 1 if local_world > 1 else 2, ("point-to-point",)))
    return tuple(found)


def sizes(kind: Backend, *, quick: bool) -> Iterator[int]:
    """Yield the sizes of the whole tensor in bytes, the smallest first."""
    most = MOST_BYTES["cpu" if kind == "cpu" else "quick" if quick else "full"]
    size = LEAST_BYTES
    while size <= most:
        yield size
        size *= STEP


def run_ranks(
    device_kind: Backend, *, quick: bool, report: Report, limit_s: float = LIMIT_S
) -> tuple[list[CollectiveResult], list[str]] | None:
    """Measure the collectives among all ranks; each of them has to call this.

    Args:
        device_kind: what the ranks compute on.
        quick: smaller tensors, fewer repeats.
        report: told on rank 0 what is measured.
        limit_s: how long a rank waits for the others.

    Returns:
        On rank 0 the results and what could not be measured, None on the others.

    Raises:
        InputError: torchrun started ranks that cannot be measured.
        ExternalError: the library is missing, or a rank does not answer.
    """
    place = rank_of(os.environ)
    device = _device(device_kind, place)
    library, backend = LIBRARIES[device_kind]
    if not dist.is_available() or not dist.is_backend_available(backend):
        raise ExternalError(
            f"this build of torch has no {library}, which {device_kind} devices communicate with",
            hint="--device cpu measures what the processors say to each other",
        )
    try:
        dist.init_process_group(
            backend,
            timeout=datetime.timedelta(seconds=limit_s),
            # NCCL then connects at once, so that a rank without its GPU shows here and not in a measurement.
            device_id=None if device.type == "cpu" else device,
        )
        found = _Measurement(place, device, library, quick, report, limit_s).run(device_kind)
        dist.destroy_process_group()
    except RuntimeError as error:
        atexit.register(_leave)
        raise _lost(place, error) from error
    return found if place.rank == 0 else None


def _device(kind: Backend, place: Rank) -> torch.device:
    """Return the device of this rank and make it the current one.

    Raises:
        InputError: there are fewer devices than ranks, or such devices do not communicate.
    """
    if kind not in LIBRARIES:
        raise InputError(
            "devices of this kind do not communicate",
            field="--device",
            value=kind,
            accepted=", ".join(LIBRARIES),
        )
    if kind == "cpu":
        return torch.device("cpu")
    module = torch.xpu if kind == "xpu" else torch.cuda
    count = module.device_count()
    if place.local_world > count:
        raise InputError(
            "more ranks than GPUs on this node", field="torchrun --nproc-per-node", value=place.local_world,
            accepted=f"at most {count}",
        )  # fmt: skip
    device = torch.device("xpu" if kind == "xpu" else "cuda", place.local_rank)
    module.set_device(device)
    return device


def _leave() -> None:
    """End this process with what it has said, and nothing else.

    Taking down a group that has lost a rank waits for that rank, and leaving it to the destructors of its threads
    aborts the process now and then, so that its exit code would say nothing.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.OUTSIDE_FAILED)


def _lost(place: Rank, error: RuntimeError) -> ExternalError:
    # Gloo begins with a place in its source and NCCL ends with what the system said.
    first = re.sub(r"^\[\S+\] ", "", str(error).strip().split("\n")[0])
    last = re.search(r"Last error:\s*(.+)", str(error))
    said = first.split(". ")[0][:200] + (f" ({last.group(1).strip()[:200]})" if last else "")
    return ExternalError(
        f"rank {place.rank} of {place.world} has lost the others: {said}",
        hint="the first rank that failed says why; every rank needs the same command, and NCCL_DEBUG=INFO tells more",
    )


class _Measurement:
    """One run through all teams, operations and sizes, the same on every rank.

    Args:
        place: of this rank.
        device: of this rank.
        library: for the results.
        quick: fewer repeats, smaller tensors.
        report: told on rank 0 what is measured.
        limit_s: how long to wait for the others.
    """

    def __init__(
        self, place: Rank, device: torch.device, library: Library, quick: bool, report: Report, limit_s: float
    ) -> None:
        self._place = place
        self._device = device
        self._library: Library = library
        self._quick = quick
        self._report = report
        self._limit_s = limit_s
        self._watch: Watch = watch_of(device)
        self._results: list[CollectiveResult] = []
        self._notes: list[str] = []

    def run(self, kind: Backend) -> tuple[list[CollectiveResult], list[str]]:
        """Return the results and what could not be measured; complete on rank 0."""
        for team in teams(self._place.world, self._place.local_world):
            # Every rank has to make every group, also those that it is not in.
            limit = datetime.timedelta(seconds=self._limit_s)
            whole = len(team.ranks) == self._place.world
            group = dist.group.WORLD if whole else dist.new_group(list(team.ranks), timeout=limit)
            for operation in team.operations:
                if self._place.rank == 0:
                    self._report(f"{operation} among {team.name}")
                for size in sizes(kind, quick=self._quick):
                    if not self._measured(team, group, operation, size):
                        break
        return self._results, self._notes

    def _measured(self, team: Team, group: Any, operation: Operation, size: int) -> bool:
        """Measure one size; False where larger ones need not be tried."""
        member = self._place.rank in team.ranks
        work = self._work(team, group, operation, size) if member else None
        if self._agreed(float(member and work is None)):
            self._note(team, operation, f"memory ran out with {size / MIB:g} MiB")
            return False
        if self._agreed(float(work is not None and not self._supported(work))):
            self._note(team, operation, f"{self._library} does not have it in torch {torch.__version__}")
            return False
        # The shorter of two: a pause of one rank must not decide how often all of them repeat.
        single_s = self._agreed(0.0 if work is None else min(self._repeat(work, 1) for _ in range(2)))
        if single_s > LONGEST_S:
            self._note(
                team, operation, f"{size / MIB:g} MiB take {single_s:.1f} s; larger ones were left out"
            )
            return False
        inner = min(max(round(self._watch.least_s / max(single_s, 1e-9)), 1), MOST_INNER)
        budget_s = QUICK_S if self._quick else FULL_S
        repeats = int(min(max(budget_s / max(single_s * inner, 1e-9), LEAST_REPEATS), MOST_REPEATS))
        own = [0.0] * repeats if work is None else [self._repeat(work, inner) for _ in range(repeats)]
        # A collective is over when the last rank has it.
        slowest = self._slowest(own)
        if work is not None:
            self._results.append(
                CollectiveResult(
                    operation=operation, ranks=len(team.ranks), nodes=team.nodes, library=self._library,
                    size_bytes=work.size_bytes, timing=summary(slowest, self._watch.tolerance),
                )
            )  # fmt: skip
        return True

    def _note(self, team: Team, operation: Operation, what: str) -> None:
        self._notes.append(f"{operation} among {team.name}: {what}")

    def _work(self, team: Team, group: Any, operation: Operation, size: int) -> _Work | None:
        """Return an operation that is ready to be started, None where memory does not suffice."""
        try:
            return _prepared(team, group, operation, size, self._place.rank, self._device)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            if "memory" in str(error).lower():
                return None
            raise

    def _supported(self, work: _Work) -> bool:
        """Say whether the library has the operation; the first run of it also makes its connections."""
        try:
            self._repeat(work, 1)
        except (NotImplementedError, RuntimeError) as error:
            if re.search(r"(not|no) support|not implemented", str(error), re.IGNORECASE):
                return False
            raise
        return True

    def _repeat(self, work: _Work, inner: int) -> float:
        """Return the seconds of one operation in a row of them."""
        work.refill()
        # Enqueued on the device and not waited for: the members then start together, without what hosts add to it.
        dist.all_reduce(work.starter, group=work.group)
        begin = self._watch.start()
        for _ in range(inner):
            work.start()
        end = self._watch.mark()
        self._wait(end)
        return self._watch.seconds(begin, end) / inner

    def _agreed(self, value: float) -> float:
        """Return the largest value of all ranks."""
        return self._slowest([value])[0]

    def _slowest(self, values: list[float]) -> list[float]:
        """Return the largest value of all ranks at each place."""
        # Not in double precision, which some GPUs do not compute in.
        shared = torch.tensor(values, dtype=torch.float32, device=self._device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        self._wait(self._watch.mark())
        return [float(value) for value in shared.tolist()]

    def _wait(self, mark: Any) -> None:
        """Wait until the device has come to a mark.

        Raises:
            RuntimeError: the others let it wait for too long. NCCL itself would end the process without a word to us.
        """
        deadline = time.perf_counter() + 0.75 * self._limit_s
        while not self._watch.reached(mark):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"no answer within {0.75 * self._limit_s:.0f} s")
            time.sleep(2e-4)


@dataclass(frozen=True, slots=True)
class _Work:
    """One operation on tensors of one size, ready to be started again and again.

    Attributes:
        size_bytes: of the whole tensor.
        group: process group of the ranks that take part.
        starter: a tensor of one number whose sum lets all of them start together.
        start: starts it once.
        refill: puts back what the last runs have changed.
    """

    size_bytes: int
    group: Any
    starter: torch.Tensor
    start: Callable[[], object]
    refill: Callable[[], object]


def _prepared(
    team: Team, group: Any, operation: Operation, size: int, rank: int, device: torch.device
) -> _Work:
    """Return an operation on tensors of its own.

    Args:
        team: who takes part.
        group: its process group.
        operation: what they do.
        size: bytes of the whole tensor; rounded down to what divides among the ranks.
        rank: of this process.
        device: of this process.

    Raises:
        RuntimeError: memory ran out.
    """
    # GPUs exchange gradients and weights in 16 bits; processors add up 32 bits faster.
    kind = torch.float32 if device.type == "cpu" else torch.bfloat16
    count = len(team.ranks)
    share = size // kind.itemsize // count

    def filled(elements: int) -> torch.Tensor:
        # Random: what skips or compresses zeros, and the power that switching bits takes, would flatter the links.
        return torch.empty(elements, dtype=kind, device=device).normal_()

    whole = filled(share * count)
    start: Callable[[], object]
    refill: Callable[[], object] = _nothing
    match operation:
        case "all-reduce":
            source = whole.clone()
            start = lambda: dist.all_reduce(whole, group=group)  # noqa: E731 - as short as the operation
            refill = lambda: whole.copy_(source)  # noqa: E731
        case "all-gather":
            part = filled(share)
            start = lambda: _GATHER(whole, part, group=group)  # noqa: E731
        case "reduce-scatter":
            part = filled(share)
            start = lambda: _SCATTER(part, whole, group=group)  # noqa: E731
        case "point-to-point":
            start = _ring(team, group, rank, whole)
    return _Work(whole.nbytes, group, torch.zeros(1, device=device), start, refill)


def _nothing() -> None:
    return None


def _ring(team: Team, group: Any, rank: int, sent: torch.Tensor) -> Callable[[], object]:
    """Return what sends a tensor to the next rank while it receives that of the one before."""
    received = torch.empty_like(sent)
    at = team.ranks.index(rank)
    to, source = team.ranks[(at + 1) % len(team.ranks)], team.ranks[at - 1]

    def exchange() -> None:
        both = [dist.P2POp(dist.isend, sent, to, group), dist.P2POp(dist.irecv, received, source, group)]
        for request in dist.batch_isend_irecv(both):
            request.wait()

    return exchange
