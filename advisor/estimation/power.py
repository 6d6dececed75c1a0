"""Average draw and energy of a job."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.execution import DeviceCalibration, PowerConstants


@dataclass(frozen=True, slots=True)
class Draw:
    """Watts that one device draws when idle, in matrix products and attention, and in kernels that stream memory."""

    idle_w: float
    matrix_w: float
    memory_w: float


def draw_of(tdp_w: float, measured: DeviceCalibration, constants: PowerConstants) -> Draw:
    """Return the draw of a device: as measured, else shares of its rated power."""

    def either(watts: float | None, share: float) -> float:
        return share * tdp_w if watts is None else watts

    return Draw(
        idle_w=either(measured.idle_w, constants.idle),
        matrix_w=either(measured.matrix_w, constants.matrix_bound),
        memory_w=either(measured.memory_w, constants.memory_bound),
    )


def average_power_w(draw: Draw, matrix_share: float, busy_share: float) -> float:
    """Return watts that one device draws on average.

    Args:
        draw: of each state.
        matrix_share: share of the busy time in matrix products and attention, 0 to 1.
        busy_share: share of the step in which kernels run (the rest waits for the host or the network), 0 to 1.
    """
    busy_w = draw.matrix_w * matrix_share + draw.memory_w * (1 - matrix_share)
    return busy_w * busy_share + draw.idle_w * (1 - busy_share)
