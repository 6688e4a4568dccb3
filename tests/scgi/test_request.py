"""`scgi.request`: what is written is read back, here and by `sioscgi`; and what is refused."""

from __future__ import annotations

import pytest
import sioscgi.request
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest
from scgiproxy.scgi.request import (
    RESERVED_NAMES,
    RequestHead,
    RequestParser,
    RequestState,
    encode_variables,
    frame,
    parse_block,
)

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"\x00" not in name and name not in RESERVED_NAMES
)
VALUES = st.binary(max_size=60).filter(lambda value: b"\x00" not in value)
VARIABLES = st.dictionaries(NAMES, VALUES, max_size=12)


def netstring(block: bytes) -> bytes:
    return b"%d:%b," % (len(block), block)


def test_the_specification_s_example() -> None:
    """The request of the protocol's text, byte for byte."""
    block = encode_variables([(b"REQUEST_METHOD", b"POST"), (b"REQUEST_URI", b"/deepthought")])
    assert frame(27, block) == (
        b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00"
        b"REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
    )


def test_frame_without_variables() -> None:
    assert frame(0, encode_variables([])) == b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,"


def test_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="CONTENT_LENGTH cannot be -1"):
        frame(-1, b"")


@pytest.mark.parametrize(
    ("name", "value"), [(b"", b"x"), (b"A\x00B", b"x"), (b"A", b"x\x00y"), (b"A", b"\x00")]
)
def test_what_would_split_the_block_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"a variable needs a name|would split"):
        encode_variables([(b"FIRST", b"1"), (name, value)])


@given(st.integers(0, (1 << 63) - 1), VARIABLES)
def test_own_parser_reads_what_is_written(length: int, variables: dict[bytes, bytes]) -> None:
    wire = frame(length, encode_variables(variables.items()))
    head = RequestParser().feed(wire)
    assert head == RequestHead(
        {b"CONTENT_LENGTH": b"%d" % length, b"SCGI": b"1", **variables}, length
    )
    assert list(head.variables)[:2] == [b"CONTENT_LENGTH", b"SCGI"]


@given(st.binary(max_size=40), VARIABLES)
def test_sioscgi_reads_what_is_written(body: bytes, variables: dict[bytes, bytes]) -> None:
    reader = sioscgi.request.SCGIReader()
    reader.receive_data(frame(len(body), encode_variables(variables.items())) + body)
    headers = reader.next_event()
    assert isinstance(headers, sioscgi.request.Headers)
    assert headers.environment == {
        "CONTENT_LENGTH": b"%d" % len(body),
        "SCGI": b"1",
        **{name.decode("latin-1"): value for name, value in variables.items()},
    }
    if body:
        received = reader.next_event()
        assert isinstance(received, sioscgi.request.Body)
        assert received.data == body
    assert isinstance(reader.next_event(), sioscgi.request.End)


def test_values_of_any_size_are_counted_in_bytes() -> None:
    """Non-ASCII, empty and 60 KiB values: the netstring's length is the bytes between."""
    variables = {b"A": "é".encode(), b"B": b"", b"C": b"x" * 61440}
    wire = frame(0, encode_variables(variables.items()))
    length, _, rest = wire.partition(b":")
    assert len(rest) == int(length) + 1
    head = RequestParser().feed(wire)
    assert head is not None
    assert {name: head.variables[name] for name in variables} == variables


class TestParser:
    WIRE = frame(5, encode_variables([(b"A", b"b"), (b"C", b"")]))
    HEAD = RequestHead({b"CONTENT_LENGTH": b"5", b"SCGI": b"1", b"A": b"b", b"C": b""}, 5)

    def test_whole_with_body(self) -> None:
        parser = RequestParser()
        assert parser.feed(self.WIRE + b"hello") == self.HEAD
        assert parser.leftover == b"hello"
        parser.eof()

    def test_byte_by_byte(self) -> None:
        parser = RequestParser()
        for byte in self.WIRE[:-1]:
            assert parser.feed(bytes([byte])) is None
        assert parser.feed(self.WIRE[-1:]) == self.HEAD
        assert parser.leftover == b""

    def test_every_cut(self) -> None:
        for cut in range(len(self.WIRE)):
            parser = RequestParser()
            assert parser.feed(self.WIRE[:cut]) is None
            assert parser.feed(self.WIRE[cut:] + b"x") == self.HEAD
            assert parser.leftover == b"x"

    def test_feeding_on_is_a_mistake(self) -> None:
        parser = RequestParser()
        parser.feed(self.WIRE)
        with pytest.raises(RuntimeError):
            parser.feed(b"x")

    def test_early_close(self) -> None:
        for cut in range(len(self.WIRE)):
            parser = RequestParser()
            parser.feed(self.WIRE[:cut])
            with pytest.raises(BadRequest, match="within the request head"):
                parser.eof()
            assert parser.state is RequestState.FAILED

    def test_limit(self) -> None:
        size = int(self.WIRE.partition(b":")[0])
        assert RequestParser(size).feed(self.WIRE) == self.HEAD
        with pytest.raises(BadRequest, match=f"of {size} bytes is over the limit of {size - 1}"):
            RequestParser(size - 1).feed(self.WIRE[:3])

    def test_repr_shows_the_state(self) -> None:
        parser = RequestParser()
        parser.feed(b"24:CONTENT")
        assert repr(parser) == "<RequestParser block 7/25>"


