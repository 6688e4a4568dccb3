"""The course of a soak: rounds of disturbances, and a rest at the end of each."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.bench import programs
from tests.certificates import Authority
from tests.soak.application import pattern
from tests.soak.clients import FILE, Crowd
from tests.soak.gateway import SoakedGateway, wait_until
from tests.soak.members import Application
from tests.soak.readings import Reading, Trend, busy, read

MEMBERS = 3


@dataclass
class Course:
    """What has been seen so far."""

    gateway: SoakedGateway
    crowd: Crowd
    pid: int
    begun: float = field(default_factory=time.monotonic)
    rests: list[Reading] = field(default_factory=list)
    most: Reading = field(default_factory=lambda: Reading(0.0, 0, 0, 0))
    wrong: list[str] = field(default_factory=list)
    _told: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    @property
    def trend(self) -> Trend:
        return Trend(self.rests)

    def news(self) -> list[str]:
        """What clients have seen that is wrong, since the last time."""
        before, self._told = self._told, len(self.crowd.wrong)
        return self.crowd.wrong[before : self._told]

    def judge(self) -> list[str]:
        """All that is wrong."""
        return [*self.wrong, *self.crowd.wrong, *self.gateway.trouble(), *self.trend.wrong()]

    # -- while there is traffic ----------------------------------------------------------------

    def look(self) -> None:
        """Remember the most that is held."""
        now = read(self.pid, self.seconds)
        self.most = Reading(
            now.seconds,
            max(now.resident, self.most.resident),
            max(now.descriptors, self.most.descriptors),
            max(now.threads, self.most.threads),
        )

    def wait(self, until: float) -> None:
        """Look each two seconds until then."""
        while (left := until - time.monotonic()) > 0:
            self.look()
            time.sleep(min(2.0, left))

    # -- at rest -------------------------------------------------------------------------------

    def rest(self) -> None:
        """Nobody asks for anything: read what is held, when all has ended. Everything serves."""
        self.crowd.rest()
        still: list[str] = []

        def is_idle() -> bool:
            still[:] = busy(self.gateway.get("/metrics").text)
            return not still

        try:
            wait_until(is_idle, "nothing is under way")
        except TimeoutError:
            self.wrong.append(f"at rest there are: {'; '.join(still)}")
        self._all_serve()
        time.sleep(1.0)
        counts: list[int] = []

        def is_settled() -> bool:
            counts.append(read(self.pid, 0.0).descriptors)
            return len(counts) > 10 and len(set(counts[-10:])) == 1

        wait_until(is_settled, "the number of descriptors settles")
        self.rests.append(read(self.pid, self.seconds))

    def _all_serve(self) -> None:
        """Also those that had crashed: who is served twice as often as there are members sees all."""

        def is_well() -> bool:
            answers = [self.gateway.get("/lb/x?do=bytes&size=100") for _ in range(2 * MEMBERS)]
            return all((each.status, each.body) == (200, pattern(100)) for each in answers)

        try:
            wait_until(is_well, "all members serve")
        except TimeoutError as error:
            self.wrong.append(str(error))


@contextmanager
def soaking(clients: int, pause: float, seed: int, workers: int) -> Iterator[Course]:
    """A gateway, its applications and its clients, who wait."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        for name in ("files", "spool"):
            (folder / name).mkdir()
        (folder / "files" / "download").write_bytes(FILE)
        authority = Authority()
        (folder / "ca.pem").write_bytes(authority.certificate)
        authority.issue("localhost").write(folder / "server.pem")
        plain = folder / "members"
        plain.mkdir()
        applications = [Application(folder, 4), *(Application(plain) for _ in range(MEMBERS))]
        for each in applications:
            stack.enter_context(each)
        gateway = SoakedGateway(folder, applications, workers)
        pid = stack.enter_context(programs.running(gateway.command, gateway.port))
        crowd = Crowd(("127.0.0.1", gateway.port), clients, pause, seed)
        stack.callback(crowd.stop)
        yield Course(gateway, crowd, pid)


def soak(
    course: Course, seconds: float, every: float, tell: Callable[[Course], object], reloads: bool
) -> None:
    """Rounds of `every` seconds, with a rest after each, until `seconds` are over.

    `tell` is called after each. Raises TimeoutError when the gateway cannot go on.
    """
    _, *members = course.gateway.applications
    turns = cycle(members)
    end = course.begun + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        course.crowd.go()
        disturbances: list[Callable[[], object]] = [
            lambda: next(turns).restart(every / 20),
            lambda: next(turns).doze(min(3.0, every / 10)),
        ]
        if reloads:
            disturbances += [
                lambda: course.gateway.reload(course.pid),
                lambda: course.gateway.reload_broken(course.pid),
                lambda: course.gateway.reload(course.pid),
            ]
        for number, disturb in enumerate(disturbances, 1):
            course.wait(begun + every * number / (len(disturbances) + 1))
            disturb()
        course.wait(begun + every)
        course.rest()
        tell(course)
