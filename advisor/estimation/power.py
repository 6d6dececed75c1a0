"""Average draw and energy of a job."""

from __future__ import annotations

from advisor.execution import PowerConstants


def average_power_w(tdp_w: float, matrix_share: float, busy_share: float, constants: PowerConstants) -> float:
    """Return watts that one device draws on average.

    Args:
        tdp_w: rated power of the device.
        matrix_share: share of the busy time in matrix products and attention, 0 to 1.
        busy_share: share of the step in which kernels run (the rest waits for the host or the network), 0 to 1.
        constants: draw of each state as a share of the TDP.
    """
    busy = constants.matrix_bound * matrix_share + constants.memory_bound * (1 - matrix_share)
    return tdp_w * (busy * busy_share + constants.idle * (1 - busy_share))
