"""What processor this machine has, as its maker names it.

Every system has a place of its own for the brand string; where it holds something else (a family and a stepping, an
architecture) there is no name, because a wrong one would be looked up.
"""

from __future__ import annotations

import importlib
import platform
import subprocess
from pathlib import Path
from typing import Any

from advisor.errors import ExternalError

CPU_INFO = Path("/proc/cpuinfo")
REGISTRY_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


def local_cpu_name() -> str:
    """Return the brand string of the processor, such as ``AMD Ryzen 9 9950X 16-Core Processor``.

    Raises:
        ExternalError: the operating system does not say.
    """
    system = platform.system()
    name = ""
    if system == "Linux":
        name = _from_cpu_info()
    elif system == "Darwin":
        name = _from_sysctl()
    elif system == "Windows":
        name = _from_registry()
    if not name:
        raise ExternalError(
            f"{system or 'the operating system'} on {platform.machine() or 'this machine'} does not say which "
            "processor this is",
            hint="--with-cpu ID names one; gpu-advisor gpus cpu lists them",
        )
    return name


def _from_cpu_info() -> str:
    """Return the model name; Linux on ARM has none, or has the architecture in its place (ARMv8 Processor rev 1)."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and not value.strip().startswith(("ARMv", "AArch64")):
            return value.strip()
    return ""


def _from_registry() -> str:
    """Return the brand string; ``platform.processor()`` has family, model and stepping, which many processors share."""
    try:
        registry: Any = importlib.import_module("winreg")
        with registry.OpenKey(registry.HKEY_LOCAL_MACHINE, REGISTRY_KEY) as key:
            return str(registry.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    except (ImportError, OSError):
        return ""


def _from_sysctl() -> str:
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
