"""The servers that are measured, and how each is configured for the same `Site`.

Alike for all: connections stay open without limit, no access log (unless it is what is measured),
files go out by sendfile, the worker processes run as nobody when the benchmark runs as root. All
else is as each server has it by default, Apache's event MPM too; what differs from that is said at
its line.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.bench import programs

GATEWAY = "gateway"
_IDLE = 300
"""Seconds for which a connection of a client stays open without a request."""
_AS_ROOT = os.geteuid() == 0
_GROUP = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name


@dataclass(frozen=True)
class Site:
    """What a server is configured to do.

    - `backends`: where the origin listens, each a port of 127.0.0.1 or the path of a UNIX socket;
      more than one, or `balanced`, makes a balancer of them.
    - `mounts`: the paths under which it is reached.
    - `streams`: an answer is handed on as it comes, by servers that would store it first.
    - `files`: the folder from which the origin may name a file, if it does.
    - `idle`: how many idle connections must fit.
    """

    backends: tuple[str, ...]
    mounts: tuple[str, ...] = ("/",)
    balanced: bool = False
    streams: bool = False
    files: Path | None = None
    access_log: bool = False
    idle: int = 0
    workers: int = 1


class Server:
    """One of the servers. `file` is the last part of the path at which the origin names a file in
    a way that this server knows."""

    name: str
    file = "x-sendfile"

    def missing(self) -> str | None:
        """Why it cannot be measured here."""
        return None

    def version(self) -> str:
        raise NotImplementedError

    def configuration(self, site: Site, folder: Path, port: int) -> str:
        """`folder` is where its logs and temporary files go."""
        raise NotImplementedError

    def command(self, config: Path, site: Site) -> list[str]:
        """What starts it in the foreground, with the configuration in the file `config`."""
        raise NotImplementedError

    def configured(self, site: Site, folder: Path, port: int) -> list[str]:
        """What starts it in the foreground; its configuration is written into `folder`."""
        temporary = folder / "temporary"
        temporary.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o777)  # for servers that run as nobody
        config = folder / f"{self.name}.conf"
        config.write_text(self.configuration(site, folder, port))
        return self.command(config, site)


def _program(name: str) -> str | None:
    """Where a server is: often not on the PATH of an ordinary user."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class _Installed(Server):
    """A server of the system."""

    def missing(self) -> str | None:
        return None if _program(self.program) else f"{self.program} is not installed"

    def version(self) -> str:
        said = subprocess.run([self.path(), "-v"], capture_output=True, text=True, check=True)
        found = re.search(r"/(\d[\d.]*)", said.stdout + said.stderr)
        return found[1] if found else "of unknown version"

    program: str

    def path(self) -> str:
        path = _program(self.program)
        assert path is not None
        return path


def _proxy_url(backend: str) -> str:
    """As Apache and the gateway write it."""
    if backend.startswith("/"):
        return f"unix:{backend}|scgi://localhost/"
    return f"scgi://127.0.0.1:{backend}/"


def _apaches_lines(site: Site, folder: Path, port: int) -> list[str]:
    """What Apache and the gateway have in common."""
    lines = [
        f"Listen 127.0.0.1:{port}",
        "ServerName localhost",
        "KeepAlive On",
        "MaxKeepAliveRequests 0",
        f"KeepAliveTimeout {_IDLE}",
    ]
    if site.access_log:
        lines.append(f'CustomLog "{folder}/access.log" combined')
    if site.files:
        lines.append("ProxySCGISendfile On")
    url = _proxy_url(site.backends[0])
    if site.balanced:
        members = [f"BalancerMember {_proxy_url(each)[:-1]}" for each in site.backends]
        lines += ["<Proxy balancer://origin>", *members, "</Proxy>"]
        url = "balancer://origin/"
    return lines + [f"ProxyPass {mount} {url}" for mount in site.mounts]


class Gateway(Server):
    name = GATEWAY

    def version(self) -> str:
        room = find_spec("scgiproxy.scgi.response")
        compiled = room is not None and not str(room.origin).endswith(".py")
        how = " compiled" if compiled else ""
        return f"{version('scgiproxy')}{how}, Twisted {version('Twisted')}"

    def has_workers(self) -> bool:
        said = subprocess.run(
            [programs.twistd(), "scgiproxy", "--help"], capture_output=True, text=True, check=True
        )
        return "--workers" in said.stdout

    def configuration(self, site: Site, folder: Path, port: int) -> str:
        lines = _apaches_lines(site, folder, port)
        if site.files:
            lines.append(f'XSendFilePath "{site.files}"')
        return "\n".join(lines) + "\n"

    def command(self, config: Path, site: Site) -> list[str]:
        workers = [] if site.workers == 1 else ["--workers", str(site.workers)]
        return programs.gateway(config, *workers)


class Apache(_Installed):
    name = "apache"
    program = "apache2"
    _MODULES = "mpm_event authz_core proxy proxy_scgi"
    _BALANCER = "slotmem_shm proxy_balancer lbmethod_byrequests"
    _FOLDERS = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))

    def missing(self) -> str | None:
        if not any(folder.is_dir() for folder in self._FOLDERS):
            return "the modules of Apache httpd are not installed"
        return super().missing()

    def configuration(self, site: Site, folder: Path, port: int) -> str:
        modules = next(filter(Path.is_dir, self._FOLDERS), self._FOLDERS[0])
        names = f"{self._MODULES} {self._BALANCER if site.balanced else ''}".split()
        lines = [
            f'ServerRoot "{folder}"',
            f'DefaultRuntimeDir "{folder}"',
            f'PidFile "{folder}/httpd.pid"',
            f'ErrorLog "{folder}/apache.log"',
            *(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names),
            *(["User nobody", f"Group {_GROUP}"] if _AS_ROOT else []),
            'LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined',
            "EnableSendfile On",
            *self._for_idle_connections(site.idle),
            *_apaches_lines(site, folder, port),
        ]
        return "\n".join(lines) + "\n"

    def command(self, config: Path, site: Site) -> list[str]:
        return [self.path(), "-f", str(config), "-DFOREGROUND"]

    @staticmethod
    def _for_idle_connections(count: int) -> list[str]:
        """By default 1200 connections at most are open: 400 threads, and two idle ones for each."""
        return [f"AsyncRequestWorkerFactor {count // 50}"] if count else []


