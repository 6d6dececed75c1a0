"""What each optimizer keeps and moves for one trainable element.

State bytes follow the papers: Adam keeps two moments (Kingma and Ba 2015), momentum and Lion one (Chen et al. 2023),
8-bit Adam two of one byte plus block scales (Dettmers et al. 2022), Adafactor a row and a column of the second moment
(Shazeer and Stern 2018), which is nothing beside the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from advisor.operators import Affine, Kind, Operator, Phase
from advisor.workload import Optimizer


@dataclass(frozen=True, slots=True)
class OptimizerCost:
    """Costs for one trainable element.

    Attributes:
        states: moments kept, in units of one parameter in the precision of the states.
        state_bytes: bytes of all moments where they do not follow the precision of the weights, else None.
        passes: times that the step reads or writes one number of the weight's precision (gradient included).
    """

    states: float
    state_bytes: float | None
    passes: float

    def bytes_of_state(self, element_bytes: float) -> float:
        """Bytes of optimizer state of one element whose moments are held in ``element_bytes``."""
        return self.states * element_bytes if self.state_bytes is None else self.state_bytes


OPTIMIZERS: dict[Optimizer, OptimizerCost] = {
    "sgd": OptimizerCost(states=0, state_bytes=None, passes=3),
    "sgd-momentum": OptimizerCost(states=1, state_bytes=None, passes=5),
    "adam": OptimizerCost(states=2, state_bytes=None, passes=7),
    "adamw": OptimizerCost(states=2, state_bytes=None, passes=7),
    "adamw-8bit": OptimizerCost(states=2, state_bytes=2 * (1 + 4 / 256), passes=4),
    "adafactor": OptimizerCost(states=0.01, state_bytes=None, passes=8),
    "lion": OptimizerCost(states=1, state_bytes=None, passes=5),
    "none": OptimizerCost(states=0, state_bytes=None, passes=0),
}


def optimizer_step(trainable: float, optimizer: Optimizer, element_bytes: float) -> Iterator[Operator]:
    """Yield the step over ``trainable`` elements held in ``element_bytes``, and the norm of their gradients."""
    if optimizer == "none":
        return
    passes = OPTIMIZERS[optimizer].passes + 2
    yield Operator(
        "optimizer",
        Kind.OPTIMIZER,
        Phase.OPTIMIZER,
        bytes=Affine(trainable * element_bytes * passes),
        launches=20,
    )
