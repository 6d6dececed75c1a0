"""What NVIDIA's driver says of its GPUs, and what it sees while they work.

NVML is only read here, never told to set anything. A driver that is not there, a field that a card does not have and
a right that this user lacks are values (:class:`Unavailable`, None), not errors.
"""

from __future__ import annotations

import bisect
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from advisor.profile import Sensors

Number = TypeVar("Number", int, float)

PERIOD_S = 0.1
"""Time between samples. Boards renew their power and energy about ten times a second, so more often says no more."""

ENERGY_WINDOW_S = 0.5
"""Shortest stretch over which the energy counter, which moves in steps of about 0.1 s, gives a mean power."""

BEFORE_S = 0.5
"""How long a device is looked at before the run. The driver's own utilisation covers 1/6 to 1 s."""

QUIET = 0.05
"""Share of time with foreign kernels up to which a device counts as idle."""

LEAST_SHARE_PERCENT = 1.0
"""Share of the samples below which a reason for a lower clock is not worth a word."""

GPU_IDLE = 0x1
HARDWARE_SLOWDOWN = 0x8
REASONS: dict[int, str] = {
    0x2: "clock set by an administrator or an application",
    0x4: "power limit",
    HARDWARE_SLOWDOWN: "hardware slowdown",
    0x10: "sync boost with other GPUs",
    0x20: "temperature limit",
    0x40: "hardware temperature limit",
    0x80: "power brake of the power supply",
    0x100: "clock of the display",
    0x200: "board limit",
    0x400: "voltage reliability limit",
}
"""Bits of NVML's clocks event reasons (once: throttle reasons), nvml.h. That nothing runs is no reason of this kind."""
HARDWARE_CAUSES = 0x40 | 0x80
"""Bits that say why the hardware slows down; they come together with :data:`HARDWARE_SLOWDOWN`."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """NVML says nothing on this machine; ``reason`` is a sentence with what to do about it."""

    reason: str


@dataclass(frozen=True, slots=True)
class NvmlDevice:
    """One GPU, or one slice of a GPU that is divided (MIG); None where the driver does not say."""

    handle: Any = field(repr=False, compare=False)
    uuid: str | None = field(repr=False)
    """Only to find the same device in torch: it never leaves this process."""
    name: str | None
    pci_bus_id: str | None
    pci_device_id: str | None
    """Four hex digits, such as ``2330``."""
    compute_capability: str | None
    memory_mib: float | None
    power_limit_w: float | None
    """What the board is held to now."""
    default_power_limit_w: float | None
    max_clock_mhz: float | None
    pcie_generation: int | None
    """Of the link as it is now; an idle GPU lowers it. Without a PCIe link none is known."""
    pcie_lanes: int | None
    max_pcie_generation: int | None
    """The most that card and slot can do together."""
    max_pcie_lanes: int | None
    is_slice: bool
    slices: tuple[NvmlDevice, ...] = ()
    """Not empty where the GPU is divided; programs then get the slices only."""


@dataclass(frozen=True, slots=True)
class OtherProcess:
    """A process of somebody else that holds memory of a device."""

    pid: int
    used_mib: float | None
    graphics: bool
    """It draws and does not compute, as the compositor of a desktop does."""


def open_nvml() -> Nvml | Unavailable:
    """Return NVML, ready to be asked until the process ends, or why there is none."""
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return Unavailable(
            "the package nvidia-ml-py, which asks NVIDIA's driver, is not installed: pip install 'gpu-advisor[torch]'"
        )
    if not hasattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons"):
        return Unavailable(
            "the installed pynvml is too old: pip uninstall pynvml, then pip install 'gpu-advisor[torch]'"
        )
    try:
        pynvml.nvmlInit()
        return _opened(pynvml)
    except pynvml.NVMLError as error:
        return Unavailable(_in_words(pynvml, error))


def _opened(pynvml: Any) -> Nvml | Unavailable:
    found, unreadable = [], []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            found.append(_described(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:
            unreadable.append(_in_words(pynvml, error))
        except DeviceLostError as error:
            unreadable.append(str(error))
    if found:
        return Nvml(pynvml, tuple(found), tuple(unreadable))
    if unreadable:
        return Unavailable(unreadable[0])
    return Unavailable(
        "NVIDIA's driver is loaded and shows this process no GPU: nvidia-smi should list it; a container needs "
        "--gpus all"
    )


def _in_words(pynvml: Any, error: Any) -> str:
    """Return why NVML does not answer, and what to do."""
    known = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
            "no NVIDIA driver was found (its library NVML is missing): install the driver; in a container, start it "
            "with --gpus all"
        ),
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
            "NVIDIA's driver is installed but not loaded: restart the machine, or load it with modprobe nvidia"
        ),
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "NVIDIA's driver was updated while the old one is still loaded (version mismatch): restart the machine"
        ),
        pynvml.NVML_ERROR_NO_PERMISSION: (
            "this user may not use NVIDIA's driver: ask for the right to read /dev/nvidia*"
        ),
        pynvml.NVML_ERROR_OPERATING_SYSTEM: (
            "the operating system or a container blocks NVIDIA's driver: look at the right to read /dev/nvidia*"
        ),
        pynvml.NVML_ERROR_GPU_IS_LOST: (
            "the GPU has fallen off the bus (lost): restart the machine; if it happens again, look at power and slot"
        ),
        pynvml.NVML_ERROR_RESET_REQUIRED: "the GPU must be reset before it can be used: restart the machine",
    }
    return known.get(error.value, f"NVIDIA's driver does not answer ({error}): nvidia-smi should say more")


class DeviceLostError(Exception):
    """A device stopped answering; the message says so in plain words."""


def _asked(pynvml: Any, question: Callable[..., Any], *arguments: Any) -> Any:
    """Return what NVML answers, None where card, driver or rights do not allow an answer.

    Raises:
        DeviceLostError: the device itself is gone.
    """
    try:
        return question(*arguments)
    except pynvml.NVMLError as error:
        if error.value in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED):
            raise DeviceLostError(_in_words(pynvml, error)) from error
        return None


def _described(pynvml: Any, handle: Any, *, is_slice: bool = False) -> NvmlDevice:
    def ask(question: Callable[..., Any], *arguments: Any) -> Any:
        return _asked(pynvml, question, handle, *arguments)

    pci = ask(pynvml.nvmlDeviceGetPciInfo)
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo)
    capability = ask(pynvml.nvmlDeviceGetCudaComputeCapability)
    clock = ask(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM)
    return NvmlDevice(
        handle=handle,
        uuid=ask(pynvml.nvmlDeviceGetUUID),
        name=ask(pynvml.nvmlDeviceGetName),
        pci_bus_id=None if pci is None else _text(pci.busId),
        # The lower half is the vendor, 10DE.
        pci_device_id=None if pci is None else f"{pci.pciDeviceId >> 16:04X}",
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        memory_mib=None if memory is None else memory.total / 2**20,
        power_limit_w=_thousandth(ask(pynvml.nvmlDeviceGetEnforcedPowerLimit)),
        default_power_limit_w=_thousandth(ask(pynvml.nvmlDeviceGetPowerManagementDefaultLimit)),
        max_clock_mhz=None if clock is None else float(clock),
        pcie_generation=ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration) or None,
        pcie_lanes=ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth) or None,
        max_pcie_generation=ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration),
        max_pcie_lanes=ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth),
        is_slice=is_slice,
        slices=() if is_slice else tuple(_slices(pynvml, handle)),
    )


def _slices(pynvml: Any, handle: Any) -> Iterable[NvmlDevice]:
    mode = _asked(pynvml, pynvml.nvmlDeviceGetMigMode, handle)
    if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return
    for index in range(_asked(pynvml, pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        # Places without a slice answer "not found".
        part = _asked(pynvml, pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if part is not None:
            yield _described(pynvml, part, is_slice=True)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _text(value: str | bytes) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


class Nvml:
    """NVIDIA's driver, ready to be asked; :func:`open_nvml` makes it.

    Attributes:
        unreadable: why GPUs that the driver counts are not among :meth:`devices`, one sentence each.
    """

    def __init__(self, pynvml: Any, devices: tuple[NvmlDevice, ...], unreadable: tuple[str, ...]) -> None:
        self._pynvml = pynvml
        self._devices = devices
        self.unreadable = unreadable

    def _ask(self, question: str, *arguments: Any) -> Any:
        """Return an answer, None where there is none: of a device that is lost nothing is known either."""
        try:
            return _asked(self._pynvml, getattr(self._pynvml, question), *arguments)
        except DeviceLostError:
            return None

    @property
    def driver_version(self) -> str | None:
        """Version of the driver, such as ``570.124.06``."""
        version: str | None = self._ask("nvmlSystemGetDriverVersion")
        return version

    @property
    def cuda_version(self) -> str | None:
        """Newest CUDA that the driver can run, such as ``12.8``."""
        number = self._ask("nvmlSystemGetCudaDriverVersion_v2")
        return None if number is None else f"{number // 1000}.{number % 1000 // 10}"

    def devices(self) -> tuple[NvmlDevice, ...]:
        """Return the GPUs in the driver's order, which need not be torch's; slices stand in their GPU."""
        return self._devices

    def find(self, *, uuid: str | None = None, pci_bus_id: str | None = None) -> NvmlDevice | None:
        """Return the GPU or slice that torch or CUDA describes, None where it is not certain which.

        Args:
            uuid: with or without ``GPU-`` or ``MIG-`` before it.
            pci_bus_id: domain, bus and device, such as ``0000:3b:00.0``.
        """
        every = [part for gpu in self._devices for part in (gpu, *gpu.slices)]
        found = None
        if uuid:
            found = next((each for each in every if _bare(each.uuid) == _bare(uuid)), None)
        if found is None and pci_bus_id:
            place = _place(pci_bus_id)
            found = next((each for each in self._devices if _place(each.pci_bus_id) == place), None)
        if found is not None and found.slices:
            # A divided GPU runs nothing itself; CUDA may name it in place of the slice.
            return found.slices[0] if len(found.slices) == 1 else None
        return found

    def processes(self, device: NvmlDevice, own: Iterable[int] = ()) -> tuple[OtherProcess, ...] | None:
        """Return the processes on a device that are not ours, None where the driver does not list them.

        In a container the driver lists none, or ids of the machine outside.

        Args:
            device: to look at.
            own: ids of processes to leave out beside this one.
        """
        ours = {os.getpid(), *own}
        lists = [
            (False, self._ask("nvmlDeviceGetComputeRunningProcesses", device.handle)),
            (True, self._ask("nvmlDeviceGetGraphicsRunningProcesses", device.handle)),
        ]
        if lists[0][1] is None:
            return None
        found: dict[int, OtherProcess] = {}
        for graphics, entries in lists:
            for entry in entries or ():
                # What computes and draws is in both lists; then it computes.
                if entry.pid not in ours and entry.pid not in found:
                    found[entry.pid] = OtherProcess(entry.pid, _mib(entry.usedGpuMemory), graphics)
        return tuple(found.values())

    def memory_used_by(self, device: NvmlDevice, pid: int) -> float | None:
        """Return the memory in MiB that a process holds with its context, None where the driver does not say."""
        entries = self._ask("nvmlDeviceGetComputeRunningProcesses", device.handle)
        return next((_mib(entry.usedGpuMemory) for entry in entries or () if entry.pid == pid), None)

    def memory_used_mib(self, device: NvmlDevice) -> float | None:
        """Return the memory in MiB that is in use on a device, whoever holds it."""
        memory = self._ask("nvmlDeviceGetMemoryInfo", device.handle)
        return None if memory is None else memory.used / 2**20

    def utilisation(self, device: NvmlDevice) -> float | None:
        """Return the share of the last moment (1/6 to 1 s) in which any kernel ran, 0 to 1."""
        rates = self._ask("nvmlDeviceGetUtilizationRates", device.handle)
        return None if rates is None else rates.gpu / 100

    def sample(self, device: NvmlDevice) -> Sample:
        """Return what the sensors say now.

        Raises:
            DeviceLostError: the device no longer answers.
        """
        pynvml, handle = self._pynvml, device.handle

        def ask(question: Callable[..., Any], *arguments: Any) -> Any:
            return _asked(pynvml, question, handle, *arguments)

        clock = ask(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM)
        temperature = ask(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU)
        reasons = ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons)
        if reasons is None:
            # Its name before driver 535.
            reasons = ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        energy_mj = ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return Sample(
            at_s=time.perf_counter(),
            power_w=self._power_w(handle),
            energy_j=_thousandth(energy_mj),
            clock_mhz=None if clock is None else float(clock),
            temperature_c=None if temperature is None else float(temperature),
            utilisation=self.utilisation(device),
            reasons=reasons,
            pcie_generation=ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration) or None,
            pcie_lanes=ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth) or None,
        )

    def _power_w(self, handle: Any) -> float | None:
        """Return the power of this moment where the board has it, else the mean of its last second."""
        pynvml = self._pynvml
        values = _asked(pynvml, pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_POWER_INSTANT])
        if values is not None and values[0].nvmlReturn == pynvml.NVML_SUCCESS:
            return float(values[0].value.uiVal) / 1000
        return _thousandth(_asked(pynvml, pynvml.nvmlDeviceGetPowerUsage, handle))


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / 2**20


def _bare(uuid: str | None) -> str | None:
    return None if uuid is None else uuid.lower().removeprefix("gpu-").removeprefix("mig-")


def _place(pci_bus_id: str | None) -> tuple[int, ...] | None:
    """Return domain, bus and device as numbers: NVML writes eight digits of the domain, others four."""
    if pci_bus_id is None:
        return None
    domain, bus, rest = pci_bus_id.split(":")
    return int(domain, 16), int(bus, 16), int(rest.split(".")[0], 16)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the sensors of a device said at one moment of :func:`time.perf_counter`; None where they do not say."""

    at_s: float
    power_w: float | None
    energy_j: float | None
    """Since the driver was loaded."""
    clock_mhz: float | None
    """Of the multiprocessors."""
    temperature_c: float | None
    utilisation: float | None
    """Share of the last moment (1/6 to 1 s) in which any kernel ran, 0 to 1."""
    reasons: int | None
    """Bits of :data:`REASONS`."""
    pcie_generation: int | None
    pcie_lanes: int | None


