"""CPU time per request of the gateway and of Apache httpd, turn by turn::

    python -m tests.bench [--rounds 3] [--seconds 5]

One C origin, ``wrk -t1 -c32`` with keep-alive, 1 KiB answers, a new backend connection for each
request. Needs Debian's apache2, wrk and gcc. Prints medians, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from tests.bench import programs
from tests.bench.programs import free_port, running, wrk

HERE = Path(__file__).parent
MODULES = "mpm_event authz_core proxy proxy_scgi"
APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
User nobody
Group nogroup
{modules}
Listen 127.0.0.1:{port}
KeepAlive On
MaxKeepAliveRequests 0
ProxyPass / scgi://127.0.0.1:{origin}/
"""
GATEWAY = """
Listen 127.0.0.1:{port}
KeepAlive On
MaxKeepAliveRequests 0
ProxyPass / scgi://127.0.0.1:{origin}/
"""


def tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    """User and kernel time of a process tree so far."""
    ticks = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(port: int, seconds: int) -> tuple[int, float, str]:
    """Requests done, requests a second, and the rest of what wrk says."""
    text = wrk(port, seconds, "-c32")
    done = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert done is not None
    assert rate is not None
    return int(done[1]), float(rate[1]), text


def measure(name: str, command: list[str], port: int, seconds: int) -> tuple[float, float]:
    with running(command, port) as pid:
        load(port, 1)
        before = cpu_seconds(pid)
        done, rate, _ = load(port, seconds)
        cost = (cpu_seconds(pid) - before) / done * 1e6
    print(f"{name:10} {rate:8.0f} requests/s {cost:7.1f} us CPU per request", flush=True)
    return rate, cost


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--only", choices=["gateway", "apache"])
    chosen = options.parse_args()
    for program in ("apache2", "wrk", "gcc"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            raise SystemExit(f"{program} is not installed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        subprocess.run(["gcc", "-O2", "-o", folder / "origin", HERE / "origin.c"], check=True)
        origin, apache, gateway = free_port(), free_port(), free_port()
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
            for name in MODULES.split()
        )
        values = {"folder": folder, "origin": origin, "modules": modules}
        (folder / "httpd.conf").write_text(APACHE.format(port=apache, **values))
        (folder / "gateway.conf").write_text(GATEWAY.format(port=gateway, **values))
        commands = {
            "apache": (["/usr/sbin/apache2", "-f", f"{folder}/httpd.conf", "-DFOREGROUND"], apache),
            "gateway": (programs.gateway(folder / "gateway.conf"), gateway),
        }
        costs: dict[str, list[float]] = {name: [] for name in commands}
        with running([str(folder / "origin"), str(origin), "1024"], origin):
            for _ in range(chosen.rounds):
                for name, (command, port) in commands.items():
                    if chosen.only in (None, name):
                        costs[name].append(measure(name, command, port, chosen.seconds)[1])
        medians = {name: statistics.median(each) for name, each in costs.items() if each}
        for name, median in medians.items():
            print(f"median of {name}: {median:.1f} us")
        if len(medians) == 2:
            print(f"ratio gateway : apache = {medians['gateway'] / medians['apache']:.2f}")


if __name__ == "__main__":
    main()
