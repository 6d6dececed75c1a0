"""Speed of the package: ``python -m tests.benchmark`` in the root of a checkout. Nothing here is a test.

Prints cold start as a ratio to importing pydantic and NumPy, candidate plans a second over the whole catalog, a ranking
of the whole catalog the first time and again, and answers a second of ``estimate --jsonl``, for workloads that differ
in data alone and for such as have nothing in common. ``--profile`` says instead where the time of the three slowest
goes: the start, a ranking, and the stream. The app has its own: ``python -m tests.benchmark_tui``.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COLD_START_TARGET = 3.0
PLANS_TARGET = 1e6
REPEATS = 7
LINES = 300
PROFILED = 30


def median_seconds(*arguments: str, repeats: int = REPEATS) -> float:
    """Return the median wall time of a fresh interpreter; one run before it fills the caches of the file system."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    took = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT
        )
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:])


def cold_start() -> None:
    """Print the time of one question in a fresh process."""
    question = median_seconds("-m", "advisor", "recommend", "llama-3.1-8b", "--method", "lora", "--json")
    imports = median_seconds("-c", "import pydantic, numpy")
    ratio = question / imports
    verdict = "met" if ratio <= COLD_START_TARGET else "missed"
    print(
        f"cold start: {question * 1000:.0f} ms, imports of pydantic and numpy {imports * 1000:.0f} ms, "
        f"ratio {ratio:.2f} (target {COLD_START_TARGET:g}: {verdict})"
    )


def plan_search() -> None:
    """Print how many plans a second the search weighs for all GPUs and 1 to 8 of each, descriptions included."""
    from advisor.catalog import shipped_devices
    from advisor.describe.named import load_named
    from advisor.describe.subject import TransformerSubject
    from advisor.efficiency import load_constants
    from advisor.problem import problem_of, teams
    from advisor.workload import Workload
    from advisor.yaml_io import data_root

    devices = [device for device in shipped_devices() if device.kind == "gpu"]
    constants = load_constants(data_root())
    named = load_named(data_root(), "llama-3.1-8b")
    job = Workload.model_validate({"model": {"name": named.name}, "data": {"tokens": 50_000_000}})
    problem = problem_of(
        job, TransformerSubject(named.transformer, named.name, named.family, named.sequence_length)
    )
    rates = []
    evaluated = 0
    for _ in range(REPEATS):
        start = time.perf_counter()
        evaluated = 0
        for team in teams(problem, devices, constants):
            for count in range(1, 9):
                evaluated += team.search.best(count).evaluated
        rates.append(evaluated / (time.perf_counter() - start))
    rate = statistics.median(rates)
    verdict = "met" if rate >= PLANS_TARGET else "missed"
    print(
        f"plan search: {evaluated:,} plans of {len(devices)} GPUs, {rate:,.0f} plans a second "
        f"(target {PLANS_TARGET:,.0f}: {verdict})"
    )


def ranking() -> None:
    """Print how long the whole catalog takes to rank in a process that has begun: first, again, with another batch."""
    from advisor.service import open_advisor
    from advisor.workload import Workload

    def job(tokens: int, batch: int) -> Workload:
        return Workload.model_validate(
            {
                "model": {"name": "llama-3.1-8b"},
                "method": "lora",
                "data": {"tokens": tokens},
                "batch": {"global": batch},
            }
        )

    advisor, took = open_advisor(), []
    for workload in (job(10**7, 32), job(10**8, 32), job(10**8, 64)):
        start = time.perf_counter()
        advisor.recommend(workload, limit=None)
        took.append(time.perf_counter() - start)
    first, again, other = took
    print(
        f"ranking of the whole catalog: {first * 1000:.0f} ms the first time, {again * 1000:.0f} ms with other data, "
        f"{other * 1000:.0f} ms with another batch"
    )


def requests(number: int, *, alike: bool) -> list[str]:
    """Return lines for the stream: of twenty jobs with different data, or each with a transformer of its own."""
    gpus = ("rtx-4090", "a100-sxm4-80gb", "h100-sxm5-80gb", "l4", "rtx-3090")
    models = ("llama-3.2-1b", "llama-3.1-8b", "gpt2", "bert-base")

    def model(place: int) -> dict[str, Any]:
        if alike:
            return {"name": models[place % len(models)]}
        heads = 8 + place % 25
        return {
            "transformer": {
                "layers": 6 + place % 31, "hidden": 64 * heads, "heads": heads, "ffn": 256 * heads,
                "vocab": 32000 + place,
            }
        }  # fmt: skip

    return [
        json.dumps(
            {
                "workload": {"model": model(place), "data": {"tokens": 1e7 + place}},
                "gpu": gpus[place % len(gpus)],
                "count": 1,
            }
        )
        for place in range(number)
    ]


def stream(number: int) -> None:
    """Print how many lines a second one process answers."""
    command = [sys.executable, "-m", "advisor", "estimate", "--jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for alike, which in ((True, "that differ in data"), (False, "with a model of its own each")):
        lines, took = requests(number, alike=alike), []
        for part in (lines[:1], lines):
            start = time.perf_counter()
            answer = subprocess.run(
                command,
                input="\n".join(part) + "\n",
                text=True,
                capture_output=True,
                check=True,
                env=environment,
                cwd=ROOT,
            )
            took.append(time.perf_counter() - start)
            assert len(answer.stdout.splitlines()) == len(part)
        alone, all_of_them = took
        rate = (number - 1) / (all_of_them - alone)
        print(f"stream: {number:,} lines {which} in {all_of_them:.1f} s, {rate:,.0f} a second")


def profiled(name: str, run: Callable[[], object]) -> None:
    """Print where the time of a call goes: the functions that take most of it with what they call."""
    profile, out = cProfile.Profile(), io.StringIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        profile.runcall(run)
    pstats.Stats(profile, stream=out).strip_dirs().sort_stats("cumulative").print_stats(PROFILED)
    print(f"== {name}\n{out.getvalue().strip()}\n")


def profiles() -> None:
    """Print profiles of the start, of a ranking in a process that has begun, and of the stream."""
    question = ["recommend", "llama-3.1-8b", "--method", "lora", "--json"]

    def start() -> None:
        from advisor.cli import main

        main(question)

    profiled("cold start: imports and one question", start)
    from advisor.cli import main

    profiled("a ranking, modules loaded", lambda: main([*question, "--top", "all"]))
    sys.stdin = io.TextIOWrapper(io.BytesIO("\n".join(requests(LINES, alike=False)).encode()))
    profiled(f"stream of {LINES} lines with a model of its own each", lambda: main(["estimate", "--jsonl"]))


def main() -> None:
    """Print all figures, or profiles."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES, help="lines of the stream (default %(default)s)")
    parser.add_argument("--profile", action="store_true", help="where the time of the slowest goes")
    options = parser.parse_args()
    if options.profile:
        profiles()
        return
    cold_start()
    plan_search()
    ranking()
    stream(options.lines)


if __name__ == "__main__":
    main()
