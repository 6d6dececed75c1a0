"""What the machine has and what NVML sees: pynvml itself on a stand-in for NVIDIA's library, and the real catalog."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advisor.calibrate import host
from advisor.calibrate.found import found_devices, match, obstacles, pick, torch_devices
from advisor.calibrate.host import (
    cpu_device,
    highest_clock_mhz,
    last_level_cache_mib,
    measured_host,
    memory_limit_bytes,
    physical_cores,
    time_limit,
)
from advisor.calibrate.nvml import Before, Sampler, Unavailable, open_nvml, sensors
from advisor.catalog import load_devices, name_index
from advisor.errors import ExternalError, InputError
from advisor.hardware import NameIndex
from advisor.profile import MeasuredDevice, Sensors

HERE = Path(__file__).parent
NO_DRIVER = Unavailable("no NVIDIA driver was found")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def index() -> NameIndex:
    return name_index(load_devices())


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return a function that runs lines of Python where the stand-in is NVIDIA's library."""
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("building the stand-in for NVIDIA's library takes Linux and a C compiler")
    folder = tmp_path_factory.mktemp("nvml")
    source, library = HERE / "data/nvml/fake_nvml.c", folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)

    def asked(lines: str, **behaviour: object) -> Any:
        program = (
            "import json, time\nfrom dataclasses import asdict\nfrom advisor.calibrate.nvml import *\n"
            f"nvml = open_nvml()\n{lines}\nprint(json.dumps(answer, default=str))"
        )
        settings = {f"FAKE_{key.upper()}": str(value) for key, value in behaviour.items()}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(HERE.parent)} | settings,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return asked


# ---- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has an NVIDIA driver")
def test_a_machine_without_a_driver_says_what_to_do() -> None:
    nvml = open_nvml()
    assert isinstance(nvml, Unavailable)
    assert "NVIDIA" in nvml.reason or "nvidia-ml-py" in nvml.reason
    assert "install" in nvml.reason


