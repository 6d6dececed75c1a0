"""The command ``python -m tests.fuzz``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .borders import BORDERS
from .campaign import Tally, peak_kib, run_case


def main() -> int:
    """Run a campaign, print what came out, and return 1 where a case failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Throw mutated documents at every border."
    )
    parser.add_argument("--cases", type=int, default=20_000, help="of all borders together (20000)")
    parser.add_argument(
        "--border", choices=tuple(BORDERS), action="append", help="this border alone; may be given again"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases (0)")
    parser.add_argument("--only", type=int, help="the case of this number alone, with its traceback")
    args = parser.parse_args()
    chosen = args.border or list(BORDERS)
    begun = time.perf_counter()
    tallies = {name: Tally(name) for name in chosen}
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(GPU_ADVISOR_DATA=home, XDG_CONFIG_HOME=home, COLUMNS="80")
        # Stopped, it still says how far it came.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            for name, number in _cases(chosen, args.cases, args.only):
                failure = run_case(name, BORDERS[name][0], args.seed, number, tallies[name])
                if failure is not None:
                    print(f"{failure.replay}\n  {failure.reason}", flush=True)
                    if args.only is not None:
                        print(failure.trace)
    for tally in tallies.values():
        print(line_of(tally))
    cases, failed = (
        sum(numbers)
        for numbers in zip(*((each.cases, each.failed) for each in tallies.values()), strict=True)
    )
    print(
        f"\n{cases} cases of seed {args.seed}, {failed} failed; {time.perf_counter() - begun:.0f} s, "
        f"{peak_kib() / 1024:.0f} MiB at most"
    )
    return 1 if failed else 0


_ROUNDS = 50


def _cases(chosen: Sequence[str], cases: int, only: int | None) -> Iterator[tuple[str, int]]:
    """Yield border and number of each case: some of every border in turn, so that what fails is seen early."""
    if only is not None:
        yield from ((name, only) for name in chosen)
        return
    total = sum(BORDERS[name][1] for name in chosen)
    for turn in range(_ROUNDS):
        for name in chosen:
            wanted = max(_ROUNDS, cases * BORDERS[name][1] // total)
            yield from (
                (name, number) for number in range(wanted * turn // _ROUNDS, wanted * (turn + 1) // _ROUNDS)
            )


def line_of(tally: Tally) -> str:
    """Return a line of the table."""
    outcomes = ", ".join(f"{count} {name}" for name, count in tally.outcomes.most_common())
    return (
        f"{tally.border:10} {tally.cases:7} cases  {tally.seconds:6.0f} s  "
        f"slowest {tally.slowest_s:5.2f} s (#{tally.slowest})  "
        f"peak {tally.peak_kib / 1024:4.0f} MiB  {tally.failed:4} failed  ({outcomes})"
    )


if __name__ == "__main__":
    # Beside the tests lies what they share.
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(main())
