"""heartbeat chooses by what servers have told mod_heartmonitor, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.heartbeat import MAX_SIZE, ByHeartbeat
from tests.pool.methods.members import make_member

NOW = 1_000_000.0


class Scene:
    """Members on 10.0.0.1 and so on, called a, b, c, and a file that was written just now."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.file = folder / "hb.dat"
        self.now = NOW
        self.members = [
            make_member(name, address=TcpAddress(f"10.0.0.{number}", 4000))
            for number, name in enumerate("abc"[:count], 1)
        ]
        self.method = ByHeartbeat(str(self.file), now=lambda: self.now, random=Random(1))

    def write(self, *lines: str, at: float | None = None) -> None:
        self.file.write_text("".join(f"{line}\n" for line in lines))
        at = self.now if at is None else at
        os.utime(self.file, (at, at))

    def shares(self, count: int = 1000) -> dict[str, int]:
        """How often each member is chosen; "" is nobody."""
        names = [
            chosen.label if (chosen := self.method.choose(self.members, None)) else ""
            for _ in range(count)
        ]
        return {name: names.count(name) for name in sorted(set(names))}


def line(number: int, ready: int, busy: int = 1, seen: int = 0) -> str:
    """As mod_heartmonitor writes it, the first ampersand included."""
    return f"10.0.0.{number} &ready={ready}&busy={busy}&lastseen={seen}&port=80"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_at_random_by_free_slots(scene: Scene) -> None:
    scene.write(line(1, 30), line(2, 10))
    shares = scene.shares()
    assert set(shares) == {"a", "b"}
    assert 700 < shares["a"] < 800


def test_an_idle_server_counts_with_a_fourth(scene: Scene) -> None:
    """Rounded down: three slots are none."""
    scene.write(line(1, 40, busy=0), line(2, 30))
    assert 200 < scene.shares()["a"] < 300
    scene.write(line(1, 3, busy=0), line(2, 1))
    assert scene.shares() == {"b": 1000}


@pytest.mark.parametrize(
    ("seen", "age", "counts"),
    [(0, 0, True), (9, 0, True), (10, 0, False), (0, 9.9, True), (0, 10, False), (5, 5, False)],
)
def test_ten_seconds_of_silence(scene: Scene, seen: int, age: float, counts: bool) -> None:
    """Those before the file was written, and those since."""
    scene.write(line(1, 5, seen=seen))
    scene.now += age
    assert scene.shares(1) == ({"a": 1} if counts else {"": 1})


def test_a_file_from_the_future_is_new(scene: Scene) -> None:
    scene.write(line(1, 5, seen=9), at=NOW + 60)
    assert scene.shares(1) == {"a": 1}


def test_nobody_has_a_slot(scene: Scene) -> None:
    """Neither the member, nor a server that is none of the members has one to give."""
    scene.write(line(1, 0), line(7, 100))
    assert scene.shares(1) == {"": 1}
    assert scene.method.explain() == (
        f"no member has told of a free slot within 10 s (HeartbeatStorage {scene.file})"
    )


def test_the_load_factor_means_nothing(scene: Scene) -> None:
    scene.members[0].factor = 10000
    scene.write(line(1, 1), line(2, 99))
    assert scene.shares()["b"] > 950


def test_only_candidates_are_chosen(scene: Scene) -> None:
    scene.write(line(1, 99), line(2, 1))
    del scene.members[0]
    assert scene.shares() == {"b": 1000}


def test_the_file_is_read_again_when_it_has_changed(scene: Scene) -> None:
    scene.write(line(1, 5))
    assert scene.shares(1) == {"a": 1}
    scene.now += 1
    scene.write(line(2, 5))
    assert scene.shares(1) == {"b": 1}


def test_the_file_is_not_read_again_before(scene: Scene) -> None:
    """Other text of the same size, time and inode is not looked at."""
    scene.write(line(1, 5))
    assert scene.shares(1) == {"a": 1}
    scene.write(line(2, 5))
    assert scene.shares(1) == {"a": 1}


def test_a_file_that_has_taken_the_place_of_another_is_read(scene: Scene, tmp_path: Path) -> None:
    """By its inode: same size, same time. So does mod_heartmonitor write it."""
    scene.write(line(1, 5))
    assert scene.shares(1) == {"a": 1}
    new = tmp_path / "new"
    new.write_text(line(2, 5) + "\n")
    os.utime(new, (NOW, NOW))
    new.rename(scene.file)
    assert scene.shares(1) == {"b": 1}


def test_the_forms_of_lines(scene: Scene, told: list[str]) -> None:
    """Comments, blank lines, any order of fields, unknown ones, and the last of two counts."""
    scene.write(
        "# servers",
        "",
        "10.0.0.1 busy=1&ready=9",
        "10.0.0.2 v=1&port=4000&lastseen=1&ready=5&busy=2&",
        line(1, 0),
    )
    assert scene.shares(5) == {"b": 5}
    assert told == []