@pytest.mark.parametrize("module", ["raise ImportError('none')", "class NVMLError(Exception): ..."])
def test_no_pynvml_and_a_pynvml_of_old_say_what_to_install(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pynvml.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    nvml = open_nvml()
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    assert isinstance(nvml, Unavailable)
    assert "pip install 'gpu-advisor[torch]'" in nvml.reason


def test_a_driver_that_gives_no_gpu_is_a_reason(ask: Ask) -> None:
    expected = {
        "INIT=4": "/dev/nvidia", "INIT=9": "not loaded", "INIT=15": "lost", "INIT=18": "restart the machine",
        "INIT=999": "nvidia-smi", "HANDLE=15": "lost", "COUNT=0": "no GPU",
    }  # fmt: skip
    answer = ask(
        "import os\nanswer = {}\n"
        f"for each in {list(expected)}:\n"
        "    key, _, value = each.partition('=')\n"
        "    os.environ['FAKE_' + key] = value\n"
        "    answer[each] = open_nvml().reason\n"
        "    del os.environ['FAKE_' + key]"
    )
    assert {each: words for each, words in expected.items() if words not in answer[each]} == {}


# ---- devices ---------------------------------------------------------------------------------------------------------


DEVICE = (
    "gpu = nvml.devices()[0]\n"
    "answer = {name: getattr(gpu, name) for name in NvmlDevice.__slots__ if name != 'handle'}\n"
    "answer |= {'driver': nvml.driver_version, 'cuda': nvml.cuda_version}"
)


def test_a_gpu_is_described_in_the_units_of_its_fields(ask: Ask) -> None:
    device = ask(DEVICE)
    expected = {
        "name": "NVIDIA H200", "pci_bus_id": "00000000:19:00.0", "pci_device_id": "2335",
        "compute_capability": "9.0", "memory_mib": 143771.0, "power_limit_w": 650.0,
        "default_power_limit_w": 700.0, "max_clock_mhz": 1980.0, "pcie_generation": 1, "pcie_lanes": 16,
        "max_pcie_generation": 5, "max_pcie_lanes": 16, "is_slice": False, "slices": [],
        "driver": "580.65.06", "cuda": "13.0",
    }  # fmt: skip
    assert {key: device[key] for key in expected} == expected


@pytest.mark.parametrize("error", [3, 4])
def test_what_the_driver_does_not_say_is_none(ask: Ask, error: int) -> None:
    device = ask(DEVICE, fields=error)
    assert device["name"] == "NVIDIA H200"
    unknown = set(device) - {"uuid", "name", "is_slice", "slices", "driver", "cuda"}
    assert {device[key] for key in unknown} == {None}


def test_the_uuid_is_not_shown(ask: Ask) -> None:
    assert "0a1b2c3d" not in ask("answer = repr(nvml.devices())", slices=1)


def test_a_device_is_found_by_uuid_or_by_its_place_on_the_bus(ask: Ask) -> None:
    answer = ask(
        "def place(**what):\n    found = nvml.find(**what)\n    return found and found.pci_bus_id\n"
        "uuid = nvml.devices()[1].uuid\n"
        "answer = [place(uuid=uuid), place(uuid=uuid.removeprefix('GPU-').upper()), place(pci_bus_id='0:1a:0.0'),"
        " place(uuid='GPU-none'), place(pci_bus_id='0000:77:00.0'), place()]",
        count=2,
    )
    assert answer == [*["00000000:1A:00.0"] * 3, None, None, None]


def test_a_divided_gpu_is_its_slices(ask: Ask) -> None:
    lines = (
        "gpu = nvml.devices()[0]\n"
        "found = [nvml.find(uuid=gpu.slices[-1].uuid), nvml.find(uuid=gpu.uuid)]\n"
        "answer = [(part.name, part.memory_mib, part.power_limit_w, part.is_slice) if part else None for part in found]"
    )
    a_slice = ["NVIDIA H200 MIG 1g.18gb", 16384.0, None, True]
    assert ask(lines, slices=1) == [a_slice, a_slice]
    assert ask(lines, slices=2) == [a_slice, None]


def test_processes_of_others_are_those_that_compute(ask: Ask) -> None:
    lines = (
        "gpu = nvml.devices()[0]\n"
        "answer = {'others': [asdict(each) for each in nvml.processes(gpu, own=[8])],"
        " 'of_8': nvml.memory_used_by(gpu, 8), 'of_1': nvml.memory_used_by(gpu, 1),"
        " 'all': nvml.memory_used_mib(gpu), 'busy': nvml.utilisation(gpu)}"
    )
    answer = ask(lines, compute="7:512,8:1024,10", graphics="9:64,7:512", busy=80)
    assert answer["others"] == [
        {"pid": 7, "used_mib": 512.0, "graphics": False},
        {"pid": 10, "used_mib": None, "graphics": False},
        {"pid": 9, "used_mib": 64.0, "graphics": True},
    ]
    assert (answer["of_8"], answer["of_1"], answer["all"], answer["busy"]) == (1024.0, None, 529.0, 0.8)


@pytest.mark.parametrize("error", [4, 15])
def test_processes_that_the_driver_does_not_list_are_unknown(ask: Ask, error: int) -> None:
    # A GPU is lost after it was found, so its loss comes with a reading.
    behaviour = {"lost_after": 0} if error == 15 else {"fields": error}
    lines = (
        "gpu = nvml.devices()[0]\n"
        "for _ in range(2):\n    try:\n        nvml.sample(gpu)\n    except DeviceLostError:\n        pass\n"
        "answer = [nvml.processes(gpu), nvml.memory_used_by(gpu, 1), nvml.utilisation(gpu)]"
    )
    assert ask(lines, **behaviour) == [None, None, None]


# ---- sensors ---------------------------------------------------------------------------------------------------------


WATCHED = (
    "gpu = nvml.devices()[0]\n"
    "with Sampler(nvml, gpu, period_s=0.01) as sampler:\n"
    "    before = sampler.before()\n"
    "    begun = time.perf_counter()\n"
    "    time.sleep(0.6)\n"
    "    window, whole = sampler.window(begun, time.perf_counter()), sampler.under_load()\n"
    "short = sampler.window(begun, begun + 0.2)\n"
    "answer = {'before': asdict(before), 'window': asdict(window), 'short': asdict(short), 'whole': asdict(whole),"
    " 'sensors': sensors(sampler, before).model_dump(), 'latest': asdict(sampler.latest()), 'lost': sampler.lost}"
)


def test_a_run_is_summed_up(ask: Ask) -> None:
    # Power limit, and a hardware slowdown whose cause, the temperature, is known.
    answer = ask(WATCHED, reasons=0x4 | 0x8 | 0x40, compute="7:512", graphics="9:64")
    window = answer["window"]
    assert window["samples"] > 10
    # By the energy counter; over a short time it says too little.
    assert window["power_w"] == pytest.approx(500, rel=0.02)
    assert answer["short"]["power_w"] == 600
    assert answer["whole"]["power_w"] == 600
    assert window["clock_mhz"] == 1600
    assert window["highest_c"] == 61
    assert window["throttled"] == ["power limit 100 %", "hardware temperature limit 100 %"]
    assert window["pcie_generations"] == [5, 5]
    assert answer["whole"]["pcie_generations"] == [1, 5]
    assert answer["before"]["idle_w"] == pytest.approx(550, rel=0.1)
    assert (answer["before"]["other_processes"], answer["before"]["busy"]) == (1, 0.0)
    assert answer["sensors"] == {
        "idle_w": answer["before"]["idle_w"], "highest_w": 600.0, "clock_mhz": 1600.0, "highest_c": 61.0,
        "throttled": window["throttled"], "other_processes": 1, "busy_before": 0.0,
    }  # fmt: skip
    assert answer["latest"]["power_w"] == 600
    assert answer["lost"] is None


def test_a_driver_of_old_is_asked_by_the_names_of_old(ask: Ask) -> None:
    answer = ask(WATCHED, old=1, reasons=0x4)
    # No energy counter and no power of the moment: the mean of what the board averaged itself.
    assert answer["window"]["power_w"] == answer["short"]["power_w"] == 100
    assert answer["window"]["throttled"] == ["power limit 100 %"]


def test_an_idle_gpu_is_not_under_load_and_a_busy_one_not_at_rest(ask: Ask) -> None:
    idle = ask(WATCHED, reasons=0x1)
    assert idle["whole"]["samples"] == 0
    assert idle["window"]["throttled"] == []
    assert idle["sensors"]["clock_mhz"] is None
    busy = ask(WATCHED, busy=90)
    assert busy["before"]["idle_w"] is None
    assert busy["before"]["busy"] == pytest.approx(0.9)


def test_a_gpu_that_is_lost_ends_sampling_and_is_said(ask: Ask) -> None:
    answer = ask(WATCHED, lost_after=5)
    assert "lost" in answer["lost"]
    assert answer["window"]["samples"] == 0
    assert answer["whole"]["samples"] == 5
    assert answer["sensors"]["highest_w"] == 600


def test_sensors_that_say_nothing_are_unknown(ask: Ask) -> None:
    nothing = Sensors().model_dump(mode="json")
    assert ask(WATCHED, fields=3)["sensors"] == nothing
    with Sampler(None, None) as sampler:
        before = sampler.before()
    assert before == Before()
    assert sampler.latest() is None
    assert sensors(sampler, before).model_dump(mode="json") == nothing


# ---- the host --------------------------------------------------------------------------------------------------------


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_threads_of_one_core_are_one_core(tmp_path: Path) -> None:
    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    place = written(
        tmp_path, {f"cpu{number}/topology/core_cpus_list": text for number, text in siblings.items()}
    )
    assert physical_cores(place, range(4)) == 2
    assert physical_cores(place, [0, 2]) == 1
    assert physical_cores(place, range(5)) is None


def test_kernels_of_old_name_siblings_otherwise(tmp_path: Path) -> None:
    place = written(tmp_path, {f"cpu{number}/topology/thread_siblings_list": "0-1" for number in range(2)})
    assert physical_cores(place, range(2)) == 1


@pytest.mark.parametrize(
    ("groups", "files", "processors", "memory_bytes"),
    [
        ("0::/", {"cpu.max": "150000 100000", "memory.max": "1073741824"}, 1.5, 2**30),
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "200000 100000", "a/b/memory.max": "max"}, 2.0, None),
        # Inside a container the path is that of the machine outside.
        ("0::/docker/9f", {"cpu.max": "50000 100000", "memory.max": "4096"}, 0.5, 4096),
        (
            "4:memory:/job\n1:cpu,cpuacct:/job\n0::/",
            {
                "cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000",
                "memory/job/memory.limit_in_bytes": "8192", "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            4.0,
            8192,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, None),
        ("0::/", {}, None, None),
    ],
)  # fmt: skip
def test_limits_of_containers_count(
    tmp_path: Path, groups: str, files: dict[str, str], processors: float | None, memory_bytes: int | None
) -> None:
    root = written(tmp_path / "cgroup", files)
    mine = written(tmp_path, {"mine": groups}) / "mine"
    assert time_limit(root, mine) == processors
    assert memory_limit_bytes(root, mine) == memory_bytes