@dataclass(frozen=True, slots=True)
class Before:
    """How a device was before the run; None where the driver does not say."""

    idle_w: float | None = None
    """Power at rest; None where others kept it busy."""
    other_processes: int | None = None
    """Processes of others that compute."""
    busy: float | None = None
    """Share of time in which others' kernels ran, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the sensors said between two moments; None where they said nothing."""

    samples: int
    power_w: float | None
    """Mean, from the energy counter where the window is long enough for it, else of the samples.

    Boards without a power of the moment give samples that are means over a second themselves (from GeForce Ampere and
    Hopper on): a short window then holds some of what ran before it.
    """
    highest_w: float | None
    clock_mhz: float | None
    """Median of the multiprocessors' clock."""
    highest_c: float | None
    throttled: tuple[str, ...]
    """Reasons for which the clock was held down with their share of the samples, the most frequent first."""
    pcie_generations: tuple[int, int] | None
    """Least and most."""
    pcie_lanes: tuple[int, int] | None


class Sampler:
    """Reads the sensors of a device in the background while the context lasts.

    Moments are those of :func:`time.perf_counter`, which is one clock for all processes of a machine.

    Args:
        nvml: the driver, None where there is none: nothing is sampled then.
        device: to watch, None where it is not one of NVML's.
        period_s: time between samples.
        hear: told each sample in the thread that takes it, None where nobody watches.
    """

    def __init__(
        self,
        nvml: Nvml | None,
        device: NvmlDevice | None,
        period_s: float = PERIOD_S,
        hear: Callable[[Sample], None] | None = None,
    ) -> None:
        self._nvml = nvml
        self._device = device
        self._period_s = period_s
        self._hear = hear
        self._samples: list[Sample] = []
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="NVML sampler", daemon=True)
        self.lost: str | None = None
        """Why sampling ended early: the device stopped answering."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        # A driver that hangs must not keep the program: the thread is a daemon.
        self._thread.join(timeout=2.0)

    def _watch(self) -> None:
        if self._nvml is None or self._device is None:
            return
        while not self._leaving.is_set():
            try:
                sample = self._nvml.sample(self._device)
            except DeviceLostError as error:
                self.lost = str(error)
                return
            self._samples.append(sample)
            if self._hear is not None:
                self._hear(sample)
            self._leaving.wait(self._period_s)

    def latest(self) -> Sample | None:
        """Return the newest sample, for whoever watches."""
        return self._samples[-1] if self._samples else None

    def before(self, own: Iterable[int] = ()) -> Before:
        """Return how the device is now, before anything runs; takes :data:`BEFORE_S`.

        Args:
            own: ids of processes that do not count as others.
        """
        if self._nvml is None or self._device is None:
            return Before()
        begun = time.perf_counter()
        shares = []
        while time.perf_counter() < begun + BEFORE_S:
            shares.append(self._nvml.utilisation(self._device))
            time.sleep(self._period_s)
        processes = self._nvml.processes(self._device, own)
        busy = _mean(shares)
        seen = self.window(begun, time.perf_counter())
        return Before(
            idle_w=seen.power_w if busy is None or busy <= QUIET else None,
            other_processes=None if processes is None else sum(not each.graphics for each in processes),
            busy=busy,
        )

    def window(self, start_s: float, end_s: float) -> Window:
        """Return what the sensors said between two moments."""
        samples = list(self._samples)
        first = bisect.bisect_left(samples, start_s, key=lambda sample: sample.at_s)
        last = bisect.bisect_right(samples, end_s, key=lambda sample: sample.at_s)
        return _summary(samples[first:last], unbroken=True)

    def under_load(self) -> Window:
        """Return what the sensors said so far while something ran on the device, as far as the driver tells when.

        Its PCIe link is the one to believe: an idle GPU lowers it.
        """
        busy = [sample for sample in list(self._samples) if not (sample.reasons or 0) & GPU_IDLE]
        return _summary(busy, unbroken=False)


def sensors(sampler: Sampler, before: Before) -> Sensors:
    """Return the summary of a run for its profile.

    Args:
        sampler: that watched it.
        before: how the device was at the beginning.
    """
    seen = sampler.under_load()
    return Sensors(
        idle_w=before.idle_w,
        highest_w=seen.highest_w,
        clock_mhz=seen.clock_mhz,
        highest_c=seen.highest_c,
        throttled=seen.throttled,
        other_processes=before.other_processes,
        busy_before=before.busy,
    )


def _summary(samples: Sequence[Sample], *, unbroken: bool) -> Window:
    # The energy counter goes on between the samples that are left out.
    power_w = _energy_power_w(samples) if unbroken else None
    clocks = _known(sample.clock_mhz for sample in samples)
    return Window(
        samples=len(samples),
        power_w=_mean(sample.power_w for sample in samples) if power_w is None else power_w,
        highest_w=max(_known(sample.power_w for sample in samples), default=None),
        clock_mhz=statistics.median(clocks) if clocks else None,
        highest_c=max(_known(sample.temperature_c for sample in samples), default=None),
        throttled=_throttled(_known(sample.reasons for sample in samples)),
        pcie_generations=_ends(_known(sample.pcie_generation for sample in samples)),
        pcie_lanes=_ends(_known(sample.pcie_lanes for sample in samples)),
    )


def _known(values: Iterable[Number | None]) -> list[Number]:
    return [value for value in values if value is not None]


def _energy_power_w(samples: Sequence[Sample]) -> float | None:
    """Return the mean power by the energy counter, None where there is none or too little time for it."""
    counted = [(sample.at_s, sample.energy_j) for sample in samples if sample.energy_j is not None]
    if counted:
        (first_s, first_j), (last_s, last_j) = counted[0], counted[-1]
        if last_s - first_s >= ENERGY_WINDOW_S and last_j > first_j:
            return (last_j - first_j) / (last_s - first_s)
    return None


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return statistics.fmean(known) if known else None


def _ends(values: Sequence[int]) -> tuple[int, int] | None:
    return (min(values), max(values)) if values else None


def _throttled(masks: Sequence[int]) -> tuple[str, ...]:
    """Return the reasons with their share of the samples; a slowdown whose cause is known is told by its cause."""
    counts: Counter[int] = Counter()
    for mask in masks:
        told = mask & ~HARDWARE_SLOWDOWN if mask & HARDWARE_CAUSES else mask
        counts.update(bit for bit in REASONS if told & bit)
    shares = {REASONS[bit]: 100 * count / len(masks) for bit, count in counts.most_common()}
    return tuple(
        f"{reason} {share:.0f} %" for reason, share in shares.items() if share >= LEAST_SHARE_PERCENT
    )