class Nginx(_Installed):
    name = program = "nginx"
    file = "x-accel"
    _PARAMETERS = (
        "REQUEST_METHOD REQUEST_URI QUERY_STRING CONTENT_TYPE DOCUMENT_URI DOCUMENT_ROOT"
        " SERVER_PROTOCOL REQUEST_SCHEME REMOTE_ADDR REMOTE_PORT SERVER_PORT SERVER_NAME"
    )
    """Those of the file ``scgi_params`` that comes with it, and SCGI."""
    _SITE = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes 1;
worker_rlimit_nofile {files};
{user}
events {{ worker_connections {connections}; }}
http {{
    access_log {log};
    sendfile on;
    keepalive_timeout {idle}s;
    keepalive_requests 1000000000;
    client_max_body_size 100m;
    client_body_temp_path {folder}/temporary/body;
    scgi_temp_path {folder}/temporary/scgi;
    proxy_temp_path {folder}/temporary/proxy;
    fastcgi_temp_path {folder}/temporary/fastcgi;
    uwsgi_temp_path {folder}/temporary/uwsgi;
    scgi_param SCGI 1;
    {parameters}
    {streaming}
    {upstream}
    server {{
        listen 127.0.0.1:{port};
        server_name localhost;
        {locations}
    }}
}}
"""

    def configuration(self, site: Site, folder: Path, port: int) -> str:
        where = [f"unix:{each}" if "/" in each else f"127.0.0.1:{each}" for each in site.backends]
        target = "origin" if site.balanced else where[0]
        members = " ".join(f"server {each};" for each in where)
        locations = [f"location {mount} {{ scgi_pass {target}; }}" for mount in site.mounts]
        if site.files:
            locations.append(f"location /files/ {{ internal; alias {site.files}/; }}")
        names = self._PARAMETERS.split()
        return self._SITE.format(
            folder=folder,
            port=port,
            idle=_IDLE,
            # By default 512, which are those of clients and of backends together.
            connections=max(4096, 2 * site.idle),
            files=max(8192, 4 * site.idle),
            user=f"user nobody {_GROUP};" if _AS_ROOT else "",
            log=f"{folder}/access.log combined" if site.access_log else "off",
            # By default an answer is stored in a file as fast as it comes.
            streaming="scgi_max_temp_file_size 0;" if site.streams else "",
            parameters="\n    ".join(
                f"scgi_param {name} ${_nginx_variable(name)};" for name in names
            ),
            upstream=f"upstream origin {{ {members} }}" if site.balanced else "",
            locations="\n        ".join(locations),
        )

    def command(self, config: Path, site: Site) -> list[str]:
        log = str(config.with_suffix(".log"))
        return [self.path(), "-p", str(config.parent), "-e", log, "-c", str(config)]


def _nginx_variable(name: str) -> str:
    return {"REQUEST_SCHEME": "scheme"}.get(name, name.lower())


class Lighttpd(_Installed):
    name = program = "lighttpd"

    def configuration(self, site: Site, folder: Path, port: int) -> str:
        hosts = ",\n".join(self._host(each, site) for each in site.backends)
        modules = '"mod_scgi", "mod_accesslog"' if site.access_log else '"mod_scgi"'
        lines = [
            f"server.modules = ({modules})",
            f'server.document-root = "{folder}"',
            'server.bind = "127.0.0.1"',
            f"server.port = {port}",
            f'server.errorlog = "{folder}/temporary/error.log"',
            f'server.upload-dirs = ("{folder}/temporary")',
            f"server.max-keep-alive-idle = {_IDLE}",
            # The most it takes; 0 would mean that none stays open.
            "server.max-keep-alive-requests = 65535",
            f"server.max-fds = {max(8192, 4 * site.idle)}",
            "scgi.server = (",
            *(f'"{mount}" => ({hosts}),' for mount in site.mounts),
            ")",
        ]
        if site.access_log:
            lines.append(f'accesslog.filename = "{folder}/temporary/access.log"')
        if site.streams:  # by default an answer is stored in a file until it is whole
            lines.append("server.stream-response-body = 2")
        if _AS_ROOT:
            lines.append('server.username = "nobody"')
        return "\n".join(lines) + "\n"

    def command(self, config: Path, site: Site) -> list[str]:
        return [self.path(), "-D", "-f", str(config)]

    @staticmethod
    def _host(backend: str, site: Site) -> str:
        words = ['"check-local" => "disable"']
        if "/" in backend:
            words.append(f'"socket" => "{backend}"')
        else:
            words += ['"host" => "127.0.0.1"', f'"port" => {backend}']
        if site.files:
            words += ['"x-sendfile" => "enable"', f'"x-sendfile-docroot" => ("{site.files}")']
        return f"({', '.join(words)})"


SERVERS: tuple[Server, ...] = (Gateway(), Apache(), Nginx(), Lighttpd())
