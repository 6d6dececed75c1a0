"""The process that traces: a request as JSON on standard input, the answer in the file named on the command line.

Whatever the user's code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Trace what the request asks for and write a table or an error."""
    request = json.loads(sys.stdin.read())
    os.dup2(2, 1)
    answer = _answer(request)
    Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    sys.path[:0] = request["folders"]
    try:
        import torch
    except ImportError as error:
        return {"missing": str(error)}
    from advisor.describe.tracing.device_tensor import UntraceableError
    from advisor.describe.tracing.recorder import ModuleError
    from advisor.describe.tracing.steps import BuildError, trace
    from advisor.network import TorchModel

    torch.set_num_threads(1)
    model = TorchModel.model_validate(request["model"])
    try:
        return {"traced": trace(model, tasks=request["tasks"])}
    except BuildError as error:
        return {"field": error.field, "message": str(error)}
    except UntraceableError as error:
        return {
            "field": "model.torch",
            "message": f"cannot be traced: {error.operator}: {error.reason}",
            "way_out": True,
        }
    except ModuleError as error:
        return {"field": "model.torch.input", "message": f"the step failed in {error}"}


if __name__ == "__main__":
    raise SystemExit(main())
