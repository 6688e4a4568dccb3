"""Reading /proc, without measuring anything."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench.machine import processor
from tests.bench.processes import busy_ticks, pss, ticks, tree

STAT = (
    "22 (a (b) c) S 1 22 22 0 -1 4194304 1 2 3 4 70 30 5 6 20 0 1 0 100 9 10 11 12 13 14 15 16 17"
)


def test_ticks_are_those_of_the_process_and_of_children_that_ended() -> None:
    assert ticks(STAT) == (70 + 5, 30 + 6)


def test_a_machine_is_busy_with_processes_and_with_other_machines() -> None:
    assert busy_ticks("cpu  1 20 300 9 9 9 9 4000 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n") == 4321


def test_pss_is_not_one_of_its_parts() -> None:
    assert pss("00400000-7ff 00:00 0 [rollup]\nRss: 900 kB\nPss: 345 kB\nPss_Anon: 1 kB\n") == 345


def test_a_tree_has_children_and_theirs() -> None:
    shell = ["sh", "-c", f"{sys.executable} -c 'print(1, flush=True); input()'; :"]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = tree(process.pid)
        assert len(found) == 2
        assert found[0] == process.pid
        assert set(found) < set(tree(os.getpid()))
        process.communicate(b"\n")
    assert tree(process.pid) == [process.pid]


def test_a_processor_has_a_name_or_none() -> None:
    assert processor("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n") == "AMD EPYC"
    assert processor("CPU implementer : 0x41\n") is None
