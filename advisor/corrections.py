"""Which calibrations count: the newest of each device, for it and, shrunk, for its relatives."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from advisor.calibrated import Reading, spread_to_relatives
from advisor.calibration import StoredProfile, load_suite, load_tables, own_folder, stored_profiles
from advisor.estimation.devices import constants_of
from advisor.execution import NOT_CALIBRATED, Constants, DeviceCalibration
from advisor.hardware import Device
from advisor.profile import Profile
from advisor.unlisted import unlisted_device, unlisted_id

UNSETTLED_SHARE = 1 / 3
"""Share of tests that do not settle from which the whole calibration is doubted."""

DRIVER_VERSION = Path("/sys/module/nvidia/version")


@dataclass(frozen=True, eq=False, slots=True)
class Corrected:
    """Constants with calibrations, the devices that only a profile knows, and what the user should be told."""

    constants: Constants
    unlisted: tuple[Device, ...] = ()
    messages: tuple[str, ...] = ()
    stored: tuple[StoredProfile, ...] = ()
    devices: Mapping[str, str] = field(default_factory=dict)
    """Id of the device that each profile stands for, by name of the profile; those that count."""


def corrected(
    folders: Sequence[Path],
    root: Path,
    devices: Sequence[Device],
    constants: Constants,
    today: datetime.date,
) -> Corrected:
    """Return the constants under all calibrations of the user and the team.

    Args:
        folders: catalog folders of the user.
        root: the shipped catalog.
        devices: of the catalog.
        constants: as shipped.
        today: to tell how old a calibration is.
    """
    stored, problems = stored_profiles(folders)
    messages = list(problems)
    if not stored:
        return Corrected(constants, messages=tuple(messages))
    reading = Reading(load_suite(root), load_tables(root), constants)
    known = {device.id: device for device in devices}
    unlisted: list[Device] = []
    calibrations: dict[str, DeviceCalibration] = {}
    counting: dict[str, str] = {}
    for candidates in _by_device([other for other in stored if other.profile.tests]):
        each, device = _first_usable(candidates, reading, known)
        if device is None:
            messages.append(f"calibration {each.name} left out: {_unusable(each.profile)}")
            continue
        if device.id not in known:
            unlisted.append(device)
        found = reading.calibration(each, device, cautions(each, constants.calibration.stale_days, today))
        calibrations[device.id] = found
        counting[each.name] = device.id
    for each, *_ in _by_device([other for other in stored if other.profile.collectives]):
        name = each.profile.device.gpu
        if name is None or name not in known:
            messages.append(
                f"calibration {each.name} left out: it measured links of a device without an entry"
            )
            continue
        before = calibrations.get(name) or _links_alone(each)
        calibrations[name] = before.model_copy(update=reading.links(each.profile, known[name]))
        counting[each.name] = name
    # A device that the catalog does not have is measured against itself: its factors say nothing about others.
    listed = {name: calibration for name, calibration in calibrations.items() if name in known}
    everything = calibrations | spread_to_relatives(
        listed, devices, lambda measured, other: _weight(measured, other, constants, known)
    )
    return Corrected(
        constants.model_copy(update={"calibrations": everything}),
        tuple(unlisted),
        tuple(messages),
        stored,
        counting,
    )


def _by_device(stored: Sequence[StoredProfile]) -> list[list[StoredProfile]]:
    """Return the profiles of each device, the one that should count first."""
    found: dict[str, list[StoredProfile]] = {}
    for each in stored:
        found.setdefault(each.profile.device.gpu or unlisted_id(each.profile), []).append(each)
    return [sorted(profiles, key=_rank, reverse=True) for profiles in found.values()]


def _rank(stored: StoredProfile) -> tuple[bool, str, bool, float]:
    """Return what a profile is preferred by: finished, of a later day, full, of a later hour."""
    profile = stored.profile
    return profile.complete, profile.date, profile.mode == "full", _written(stored.path)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _first_usable(
    candidates: Sequence[StoredProfile], reading: Reading, known: Mapping[str, Device]
) -> tuple[StoredProfile, Device | None]:
    """Return the first profile that can stand for its device, with the device; else the first of all and None."""
    for each in candidates:
        device = _device_of(each, reading, known)
        if device is not None:
            return each, device
    return candidates[0], None


def _links_alone(stored: StoredProfile) -> DeviceCalibration:
    """Return the calibration of a device of which links alone were measured."""
    profile = stored.profile
    return NOT_CALIBRATED.model_copy(
        update={"profile": stored.name, "date": profile.date, "measured": profile.device.name,
                "torch": profile.software.torch}
    )  # fmt: skip


def _device_of(stored: StoredProfile, reading: Reading, known: Mapping[str, Device]) -> Device | None:
    profile = stored.profile
    if profile.device.gpu is not None:
        return known.get(profile.device.gpu)
    bandwidth = reading.bandwidth_gb_s(profile)
    if bandwidth is None:
        return None
    return unlisted_device(profile, reading.rates_tflops(profile), bandwidth, known.values())


def _unusable(profile: Profile) -> str:
    if profile.device.gpu is not None:
        return f"the catalog has no {profile.device.gpu}"
    return (
        f"{profile.device.name} is not in the catalog, and the profile has too little to stand for it "
        "(vendor, fp32 products and copies); calibrate again, or add an entry of your own"
    )


def _weight(
    measured: Device, other: Device, constants: Constants, known: Mapping[str, Device]
) -> tuple[float, str] | None:
    """Return how far the calibration of one device counts for another, and why."""
    if measured.vendor != other.vendor or measured.kind != other.kind:
        return None
    own = constants_of(other, constants)
    published = any(
        gpu in known and constants_of(known[gpu], constants) is own for gpu in constants.intervals.gpus
    )
    shrinkage = constants.calibration.published if published else constants.calibration.prior
    alike = (measured.architecture, measured.compute_capability) == (
        other.architecture,
        other.compute_capability,
    )
    if alike and measured.architecture != "unknown":
        return shrinkage.architecture, "same architecture"
    return shrinkage.vendor, "same vendor"


def cautions(stored: StoredProfile, stale_days: int, today: datetime.date) -> list[str]:
    """Return what to say wherever a profile counts: its own warnings, its age, and other software than installed."""
    profile = stored.profile
    found = [f"when calibrated: {warning}" for warning in profile.warnings]
    if not profile.complete:
        found.append("the calibration was not finished")
    found += unsettled(profile)
    age = (today - datetime.date.fromisoformat(profile.date)).days
    if age < -1:
        found.append(f"the calibration says that it is of {profile.date}, which is still to come")
    if age > stale_days:
        found.append(f"the calibration is {age} days old; calibrate again")
    if stored.path.parent == own_folder():
        found += _other_software(profile)
    return found


def unsettled(profile: Profile) -> list[str]:
    """Return what to say of a profile many of whose tests did not settle."""
    unstable = [result.test for result in profile.tests if _unstable(result.model_dump())]
    if len(unstable) <= UNSETTLED_SHARE * len(profile.tests):
        return []
    return [f"{len(unstable)} of {len(profile.tests)} tests did not settle: the machine was not quiet"]


def _unstable(result: Mapping[str, object]) -> bool:
    return any(isinstance(each, Mapping) and each.get("stable") is False for each in result.values())


def _other_software(profile: Profile) -> list[str]:
    found = []
    torch = installed_torch()
    if torch is not None and torch != profile.software.torch:
        found.append(
            f"calibrated with torch {profile.software.torch}, and {torch} is installed; calibrate again"
        )
    driver = installed_driver()
    before = profile.software.driver
    if driver is not None and before is not None and profile.device.backend == "cuda" and driver != before:
        found.append(f"calibrated with driver {before}, and {driver} is installed; calibrate again")
    return found


def installed_torch() -> str | None:
    """Return the version of torch that is installed, without loading it; None where there is none."""
    try:
        return importlib.metadata.version("torch").partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def installed_driver() -> str | None:
    """Return the version of NVIDIA's driver where the kernel says it, without loading NVML."""
    try:
        return DRIVER_VERSION.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
