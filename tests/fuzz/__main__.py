"""The command ``python -m tests.fuzz``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from .borders import BORDERS
from .campaign import Tally, run_case


def main() -> int:
    """Run a campaign, print what came out, and return 1 where a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Throw mutated documents at every border.")
    parser.add_argument("--cases", type=int, default=20_000, help="of all borders together (20000)")
    parser.add_argument("--border", choices=tuple(BORDERS), action="append", help="this border alone; may be given again")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases (0)")
    parser.add_argument("--only", type=int, help="the case of this number alone, with its traceback")
    args = parser.parse_args()
    chosen = args.border or list(BORDERS)
    total = sum(BORDERS[name][1] for name in chosen)
    begun = time.perf_counter()
    tallies = []
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(GPU_ADVISOR_DATA=home, XDG_CONFIG_HOME=home, COLUMNS="80")
        for name in chosen:
            case, share = BORDERS[name]
            tally = Tally(name)
            numbers = range(max(1, args.cases * share // total)) if args.only is None else (args.only,)
            for number in numbers:
                run_case(name, case, args.seed, number, tally)
            tallies.append(tally)
            print(line_of(tally), flush=True)
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures:
        print(f"\n{failure.replay}\n  {failure.reason}")
        if args.only is not None:
            print(failure.trace)
    cases, failed = sum(tally.cases for tally in tallies), sum(tally.failed for tally in tallies)
    print(
        f"\n{cases} cases of seed {args.seed}, {failed} failed; {time.perf_counter() - begun:.0f} s, "
        f"{max(tally.peak_kib for tally in tallies) / 1024:.0f} MiB at most"
    )
    return 1 if failed else 0


def line_of(tally: Tally) -> str:
    """Return a line of the table."""
    outcomes = ", ".join(f"{count} {name}" for name, count in tally.outcomes.most_common())
    return (
        f"{tally.border:10} {tally.cases:7} cases  {tally.seconds:6.0f} s  slowest {tally.slowest_s:5.2f} s (#{tally.slowest})  "
        f"peak {tally.peak_kib / 1024:4.0f} MiB  {tally.failed:4} failed  ({outcomes})"
    )


if __name__ == "__main__":
    # Beside the tests lies what they share.
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(main())
