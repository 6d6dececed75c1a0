"""What ``calibrate`` does, from finding the devices to the profile in the user's folder and the check of a workload."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from advisor import __version__
from advisor.calibrate.check import check_answer, check_request
from advisor.calibrate.collectives import run_ranks, under_torchrun
from advisor.calibrate.found import FoundDevice, found_devices, pick
from advisor.calibrate.host import measured_host
from advisor.calibrate.nvml import Nvml, Unavailable, open_nvml
from advisor.calibrate.planning import START_S, budget_s, planned
from advisor.calibrate.process import START_LIMIT_S, Ended, WorkerProcess
from advisor.calibrate.suite_run import run_suite
from advisor.calibration import keep, load_suite
from advisor.documents import CheckAnswer
from advisor.errors import ExternalError, MissingExtraError
from advisor.profile import MeasuredSoftware, Profile
from advisor.service import Advisor
from advisor.unlisted import unlisted_id
from advisor.workload import Workload
from advisor.yaml_io import data_root

NO_TORCH = 'pip install "gpu-advisor[torch]"'


class Listener(Protocol):
    """Who is told what happens."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def begun(self, place: int, of: int, what: str) -> None:
        """Step ``place`` of ``of`` begins."""

    def ended(self) -> None:
        """The last step is over."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of this machine, and the software that runs on them."""

    devices: Sequence[FoundDevice]
    torch: Mapping[str, Any]
    nvml: Nvml | Unavailable


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a calibration; the profile is None on other ranks than the first."""

    profile: Profile | None
    interrupted: bool


class Session:
    """One use of ``calibrate``.

    Args:
        advisor: for the catalog and the estimates.
        listener: told what happens.
    """

    def __init__(self, advisor: Advisor, listener: Listener) -> None:
        self._advisor = advisor
        self._listener = listener

    def machine(self) -> Machine:
        """Return the devices of this machine.

        Raises:
            MissingExtraError: torch is not installed.
            ExternalError: asking for them failed.
        """
        with WorkerProcess({"job": "devices"}) as worker:
            try:
                event = worker.event(START_LIMIT_S)
            except Ended as end:
                raise ExternalError(f"torch does not start: {end.reason}") from None
        if event["event"] == "missing":
            raise MissingExtraError(f"calibrating needs torch ({event['reason']})", hint=NO_TORCH)
        nvml = open_nvml()
        return Machine(found_devices(event["found"], nvml, self._advisor.names), event["found"], nvml)