@LINUX
@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 1), ("20000 100000", 1), ("max 100000", None)]
)
def test_a_limit_on_time_lowers_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int | None
) -> None:
    root = written(tmp_path, {"group/cpu.max": quota, "group/memory.max": str(2**30), "mine": "0::/"})
    unlimited = physical_cores(host.PROCESSORS, os.sched_getaffinity(0))
    monkeypatch.setattr(host, "GROUPS", root / "group")
    monkeypatch.setattr(host, "MY_GROUPS", root / "mine")
    device = cpu_device()
    assert device.units == (cores or unlimited)
    assert device.memory_mib == 1024
    assert measured_host().memory_gib == 1


@LINUX
def test_processors_that_the_affinity_leaves_out_do_not_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from advisor.calibrate.host import usable_cores; print(usable_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("1", "None")


@LINUX
def test_the_last_level_of_caches_and_the_highest_clock(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for number in os.sched_getaffinity(0):
        for cache, (level, kind, size, shared) in enumerate(
            [("1", "Instruction", "512K", f"{number}"), ("2", "Unified", "1024K", f"{number}"),
             ("3", "Unified", "32768K", "0-999")]
        ):  # fmt: skip
            parts = {"level": level, "type": kind, "size": size, "shared_cpu_list": shared}
            files |= {f"cpu{number}/cache/index{cache}/{name}": text for name, text in parts.items()}
        files[f"cpu{number}/cpufreq/cpuinfo_max_freq"] = "4500000"
    place = written(tmp_path, files)
    assert last_level_cache_mib(place) == 32
    assert highest_clock_mhz(place) == 4500
    assert last_level_cache_mib(tmp_path / "none") is None
    assert highest_clock_mhz(tmp_path / "none") is None


def test_this_machine_is_described() -> None:
    device, machine = cpu_device(), measured_host()
    assert device.kind == device.backend == "cpu"
    assert device.units == machine.cores
    assert machine.memory_gib == pytest.approx(device.memory_mib / 1024, rel=0.01)
    assert machine.system.split()


# ---- names -----------------------------------------------------------------------------------------------------------


def gpu(name: str, memory_mib: float, **more: Any) -> MeasuredDevice:
    return MeasuredDevice(**{"kind": "gpu", "backend": "cuda", "name": name, "memory_mib": memory_mib} | more)


@pytest.mark.parametrize(
    ("device", "entry"),
    [
        (gpu("NVIDIA H200", 143771, pci_device_id="2335", units=132), "h200-sxm-141gb"),
        (gpu("NVIDIA A100-PCIE-40GB", 40960), "a100-pcie-40gb"),
        (gpu("NVIDIA A100-SXM4-40GB", 40960), "a100-sxm4-40gb"),
        (gpu("NVIDIA GeForce RTX 3080", 10240), "rtx-3080-10gb"),
        (gpu("NVIDIA GeForce RTX 3080", 12288), "rtx-3080-12gb"),
        (gpu("NVIDIA GeForce RTX 3080 Ti Laptop GPU", 16384), "rtx-3080-ti-laptop"),
        (gpu("NVIDIA GeForce RTX 3080 Laptop GPU", 16384), "rtx-3080-16gb-laptop"),
        # ECC keeps a sixteenth.
        (gpu("Tesla T4", 15360), "t4"),
        (gpu("AMD Instinct MI300X", 196288, backend="rocm"), "mi300x"),
        (gpu("NVIDIA H200", 143771, mig=True), None),
        (gpu("NVIDIA H200", 71885), None),
        (gpu("NVIDIA H200", 143771, units=66), None),
        (gpu("NVIDIA GeForce RTX 3080", 16384), None),
        (gpu("NVIDIA H200 MIG 1g.18gb", 16384), None),
        (gpu("NVIDIA Frobnicator 9000", 16384), None),
        (gpu("AMD EPYC 7742 64-Core Processor", 4194304), None),
    ],
)  # fmt: skip
def test_a_gpu_is_its_catalog_entry_or_none(
    index: NameIndex, device: MeasuredDevice, entry: str | None
) -> None:
    assert match(device, index) == entry


@pytest.mark.parametrize(
    ("name", "cores", "entry"),
    [
        ("AMD EPYC 7742 64-Core Processor", 64, True),
        ("AMD EPYC 7742 64-Core Processor", 128, False),
        ("AMD EPYC 7742 64-Core Processor", 2, False),
        ("AMD EPYC 7742 64-Core Processor", None, False),
        ("AMD EPYC", 2, False),
        ("NVIDIA H200", 2, False),
    ],
)
def test_a_processor_is_its_entry_with_all_its_cores_only(
    index: NameIndex, name: str, cores: int | None, entry: bool
) -> None:
    device = MeasuredDevice(kind="cpu", backend="cpu", name=name, memory_mib=65536, units=cores)
    found = match(device, index)
    assert (found is not None) == entry
    assert found is None or index.by_id[found].compute.cores == cores


# ---- torch and NVML together -----------------------------------------------------------------------------------------


PROCESSOR = MeasuredDevice(kind="cpu", backend="cpu", name="AMD EPYC", memory_mib=65536, units=2)
CUDA_TORCH: dict[str, Any] = {
    "torch": "2.13.0+cu130", "cuda": "13.0", "hip": None, "xpu": None, "mps": False, "error": None,
    "architectures": ["sm_80", "sm_90", "compute_120"], "visible": None, "devices": [],
    "processor": PROCESSOR.model_dump(mode="json"),
}  # fmt: skip
CPU_TORCH = CUDA_TORCH | {"torch": "2.13.0+cpu", "cuda": None, "architectures": []}


def cuda(number: int = 0, **more: Any) -> dict[str, Any]:
    plain = {
        "torch_name": f"cuda:{number}", "backend": "cuda", "name": "NVIDIA H200", "memory_mib": 143156.0, "units": 132,
        "compute_capability": "9.0", "gfx": None, "cache_mib": 60.0, "clock_mhz": None, "uuid": None,
        "pci_bus_id": None,
    }  # fmt: skip
    return plain | more


def test_torch_says_plain_values(index: NameIndex) -> None:
    said = torch_devices()
    assert json.loads(json.dumps(said)) == said
    assert set(said) == set(CUDA_TORCH)
    assert found_devices(said, NO_DRIVER, index)[-1].torch_name == "cpu"


JOINED = (
    "from advisor.calibrate.found import *\nfrom advisor.catalog import load_devices, name_index\n"
    "names = name_index(load_devices())\n"
    "found = found_devices(part, nvml, names)\n"
    "answer = [(each.measured.model_dump(), each.nvml and each.nvml.pci_bus_id) for each in found]"
)


def test_torch_and_nvml_are_joined_by_uuid_whatever_their_order(ask: Ask) -> None:
    part = CUDA_TORCH | {"devices": [cuda(uuid="0a1b2c3d-0000-0000-0000-000000000001")]}
    (first, place), (processor, _) = ask(f"part = {part!r}\n{JOINED}", count=2)
    assert place == "00000000:1A:00.0"
    expected = {
        "gpu": "h200-sxm-141gb", "vendor": "nvidia", "memory_mib": 143771.0, "units": 132, "cache_mib": 60.0,
        "clock_mhz": 1980.0, "power_limit_w": 650.0, "default_power_limit_w": 700.0, "pci_device_id": "2335",
        "compute_capability": "9.0", "mig": False, "laptop": False,
    }  # fmt: skip
    assert {key: first[key] for key in expected} == expected
    # An idle link is not what it is under load.
    assert first["pcie_generation"] is None
    assert processor["name"] == "AMD EPYC"


def test_a_torch_of_old_is_joined_by_place_or_by_a_name_that_is_alone(ask: Ask) -> None:
    by_place = CUDA_TORCH | {"devices": [cuda(pci_bus_id="00000000:1A:00.0")]}
    by_name = CUDA_TORCH | {"devices": [cuda()]}
    assert ask(f"part = {by_place!r}\n{JOINED}", count=2)[0][1] == "00000000:1A:00.0"
    assert ask(f"part = {by_name!r}\n{JOINED}", count=1)[0][1] == "00000000:19:00.0"
    unsure, place = ask(f"part = {by_name!r}\n{JOINED}", count=2)[0]
    assert place is None
    assert unsure["gpu"] == "h200-sxm-141gb"


def test_a_slice_has_no_entry(ask: Ask) -> None:
    part = CUDA_TORCH | {"devices": [cuda(name="NVIDIA H200 MIG 1g.18gb", memory_mib=16300.0, units=16,
                                          uuid="0a1b2c3d-0000-0000-0000-000002000000")]}  # fmt: skip
    device, _ = ask(f"part = {part!r}\n{JOINED}", slices=2)[0]
    assert (device["mig"], device["gpu"], device["memory_mib"]) == (True, None, 16384.0)


@pytest.mark.parametrize(
    ("name", "laptop"),
    [
        ("NVIDIA GeForce RTX 9090 Laptop GPU", True),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", True),
        ("NVIDIA GeForce GTX 9080 with Max-Q Design", True),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", False),
        ("NVIDIA GeForce RTX 3080", False),
    ],
)
def test_laptops_are_known_by_their_entry_or_name(index: NameIndex, name: str, laptop: bool) -> None:
    part = CUDA_TORCH | {"devices": [cuda(name=name, memory_mib=16384.0, units=None)]}
    assert found_devices(part, NO_DRIVER, index)[0].measured.laptop is laptop


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ("9.0", ["sm_80", "sm_90"], True),
        ("8.6", ["sm_80", "sm_90"], True),
        ("8.9", ["sm_90"], False),
        ("7.5", ["sm_80", "sm_90"], False),
        ("9.0", ["sm_80", "compute_80"], True),
        ("7.5", ["sm_80", "compute_80"], False),
        ("9.0", ["sm_90a"], True),
        ("10.3", ["sm_100a"], False),
        ("10.3", ["sm_100f"], True),
        ("12.0", ["sm_100", "sm_120"], True),
        ("9.0", [], True),
    ],
)
def test_a_gpu_without_kernels_in_torch_is_not_measured(
    index: NameIndex, capability: str, architectures: list[str], runs: bool
) -> None:
    part = CUDA_TORCH | {
        "architectures": architectures,
        "devices": [cuda(name="NVIDIA Frobnicator", compute_capability=capability)],
    }
    found = found_devices(part, NO_DRIVER, index)
    if runs:
        assert pick(found, None, ()).torch_name == "cuda:0"
        return
    for wanted in (None, "cuda:0"):
        with pytest.raises(ExternalError, match=f"no kernels for compute capability {capability}"):
            pick(found, wanted, obstacles(part, NO_DRIVER))


