"""Speed of the package: ``python -m tests.benchmark`` in the root of a checkout. Nothing here is a test.

Prints cold start as a ratio to importing pydantic and NumPy, candidate plans a second over the whole catalog, and
answers a second of ``estimate --jsonl``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLD_START_TARGET = 3.0
PLANS_TARGET = 1e6
REPEATS = 7
LINES = 300


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


def stream() -> None:
    """Print how many lines a second one process answers."""
    gpus = ("rtx-4090", "a100-sxm4-80gb", "h100-sxm5-80gb", "l4", "rtx-3090")
    models = ("llama-3.2-1b", "llama-3.1-8b", "gpt2", "bert-base")
    lines = [
        json.dumps(
            {
                "workload": {
                    "model": {"name": models[number % len(models)]},
                    "data": {"tokens": 1e7 + number},
                },
                "gpu": gpus[number % len(gpus)],
                "count": 1,
            }
        )
        for number in range(LINES)
    ]
    command = [sys.executable, "-m", "advisor", "estimate", "--jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    took = []
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
    print(
        f"stream: {LINES} lines in {all_of_them:.2f} s, {LINES / all_of_them:,.0f} lines a second with the start, "
        f"{(LINES - 1) / (all_of_them - alone):,.0f} after it"
    )


def main() -> None:
    """Print all figures."""
    cold_start()
    plan_search()
    stream()


if __name__ == "__main__":
    main()
