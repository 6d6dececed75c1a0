"""Parts of the model put out of action one at a time, to see what each is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from advisor.execution import Constants
from advisor.fit.bounds import Bounds, put

ABLATIONS: Mapping[str, Mapping[str, float]] = {
    "everything": {},
    "no age of software": {"of_ages": 1.0},
    "no time to start and end a kernel": {"of_architectures.kernel_us": 0.01},
    "no time of the host to start kernels": {
        "shared.software.forward_launch": 1.0, "shared.software.backward_launch": 0.3,
        "shared.software.optimizer_launch": 0.5,
    },
    "host and device overlap wholly": {"shared.software.overlap_exponent": 8.0},
    "no power limit": {"kernel.sustained_exponent": 0.001},
    "TF32 as fast as 16 bits": {"shared.kernel.tf32_rate": 1.0},
    "grouped convolutions like plain ones": {"shared.kernel.rate.grouped convolution": 1.0},
    "no overlap of gradients and backward": {"shared.network.overlap_data": 0.05},
}  # fmt: skip
"""Constants that are held at a value, by what that leaves out."""


def ablated(name: str, constants: Constants, bounds: Bounds) -> tuple[Constants, Bounds]:
    """Return constants and bounds under which a part of the model has no effect."""
    held: dict[str, Any] = bounds.model_dump()
    document: dict[str, Any] = constants.model_dump()
    for path, value in ABLATIONS[name].items():
        group, _, rest = path.partition(".")
        if path == "of_ages":
            names, entries = list(held["of_ages"]), held["of_ages"]
        elif group in ("shared", "of_architectures"):
            names, entries = [rest], held[group]
        else:
            put(document, tuple(path.split(".")), value)
            continue
        for each in names:
            least = value * 0.999 if value >= entries[each]["high"] else value
            entries[each] |= {"low": least, "high": least * 1.001 if least == value else value}
    return Constants.model_validate(document), Bounds.model_validate(held)