def member_at(address: TcpAddress | UnixAddress, label: str) -> Backend:
    return make_member(label, address=address)


@pytest.mark.parametrize(
    ("member", "address"),
    [
        (member_at(TcpAddress("app.example", 4000), "scgi://app.example"), "App.example"),
        (member_at(TcpAddress("2001:db8::1", 4000), "scgi://[2001:db8::1]"), "2001:db8::1"),
        (member_at(UnixAddress("/s"), "unix:/s|scgi://10.9.9.9:80/x"), "10.9.9.9"),
    ],
)
def test_a_member_is_known_by_its_host_as_written(
    scene: Scene, member: Backend, address: str
) -> None:
    scene.members = [member]
    scene.write(f"{address} ready=1&busy=1")
    assert scene.shares(1) == {member.label: 1}


def test_a_socket_whose_label_has_no_host_has_no_slots(scene: Scene) -> None:
    scene.members = [member_at(UnixAddress("/s"), "unix:/s|scgi://a b/")]
    scene.write("a ready=1&busy=1")
    assert scene.shares(1) == {"": 1}


def test_without_a_file_nobody_has_slots(scene: Scene) -> None:
    method = ByHeartbeat(None)
    assert method.choose(scene.members, None) is None
    assert method.explain() == "it has no HeartbeatStorage"


class TestProblems:
    def test_a_file_that_is_not_there_yet(self, scene: Scene, told: list[str]) -> None:
        """It is told once, and once that it is there."""
        assert scene.shares(3) == {"": 3}
        problem = f"HeartbeatStorage {scene.file}: No such file or directory"
        assert scene.method.explain() == problem
        scene.write(line(1, 1))
        assert scene.shares(3) == {"a": 3}
        assert told == [
            f"warn: balancer.heartbeat: {problem}",
            f"info: balancer.heartbeat: {scene.file} is in order again",
        ]

    def test_a_file_that_goes_away(self, scene: Scene, told: list[str]) -> None:
        """What it said counts no more; nor does it if the very same file comes back late."""
        scene.write(line(1, 1))
        assert scene.shares(1) == {"a": 1}
        aside = scene.file.rename(scene.file.with_name("aside"))
        assert scene.shares(1) == {"": 1}
        aside.rename(scene.file)
        assert scene.shares(1) == {"a": 1}
        assert [one.split(":")[0] for one in told] == ["warn", "info"]

    @pytest.mark.parametrize(
        "bad",
        [
            "10.0.0.2",
            "10.0.0.2 ready",
            "10.0.0.2 ready=-1&busy=1",
            "10.0.0.2 ready=1e3",
            "10.0.0.2 ready=٣",
            "10.0.0.2 ready=9999999999",
            "10.0.0.2 free=1",
        ],
    )
    def test_a_line_that_is_none_is_left_out(self, scene: Scene, told: list[str], bad: str) -> None:
        """Only that line; it is told once, with its number."""
        scene.write(line(1, 1), bad)
        assert scene.shares(2) == {"a": 2}
        scene.now += 1
        scene.write(line(1, 2), bad)
        assert scene.shares(2) == {"a": 2}
        (one,) = told
        assert one == (
            f"warn: balancer.heartbeat: HeartbeatStorage {scene.file}:2: expected ADDRESS"
            f" ready=N&busy=N&lastseen=SECONDS&port=N, got {bad!r}"
        )

    def test_what_is_no_text_is_left_out(self, scene: Scene, told: list[str]) -> None:
        scene.file.write_bytes(b"\xff\x00\x1b[2J\n10.0.0.1 ready=1&busy=1\n")
        os.utime(scene.file, (NOW, NOW))
        assert scene.shares(1) == {"a": 1}
        (one,) = told
        assert "\x1b" not in one

    def test_a_file_without_end(self, scene: Scene, told: list[str]) -> None:
        """It is read up to a bound, once, and not used."""
        scene.file.write_bytes(b"10.0.0.1 ready=1&busy=1\n" + b"#" * MAX_SIZE)
        assert scene.shares(2) == {"": 2}
        (one,) = told
        assert one == (
            f"warn: balancer.heartbeat: HeartbeatStorage {scene.file}: it is over {MAX_SIZE}"
            " bytes; expected a line for each server"
        )

    def test_a_fifo_keeps_nobody_waiting(self, scene: Scene) -> None:
        os.mkfifo(scene.file)
        assert scene.shares(1) == {"": 1}
        assert scene.method.explain().endswith("it is no regular file")

    def test_a_directory(self, scene: Scene) -> None:
        scene.file.mkdir()
        assert scene.shares(1) == {"": 1}
        assert scene.method.explain().endswith("Is a directory")
