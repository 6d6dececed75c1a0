"""The process that measures: a request as a JSON line on standard input, events as JSON lines on standard output.

The device is touched in this process alone, so that a kernel that hangs, or a driver that resets, ends it and not the
program. Whatever libraries or a user's code print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Say = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Do what the request asks for and say what came of it."""
    request = json.loads(sys.stdin.readline())
    # Only this process's own events may reach the pipe.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: Mapping[str, Any]) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    try:
        import torch
    except ImportError as error:
        say({"event": "missing", "reason": str(error)})
        return 0
    _quieten(torch)
    jobs = {"devices": _devices, "suite": _suite, "check": _check}
    jobs[request["job"]](request, say)
    say({"event": "done"})
    return 0


def _quieten(torch: Any) -> None:
    """Make runs comparable: no autotuning between repeats that changes kernels, no seed of the day."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = False


def _use(torch: Any, device: str) -> None:
    """Make a device the current one: graphs, streams and events are its own then."""
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    elif device.startswith("xpu"):
        torch.xpu.set_device(device)


def _devices(request: Mapping[str, Any], say: Say) -> None:
    from advisor.calibrate.found import torch_devices

    say({"event": "devices", "found": torch_devices()})


def _suite(request: Mapping[str, Any], say: Say) -> None:
    """Run the tests of the request one after the other; a test that fails is said and the others go on."""
    import torch

    from advisor.calibrate.measure import measure, transfers, warm_up
    from advisor.suite import SuiteTest

    device = request["device"]
    _use(torch, device)
    warm_up(device)
    say({"event": "ready", "reserved_mib": _reserved_mib(torch, device)})
    # Meanwhile the other side reads how much memory this process has taken.
    time.sleep(request["settle_s"])
    for planned in request["tests"]:
        test = SuiteTest.model_validate(planned["definition"])
        begun = time.perf_counter()
        say({"event": "begin", "test": planned["name"]})
        outcome = measure(planned, test, device, request["budget_s"])
        say({"event": "result", "from": begun, "to": time.perf_counter(), **outcome})
    if not device.startswith("cpu"):
        say({"event": "begin", "test": "transfers"})
        say({"event": "transfers", "results": [each.model_dump(mode="json") for each in transfers(device)]})


def _reserved_mib(torch: Any, device: str) -> float:
    return float(torch.cuda.memory_reserved(device) / 2**20) if device.startswith("cuda") else 0.0


def _check(request: Mapping[str, Any], say: Say) -> None:
    """Run a workload for a short while."""
    import torch

    from advisor.calibrate.measure import check

    _use(torch, request["plan"]["device"])
    # Only now, so that a user's json.py or advisor.py is not taken for another one.
    sys.path[:0] = [str(Path(folder).resolve()) for folder in request["folders"]]
    say(check(request, say))


if __name__ == "__main__":
    raise SystemExit(main())
