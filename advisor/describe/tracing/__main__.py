"""The process that traces: a request as JSON on standard input, the answer in the file named on the command line.

Whatever the user's code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WAYS_OUT = (
    "replace the operator by one of a fixed size (or leave that part out of the module), or describe the network where "
    "it can be traced and give the file as model.table"
)
_NO_VALUES = (
    "a trace has shapes and no values: compute it with torch's operators, or leave it out of forward and the loss "
    "(.item(), .tolist(), .numpy(), float(tensor) and an if on a tensor read values)"
)
_NO_CUDA = (
    'leave out .cuda() and .to("cuda"): the module and its inputs are moved to a simulated GPU; make new tensors with '
    "device=x.device of an input x"
)
HINTS = (
    ("not compiled with CUDA", _NO_CUDA),
    ("NVIDIA driver", _NO_CUDA),
    ("No CUDA GPUs", _NO_CUDA),
    ("_local_scalar_dense", _NO_VALUES),
    ("not supported for tensor subclasses", _NO_VALUES),
    ("Cannot copy out of meta tensor", _NO_VALUES),
    (
        "uninitialized parameter",
        "give lazy layers their input size: they have none before the first forward pass",
    ),
)
"""Words of torch's messages, and what a user can do about each."""


def main() -> int:
    """Trace what the request asks for and write a table or an error."""
    request = json.loads(sys.stdin.read())
    os.dup2(2, 1)
    answer = _answer(request)
    Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        import torch
    except ImportError as error:
        return {"missing": str(error)}
    from advisor.describe.tracing.device_tensor import UntraceableError
    from advisor.describe.tracing.recorder import ModuleError
    from advisor.describe.tracing.steps import BuildError, trace
    from advisor.torch_model import TorchModel

    torch.set_num_threads(1)
    model = TorchModel.model_validate(request["model"])
    folders = [str(Path(folder).resolve()) for folder in request["folders"]]
    # Only now, so that a user's json.py or advisor.py is not taken for another one.
    sys.path[:0] = folders
    try:
        return {"traced": trace(model, tasks=request["tasks"])}
    except BuildError as error:
        return _said(error.field, str(error), error.__cause__, folders)
    except UntraceableError as error:
        said = f"cannot be traced: {error.operator}: {error.reason}"
        return {"hint": WAYS_OUT} | _said("model.torch", said, error.__cause__ or error, folders)
    except ModuleError as error:
        return _said("model.torch.input", f"the step failed in {error}", error.cause, folders)
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything, anywhere
        return _said("model.torch", f"{type(error).__name__}: {error}", error, folders)


def _said(field: str, message: str, cause: BaseException | None, folders: Sequence[str]) -> dict[str, Any]:
    """Return what is wrong, where in the user's own code it happened, and what to do where that is known."""
    found = {"field": field, "message": message + ("" if cause is None else _place(cause, folders))}
    hint = next((hint for words, hint in HINTS if words in message), None)
    return found if hint is None else found | {"hint": hint}


def _place(error: BaseException, folders: Sequence[str]) -> str:
    """Return file and line of the innermost call in the user's folder, such as `` (mine.py:12)``."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        for folder in folders:
            if path.is_relative_to(folder) and "site-packages" not in path.parts:
                return f" ({path.relative_to(folder)}:{frame.lineno})"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
