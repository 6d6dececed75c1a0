"""Communication between GPUs: what a collective costs, and how much of it shows.

Ring algorithms (Patarasuk and Yuan 2009): an all-reduce of S bytes over n GPUs moves 2 S (n - 1) / n through each link,
a gather or scatter half of that. Cards on PCIe share the host's root complex, so each gets less the more there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from advisor.execution import NOT_CALIBRATED, DeviceCalibration, NetworkConstants
from advisor.hardware import Device
from advisor.operators import Floats, Integers

GPUS_PER_NODE = 8


@dataclass(frozen=True, eq=False, slots=True)
class Links:
    """One-way bandwidth of one GPU in bytes per second within a node and between nodes, and latencies; shape [G]."""

    inside: Floats
    between: Floats
    latency_s: Floats
    node_latency_s: Floats
    switched: np.ndarray
    """True where each GPU of a node keeps its bandwidth whatever the others do (NVLink, Infinity Fabric)."""
    bridged: Floats
    """One-way bandwidth of a pair of cards that an NVLink bridge joins; 0 where there is none. More cards use PCIe."""
    domain: np.ndarray
    """GPUs that share the fast links."""

    def lifted(self, axes: int) -> Links:
        """Return arrays of shape [G, 1, ...] with that many further axes, to broadcast with other quantities."""
        return Links(*(getattr(self, each.name).reshape(-1, *[1] * axes) for each in fields(Links)))

    def at(self, index: Integers) -> Links:
        """Return the links of the devices at ``index``, in its order."""
        return Links(*(getattr(self, each.name)[index] for each in fields(Links)))


def links(
    devices: Sequence[Device],
    constants: NetworkConstants,
    calibrations: Mapping[str, DeviceCalibration] | None = None,
) -> Links:
    """Return the links of each device: as calibrated by its id, else by the constants.

    Consumer cards without NVLink stage through the host's memory.
    """
    known = calibrations or {}
    rows = [_row(device, constants, known.get(device.id, NOT_CALIBRATED)) for device in devices]
    columns = zip(*rows, strict=True)
    names = (each.name for each in fields(Links))
    arrays = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    return Links(**arrays)


def _row(
    device: Device, constants: NetworkConstants, measured: DeviceCalibration
) -> tuple[float | bool, ...]:
    """Return the fields of :class:`Links` of one device."""
    inside, switched, bridged = _inside(device, constants)
    latency_us, between, node_latency_us = (
        constants.latency_us,
        _between(device, constants),
        constants.node_latency_us,
    )
    if measured.inside is not None:
        # Two cards that a bridge joins say nothing about more of them, which have none.
        pair = measured.inside.gpus == 2 and bridged > 0
        bandwidth = measured.inside.bandwidth_gb_s * 1e9
        inside, bridged = (inside, bandwidth) if pair else (bandwidth, 0.0)
        latency_us = measured.inside.latency_us
    if measured.between is not None:
        between, node_latency_us = measured.between.bandwidth_gb_s * 1e9, measured.between.latency_us
    return (
        inside,
        between,
        latency_us * 1e-6,
        node_latency_us * 1e-6,
        switched,
        bridged,
        device.links.nvlink_domain,
    )


def _between(device: Device, constants: NetworkConstants) -> float:
    """Return the bandwidth of one GPU to other nodes, bytes per second."""
    key: str = device.segment
    if key == "datacenter":
        key = f"datacenter PCIe {device.links.pcie_generation or 3}"
    return constants.node_gb_s[key] * 1e9 * constants.node_share


def _inside(device: Device, constants: NetworkConstants) -> tuple[float, bool, float]:
    """Return (bandwidth among the GPUs of a node, whether each has its own, bandwidth of a bridged pair)."""
    nvlink = (device.links.nvlink_gb_s or 0.0) / 2 * 1e9 * constants.nvlink_share
    if nvlink and device.segment == "datacenter" and "PCIe" not in (device.board.form_factor or ""):
        return nvlink, True, 0.0
    lanes = device.links.pcie_lanes or 8
    generation = str(device.links.pcie_generation or 3)
    line = constants.pcie_lane_gb_s[generation] * lanes * 1e9
    staged = device.segment in ("consumer", "laptop", "embedded")
    return line * (constants.pcie_staged_share if staged else constants.pcie_share), False, nvlink


def gather_time(size: float | Floats, count: int, link: Links, *, spread: int | None = None) -> Floats:
    """Seconds to all-gather or reduce-scatter ``size`` bytes over ``count`` GPUs, shape [G] (times that of ``size``).

    Args:
        size: bytes of the whole tensor, a number or an array of shape [M].
        count: GPUs that take part.
        link: the links of G devices.
        spread: GPUs between neighbours of the group; a group of every eighth GPU always crosses nodes.
    """
    group = np.asarray(float(count)), np.asarray(float(spread or 1))
    if np.ndim(size) == 0:
        return transfer_time(np.asarray(float(np.asarray(size))), *group, link)
    return transfer_time(np.asarray(size)[None, :], *group, link.lifted(1))


def transfer_time(size: Floats, count: Floats, spread: Floats, link: Links) -> Floats:
    """Seconds to all-gather or reduce-scatter ``size`` bytes over ``count`` GPUs; all arrays broadcast.

    What crosses nodes is reduced within each node first, so the network cards of a node share it: with as many rings as
    members of the group in a node, each crosses once (NCCL; Mikami et al. 2018).

    Args:
        size: bytes of the whole tensor.
        count: GPUs that take part; one of them transfers nothing.
        spread: GPUs between neighbours of the group.
        link: arrays of links that broadcast with the others.
    """
    crossing = count * spread > link.domain
    members = np.minimum(count * spread, GPUS_PER_NODE)
    inside = np.where(link.switched, link.inside, link.inside * 2 / members)
    inside = np.where(members == 2, np.maximum(inside, link.bridged), inside)
    in_node = np.clip(GPUS_PER_NODE / spread, 1, count)
    bandwidth = np.where(crossing, np.minimum(inside, link.between * in_node), inside)
    latency = np.where(crossing, link.node_latency_s, link.latency_s) * np.log2(count)
    seconds = size * ((count - 1) / count) / bandwidth + latency
    return np.asarray(np.where(count > 1, seconds, 0.0))
