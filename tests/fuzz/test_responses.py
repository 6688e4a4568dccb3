"""The bytes of backends: what was found once, what changes of it find, and that the checks can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgiproxy.scgi.response import ResponseHead, ResponseParser
from tests.fuzz.changes import Changes
from tests.fuzz.engines import MOST_KEPT
from tests.fuzz.frame import LONGEST
from tests.fuzz.heads import read
from tests.fuzz.responses import GOOD, KINDS, MODES, REQUESTS, WORDS, Mode, Responses
from tests.web.harness import OK, STREAM
from tests.web.test_exchange import MALFORMED_HEADS

TARGET = Responses()
SEEDS = TARGET.seeds()
KEPT = TARGET.kept()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """After a failure its connections may be left."""
    yield
    if not TARGET.is_idle:
        globals()["TARGET"] = Responses()


@pytest.mark.parametrize("name", KEPT)
def test_what_was_found(name: str) -> None:
    TARGET.check(KEPT[name])


def test_what_is_kept_is_small() -> None:
    assert 10 < len(KEPT) <= MOST_KEPT
    assert all(len(data) <= LONGEST for data in KEPT.values())
    assert sum(map(len, KEPT.values())) < 200_000


@pytest.mark.parametrize("number", range(MODES))
def test_good_and_bad_ones_in_each_mode(number: int) -> None:
    for data in (*GOOD, *MALFORMED_HEADS.values()):
        TARGET.check(bytes((number,)) + data)


inputs = st.tuples(
    st.integers(0, MODES - 1).map(lambda number: bytes((number,))),
    st.lists(
        st.one_of(st.sampled_from(WORDS), st.sampled_from(GOOD), st.binary(max_size=20)),
        max_size=8,
    ).map(b"".join),
).map(b"".join)


@given(inputs)
@settings(max_examples=300)
def test_words_in_any_order(data: bytes) -> None:
    TARGET.check(data[:LONGEST])


@given(st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_changes_of_seeds(number: int) -> None:
    TARGET.check(Changes(SEEDS, TARGET.words, number).make())


@pytest.mark.parametrize("tail", [b"\r\n", b"a", b"X: y\r\n", b"Status: 200\r\n", OK, STREAM])
@pytest.mark.parametrize(
    "start", [b"", b"Status: 200 OK\r\n", b"X: y", b"HTTP/1.1 ", STREAM, OK, OK[:-2]]
)
@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_nothing_is_held_of_what_goes_on(start: bytes, tail: bytes, kind: int) -> None:
    """With an upload under way, and without one."""
    for request in (0, 6):
        TARGET.check_memory(Mode(kind * len(REQUESTS) * 3 + request), start, tail)


# -- the reference reader ----------------------------------------------------------------------


@pytest.mark.parametrize("name", MALFORMED_HEADS)
def test_it_refuses_what_is_no_answer(name: str) -> None:
    assert read(MALFORMED_HEADS[name]).malformed


@pytest.mark.parametrize("data", GOOD)
def test_it_reads_what_the_gateway_reads(data: bytes) -> None:
    said = read(data)
    head = ResponseParser().feed(data)[0]
    assert isinstance(head, ResponseHead)
    assert said.complete
    assert head.headers == said.fields
    assert head.content_length == said.length
    assert said.status in (None, head.status)


# -- the checks themselves ---------------------------------------------------------------------

GET, HEAD, UPLOAD = Mode(0), Mode(1), Mode(6)


def _expect(data: bytes, other: bytes, mode: Mode = GET) -> None:
    """A backend that sends `data` is taken for one that has sent `other`."""
    with pytest.raises(AssertionError):
        Responses().check_exchange(mode, data, read(other))


def test_another_answer_is_found() -> None:
    _expect(OK, OK.replace(b"hello", b"jello"))
    _expect(OK, OK.replace(b"200 OK", b"201 OK"))
    _expect(OK, b"nonsense\r\n\r\n")
    _expect(b"nonsense\r\n\r\n", OK)
    _expect(OK[:-1], OK)
    _expect(STREAM + b"hello", STREAM + b"hello more")


def test_a_field_that_nobody_has_sent_is_found() -> None:
    added = OK.replace(b"Content-Type", b"X-Split: 1\r\nContent-Type")
    _expect(added, OK)
    _expect(added, OK, HEAD)


def test_a_second_answer_is_found() -> None:
    """In the place of a body that nobody has asked for."""
    target = Responses()
    client = target._gateways["plain"].client()
    client.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2)
    with pytest.raises(AssertionError):
        target._answers(client, GET)


def test_an_answer_that_is_cut_without_an_abort_is_found() -> None:
    target = Responses()
    client = target._gateways["plain"].client()
    client.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    with pytest.raises(AssertionError):
        target._answers(client, GET)


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\x1b"])
def test_a_control_byte_in_a_head_is_found(byte: bytes) -> None:
    target = Responses()
    client = target._gateways["plain"].client()
    client.transport.write(b"HTTP/1.1 200 OK\r\nX: a%bb\r\nContent-Length: 0\r\n\r\n" % byte)
    with pytest.raises(AssertionError):
        target._answers(client, GET)


def test_an_exception_is_found(
    logged_errors: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("an error that is none of a backend's")

    target = Responses()
    gateway = target._gateways["plain"]
    monkeypatch.setattr(gateway.pool, "dispatch", fail)
    with pytest.raises(AssertionError, match="none of a backend's"):
        target.check(bytes((0,)) + OK)
    logged_errors.clear()


def test_what_is_held_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytearray] = []
    monkeypatch.setattr(
        "tests.web.harness.Client.take", lambda client: kept.append(bytearray(50_000))
    )
    with pytest.raises(AssertionError, match="bytes are held"):
        Responses().check_memory(GET, STREAM, b"a")
