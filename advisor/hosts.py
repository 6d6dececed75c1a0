"""What the machine around the GPUs costs and draws, as a share of each GPU (``catalog/hosts.yaml``)."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from advisor.errors import InputError
from advisor.hardware import Device, Segment, Unverified
from advisor.quantity import Model
from advisor.yaml_io import data_root, read_yaml, validate

_Usd = Annotated[float, Field(ge=0, le=1e7)]
_Watts = Annotated[float, Field(ge=0, le=1e5)]


class Host(Model):
    """A kind of machine without its GPUs. Empty ``segments`` mean all."""

    id: str
    name: str
    segments: tuple[Segment, ...] = ()
    form_factors: tuple[str, ...]
    places: int = Field(ge=1)
    """Boards that fit in."""
    usd: _Usd
    low_usd: _Usd
    high_usd: _Usd
    idle_power_w: _Watts
    load_power_w: _Watts
    """Drawn in addition while the GPUs work."""
    note: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low_usd <= self.usd <= self.high_usd:
            raise ValueError(f"usd {self.usd:g} is not within low_usd and high_usd")
        return self

    def takes(self, device: Device) -> bool:
        """Say whether the device is plugged into machines of this kind."""
        segment_fits = not self.segments or device.segment in self.segments
        return device.kind == "gpu" and segment_fits and device.board.form_factor in self.form_factors


class HostTable(Model):
    """Content of ``hosts.yaml``."""

    date: str
    source: str
    unverified: Unverified | None = None
    hosts: tuple[Host, ...] = Field(min_length=1)


class HostShare(Model):
    """What each GPU bears of the machines around all of them."""

    usd_per_gpu: float
    low_usd_per_gpu: float
    """With ``high_usd_per_gpu`` what bounds its price in 80 % of cases."""
    high_usd_per_gpu: float
    power_w_per_gpu: float
    """At work."""
    idle_power_w_per_gpu: float
    host: str
    """What kind of machine."""
    machines: int
    """How many are bought."""
    date: str
    source: str
    unverified: Unverified | None = None


@lru_cache(maxsize=2)
def load_hosts(root: Path | None = None) -> HostTable:
    """Return the table.

    Args:
        root: the catalog folder; the shipped one when left out.

    Raises:
        InputError: the file is wrong.
    """
    path = (root or data_root()) / "hosts.yaml"
    return validate(HostTable, read_yaml(path), str(path))


def hosts_of(device: Device, table: HostTable) -> tuple[Host, ...]:
    """Return the machines that take a device, with rising places and prices: none that a larger one undercuts."""
    fitting = [host for host in table.hosts if host.takes(device)]
    found: list[Host] = []
    for host in sorted(fitting, key=lambda host: (-host.places, host.usd)):
        if not found or host.usd < found[-1].usd:
            found.append(host)
    return tuple(reversed(found))


def host_for(device: Device, count: int, table: HostTable) -> HostShare | None:
    """Return the share of each GPU in whole machines; None for a processor, and where no machine takes the device.

    The fewest machines that hold all boards are taken, of those the cheapest. A place that stays empty is paid for.

    Args:
        device: of which the GPUs are.
        count: GPUs, at least 1; a board may carry several.
        table: the machines.

    Raises:
        InputError: ``count`` is less than 1.
    """
    if count < 1:
        raise InputError("not a number of GPUs", value=count, accepted="1 or more")
    boards = math.ceil(count / device.board.devices_per_board)
    fitting = hosts_of(device, table)
    if not fitting:
        return None
    machines = math.ceil(boards / fitting[-1].places)
    host = next(host for host in fitting if host.places * machines >= boards)
    share = machines / count
    return HostShare(
        usd_per_gpu=host.usd * share,
        low_usd_per_gpu=host.low_usd * share,
        high_usd_per_gpu=host.high_usd * share,
        power_w_per_gpu=(host.idle_power_w + host.load_power_w) * share,
        idle_power_w_per_gpu=host.idle_power_w * share,
        host=host.name,
        machines=machines,
        date=table.date,
        source=table.source,
        unverified=table.unverified,
    )
