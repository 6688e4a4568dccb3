"""Dates, entity-tags and preconditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.conditions import (
    Precondition,
    Validators,
    evaluate_conditions,
    format_http_date,
    if_range_holds,
    parse_etag,
    parse_etag_list,
    parse_http_date,
    strongly_equal,
    weakly_equal,
)

EXAMPLE = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
KNOWN = Validators(b'"a"', EXAMPLE)


@pytest.mark.parametrize(
    "text", [DATE, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_a_date(text: bytes) -> None:
    """The examples of RFC 9110 section 5.6.7."""
    assert parse_http_date(text) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"784111777",
        DATE + b" ",
        b" " + DATE,
        DATE.lower(),
        DATE.replace(b"GMT", b"UTC"),
        DATE.replace(b"06", b"6"),
        DATE.replace(b"06", b"31"),
        DATE.replace(b"06", b"00"),
        DATE.replace(b"1994", b"94"),
        DATE.replace(b"1994", b"0000"),
        DATE.replace(b"08:", b"24:"),
        DATE.replace(b":49:", b":60:"),
        DATE.replace(b":37", b":61"),
        DATE + b", " + DATE,
        DATE.replace(b"Nov", b"Now"),
        b"Sun Nov 006 08:49:37 1994",
    ],
)
def test_no_date(text: bytes) -> None:
    assert parse_http_date(text) is None


@pytest.mark.parametrize(("year", "century"), [(b"69", b"2069"), (b"70", b"1970")])
def test_a_year_of_two_digits_is_1970_to_2069(year: bytes, century: bytes) -> None:
    short = b"Sunday, 06-Nov-%s 08:49:37 GMT" % year
    assert parse_http_date(short) == parse_http_date(DATE.replace(b"1994", century))


def test_a_leap_second_is_the_one_before_it() -> None:
    assert parse_http_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == parse_http_date(
        b"Sat, 31 Dec 2016 23:59:59 GMT"
    )


def test_a_date_is_rounded_down() -> None:
    assert format_http_date(EXAMPLE + 0.999) == DATE


@given(st.integers(min_value=-(2**33), max_value=253402300799))
def test_what_is_formatted_is_read_back(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds)) == seconds


@given(st.binary(max_size=40))
def test_any_bytes_are_a_date_or_none(value: bytes) -> None:
    date = parse_http_date(value)
    assert date is None or isinstance(date, int)


@pytest.mark.parametrize("value", [b'""', b'"a"', b'W/"a"', b'"a,b"', b'"\xe9"', b'"!#~"'])
def test_entity_tags(value: bytes) -> None:
    assert parse_etag(value) == value


@pytest.mark.parametrize(
    "value", [b"", b"a", b'"', b'"a', b'w/"a"', b'W/ "a"', b'"a b"', b'"a"b"', b'"\x00"', b'"a"\n']
)
def test_no_entity_tags(value: bytes) -> None:
    assert parse_etag(value) is None


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b'"a"', [b'"a"']),
        (b'"a","b"', [b'"a"', b'"b"']),
        (b'"a,b" ,\tW/"c"', [b'"a,b"', b'W/"c"']),
        (b', ,"a",,', [b'"a"']),
        (b"", []),
        (b'"a" "b"', None),
        (b'"a", b', None),
        (b'"a', None),
        (b"*", None),
    ],
)
def test_lists_of_entity_tags(value: bytes, tags: list[bytes] | None) -> None:
    assert parse_etag_list(value) == tags


@given(st.lists(st.from_regex(rb'\A(W/)?"[!#-~]*"\Z'), max_size=8))
def test_a_joined_list_is_read_back(tags: list[bytes]) -> None:
    assert parse_etag_list(b", ".join(tags)) == tags


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
    ],
)
def test_comparison(one: bytes, other: bytes, strong: bool, weak: bool) -> None:
    """The table of RFC 9110 section 8.8.3.2."""
    assert strongly_equal(one, other) is strong
    assert weakly_equal(one, other) is weak


HOLDS, NOT_MODIFIED, FAILED = Precondition


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, HOLDS),
        ({"if-match": b'"a"'}, HOLDS),
        ({"if-match": b"*"}, HOLDS),
        ({"if-match": b'"b", "a"'}, HOLDS),
        ({"if-match": b'"b"'}, FAILED),
        ({"if-match": b'W/"a"'}, FAILED),
        ({"if-match": b"a"}, FAILED),
        ({"if-unmodified-since": DATE}, HOLDS),
        ({"if-unmodified-since": LATER}, HOLDS),
        ({"if-unmodified-since": EARLIER}, FAILED),
        ({"if-unmodified-since": b"yesterday"}, HOLDS),
        # Step 1 goes before step 2.
        ({"if-match": b'"a"', "if-unmodified-since": EARLIER}, HOLDS),
        ({"if-match": b'"b"', "if-unmodified-since": LATER}, FAILED),
        ({"if-none-match": b'"a"'}, NOT_MODIFIED),
        ({"if-none-match": b'W/"a"'}, NOT_MODIFIED),
        ({"if-none-match": b"*"}, NOT_MODIFIED),
        ({"if-none-match": b'"b"'}, HOLDS),
        ({"if-none-match": b"a"}, HOLDS),
        ({"if-modified-since": DATE}, NOT_MODIFIED),
        ({"if-modified-since": LATER}, NOT_MODIFIED),
        ({"if-modified-since": EARLIER}, HOLDS),
        ({"if-modified-since": b"yesterday"}, HOLDS),
        # Step 3 goes before step 4.
        ({"if-none-match": b'"b"', "if-modified-since": LATER}, HOLDS),
        ({"if-none-match": b'"a"', "if-modified-since": EARLIER}, NOT_MODIFIED),
        # Steps 1 and 2 go before 3 and 4.
        ({"if-match": b'"b"', "if-none-match": b'"a"'}, FAILED),
        ({"if-match": b'"a"', "if-none-match": b'"a"'}, NOT_MODIFIED),
        ({"if-unmodified-since": EARLIER, "if-modified-since": LATER}, FAILED),
    ],
)
def test_conditions_in_the_order_of_the_standard(
    headers: dict[str, bytes], outcome: Precondition
) -> None:
    """RFC 9110 section 13.2.2."""
    assert evaluate_conditions(b"GET", lambda name: headers.get(name.decode()), KNOWN) is outcome
    assert evaluate_conditions(b"HEAD", lambda name: headers.get(name.decode()), KNOWN) is outcome


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({b"if-none-match": b'"a"'}, FAILED),
        ({b"if-none-match": b'"b"'}, HOLDS),
        ({b"if-modified-since": LATER}, HOLDS),
        ({b"if-match": b'"b"'}, FAILED),
    ],
)
def test_a_method_that_writes_is_never_not_modified(
    headers: dict[bytes, bytes], outcome: Precondition
) -> None:
    assert evaluate_conditions(b"PUT", headers.get, KNOWN) is outcome


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({b"if-match": b'"a"'}, FAILED),
        ({b"if-match": b"*"}, HOLDS),
        ({b"if-none-match": b'"a"'}, HOLDS),
        ({b"if-none-match": b"*"}, NOT_MODIFIED),
        ({b"if-modified-since": LATER}, HOLDS),
        ({b"if-unmodified-since": EARLIER}, HOLDS),
    ],
)
def test_conditions_without_validators(headers: dict[bytes, bytes], outcome: Precondition) -> None:
    """A date is ignored where there is no Last-Modified; a tag matches no tag."""
    assert evaluate_conditions(b"GET", headers.get, Validators()) is outcome


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, True),
        (b'"a"', True),
        (b'"b"', False),
        (b'W/"a"', False),
        (b'"a", "b"', False),
        (b"*", False),
        (DATE, True),
        (EARLIER, False),
        (LATER, False),
        (b"", False),
    ],
)
def test_if_range(value: bytes | None, holds: bool) -> None:
    """RFC 9110 section 13.1.5: a strong tag, or the very date."""
    assert if_range_holds(value, KNOWN) is holds


def test_if_range_against_a_weak_tag_or_none() -> None:
    assert not if_range_holds(b'W/"a"', Validators(b'W/"a"'))
    assert not if_range_holds(b'"a"', Validators())
    assert not if_range_holds(DATE, Validators(b'"a"'))
