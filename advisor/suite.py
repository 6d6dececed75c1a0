"""Words for the suite: the tests of which a calibration consists. ``calibration/suite.yaml`` in the catalog holds them.

A test is a small workload: it is run for real on the device, and predicted like any other workload, so what the two
differ by is what the constants do not know of the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from advisor.quantity import Model
from advisor.workload import ModelSource, Optimizer, Precision

DeviceKind = Literal["gpu", "cpu"]
MemoryFormat = Literal["nchw", "nhwc"]

Purpose = Literal["operators", "launches", "step"]
"""What a test says: how fast operators run, how fast the host starts them, or what a whole step takes."""


class SuiteTest(Model):
    """One test, in one or several precisions and memory formats."""

    about: str
    """What it is, for people."""
    purpose: Purpose = "operators"
    model: ModelSource
    """``torch`` (with a table of the same name beside the suite) or ``transformer``."""
    sequence_length: Annotated[int, Field(ge=1)] | None = None
    batch: Mapping[DeviceKind, Annotated[int, Field(ge=1)]]
    """Samples by kind of device; a kind that is not named does not run it. Halved where memory runs out."""
    precisions: Mapping[DeviceKind, tuple[Precision, ...]]
    memory_formats: tuple[MemoryFormat, ...] = ("nchw",)
    mixed: bool = False
    """fp32 weights under autocast; else weights and activations in the precision."""
    optimizer: Optimizer = "none"
    inference: bool = False
    """Whether a forward pass without gradients is measured too."""
    quick: tuple[DeviceKind, ...] = ()
    """Kinds of devices on which the quick suite has it."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.model.torch is None) == (self.model.transformer is None):
            raise ValueError("model is torch or transformer")
        if (self.model.transformer is None) != (self.sequence_length is None):
            raise ValueError("sequence_length goes with transformer")
        if set(self.batch) != set(self.precisions):
            raise ValueError("batch and precisions name the same kinds of devices")
        return self


class Suite(Model):
    """Everything in ``calibration/suite.yaml``."""

    tests: Mapping[str, SuiteTest]
