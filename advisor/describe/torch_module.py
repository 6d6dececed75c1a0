"""From a network as code to its operator table: the code runs in a process of its own, never in this one.

So a factory may print, raise, exit, hang or need too much memory, and nothing here ever imports torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.errors import ExternalError, InputError, MissingExtraError
from advisor.network import NetworkTable, NetworkTask, Origin
from advisor.torch_model import TorchModel
from advisor.yaml_io import validate

TIME_LIMIT_S = 300.0
"""A trace of the largest published networks takes under a minute."""


def trace_module(
    model: TorchModel,
    *,
    name: str,
    tasks: Sequence[NetworkTask] = ("train", "inference"),
    time_limit_s: float = TIME_LIMIT_S,
    details: Mapping[str, Any] | None = None,
) -> NetworkTable:
    """Return the operator table of a network; runs its code.

    Args:
        model: factory, arguments, input and loss.
        name: of the table.
        tasks: what to trace.
        time_limit_s: after this many seconds the process is ended.
        details: further fields of the table (family, unit, tokens_per_sample), and of its origin.

    Raises:
        InputError: the factory, its input or its loss is wrong, or the network cannot be traced; says what and where.
        MissingExtraError: torch is not installed.
        ExternalError: the process ended without an answer.
    """
    answer = _in_a_process(model, tasks, time_limit_s)
    if "missing" in answer:
        raise MissingExtraError(
            f"tracing a network needs torch ({answer['missing']})",
            hint='pip install "gpu-advisor[torch]"; or describe it elsewhere and give the file as model.table',
        )
    if "message" in answer:
        raise InputError(answer["message"], field=answer["field"], hint=answer.get("hint"))
    return table_of(model, answer["traced"], name=name, details=details or {})


def table_of(
    model: TorchModel, traced: Mapping[str, Any], *, name: str, details: Mapping[str, Any]
) -> NetworkTable:
    """Return the table of what :func:`advisor.describe.tracing.steps.trace` returned; see :func:`trace_module`."""
    details = dict(details)
    origin = {key: details.pop(key, None) for key in ("package", "version", "notes")}
    plain = model.model_copy(update={"folder": None})
    document = {
        "name": name,
        "parameters": traced["parameters"],
        "loss": traced["loss"],
        "loss_is_assumed": traced["loss_is_assumed"],
        "origin": Origin(torch=traced["torch"], model=plain, **origin),
        "traces": traced["traces"],
        "notes": traced["notes"],
        **details,
    }
    return validate(NetworkTable, document, name)


def _in_a_process(model: TorchModel, tasks: Sequence[NetworkTask], time_limit_s: float) -> dict[str, Any]:
    folder = model.folder or str(Path.cwd())
    request = {"model": model.model_dump(mode="json"), "tasks": list(tasks), "folders": [folder]}
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in (here, inherited) if part),
        "CUDA_VISIBLE_DEVICES": "",
    }
    with tempfile.TemporaryDirectory(prefix="gpu-advisor-") as work:
        place = Path(work) / "answer.json"
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "advisor.describe.tracing", str(place)],
                input=json.dumps(request), capture_output=True, text=True, encoding="utf-8", errors="replace",
                timeout=time_limit_s, env=environment, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InputError(
                f"the factory or the step did not end within {time_limit_s:g} s",
                field="model.torch.factory",
                value=[part.factory for part in model.steps],
                hint="--trace-timeout sets the limit in seconds",
            ) from None
        if not place.is_file():
            raise ExternalError(
                f"the process that traces ended with code {done.returncode} and no answer",
                hint=_last_line(done.stderr),
            )
        answer: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return answer


def _last_line(text: str) -> str | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else None
