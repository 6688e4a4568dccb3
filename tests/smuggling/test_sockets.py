"""Every case on sockets: a gateway in a process of its own, and a backend that records."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.e2e.processes import wait_until
from tests.smuggling.case import LAST, Case
from tests.smuggling.cases import CASES
from tests.smuggling.conftest import Scene, read_all
from tests.smuggling.recording import Asked
from tests.smuggling.sites import write_files
from tests.web.answers import Answer, parse_answers

pytestmark = pytest.mark.e2e

_HEAD_LINE = re.compile(rb"[ -~\x80-\xff]*")


def check_answers(case: Case, received: bytes, answers: list[Answer]) -> None:
    """Their number and statuses, and that nothing of the request is in a head or is a tag."""
    statuses = [answer.status for answer in answers]
    assert len(statuses) == len(case.answers), received
    for status, right in zip(statuses, case.answers, strict=True):
        assert status in (right if isinstance(right, tuple) else (right,)), received
    assert all(answer.whole for answer in answers)
    assert b"<script" not in received
    for part in received.split(b"\r\n\r\n"):
        if part.startswith(b"HTTP/"):
            assert all(_HEAD_LINE.fullmatch(line) for line in part.split(b"\r\n")), part


def check_asked(case: Case, asked: list[Asked]) -> None:
    """What the backend has seen, and nothing else."""
    assert [str(each) for each in asked] == list(case.seen)
    if case.bodies is not None:
        assert [each.body for each in asked] == list(case.bodies)
    for each in asked[:1]:
        found = {name: each.variables.get(name) for name in case.variables}
        assert found == dict(case.variables)


@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_it(scene: Scene, name: str) -> None:
    """As many answers as there are requests, the right ones; the end where there must be one."""
    case = CASES[name]
    if case.waits:
        check_that_it_waits(scene, case)
        return
    with closing(scene.connect(case.site)) as connection:
        connection.sendall(case.data + (LAST if case.stays_open else b""))
        received = read_all(connection)
    methods = [each.split()[0] for each in case.seen]
    answers = [each for each in parse_answers(received, methods=methods) if each.status != 100]
    asked = scene.backend.take()
    assert answers, received
    assert answers[-1]["connection"] == "close"
    if case.stays_open:
        check_that_it_was_the_last(case, answers.pop(), asked)
    check_answers(case, received, answers)
    check_asked(case, asked)
    check_order(answers, asked)


def check_order(answers: list[Answer], asked: list[Asked]) -> None:
    """Each answer is that to the request in its place."""
    if [answer.status for answer in answers] == [200] * len(asked):
        for answer, each in zip(answers, asked, strict=True):
            to_head = each.variables["REQUEST_METHOD"] == "HEAD"
            assert answer.body == (b"" if to_head else str(each).encode("latin-1"))


def check_that_it_was_the_last(case: Case, answer: Answer, asked: list[Asked]) -> None:
    """Both ends agree on where the request behind the case began."""
    if case.site == "static":
        assert answer.status == 404
        return
    assert answer.status == 200
    assert answer.body == b"GET /last"
    assert str(asked.pop()) == "GET /last"


def check_that_it_waits(scene: Scene, case: Case) -> None:
    """Nothing is answered, and nothing asked, that is not there; then the client leaves."""
    with closing(scene.connect(case.site)) as connection:
        connection.sendall(case.data)
        with closing(scene.connect(case.site)) as other:
            other.sendall(LAST)
            assert read_all(other).endswith(b"GET /last")
        connection.setblocking(False)
        with suppress(BlockingIOError):
            pytest.fail(f"neither an answer nor the end is due: {connection.recv(1000)!r}")
    # What was begun is told of when it is cut short.
    asked: list[Asked] = []
    count = len(case.seen) + 1
    wait_until(lambda: asked.extend(scene.backend.take()) or len(asked) == count, "seen")
    check_asked(case, [each for each in asked if str(each) != "GET /last"])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.waits])
def test_in_two_pieces(scene: Scene, name: str) -> None:
    """Cut in the middle: the same, and no more of it."""
    case = CASES[name]
    whole = case.data + (LAST if case.stays_open else b"")
    with closing(scene.connect(case.site)) as connection:
        half = len(case.data) // 2
        connection.sendall(whole[:half])
        with closing(scene.connect("static")) as other:
            other.sendall(LAST)
            read_all(other)
        with suppress(BrokenPipeError):
            connection.sendall(whole[half:])
        received = read_all(connection)
    seen = [each.split()[0] for each in case.seen]
    answers = [each for each in parse_answers(received, methods=seen) if each.status != 100]
    asked = scene.backend.take()
    if case.stays_open:
        check_that_it_was_the_last(case, answers.pop(), asked)
    check_answers(case, received, answers)
    check_asked(case, asked)
    check_order(answers, asked)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 120


def test_files_that_must_not_be_served_are_there(tmp_path: Path) -> None:
    """A case that finds nothing shows nothing, were there nothing to find."""
    write_files(tmp_path)
    assert (tmp_path / "static/../secret.txt").read_text() == "secret"
