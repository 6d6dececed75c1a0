"""What processor this machine has, as its maker names it."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from advisor.errors import ExternalError

CPU_INFO = Path("/proc/cpuinfo")


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
        name = platform.processor()
    if not name:
        raise ExternalError(
            "the operating system does not say which processor this is", hint="--with-cpu ID names one"
        )
    return name


def _from_cpu_info() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return ""


def _from_sysctl() -> str:
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
