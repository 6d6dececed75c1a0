"""Measuring in the worker: a test of the suite, copies between host and device, a workload of the user."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import TypeAdapter

from advisor.calibrate.runnable import Runnable, RunPlan, runnable
from advisor.calibrate.timing import Watch, launch_watch, phased, timed, waiting, watch_of
from advisor.errors import AdvisorError, ExitCode
from advisor.profile import SuiteResult, Timing, TransferResult
from advisor.suite import SuiteTest
from advisor.torch_model import TorchModel
from advisor.workload import Transformer

HALVINGS = 6
"""How often a test's batch is halved where memory runs out before it is given up."""

LEAST_STEPS = 3
"""Whole steps that are measured however long they take; a step averages over many kernels itself."""

TRANSFER_BYTES = 256 * 2**20
TRANSFER_BUDGET_S = 0.5

FATAL = ("CUDA error", "HIP error", "device-side assert", "unspecified launch failure")
"""Words of errors after which a process cannot use the device any more."""

Say = Callable[[Mapping[str, Any]], None]


def warm_up(device: str) -> None:
    """Make the libraries take the memory that they keep: a product and a convolution in half precision."""
    place = torch.device(device)
    # Every GPU that torch supports multiplies in fp16; a processor may have no convolution in it.
    half = torch.float32 if place.type == "cpu" else torch.float16
    a = torch.randn(256, 256, device=place, dtype=half)
    image = torch.randn(2, 16, 32, 32, device=place, dtype=half)
    weight = torch.randn(16, 16, 3, 3, device=place, dtype=half)
    _ = (a @ a, torch.nn.functional.conv2d(image, weight))
    waiting(place)()
    del a, image, weight
    release(place)