def test_rocm_devices_are_amds(index: NameIndex) -> None:
    described = cuda(
        backend="rocm",
        name="AMD Instinct MI300X",
        memory_mib=196288.0,
        units=304,
        compute_capability=None,
        gfx="gfx942",
    )
    part = CUDA_TORCH | {
        "cuda": None,
        "hip": "6.4",
        "architectures": ["gfx90a", "gfx942"],
        "devices": [described],
    }
    found = found_devices(part, NO_DRIVER, index)
    assert (found[0].measured.vendor, found[0].measured.gpu, found[0].obstacle) == ("amd", "mi300x", None)
    for wanted in (None, "cuda", "cuda:0", "rocm"):
        assert pick(found, wanted, ()) is found[0]
    other = found_devices(part | {"architectures": ["gfx90a"]}, NO_DRIVER, index)
    assert "gfx942" in str(other[0].obstacle)


# ---- choosing --------------------------------------------------------------------------------------------------------


def test_the_first_gpu_is_chosen_before_the_processor(index: NameIndex) -> None:
    part = CUDA_TORCH | {"devices": [cuda(0, compute_capability="5.2"), cuda(1)]}
    found = found_devices(part, NO_DRIVER, index)
    chosen = {wanted: pick(found, wanted, ()).torch_name for wanted in (None, "cuda:1", "cpu")}
    assert chosen == {None: "cuda:1", "cuda:1": "cuda:1", "cpu": "cpu"}


