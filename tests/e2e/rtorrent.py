"""rTorrent, for its XML-RPC over SCGI."""

from __future__ import annotations

from pathlib import Path
from shutil import which

from tests.e2e.processes import Address, Process, free_port, missing


def rtorrent(folder: Path, socket_path: Path | None = None) -> Process:
    """rTorrent without a terminal and without a network beyond loopback, on TCP or a UNIX socket."""
    program = which("rtorrent")
    if program is None:
        missing("rtorrent", "rtorrent from Debian")
    session = folder / "session"
    session.mkdir(exist_ok=True)
    address: Address = socket_path or ("127.0.0.1", free_port())
    if isinstance(address, Path):
        opening = f"network.scgi.open_local = {address}"
    else:
        opening = f"network.scgi.open_port = {address[0]}:{address[1]}"
    peers = free_port()
    settings = folder / "rtorrent.rc"
    settings.write_text(
        f"{opening}\n"
        f"session.path.set = {session}\n"
        f"directory.default.set = {folder}\n"
        "network.bind_address.set = 127.0.0.1\n"
        f"network.port_range.set = {peers}-{peers}\n"
        "dht.mode.set = disable\n"
        "trackers.use_udp.set = no\n"
        "system.daemon.set = true\n"
    )
    command = [program, "-n", "-o", f"import={settings}"]
    return Process("rtorrent", command, folder, address, environment={"HOME": str(folder)})
