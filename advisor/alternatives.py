"""Changes of a job that save memory: what to say where nothing fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from advisor.workload import Workload

MORE_GPUS = "of these GPUs"


def changes(workload: Workload, count: int) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield (words, update of the workload, count) of changes that save memory."""
    free: dict[str, Any] = {}
    if workload.batch.micro != "auto":
        free["batch"] = workload.batch.model_copy(update={"micro": "auto"})
        yield "a smaller micro-batch", dict(free), count
    if workload.checkpointing in ("none", "selective") and workload.effective_task != "inference":
        free["checkpointing"] = "full"
        yield (
            "full checkpointing" + (" and a smaller micro-batch" if "batch" in free else ""),
            dict(free),
            count,
        )
    if workload.effective_task == "inference":
        for precision in ("int8", "int4"):
            yield f"{precision} weights", {"precision": precision}, count
    elif workload.method == "full":
        yield "master_weights: none", free | {"master_weights": "none"}, count
        for method in ("lora", "qlora"):
            yield f"method: {method}", free | {"method": method, "task": "finetune"}, count
    elif workload.method == "lora":
        yield "method: qlora", free | {"method": "qlora"}, count
    if isinstance(workload.sharding, str):
        for more in (2, 4, 8, 16, 32, 64):
            if more > count:
                yield f"{more} {MORE_GPUS}", free | {"sharding": "auto"}, more
