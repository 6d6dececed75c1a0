"""How many elements of a transformer live through a whole step, and in which role."""

from __future__ import annotations

from advisor.describe.variant import Variant, split
from advisor.describe.weights import Role, Weight
from advisor.operators import States


def states(inventory: tuple[Weight, ...], variant: Variant, layers: int, *, training: bool) -> States:
    """Return the elements on one tensor-parallel rank; ``layers`` sizes the unit that sharding gathers at once."""
    trainable = frozen = quantised = copies = largest = 0.0
    layered = outside = 0.0
    for weight in inventory:
        outputs, inputs = split(weight, variant.tensor)
        if weight.role is Role.EMBEDDING:
            outputs /= variant.tensor
        elements = 0.0 if weight.tied else outputs * inputs * weight.count
        if weight.stack in ("encoder", "decoder"):
            layered += elements
        else:
            outside = max(outside, elements)
        if variant.method == "full" and training:
            trainable += elements
            largest = max(largest, 0.0 if weight.tied else outputs * inputs)
            copies += elements if variant.autocast and weight.role is Role.LINEAR else 0.0
        elif variant.quantised and weight.role is Role.LINEAR and weight.stack != "head":
            quantised += elements
        else:
            frozen += elements
        if variant.adapts(weight):
            adapter = variant.lora_rank * (outputs + inputs)
            trainable += adapter * weight.count
            largest = max(largest, adapter)
    return States(
        trainable=trainable,
        frozen=frozen,
        frozen_quantised=quantised,
        largest_tensor=largest,
        largest_unit=max(layered / layers, outside),
        outside=outside,
        autocast_copies=copies,
    )
