"""What Linux says of processes and of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = {3, 4}
"""The fields of a line of /proc/stat in which a core did nothing: idle and iowait."""
_STOLEN_FROM = 7
"""Fields from here on: time that the hypervisor gave to others, and time of guests, which is counted as user's already."""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process, by its words."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def peak_memory(pid: int) -> int:
    """Bytes that were resident at most since `reset_peak_memory`, or since the process began."""
    return _bytes(status(pid)["VmHWM"])


def resident_memory(pid: int) -> int:
    return _bytes(status(pid)["VmRSS"])


def reset_peak_memory(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def machine_busy_seconds() -> float:
    """Core seconds so far in which any process of this machine ran."""
    first = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    busy = sum(int(count) for at, count in enumerate(first[:_STOLEN_FROM]) if at not in _IDLE)
    return busy / _TICKS


def machine_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return _bytes(line.partition(":")[2])
    raise ValueError("/proc/meminfo does not say how much memory there is")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _bytes(kilobytes: str) -> int:
    return int(kilobytes.split(maxsplit=1)[0]) * 1024