@pytest.mark.parametrize("wanted", ["cuda:7", "gpu", "", "NVIDIA H200"])
def test_a_device_that_is_not_there_is_answered_with_those_that_are(index: NameIndex, wanted: str) -> None:
    found = found_devices(CUDA_TORCH | {"devices": [cuda()]}, NO_DRIVER, index)
    with pytest.raises(InputError) as raised:
        pick(found, wanted, ())
    assert raised.value.accepted == "cuda:0 (NVIDIA H200), cpu (AMD EPYC)"


@pytest.mark.parametrize("wanted", [None, "cuda", "cuda:0", "mps"])
def test_no_gpu_says_why(index: NameIndex, wanted: str | None) -> None:
    found = found_devices(CPU_TORCH, NO_DRIVER, index)
    with pytest.raises(ExternalError, match=r"2\.13\.0\+cpu.*no NVIDIA driver") as raised:
        pick(found, wanted, obstacles(CPU_TORCH, NO_DRIVER))
    assert "--device cpu" in str(raised.value.hint)


WHY = "from advisor.calibrate.found import *\nanswer = obstacles(part, nvml)"
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update\nyour GPU driver"


@pytest.mark.parametrize(
    ("part", "behaviour", "words"),
    [
        (CPU_TORCH, {}, ["sees NVIDIA H200", "built without CUDA", "pytorch.org"]),
        (
            CUDA_TORCH | {"error": TOO_OLD},
            {"cuda": 11040},
            ["580.65.06", "11.4", "CUDA 13.0", "update the driver"],
        ),
        (CUDA_TORCH | {"error": TOO_OLD, "visible": "0"}, {"cuda": 11040}, ["too old"]),
        (
            CUDA_TORCH | {"error": "No CUDA GPUs are available", "visible": ""},
            {},
            ["CUDA_VISIBLE_DEVICES is ''", "unset"],
        ),
        (
            CUDA_TORCH | {"error": "Unexpected error. Error 802: system not yet initialized"},
            {},
            ["fabricmanager"],
        ),
        (CUDA_TORCH | {"error": "CUDA error"}, {"count": 2, "handle_1": 15}, ["CUDA error", "lost"]),
        (CUDA_TORCH | {"error": "CUDA unknown error\nmore"}, {}, ["CUDA 13.0", "CUDA unknown error"]),
        (
            CUDA_TORCH | {"error": "Found no NVIDIA driver"},
            {"init": 9},
            ["Found no NVIDIA driver", "not loaded"],
        ),
        (CUDA_TORCH | {"devices": [cuda()]}, {}, []),
    ],
)
def test_what_stands_in_the_way_of_a_gpu_is_named(
    ask: Ask, part: dict[str, Any], behaviour: dict[str, Any], words: list[str]
) -> None:
    answer = " ".join(ask(f"part = {part!r}\n{WHY}", **behaviour))
    assert [word for word in words if word not in answer] == []
    assert bool(answer) == bool(words)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (CPU_TORCH | {"mps": True}, "macOS"),
        (
            CPU_TORCH | {"hip": "6.4", "error": "No HIP GPUs are available"},
            "ROCm 6.4 and finds no GPU: No HIP GPUs",
        ),
        (CPU_TORCH | {"xpu": "20250101"}, "oneAPI 20250101"),
    ],
)
def test_other_makers_are_not_sent_to_nvidia(part: dict[str, Any], words: str) -> None:
    (reason,) = obstacles(part, NO_DRIVER)
    assert words in reason