BLOCK = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00"


@pytest.mark.parametrize(
    ("wire", "sentence"),
    [
        (b"GET / HTTP/1.1\r\n", "netstring's length"),
        (b":", "netstring's length"),
        (b"0:,", "netstring's length"),
        (b"024:" + BLOCK + b",", "netstring's length"),
        (b"-24:" + BLOCK + b",", "netstring's length"),
        (b" 24:" + BLOCK + b",", "netstring's length"),
        (b"2_4:" + BLOCK + b",", "netstring's length"),
        (b"99999999999", "netstring's length"),
        (b"9999999999:", "over the limit"),
        (b"24:" + BLOCK + b";", "expected a comma"),
        (b"23:" + BLOCK + b",", "expected a comma"),
        (netstring(BLOCK[:-1]), "must end in a NUL"),
        (netstring(BLOCK + b"A\x00"), "has no value"),
        (netstring(BLOCK + b"\x00x\x00"), "without a name"),
        (netstring(BLOCK + b"A\x00b\x00A\x00c\x00"), "'A' is there twice"),
        (netstring(BLOCK + b"SCGI\x001\x00"), "'SCGI' is there twice"),
        (netstring(b"SCGI\x001\x00CONTENT_LENGTH\x000\x00"), "must come first"),
        (netstring(b"SCGI\x001\x00"), "must come first"),
        (netstring(BLOCK.replace(b"\x000", b"\x00")), "decimal"),
        (netstring(BLOCK.replace(b"\x000", b"\x00-1")), "decimal"),
        (netstring(BLOCK.replace(b"\x000", b"\x00+1")), "decimal"),
        (netstring(BLOCK.replace(b"\x000", b"\x0001")), "decimal"),
        (netstring(BLOCK.replace(b"\x000", b"\x001a")), "decimal"),
        (netstring(BLOCK.replace(b"\x000", b"\x009223372036854775808")), "decimal"),
        (netstring(b"CONTENT_LENGTH\x000\x00"), "SCGI is missing"),
        (netstring(b"CONTENT_LENGTH\x000\x00SCGI\x002\x00"), "SCGI must be 1"),
    ],
)
def test_refused(wire: bytes, sentence: str) -> None:
    """Each kind of malformed head, whole and byte by byte; and it stays refused."""
    parser = RequestParser()
    with pytest.raises(BadRequest, match=sentence):
        parser.feed(wire)
    with pytest.raises(BadRequest, match=sentence):
        parser.feed(b"x")
    with pytest.raises(BadRequest, match=sentence):
        parser.eof()
    assert sentence in refusal([bytes([byte]) for byte in wire])


def refusal(pieces: list[bytes]) -> str:
    parser = RequestParser()
    try:
        for piece in pieces:
            parser.feed(piece)
    except BadRequest as error:
        return str(error)
    return "not refused"


def test_empty_block() -> None:
    with pytest.raises(BadRequest, match="must come first"):
        parse_block(b"")


@given(
    st.binary(max_size=60) | VARIABLES.map(lambda v: netstring(BLOCK + encode_variables(v.items())))
)
def test_any_bytes(wire: bytes) -> None:
    """Garbage gives a head or BadRequest, nothing else, however it is cut."""

    def outcome(pieces: list[bytes]) -> object:
        parser = RequestParser()
        head = None
        try:
            for piece in pieces:
                if head is None:
                    head = parser.feed(piece)
        except BadRequest:
            return BadRequest
        return head

    assert outcome([wire]) == outcome([wire[i : i + 1] for i in range(len(wire))])
