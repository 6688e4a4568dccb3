"""The works: what is asked of a server that is configured in which way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.loads import Load
from tests.bench.measuring import TEN_MB, Measure, beside, idle, steady
from tests.bench.servers import GATEWAY, Site

SMALL, LARGE, UPLOAD = 1024, TEN_MB, 1_000_000
MEMBERS = 16
ALL: tuple[str, ...] = (GATEWAY, "apache", "nginx", "lighttpd")
ALONE = (GATEWAY,)


@dataclass(frozen=True)
class Origin:
    """Where the origin listens: `MEMBERS` ports, one UNIX socket; and the folder of its file."""

    ports: Sequence[int]
    socket: Path
    files: Path

    def site(self, *, members: int = 1, unix: bool = False, **more: object) -> Site:
        ports = tuple(str(port) for port in self.ports[:members])
        return Site((str(self.socket),) if unix else ports, **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Work:
    """One work. Those of the same letter, the first of `name`, are measured in the same rounds.

    `per` is what its CPU time is told for.
    """

    name: str
    title: str
    site: Callable[[Origin], Site]
    measure: Measure
    servers: tuple[str, ...] = ALL
    per: str = "request"

    @property
    def letter(self) -> str:
        return self.name[0]


def _small(connections: int = 32, path: str = f"/{SMALL}", headers: int = 1) -> Load:
    """1 KiB answers; Host is one of the headers."""
    more = [f"X-Header-{number:02}: the value of header {number}" for number in range(40)]
    usual = ["User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: text/html, */*;q=0.8"]
    usual += ["Accept-Language: en, de;q=0.7", "Accept-Encoding: gzip, deflate"]
    return Load(path, SMALL, connections, tuple([*usual, *more][: headers - 1]))


def _answers(letter: str, where: str, unix: bool) -> list[Work]:
    return [
        Work(
            f"{letter}-{count}",
            f"1 KiB answers, {where}, {count} client{'s' if count > 1 else ''}",
            lambda origin: origin.site(unix=unix),
            steady(_small(count)),
        )
        for count in (1, 32, 512)
    ]


def _mounts(count: int) -> Work:
    paths = tuple(f"/m{number:04}/" for number in range(count))
    return Work(
        f"g-mounts-{count}",
        f"{count} mounts, the last one is asked",
        lambda origin: origin.site(mounts=paths),
        steady(_small(path=f"{paths[-1]}{SMALL}")),
        ALONE,
    )


def _headers(count: int) -> Work:
    return Work(
        f"g-headers-{count}",
        f"{count} request headers",
        Origin.site,
        steady(_small(headers=count)),
        ALONE,
    )


def _balancer(count: int) -> Work:
    return Work(
        f"g-balancer-{count}",
        f"balancer of {count}",
        lambda origin: origin.site(members=count, balanced=True),
        steady(_small()),
        ALONE,
    )


def _upload(name: str, chunked: bool) -> Work:
    return Work(
        f"e-{name}",
        f"1 MB upload, {'chunked' if chunked else 'with a length'}, 8 clients",
        Origin.site,
        steady(Load("/16", 16, 8, upload=UPLOAD, chunked=chunked)),
        per="upload",
    )


def _workers(count: int) -> Work:
    return Work(
        f"i-{count}",
        f"{count} worker{'s' if count > 1 else ''}, 1 KiB answers, 64 clients",
        lambda origin: origin.site(workers=count),
        steady(_small(64)),
        ALONE,
    )


WORKS: tuple[Work, ...] = (
    *_answers("a", "TCP", unix=False),
    *_answers("b", "UNIX socket", unix=True),
    Work(
        "c",
        "10 MB streamed from the origin, 4 clients",
        lambda origin: origin.site(streams=True),
        steady(Load(f"/{LARGE}", LARGE, 4), per_bytes=TEN_MB),
        per="10 MB",
    ),
    Work(
        "d",
        "10 MB by X-Sendfile, 4 clients",
        lambda origin: origin.site(files=origin.files),
        steady(Load("/{file}", LARGE, 4), per_bytes=TEN_MB),
        per="10 MB",
    ),
    _upload("length", chunked=False),
    _upload("chunked", chunked=True),
    Work(
        "f",
        "2 000 idle keep-alive connections",
        lambda origin: origin.site(idle=2000),
        idle(_small(), 2000),
    ),
    Work("g-log-off", "access log off", Origin.site, steady(_small())),
    Work(
        "g-log-on", "access log on", lambda origin: origin.site(access_log=True), steady(_small())
    ),
    *map(_mounts, (10, 1000)),
    *map(_headers, (5, 40)),
    *map(_balancer, (1, MEMBERS)),
    Work(
        "h",
        "one client beside 200 slow readers of 10 MB",
        lambda origin: origin.site(streams=True),
        beside(_small(1), Load(f"/{LARGE}", LARGE, 200, slowly=160_000, warm=2)),
    ),
    *map(_workers, (1, 2, 4)),
)


def chosen(words: Sequence[str]) -> list[Work]:
    """The works of these names and letters, or whose names begin so and go on with ``-``; all for
    none. Raises `ValueError` for a word that fits none."""
    for word in words:
        if not any(_fits(work, word) for work in WORKS):
            names = ", ".join(work.name for work in WORKS)
            raise ValueError(f"no work is called {word!r}; there are {names}, and their letters")
    return [work for work in WORKS if not words or any(_fits(work, word) for word in words)]


def _fits(work: Work, word: str) -> bool:
    return work.name == word or work.name.startswith(f"{word}-")
