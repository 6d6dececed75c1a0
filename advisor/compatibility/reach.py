"""What code a GPU runs: the rules of binary compatibility, and what the builds of a framework hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from advisor.compatibility_tables import (
    Backend,
    Build,
    CompatibilityTables,
    Framework,
    Machine,
    Release,
    Targets,
)
from advisor.execution import version_key
from advisor.hardware import Device

Reach = Literal["code", "translated", "stand-in", "unknown", "none"]
"""How a build serves a GPU: machine code, PTX that the driver translates, code of a relative, not known, not."""

_BEST_FIRST: tuple[Reach, ...] = ("code", "unknown", "translated", "stand-in", "none")


@cache
def capability(text: str) -> tuple[int, int]:
    """Return a compute capability for comparison: ``10.0`` is above ``9.0``."""
    major, minor, _ = version_key(text)
    return major, minor


def runs_code(built_for: str, on: str, apart: Sequence[str]) -> bool:
    """Say whether machine code for one compute capability runs on a GPU of another.

    It runs within a major version on the same or a higher minor one, but not from or to what is set apart.
    """
    if built_for in apart or on in apart:
        return built_for == on
    code, gpu = capability(built_for), capability(on)
    return code[0] == gpu[0] and code[1] <= gpu[1]


@cache
def _cuda_reach(code: tuple[str, ...], ptx: tuple[str, ...], target: str, apart: tuple[str, ...]) -> Reach:
    """Say how a build for CUDA serves a compute capability; many builds and GPUs share the answer."""
    if any(runs_code(each, target, apart) for each in code):
        return "code"
    on = capability(target)
    return "translated" if any(capability(each) <= on for each in ptx) else "none"


def backend_of(device: Device, targets: Targets) -> Backend:
    """Return through what kind of build software reaches the device."""
    if device.vendor == "nvidia":
        return "jetson" if device.compute_capability in targets.code.apart else "cuda"
    if device.vendor == "intel":
        return "hpu" if device.architecture == "Gaudi" else "xpu"
    return "rocm" if device.vendor == "amd" else "mps"


def target_of(device: Device) -> str | None:
    """Return what builds call the device: compute capability, gfx name or architecture; None if not known."""
    if device.vendor == "nvidia":
        return device.compute_capability
    if device.vendor == "amd":
        return device.identifiers.rocm_gfx
    return "apple" if device.vendor == "apple" else device.architecture


@dataclass(frozen=True)
class Offer:
    """The best that a release has for a device; ``has_default`` says whether it has a default build at all."""

    release: Release
    build: Build
    reach: Reach
    has_default: bool


class History:
    """What the releases of a framework offer to one device, from the newest to the oldest.

    Args:
        device: the GPU; its target is known.
        framework: the releases.
        tables: the rules.
    """

    def __init__(self, device: Device, framework: Framework, tables: CompatibilityTables) -> None:
        self.target = target_of(device)
        self.targets = tables.targets
        self.backend = backend_of(device, tables.targets)
        self.machine: Machine = "arm" if device.id in tables.targets.arm.gpus else "x86"
        self.framework = framework
        self.offers = tuple(self._offers(framework))

    def _offers(self, framework: Framework) -> Iterator[Offer]:
        for release in framework.releases:
            builds = [
                build
                for build in release.builds
                if build.backend == self.backend and build.machine == self.machine
            ]
            if builds:
                reached = [(self.reach(build), build) for build in builds]
                # The default comes first where two builds serve alike.
                reach, best = min(reached, key=lambda each: (_BEST_FIRST.index(each[0]), not each[1].default))
                yield Offer(release, best, reach, any(build.default for build in builds))

    def reach(self, build: Build) -> Reach:
        """Say how a build of the device's backend serves it."""
        if build.code is None or self.target is None:
            return "unknown"
        if self.backend != "cuda":
            stand_in = any(
                item.target == self.target and item.runs in build.code for item in self.targets.stand_ins
            )
            return "code" if self.target in build.code else "stand-in" if stand_in else "none"
        return _cuda_reach(build.code, build.ptx, self.target, self.targets.code.apart)

    def at(self, version: str | None) -> Offer | None:
        """Return the offer of the newest release that is not newer than ``version``; None before the oldest."""
        if version is None:
            return self.offers[0] if self.offers else None
        wanted = version_key(version)
        return next((offer for offer in self.offers if offer.release.number <= wanted), None)

    def with_code(self, *, default: bool = False) -> tuple[Offer, ...]:
        """Return the offers with machine code, newest first; only those of default builds if ``default``."""
        return tuple(
            offer for offer in self.offers if offer.reach == "code" and (offer.build.default or not default)
        )

    def surrounded(self, offer: Offer) -> bool:
        """Say whether both an older and a newer release have code for the device: then this one has it too."""
        numbers = [other.release.number for other in self.with_code()]
        return any(number < offer.release.number for number in numbers) and any(
            number > offer.release.number for number in numbers
        )

    def toolkit_knows(self, build: Build) -> bool:
        """Say whether the CUDA toolkit of a build, and so its libraries, was made when the GPU was known."""
        if build.toolkit is None or self.target is None:
            return True
        wanted = version_key(build.toolkit)
        known = [item for item in self.targets.toolkits if version_key(item.version) <= wanted]
        return not known or capability(self.target) <= capability(known[-1].newest)

    def toolkits(self) -> tuple[str, str | None] | None:
        """Return the first and last CUDA toolkit that compile for the device; None as last: they still do."""
        if self.target is None or self.backend != "cuda":
            return None
        on = capability(self.target)
        fitting = [
            item for item in self.targets.toolkits if capability(item.oldest) <= on <= capability(item.newest)
        ]
        if not fitting:
            return None
        last = fitting[-1]
        return fitting[0].version, None if last is self.targets.toolkits[-1] else last.version
