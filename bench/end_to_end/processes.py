"""What a server costs, read from /proc: CPU time and memory of a process and all that it has started."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path


def available() -> bool:
    """Whether this system tells all that: Linux does."""
    return os.path.exists("/proc/self/clear_refs")


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (stat := _read(folder / "stat")):
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for member in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time together, of all threads that these processes have or had.

    It is the kernel's own count in nanoseconds, of which /proc/PID/stat shows hundredths of a second.
    """
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def resident(pids: Sequence[int]) -> int:
    """Bytes in memory now. What processes share is counted for each of them."""
    return sum(_status(pid, "VmRSS") for pid in pids)


def forget_peak(pids: Sequence[int]) -> None:
    """From here on `peak` counts anew."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def peak(pids: Sequence[int]) -> int:
    """The most bytes each was seen with in memory since `forget_peak`, added up."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def file_system(folder: Path) -> str:
    """Its type, such as "ext4" or "tmpfs"."""
    place, found = folder.resolve(), (Path("/"), "unknown")
    for line in _read(Path("/proc/self/mounts")).splitlines():
        mounted, kind = Path(line.split()[1]), line.split()[2]
        if place.is_relative_to(mounted) and len(mounted.parts) >= len(found[0].parts):
            found = mounted, kind
    return found[1]


def _cpu_clock(pid: int) -> int:
    """What clock_getcpuclockid(3) of the C library returns: the process's id and the kernel's CPUCLOCK_SCHED."""
    return (~pid << 3) | 2


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _read(Path(f"/proc/{pid}/status")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return ""
