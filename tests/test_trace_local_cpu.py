"""Names of processors on each system: the brand string, or none at all."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from advisor import local_cpu
from advisor.errors import ExternalError

RYZEN = "AMD Ryzen 9 9950X 16-Core Processor"


def on(monkeypatch: pytest.MonkeyPatch, system: str, machine: str = "x86_64", processor: str = "") -> None:
    monkeypatch.setattr(local_cpu.platform, "system", lambda: system)
    monkeypatch.setattr(local_cpu.platform, "machine", lambda: machine)
    monkeypatch.setattr(local_cpu.platform, "processor", lambda: processor)


def test_linux_gives_the_model_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on(monkeypatch, "Linux")
    place = tmp_path / "cpuinfo"
    place.write_text(f"processor\t: 0\nmodel\t\t: 68\nmodel name\t: {RYZEN}\n")
    monkeypatch.setattr(local_cpu, "CPU_INFO", place)
    assert local_cpu.local_cpu_name() == RYZEN


@pytest.mark.parametrize(
    "content",
    [
        "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
        "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nCPU implementer\t: 0x41\n",
    ],
)
def test_linux_on_arm_names_no_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    on(monkeypatch, "Linux", "aarch64")
    place = tmp_path / "cpuinfo"
    place.write_text(content)
    monkeypatch.setattr(local_cpu, "CPU_INFO", place)
    with pytest.raises(ExternalError, match="Linux on aarch64"):
        local_cpu.local_cpu_name()


def test_windows_gives_the_brand_string_and_not_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "Windows", "AMD64", "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD")
    asked = []

    def query(key: str, name: str) -> tuple[str, int]:
        asked.append((key, name))
        return f"{RYZEN}            ", 1

    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE="machine",
        OpenKey=lambda root, path: nullcontext(f"{root}:{path}"),
        QueryValueEx=query,
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    assert local_cpu.local_cpu_name() == RYZEN
    assert asked == [(r"machine:HARDWARE\DESCRIPTION\System\CentralProcessor\0", "ProcessorNameString")]


def test_windows_without_the_registry_names_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "Windows", "ARM64", "ARMv8 (64-bit) Family 8 Model 1 Revision 201, Qualcomm")
    monkeypatch.setitem(sys.modules, "winreg", None)
    with pytest.raises(ExternalError, match="Windows on ARM64"):
        local_cpu.local_cpu_name()
