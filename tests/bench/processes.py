"""What a process and all that it has started take, from /proc: CPU time and memory."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process, its children, theirs, and so on, as they are now."""
    found = [pid]
    for parent in found:
        for task in _read(parent, "task/*/children"):
            found += map(int, task.split())
    return found


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and kernel time of a process tree so far, of those that have ended too.

    Linux knows their sum exactly, and how it is divided from samples.
    """
    found = [ticks(text) for each in tree(pid) for text in _read(each, "stat")]
    second = os.sysconf("SC_CLK_TCK")
    return sum(user for user, _ in found) / second, sum(kernel for _, kernel in found) / second


def machine_seconds() -> float:
    """CPU time of all processes of the machine so far, and what the machine itself had to wait for
    a processor that it shares; see `busy_ticks`."""
    return busy_ticks((_PROC / "stat").read_text()) / os.sysconf("SC_CLK_TCK")


def proportional_kib(pid: int) -> int:
    """Memory of a process tree (Pss): a page that several processes share is divided by them."""
    rollups = (text for each in tree(pid) for text in _read(each, "smaps_rollup"))
    return sum(map(pss, rollups))


def ticks(stat: str) -> tuple[int, int]:
    """Clock ticks in a text of /proc/PID/stat, of user and of kernel time, those of children that
    were waited for among them (utime, stime, cutime, cstime in proc_pid_stat(5)). The name of the
    program may have spaces and parentheses."""
    user, kernel, childrens_user, childrens_kernel = stat.rpartition(")")[2].split()[11:15]
    return int(user) + int(childrens_user), int(kernel) + int(childrens_kernel)


def busy_ticks(stat: str) -> int:
    """Clock ticks in a text of /proc/stat: user, nice, system and steal. Interrupts are no
    process's."""
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = stat.split()[1:9]
    return int(user) + int(nice) + int(system) + int(steal)


def pss(rollup: str) -> int:
    """The KiB of a text of /proc/PID/smaps_rollup."""
    (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1])


def _read(pid: int, pattern: str) -> list[str]:
    """The files of one process; none when it has just ended."""
    found = []
    for path in (_PROC / str(pid)).glob(pattern):
        try:
            found.append(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
