"""Machines of several GPUs, which are rented as a whole."""

from __future__ import annotations


def billed_gpus(count: int, instance: int) -> int:
    """Return how many GPUs are paid for where ``count`` are wanted and each machine holds ``instance``."""
    return -(-count // instance) * instance
