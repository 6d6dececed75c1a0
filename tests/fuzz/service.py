"""One service for all cases of a border: over the whole catalog, with few devices where all of them are searched."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from advisor.catalog import shipped_devices
from advisor.hardware import Device
from advisor.service import Advisor

TODAY = datetime.date(2026, 11, 23)
GPUS = ("gtx-1050-2gb", "rtx-4090", "h100-sxm5-80gb", "l4", "mi300x-192gb", "arc-a770-16gb", "m4-max-40c")
_LIFE = 2000
"""Questions that one service answers: it keeps every model that it was asked about."""


def few_devices() -> tuple[Device, ...]:
    """Return a handful of GPUs of all vendors, and the processor that answers compare with."""
    found: dict[str, Device] = {}
    for device in shipped_devices():
        key = device.id if device.id in GPUS else f"{device.kind} {device.vendor}"
        found.setdefault(key, device)
    return tuple(found.values())


class Services:
    """Services over the shipped catalog, opened anew now and then."""

    def __init__(self) -> None:
        self._left = 0

    def few(self) -> Advisor:
        """Return a service that knows a handful of devices."""
        if self._left == 0:
            self._left = _LIFE
            self._few = Advisor(today=TODAY)
            cpu = self._few.constants.baseline.cpu
            devices = few_devices()
            more = [each for each in shipped_devices() if each.id == cpu and each not in devices]
            self._few.__dict__["devices"] = (*devices, *more)
        self._left -= 1
        return self._few

    def again(self, without: Sequence[str] = (), **known: object) -> Advisor:
        """Return a service that shares what the one of few devices has read already, with something of its own.

        Args:
            without: what it reads anew.
            known: what it has instead.
        """
        few = self.few()
        found = Advisor(today=TODAY)
        shared = (
            "devices",
            "_catalog",
            "_corrected",
            "shipped_constants",
            "_published",
            "prices",
            "_places",
            "_compatibility",
        )
        found.__dict__.update({name: getattr(few, name) for name in shared if name not in without} | known)
        return found


SERVICES = Services()


def own_folder(folder: Path) -> Path:
    """Make a folder the user's own, and return it."""
    os.environ["GPU_ADVISOR_DATA"] = str(folder)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    return folder


def gpu_ids(devices: Sequence[Device]) -> list[str]:
    """Return the ids of GPUs."""
    return [device.id for device in devices if device.kind == "gpu"]
