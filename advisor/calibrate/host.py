"""The machine around the device, and its processor as a device of its own.

Counted is what this process may use: processors that its affinity leaves out, and time and memory that a container
withholds, are not there for it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from advisor.errors import ExternalError
from advisor.hardware import Vendor
from advisor.local_cpu import local_cpu_name
from advisor.profile import MeasuredDevice, MeasuredHost

PROCESSORS = Path("/sys/devices/system/cpu")
GROUPS = Path("/sys/fs/cgroup")
MY_GROUPS = Path("/proc/self/cgroup")


def measured_host() -> MeasuredHost:
    """Return the machine as this process may use it."""
    memory_bytes = usable_memory_bytes()
    return MeasuredHost(
        system=_system(),
        cpu=_brand(),
        cores=usable_cores(),
        memory_gib=None if memory_bytes is None else round(memory_bytes / 2**30, 2),
    )


def cpu_device() -> MeasuredDevice:
    """Return the processor as a device.

    Raises:
        ExternalError: the operating system does not say how much memory there is.
    """
    memory_bytes = usable_memory_bytes()
    if memory_bytes is None:
        raise ExternalError("the operating system does not say how much memory this machine has")
    brand = _brand()
    return MeasuredDevice(
        kind="cpu",
        backend="cpu",
        name=brand or f"unnamed {platform.machine()} processor",
        vendor=_vendor(brand or ""),
        memory_mib=round(memory_bytes / 2**20, 1),
        units=usable_cores(),
        cache_mib=last_level_cache_mib(PROCESSORS),
        clock_mhz=highest_clock_mhz(PROCESSORS),
    )


def usable_cores() -> int | None:
    """Return the physical cores that this process may use, None where the operating system does not say.

    A container's limit on processor time counts as so many cores.
    """
    cores = _physical_cores()
    limit = time_limit(GROUPS, MY_GROUPS)
    if cores is None or limit is None:
        return cores
    return min(cores, max(int(limit), 1))


def other_load() -> float | None:
    """Return how many cores were busy in the last minute, None where the operating system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def usable_memory_bytes() -> int | None:
    """Return the memory that this process may fill, None where the operating system does not say."""
    sizes = (_installed_bytes(), memory_limit_bytes(GROUPS, MY_GROUPS))
    return min((size for size in sizes if size is not None), default=None)


def _system() -> str:
    # Under Windows' Linux every kernel launch goes through a driver of Windows.
    guest = " (WSL)" if "microsoft" in platform.release().lower() else ""
    return f"{platform.system()} {platform.machine()}{guest}".strip()


def _brand() -> str | None:
    try:
        return local_cpu_name()
    except ExternalError:
        return None


def _vendor(brand: str) -> Vendor | None:
    vendors: tuple[Vendor, ...] = ("nvidia", "amd", "intel", "apple")
    return next((vendor for vendor in vendors if vendor in brand.lower()), None)


def _physical_cores() -> int | None:
    if sys.platform == "linux":
        return physical_cores(PROCESSORS, os.sched_getaffinity(0))
    if sys.platform == "darwin":
        return _sysctl("hw.physicalcpu")
    if sys.platform == "win32":
        return _windows_cores()
    return None


def physical_cores(processors: Path, allowed: Iterable[int]) -> int | None:
    """Return how many physical cores logical processors belong to, None where Linux does not say.

    Args:
        processors: ``/sys/devices/system/cpu``.
        allowed: numbers of the logical processors.
    """
    # Threads of one core name the same siblings; the second name is that of kernels before 5.4.
    cores = {
        _read(processors / f"cpu{number}/topology/core_cpus_list")
        or _read(processors / f"cpu{number}/topology/thread_siblings_list")
        for number in allowed
    }
    return len(cores) if cores and None not in cores else None