def release(place: torch.device) -> None:
    """Give memory that torch keeps for later back to the device."""
    gc.collect()
    if place.type == "cuda":
        torch.cuda.empty_cache()
    elif place.type == "mps":
        torch.mps.empty_cache()
    elif place.type == "xpu":
        torch.xpu.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a device or in the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def measure(planned: Mapping[str, Any], test: SuiteTest, device: str, budget_s: float) -> dict[str, Any]:
    """Return the result of a test as plain values, or why there is none.

    Args:
        planned: name, precision, memory format and batch.
        test: its definition.
        device: as torch calls it.
        budget_s: how long its repeats may take.
    """
    place = torch.device(device)
    batch, note = int(planned["batch"]), None
    for _ in range(HALVINGS + 1):
        try:
            result = _measured(planned, test, device, batch, budget_s, note)
            return {"result": result.model_dump(mode="json")}
        except Exception as error:  # noqa: BLE001 - a driver or a kernel may raise anything; the other tests go on
            reason = f"{type(error).__name__}: {error}"
            if not out_of_memory(error) or batch == 1:
                return {"failed": planned["name"], "reason": reason[:300], "lost": _lost(error)}
        finally:
            release(place)
        note = f"memory ran out with {batch} samples"
        batch = max(batch // 2, 1)
    return {"failed": planned["name"], "reason": f"{note}, and with all smaller sizes tried", "lost": False}


def _lost(error: Exception) -> bool:
    """Say whether the device cannot be used any more by this process."""
    return any(words in str(error) for words in FATAL)


def _measured(
    planned: Mapping[str, Any], test: SuiteTest, device: str, batch: int, budget_s: float, note: str | None
) -> SuiteResult:
    place = torch.device(device)
    plan = RunPlan(
        device=device,
        task="train",
        precision=planned["precision"],
        mixed=test.mixed,
        micro_batch=batch,
        sequence_length=test.sequence_length,
        optimizer=test.optimizer,
        attention=None if test.model.transformer is None else "flash",
        memory_format=planned["memory_format"],
    )
    model: TorchModel | Transformer | None = test.model.torch or test.model.transformer
    assert model is not None
    running = runnable(model, plan)
    timings: dict[str, Timing] = {}
    peak = None
    if test.purpose == "step":
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        timings["step"] = timed(running.step, place, budget_s=budget_s, least_repeats=LEAST_STEPS)
        if place.type == "cuda":
            peak = torch.cuda.max_memory_allocated(place) / 2**20
    else:
        watch = launch_watch(place) if test.purpose == "launches" else watch_of(place)
        timings |= _phase_times(running, place, watch, budget_s, test)
        if test.inference:
            running.eval_mode()
            timings["inference"] = timed(running.inference, place, budget_s=budget_s / 2, watch=watch)
        if test.purpose == "launches" and place.type == "cuda":
            timings["replayed"] = timed(_recorded(running), place, budget_s=budget_s / 2)
    return SuiteResult(
        test=planned["name"], precision=planned["precision"], memory_format=planned["memory_format"], batch=batch,
        allocated_mib=peak, note=note, **timings,
    )  # fmt: skip


def _phase_times(
    running: Runnable, place: torch.device, watch: Watch, budget_s: float, test: SuiteTest
) -> dict[str, Timing]:
    """Return the times of the phases that a test is about."""
    losses: list[torch.Tensor] = []

    def forward() -> None:
        losses[:] = [running.forward()]

    def backward() -> None:
        running.backward(losses.pop())

    found = phased(
        [("forward", forward), ("backward", backward), ("optimizer", running.optimizer_step)],
        place,
        budget_s,
        watch=watch,
    )
    if test.optimizer == "none":
        # Then the last phase only frees the gradients.
        return {name: found[name] for name in ("forward", "backward")}
    return {"optimizer": found["optimizer"]} if test.purpose == "operators" else dict(found)


def _recorded(running: Runnable) -> Callable[[], object]:
    """Return the forward pass as a recorded graph of kernels, ready to be replayed without its launches."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            running.inference()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        running.inference()
    return graph.replay


def transfers(device: str) -> list[TransferResult]:
    """Return how fast memory is copied between host and device, both ways, from pinned and from ordinary memory."""
    place = torch.device(device)
    found = []
    there = torch.empty(TRANSFER_BYTES, dtype=torch.uint8, device=place)
    for pinned in (True, False):
        here = torch.randint(0, 255, (TRANSFER_BYTES,), dtype=torch.uint8)
        try:
            here = here.pin_memory() if pinned else here
        except RuntimeError:
            continue
        copies = {
            "to device": lambda here=here: there.copy_(here),
            "from device": lambda here=here: here.copy_(there),
        }
        for direction, copy in copies.items():
            timing = timed(copy, place, budget_s=TRANSFER_BUDGET_S)
            found.append(
                TransferResult.model_validate(
                    {"direction": direction, "pinned": pinned, "size_bytes": TRANSFER_BYTES, "timing": timing}
                )
            )
    release(place)
    return found


def check(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Run a workload's steps for a while and return what they took as plain values.

    Args:
        request: ``plan`` (a :class:`RunPlan`), ``accumulation``, ``budget_s``, and ``torch`` or ``transformer``.
        say: told when the model is built and has run once.
    """
    plan = TypeAdapter(RunPlan).validate_python(request["plan"])
    place = torch.device(plan.device)
    try:
        model: TorchModel | Transformer = (
            TorchModel.model_validate(request["torch"])
            if request.get("torch") is not None
            else Transformer.model_validate(request["transformer"])
        )
        running = runnable(model, plan)
        run = _whole_step(running, plan, int(request["accumulation"]))
        run()
        waiting(place)()
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        begun = time.perf_counter()
        say({"event": "running"})
        timing = timed(run, place, budget_s=request["budget_s"])
    except AdvisorError as error:
        return {
            "event": "refused",
            "message": error.message,
            "hint": error.hint,
            "missing": error.exit_code == ExitCode.MISSING_EXTRA,
        }
    except Exception as error:  # noqa: BLE001 - a user's code or a driver may raise anything
        return {
            "event": "failed",
            "reason": f"{type(error).__name__}: {error}"[:500],
            "memory": out_of_memory(error),
        }
    found = {
        "event": "checked",
        "from": begun,
        "to": time.perf_counter(),
        "step": timing.model_dump(mode="json"),
    }
    if place.type == "cuda":
        found["allocated_mib"] = torch.cuda.max_memory_allocated(place) / 2**20
    return found


def _whole_step(running: Runnable, plan: RunPlan, accumulation: int) -> Callable[[], object]:
    if plan.task == "inference":
        running.eval_mode()
        return running.inference
    return lambda: running.step(accumulation)
