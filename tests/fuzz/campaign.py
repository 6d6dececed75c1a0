"""Runs the cases of a border under a watchdog, and counts what comes out."""

from __future__ import annotations

import random
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_S = 5.0
"""Of work; a case that waits for something may do so for longer, as the machine may be busy."""
_LONGEST_WAIT_S = 30.0
LARGEST_KIB = 2**20


class HungError(BaseException):
    """A case took too long; no handler of the program may swallow it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that ended as none may."""

    border: str
    seed: int
    number: int
    reason: str
    trace: str

    @property
    def replay(self) -> str:
        """The command that runs it again."""
        return f"python -m tests.fuzz --border {self.border} --seed {self.seed} --only {self.number}"


@dataclass(slots=True)
class Tally:
    """What the cases of a border came to."""

    border: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest: int = 0
    peak_kib: int = 0
    failed: int = 0


Case = Callable[[random.Random, Path], str]
"""Runs one case in an empty folder, and returns what came out in a word."""


@contextmanager
def _watched() -> Iterator[None]:
    begun, worked = time.perf_counter(), time.process_time()

    def ring(signum: int, frame: object) -> None:
        # A machine that is busy with other things makes no case hang.
        if time.process_time() - worked > LONGEST_S or time.perf_counter() - begun > _LONGEST_WAIT_S:
            raise HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_kib() -> int:
    """Return the most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_case(border: str, case: Case, seed: int, number: int, tally: Tally) -> Failure | None:
    """Run one case and count it; return how it failed, where it did."""
    rng = random.Random(f"{border}/{seed}/{number}")
    begun, peak = time.perf_counter(), peak_kib()
    reason = trace = ""
    try:
        with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder, _watched():
            outcome = case(rng, Path(folder))
    except HungError:
        outcome, reason, trace = "hung", f"longer than {LONGEST_S:g} s", traceback.format_exc(limit=-6)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever escapes is the finding
        outcome, trace = "failed", traceback.format_exc()
        reason = f"{type(error).__name__}: {str(error)[:300]}"
    took_s = time.perf_counter() - begun
    tally.cases += 1
    tally.outcomes[outcome] += 1
    tally.seconds += took_s
    tally.peak_kib = max(tally.peak_kib, peak_kib())
    if took_s > tally.slowest_s:
        tally.slowest_s, tally.slowest = took_s, number
    if not reason and tally.peak_kib > LARGEST_KIB >= peak:
        reason = f"{tally.peak_kib >> 10} MiB of memory"
    if not reason:
        return None
    tally.failed += 1
    return Failure(border, seed, number, reason, trace)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