def last_level_cache_mib(processors: Path) -> float | None:
    """Return the last-level caches of the usable processors together in MiB, None outside Linux.

    Args:
        processors: ``/sys/devices/system/cpu``.
    """
    if sys.platform != "linux":
        return None
    sizes: dict[tuple[int, str], float] = {}
    for number in os.sched_getaffinity(0):
        for cache in processors.glob(f"cpu{number}/cache/index*"):
            level, shared, size = (_read(cache / name) for name in ("level", "shared_cpu_list", "size"))
            if level and shared and size and size.endswith("K") and _read(cache / "type") != "Instruction":
                sizes[int(level), shared] = int(size[:-1]) / 1024
    last = max((level for level, _ in sizes), default=None)
    return sum(size for (level, _), size in sizes.items() if level == last) if last else None


def highest_clock_mhz(processors: Path) -> float | None:
    """Return the highest clock of any usable processor in MHz, None where Linux does not say (virtual machines).

    Args:
        processors: ``/sys/devices/system/cpu``.
    """
    if sys.platform != "linux":
        return None
    texts = (
        _read(processors / f"cpu{number}/cpufreq/cpuinfo_max_freq") for number in os.sched_getaffinity(0)
    )
    return max((int(text) / 1000 for text in texts if text), default=None)


def _installed_bytes() -> int | None:
    if sys.platform == "linux":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "darwin":
        return _sysctl("hw.memsize")
    if sys.platform == "win32":
        return _windows_bytes()
    return None


def time_limit(groups: Path, mine: Path) -> float | None:
    """Return how many processors' time a container leaves this process, None without a limit.

    Args:
        groups: where the control groups are mounted, ``/sys/fs/cgroup``.
        mine: list of the groups that this process is in, ``/proc/self/cgroup``.
    """
    limits = []
    for folder in _folders(groups, mine, "cpu"):
        # Version 2 has quota and period in one file, version 1 in two.
        both = (_read(folder / "cpu.max") or "").split()
        quota, period = both if len(both) == 2 else (
            _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"),
        )  # fmt: skip
        if quota and period and quota not in ("max", "-1"):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit_bytes(groups: Path, mine: Path) -> int | None:
    """Return how much memory a container leaves this process, None without a limit.

    Args:
        groups: where the control groups are mounted, ``/sys/fs/cgroup``.
        mine: list of the groups that this process is in, ``/proc/self/cgroup``.
    """
    # Version 1 writes a number beyond all memory for "no limit"; the installed memory is less.
    texts = (
        _read(folder / name)
        for folder in _folders(groups, mine, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    return min((int(text) for text in texts if text and text != "max"), default=None)


def _folders(groups: Path, mine: Path, controller: str) -> Iterable[Path]:
    """Yield the folders of this process's group and of all groups around it: each may set a limit.

    Inside a container the group's path may be that of the machine outside; its own limits then stand at the root.
    """
    for line in (_read(mine) or "").splitlines():
        number, names, path = line.split(":", 2)
        if number == "0":
            root = groups
        elif controller in names.split(","):
            root = groups / controller
        else:
            continue
        own = root / path.strip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _read(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _sysctl(name: str) -> int | None:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=10
        )
        return int(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


class _LogicalProcessors(ctypes.Structure):
    """``SYSTEM_LOGICAL_PROCESSOR_INFORMATION``; relationship 0 is a core."""

    _fields_ = (
        ("mask", ctypes.c_size_t),
        ("relationship", ctypes.c_int),
        ("details", ctypes.c_ulonglong * 2),
    )


class _MemoryStatus(ctypes.Structure):
    """``MEMORYSTATUSEX``."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 6),
    )


def _windows_cores() -> int | None:
    ask = ctypes.windll.kernel32.GetLogicalProcessorInformation  # type: ignore[attr-defined, unused-ignore]
    size = ctypes.c_uint32(0)
    ask(None, ctypes.byref(size))
    entries = (_LogicalProcessors * (size.value // ctypes.sizeof(_LogicalProcessors)))()
    if not ask(entries, ctypes.byref(size)):
        return None
    return sum(entry.relationship == 0 for entry in entries) or None


def _windows_bytes() -> int | None:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    ask = ctypes.windll.kernel32.GlobalMemoryStatusEx  # type: ignore[attr-defined, unused-ignore]
    return int(status.total) if ask(ctypes.byref(status)) else None
