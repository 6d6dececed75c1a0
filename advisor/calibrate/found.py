"""Which devices torch could run on in this machine, and which entries of the catalog they are.

The measuring process asks torch (:func:`torch_devices`), because asking starts the driver and takes memory on the GPU;
this program asks NVML, and puts both together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from advisor.calibrate.host import cpu_device, usable_memory_bytes
from advisor.calibrate.nvml import Nvml, NvmlDevice, Unavailable
from advisor.errors import ExternalError, InputError
from advisor.hardware import Device, NameIndex, Vendor
from advisor.profile import Backend, MeasuredDevice

MEMORY_TOLERANCE = 0.12
"""A driver reports up to a tenth less than the nominal size; more is another variant, or a part of a device."""

VENDORS: Mapping[Backend, Vendor] = {"cuda": "nvidia", "rocm": "amd", "mps": "apple", "xpu": "intel"}
ON_CPU = "--device cpu measures the processor"
GET_TORCH = "https://pytorch.org/get-started/locally/ tells how to install one that does"


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """One device that torch knows."""

    torch_name: str
    """Such as ``cuda:0``."""
    measured: MeasuredDevice
    nvml: NvmlDevice | None = None
    """The same device in NVML, None where it is not one of its, or not certain which."""
    obstacle: str | None = None
    """Why torch cannot compute on it all the same."""


def torch_devices() -> dict[str, Any]:
    """Return what torch says of itself and of the devices that it could run on, as JSON has it.

    Starts the drivers: for the measuring process only. ``torch``, ``cuda``, ``hip`` and ``xpu`` are versions, null
    where torch was built without; ``mps`` is whether it was built for Apple's GPUs; ``error`` is what starting CUDA
    or ROCm raised; ``architectures`` are those that torch has kernels for; ``visible`` is CUDA_VISIBLE_DEVICES;
    ``devices`` are the GPUs; ``processor`` is the processor as a :class:`MeasuredDevice`.
    """
    import torch as module

    # Much of it has no annotations.
    torch: Any = module
    error = None
    if torch.version.cuda or torch.version.hip:
        try:
            torch.cuda.init()
        except (AssertionError, RuntimeError) as raised:
            error = str(raised)
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "xpu": getattr(torch.version, "xpu", None),
        "mps": torch.backends.mps.is_built(),
        "error": error,
        "architectures": torch.cuda.get_arch_list() if torch.cuda.is_initialized() else [],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "devices": [*_cuda_devices(torch), *_apple_devices(torch), *_intel_devices(torch)],
        "processor": cpu_device().model_dump(mode="json"),
    }


def _cuda_devices(torch: Any) -> Iterator[dict[str, Any]]:
    if not torch.cuda.is_initialized():
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        # Most of these came to torch one by one after 2.4.
        uuid, cache, clock_khz = (
            getattr(properties, name, None) for name in ("uuid", "L2_cache_size", "clock_rate")
        )
        place: list[Any] = [
            getattr(properties, name, None) for name in ("pci_domain_id", "pci_bus_id", "pci_device_id")
        ]
        yield {
            "torch_name": f"cuda:{index}",
            "backend": "rocm" if torch.version.hip else "cuda",
            "name": properties.name,
            "memory_mib": properties.total_memory / 2**20,
            "units": properties.multi_processor_count,
            "compute_capability": None if torch.version.hip else f"{properties.major}.{properties.minor}",
            "gfx": properties.gcnArchName.split(":")[0] if torch.version.hip else None,
            "cache_mib": cache / 2**20 if cache else None,
            "clock_mhz": clock_khz / 1000 if clock_khz else None,
            "uuid": None if uuid is None else str(uuid),
            "pci_bus_id": None if None in place else "{:08X}:{:02X}:{:02X}.0".format(*map(int, place)),
        }


def _apple_devices(torch: Any) -> Iterator[dict[str, Any]]:
    if not torch.backends.mps.is_available():
        return
    memory_bytes = usable_memory_bytes() or torch.mps.recommended_max_memory()
    processor = cpu_device()
    cores = getattr(torch.backends.mps, "get_core_count", None)
    yield {
        "torch_name": "mps",
        "backend": "mps",
        # GPU and processor are one chip with one name and one memory.
        "name": processor.name,
        "memory_mib": memory_bytes / 2**20,
        "units": None if cores is None else cores(),
    }


def _intel_devices(torch: Any) -> Iterator[dict[str, Any]]:
    if not torch.xpu.is_available():
        return
    for index in range(torch.xpu.device_count()):
        properties = torch.xpu.get_device_properties(index)
        yield {
            "torch_name": f"xpu:{index}",
            "backend": "xpu",
            "name": properties.name,
            "memory_mib": properties.total_memory / 2**20,
            # A Xe core is what drivers call a subslice.
            "units": getattr(properties, "gpu_subslice_count", None) or None,
        }


def found_devices(
    torch_part: Mapping[str, Any], nvml: Nvml | Unavailable, index: NameIndex
) -> tuple[FoundDevice, ...]:
    """Return every device that torch could run on, GPUs first.

    Args:
        torch_part: what :func:`torch_devices` returned in the measuring process.
        nvml: NVIDIA's driver.
        index: names of the catalog.
    """
    found = []
    for described in torch_part["devices"]:
        twin = _twin(described, torch_part["devices"], nvml) if described["backend"] == "cuda" else None
        found.append(
            FoundDevice(
                torch_name=described["torch_name"],
                measured=_named(_joined(described, twin), index),
                nvml=twin,
                obstacle=_unsupported(described, torch_part["architectures"]),
            )
        )
    processor = MeasuredDevice.model_validate(torch_part["processor"])
    return (*found, FoundDevice("cpu", _named(processor, index)))


def _twin(
    described: Mapping[str, Any], every: Sequence[Mapping[str, Any]], nvml: Nvml | Unavailable
) -> NvmlDevice | None:
    """Return the same device in NVML: by UUID, by its place on the bus, or by a name that only one has in both."""
    if isinstance(nvml, Unavailable):
        return None
    if described.get("uuid") or described.get("pci_bus_id"):
        return nvml.find(uuid=described.get("uuid"), pci_bus_id=described.get("pci_bus_id"))
    of_name = [device for device in nvml.devices() if device.name == described["name"]]
    alone = sum(other["name"] == described["name"] for other in every) == 1
    return of_name[0] if len(of_name) == 1 and alone and not of_name[0].slices else None


def _joined(described: Mapping[str, Any], twin: NvmlDevice | None) -> MeasuredDevice:
    """Return the device as NVML describes it, and as torch does where NVML does not say."""
    backend: Backend = described["backend"]
    own: dict[str, Any] = {
        "kind": "gpu",
        "backend": backend,
        "name": described["name"],
        "vendor": VENDORS[backend],
        "compute_capability": described.get("compute_capability"),
        "memory_mib": described["memory_mib"],
        "units": described.get("units"),
        "cache_mib": described.get("cache_mib"),
        "clock_mhz": described.get("clock_mhz"),
        "mig": re.search(r"\bMIG\b", described["name"]) is not None,
    }
    if twin is not None:
        said = {
            "name": twin.name,
            "memory_mib": twin.memory_mib,
            "clock_mhz": twin.max_clock_mhz,
            "pci_device_id": twin.pci_device_id,
            "power_limit_w": twin.power_limit_w,
            "default_power_limit_w": twin.default_power_limit_w,
            "mig": twin.is_slice or own["mig"],
        }
        # Nothing of this can be nought: that says as little as None does.
        own |= {key: value for key, value in said.items() if value}
    return MeasuredDevice(**own)


def _named(device: MeasuredDevice, index: NameIndex) -> MeasuredDevice:
    gpu = match(device, index)
    if gpu is None:
        # A card for desktops has "Max-Q" in its name too, the RTX PRO 6000 Blackwell Max-Q Workstation Edition.
        marked = re.search(r"\b(laptop|max-q)\b", device.name, re.IGNORECASE)
        laptop = marked is not None and "workstation" not in device.name.lower()
    else:
        laptop = index.by_id[gpu].segment == "laptop"
    return device.model_copy(update={"gpu": gpu, "laptop": laptop})


def match(device: MeasuredDevice, index: NameIndex) -> str | None:
    """Return the id of the catalog entry that a device is, None where none is it for certain.

    A part of a device (a MIG slice, some cores of a processor) is not the device of the entry.
    """
    if device.mig:
        return None
    # A processor's memory is the machine's and says nothing about its name.
    memory_mib = device.memory_mib if device.kind == "gpu" else None
    try:
        entry = index.resolve(device.name, memory_mib, device.pci_device_id)
    except InputError:
        return None
    if entry.kind != device.kind:
        return None
    whole = _whole_gpu(device, entry) if device.kind == "gpu" else device.units == entry.compute.cores
    return entry.id if whole else None


def _whole_gpu(device: MeasuredDevice, entry: Device) -> bool:
    if entry.memory.unified:
        # It comes in many sizes under one name; the profile says which.
        return True
    sizes_mib = [entry.memory.size_gib * 1024]
    if entry.memory.reported_mib is not None:
        sizes_mib.append(entry.memory.reported_mib)
    if min(abs(device.memory_mib - size_mib) / size_mib for size_mib in sizes_mib) > MEMORY_TOLERANCE:
        return False
    # Other backends count their units in other ways than catalogs do.
    counts = (device.units, entry.compute.multiprocessors)
    return device.backend != "cuda" or None in counts or counts[0] == counts[1]


def _unsupported(described: Mapping[str, Any], architectures: Sequence[str]) -> str | None:
    """Return why torch has no kernels for a device, None where it has some or does not say."""
    capability, gfx = described.get("compute_capability"), described.get("gfx")
    if capability is not None:
        major, minor = map(int, capability.split("."))
        fits = any(_runs(architecture, major, minor) for architecture in architectures)
        what = f"compute capability {capability}"
    elif gfx is not None:
        fits, what = gfx in architectures, gfx
    else:
        return None
    if fits or not architectures:
        return None
    return f"this torch has no kernels for {what} of {described['name']}, only for {', '.join(architectures)}"


def _runs(architecture: str, major: int, minor: int) -> bool:
    """Return whether code for ``sm_90`` or ``compute_90`` runs on a compute capability (CUDA programming guide).

    Machine code runs within its major version from its minor version on, code for the virtual machine on all later
    devices; ``a`` ties either to one device, ``f`` to the major version.
    """
    parts = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
    if parts is None:
        return False
    built = int(parts[2]), int(parts[3])
    if parts[4] == "a":
        return built == (major, minor)
    if parts[1] == "compute" and not parts[4]:
        return built <= (major, minor)
    return built[0] == major and built[1] <= minor


def runtime(torch_part: Mapping[str, Any]) -> str | None:
    """Return what torch was built for, such as ``CUDA 12.8``, None where it is the processor alone."""
    names = {"cuda": "CUDA", "hip": "ROCm", "xpu": "oneAPI"}
    return next((f"{name} {torch_part[key]}" for key, name in names.items() if torch_part[key]), None)


def obstacles(torch_part: Mapping[str, Any], nvml: Nvml | Unavailable) -> tuple[str, ...]:
    """Return why torch finds no GPU, in whole sentences with what to do; empty where it finds one.

    Args:
        torch_part: what :func:`torch_devices` returned in the measuring process.
        nvml: NVIDIA's driver.
    """
    if torch_part["devices"]:
        return ()
    version = torch_part["torch"]
    seen = () if isinstance(nvml, Unavailable) else tuple(device.name or "a GPU" for device in nvml.devices())
    if seen and not torch_part["cuda"]:
        return (
            f"the driver sees {', '.join(seen)}, but this torch ({version}) is built without CUDA; {GET_TORCH}",
        )
    if torch_part["mps"]:
        return (f"this torch ({version}) is built for Apple's GPUs, but macOS offers it none",)
    if torch_part["hip"] or torch_part["xpu"]:
        return (_not_started(torch_part),)
    if isinstance(nvml, Unavailable):
        alone = f"this torch ({version}) is built for the processor alone"
        return (_not_started(torch_part) if torch_part["cuda"] else alone, nvml.reason)
    return (_too_old(torch_part, nvml) or _not_started(torch_part), *nvml.unreadable)


def _too_old(torch_part: Mapping[str, Any], nvml: Nvml) -> str | None:
    """Return that the driver is too old for torch, None where it is not."""
    newest, built = nvml.cuda_version, torch_part["cuda"]
    # Within a major version of CUDA older drivers run newer programs.
    older = newest is not None and int(newest.split(".")[0]) < int(built.split(".")[0])
    if not older and "too old" not in (torch_part["error"] or ""):
        return None
    runs = "" if newest is None else f": it runs CUDA {newest} at most"
    return (
        f"the driver {nvml.driver_version or ''} is too old for this torch, which is built for CUDA {built}{runs}; "
        "update the driver, or install a torch that is built for an older CUDA"
    )


def _not_started(torch_part: Mapping[str, Any]) -> str:
    """Return why a torch that is built for GPUs uses none, as far as it says."""
    error, visible = torch_part["error"] or "no device", torch_part["visible"]
    if visible is not None and "No CUDA GPUs" in error:
        return f"CUDA_VISIBLE_DEVICES is {visible!r} and leaves torch no GPU; unset it"
    what = f"this torch ({torch_part['torch']}) is built for {runtime(torch_part)} and finds no GPU: "
    # Machines whose GPUs are joined by NVSwitch need a service for it.
    service = "; start the service nvidia-fabricmanager" if "Error 802" in error else ""
    return what + error.strip().splitlines()[0] + service


def pick(found: Sequence[FoundDevice], wanted: str | None, reasons: Iterable[str]) -> FoundDevice:
    """Return the device to measure.

    Args:
        found: what there is.
        wanted: ``cuda:0``, ``cuda``, ``mps``, ``xpu``, ``cpu``; None means the first GPU that torch can compute on.
        reasons: why there is no GPU, see :func:`obstacles`.

    Raises:
        InputError: there is no device of this name.
        ExternalError: there is no such GPU, or none that torch can compute on.
    """
    gpus = [device for device in found if device.measured.kind == "gpu"]
    if wanted is None:
        usable = next((device for device in gpus if device.obstacle is None), None)
        if usable is not None:
            return usable
        raise _no_gpu("no GPU found", [*(device.obstacle for device in gpus if device.obstacle), *reasons])
    kind = wanted.partition(":")[0]
    if kind in get_args(Backend) and not any(kind in _kinds(device) for device in found):
        raise _no_gpu(f"no {kind} device found", reasons)
    chosen = next((device for device in found if wanted in (device.torch_name, *_kinds(device))), None)
    if chosen is None:
        there = ", ".join(f"{device.torch_name} ({device.measured.name})" for device in found)
        raise InputError("no such device", source="--device", value=wanted, accepted=there)
    if chosen.obstacle is not None:
        raise ExternalError(chosen.obstacle, hint=f"{GET_TORCH}; {ON_CPU}")
    return chosen


def _kinds(device: FoundDevice) -> tuple[str, str]:
    """Return what torch calls devices of this kind, and the backend: with ROCm torch says ``cuda``."""
    return device.torch_name.partition(":")[0], device.measured.backend


def _no_gpu(message: str, reasons: Iterable[str]) -> ExternalError:
    return ExternalError("; ".join([message, *reasons]), hint=ON_CPU)
