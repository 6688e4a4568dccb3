"""The bytes of clients: what was found once, what changes of it find, and that the checks can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.changes import Changes
from tests.fuzz.engines import MOST_KEPT
from tests.fuzz.frame import LONGEST, pieces_of
from tests.fuzz.reference import parse
from tests.fuzz.requests import WORDS, Requests
from tests.smuggling.case import ADMIN
from tests.smuggling.cases import CASES, chunks, codings, lengths, lines

TARGET = Requests()
SEEDS = TARGET.seeds()
KEPT = TARGET.kept()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """After a failure its connections may be left."""
    yield
    if TARGET.gateway.site.channels:
        globals()["TARGET"] = Requests()


@pytest.mark.parametrize("name", KEPT)
def test_what_was_found(name: str) -> None:
    TARGET.check(KEPT[name])


def test_what_is_kept_is_small() -> None:
    assert 10 < len(KEPT) <= MOST_KEPT
    assert all(len(data) <= LONGEST for data in KEPT.values())
    assert sum(map(len, KEPT.values())) < 200_000


@pytest.mark.parametrize("name", CASES)
def test_seeds(name: str) -> None:
    TARGET.check(CASES[name].data)


inputs = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(SEEDS), st.binary(max_size=20)), max_size=8
).map(b"".join)


@given(inputs)
@settings(max_examples=300)
def test_words_in_any_order(data: bytes) -> None:
    TARGET.check(data[:LONGEST])


@given(st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_changes_of_seeds(number: int) -> None:
    TARGET.check(Changes(SEEDS, WORDS, number).make())


@given(inputs, st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=200)))
@settings(max_examples=25)
def test_nothing_is_held_of_what_goes_on(data: bytes, tail: bytes) -> None:
    TARGET.check_memory(data, tail)


@pytest.mark.parametrize("tail", [b"\r\n", b"a", b";", b"0", b"X: y\r\n", b"1\r\na\r\n", ADMIN])
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n",
    ],
)
def test_nothing_is_held_of_these(start: bytes, tail: bytes) -> None:
    TARGET.check_memory(start, tail)


def test_pieces_are_those_of_the_data() -> None:
    data = bytes(range(256)) * 4
    assert b"".join(pieces_of(data)) == data
    assert pieces_of(data) == pieces_of(data)
    assert pieces_of(b"") == []


# -- the reference parser ----------------------------------------------------------------------

MALFORMED = [
    case
    for module in (lengths, codings, chunks, lines)
    for case in module.CASES
    if case.answers == (400,) and case.data.endswith(ADMIN)
]


NO_GRAMMAR = {
    "length-500-zeros",
    "coding-blanks-behind",
    "chunk-extension-of-5000-bytes",
    "chunk-5000-zeros",
    "trailer-length",
    "trailer-coding",
    "line-connect",
    "line-connect-with-a-path",
    "line-trace-with-a-body",
}
"""Those that are refused for their size, or for what they mean."""


def test_it_refuses_what_is_no_request() -> None:
    """Or what is smuggled would be found in it, too, and nobody would notice."""
    lenient = {case.name for case in MALFORMED if b"/admin" in _targets(case.data)}
    assert lenient == NO_GRAMMAR


def _targets(data: bytes) -> list[bytes]:
    return [request.target for request in parse(data).requests]


def test_it_reads_what_is_served() -> None:
    for case in CASES.values():
        seen = [each.split(" ")[1].encode("latin-1") for each in case.seen]
        assert set(seen) <= set(_targets(case.data)), case.name


# -- the checks themselves ---------------------------------------------------------------------


def test_a_request_too_many_is_found() -> None:
    """At the reader, and at a backend."""
    with pytest.raises(AssertionError):
        TARGET.check_cuts(ADMIN * 2, [ADMIN, ADMIN], parse(ADMIN))
    with pytest.raises(AssertionError, match="nobody has requested"):
        Requests().check_exchange([ADMIN * 2], parse(ADMIN), at_once=False)


def test_another_body_is_found() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    with pytest.raises(AssertionError):
        TARGET.check_cuts(data + b"hello", [data, b"hello"], parse(data + b"jello"))
    with pytest.raises(AssertionError):
        Requests().check_exchange([data + b"hello"], parse(data + b"jello"), at_once=False)


def test_a_request_that_is_not_answered_is_found() -> None:
    with pytest.raises(AssertionError):
        Requests().check_exchange([ADMIN], parse(ADMIN * 2), at_once=True)


def test_an_exception_is_found(logged_errors: list[object]) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("an error that is none of a client's")

    target = Requests()
    target.pool.dispatch = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(AssertionError, match="none of a client's"):
        target.check(ADMIN)
    logged_errors.clear()


def test_what_is_held_is_found() -> None:
    class Keeping(Requests):
        def serve(self) -> None:
            super().serve()
            kept.append(bytearray(50_000))

    kept: list[bytearray] = []
    with pytest.raises(AssertionError, match="bytes are held"):
        Keeping().check_memory(b"", b"\r\n")
