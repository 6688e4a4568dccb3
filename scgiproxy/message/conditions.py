"""Validators and conditional requests (RFC 9110 sections 5.6.7, 8.8 and 13). No I/O.

`Validators` says what is known of the selected representation; `evaluate_conditions` runs a
request's preconditions against it in the order of section 13.2.2, `if_range_holds` decides
whether its Range may be used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
MONTHS = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)
"""As in every date of HTTP, and of its logs: never in the language of the system."""

_MONTH_NUMBER = {name: number for number, name in enumerate(MONTHS, 1)}

_MONTH = rb"(?P<month>%s)" % b"|".join(MONTHS)
_CLOCK = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HTTP_DATE = tuple(
    re.compile(form)
    for form in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        rb"(?:%s), (?P<day>\d\d) %s (?P<year>\d{4}) %s GMT" % (b"|".join(_DAYS), _MONTH, _CLOCK),
        # RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, "
        rb"(?P<day>\d\d)-%s-(?P<year>\d\d) %s GMT" % (_MONTH, _CLOCK),
        # asctime: Sun Nov  6 08:49:37 1994
        rb"(?:%s) %s (?P<day>[ \d]\d) %s (?P<year>\d{4})" % (b"|".join(_DAYS), _MONTH, _CLOCK),
    )
)

_ETAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ONE_ETAG = re.compile(_ETAG)
_LISTED_ETAG = re.compile(rb"[ \t]*(?:(%s)[ \t]*)?(?:,|\Z)" % _ETAG)


def format_http_date(seconds: float) -> bytes:
    """IMF-fixdate of seconds since the epoch, rounded down (RFC 9110 section 5.6.7)."""
    year, month, day, hour, minute, second, weekday = time.gmtime(seconds // 1)[:7]
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        *(_DAYS[weekday], day, MONTHS[month - 1]),
        *(year, hour, minute, second),
    )


def parse_http_date(value: bytes) -> int | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms; None if it is none.

    A year of two digits is 1970 to 2069, as in Apache.
    """
    for form in _HTTP_DATE:
        if (match := form.fullmatch(value)) is not None:
            break
    else:
        return None
    year, day, hour, minute, second = map(
        int, match.group("year", "day", "hour", "minute", "second")
    )
    if year < 100 and len(match["year"]) == 2:
        year += 2000 if year < 70 else 1900
    if second == 60:
        second = 59  # a leap second is in the grammar, but in no calendar here
    try:
        moment = datetime(
            year, _MONTH_NUMBER[match["month"]], day, hour, minute, second, tzinfo=UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp())


def parse_etag(value: bytes) -> bytes | None:
    """The value itself if it is an entity-tag, ``"..."`` or ``W/"..."``; else None."""
    return value if _ONE_ETAG.fullmatch(value) else None


def parse_etag_list(value: bytes) -> list[bytes] | None:
    """The entity-tags of an If-Match or If-None-Match list; None if it is malformed."""
    tags: list[bytes] = []
    position = 0
    while position < len(value):
        match = _LISTED_ETAG.match(value, position)
        if match is None:
            return None
        if match[1] is not None:
            tags.append(match[1])
        position = match.end()
    return tags


def strongly_equal(one: bytes, other: bytes) -> bool:
    """Strong comparison of two entity-tags (RFC 9110 section 8.8.3.2)."""
    return one == other and not one.startswith(b"W/")


def weakly_equal(one: bytes, other: bytes) -> bool:
    """Weak comparison of two entity-tags."""
    return one.removeprefix(b"W/") == other.removeprefix(b"W/")


@dataclass(frozen=True, slots=True)
class Validators:
    """What the selected representation is known by.

    `etag` is an entity-tag as in the ETag field; `last_modified` is in seconds since the epoch.
    Either is None when there is none.
    """

    etag: bytes | None = None
    last_modified: int | None = None


class Precondition(Enum):
    """What the conditions of a request come to."""

    HOLDS = "holds"
    NOT_MODIFIED = "not modified"
    """Answer 304."""
    FAILED = "failed"
    """Answer 412."""


def evaluate_conditions(
    method: bytes, header: Callable[[bytes], bytes | None], validators: Validators
) -> Precondition:
    """Evaluate a request's preconditions for a representation that exists.

    `header` gives a request header by lower-case name, repeated ones joined. If-Range is not
    looked at: it belongs to Range. (RFC 9110 section 13.2.2, whose steps are numbered here.)
    """
    reads = method in (b"GET", b"HEAD")
    # 1. and 2.
    if (if_match := header(b"if-match")) is not None:
        if not _names(if_match, validators.etag, strongly_equal):
            return Precondition.FAILED
    elif (value := header(b"if-unmodified-since")) is not None:
        limit = parse_http_date(value)
        modified = validators.last_modified
        if limit is not None and modified is not None and modified > limit:
            return Precondition.FAILED
    # 3. and 4.
    if (if_none_match := header(b"if-none-match")) is not None:
        if _names(if_none_match, validators.etag, weakly_equal):
            return Precondition.NOT_MODIFIED if reads else Precondition.FAILED
    elif reads and (value := header(b"if-modified-since")) is not None:
        since = parse_http_date(value)
        modified = validators.last_modified
        if since is not None and modified is not None and modified <= since:
            return Precondition.NOT_MODIFIED
    return Precondition.HOLDS


def if_range_holds(value: bytes | None, validators: Validators) -> bool:
    """Whether Range may be used, given the request's If-Range or None (RFC 9110 section 13.1.5).

    An entity-tag must be strongly equal, a date the very Last-Modified; anything else is False.
    """
    if value is None:
        return True
    if (etag := parse_etag(value)) is not None:
        return validators.etag is not None and strongly_equal(etag, validators.etag)
    date = parse_http_date(value)
    return date is not None and date == validators.last_modified


def _names(field: bytes, etag: bytes | None, equal: Callable[[bytes, bytes], bool]) -> bool:
    """Whether ``*`` or a list of entity-tags is true of a representation with that `etag`."""
    if field.strip(b" \t") == b"*":
        return True
    if etag is None:
        return False
    return any(equal(tag, etag) for tag in parse_etag_list(field) or ())
