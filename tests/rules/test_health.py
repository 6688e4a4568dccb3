"""Which answer to a health check is a good one."""

from __future__ import annotations

import pytest

from scgiproxy.config.expressions import compile_expression
from scgiproxy.errors import GatewayError
from scgiproxy.rules.expression import parse_condition
from scgiproxy.rules.health import (
    VOCABULARY,
    CheckAnswer,
    CheckMethod,
    HealthCheck,
    HealthCondition,
)


def complaint(expression: str, answer: CheckAnswer) -> str:
    condition = parse_condition(expression, VOCABULARY, compile_expression)
    return HealthCheck(condition=HealthCondition("ok", condition)).complaint(answer)


@pytest.mark.parametrize(
    ("method", "verb", "protocol"),
    [
        (CheckMethod.OPTIONS, b"OPTIONS", b"HTTP/1.0"),
        (CheckMethod.HEAD, b"HEAD", b"HTTP/1.0"),
        (CheckMethod.GET, b"GET", b"HTTP/1.0"),
        (CheckMethod.OPTIONS11, b"OPTIONS", b"HTTP/1.1"),
        (CheckMethod.HEAD11, b"HEAD", b"HTTP/1.1"),
        (CheckMethod.GET11, b"GET", b"HTTP/1.1"),
    ],
)
def test_methods_that_ask(method: CheckMethod, verb: bytes, protocol: bytes) -> None:
    assert method.asks
    assert (method.verb, method.protocol) == (verb, protocol)


@pytest.mark.parametrize("method", [CheckMethod.NONE, CheckMethod.TCP])
def test_methods_that_do_not(method: CheckMethod) -> None:
    assert not method.asks


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, ""), (204, ""), (399, ""), (400, "status 400"), (503, "status 503")],
)
def test_without_a_condition(status: int, expected: str) -> None:
    assert HealthCheck().complaint(CheckAnswer(status)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "%{REQUEST_STATUS} == '418'",
        "%{REQUEST_STATUS} -in {'200', '418'}",
        "%{request_status} -gt 400",
        "hc('body') =~ /tea pot/",
        "hc('BODY') == 'a tea pot'",
        "%{HC_BODY} =~ /^a/ && %{HC_BODY} =~ /pot$/",
        "%{hc:body} =~ /pot/",
        "resp('content-TYPE') == 'text/plain'",
        "resp('X-A') == '1, 2'",
        "-z resp('X-B')",
        "-z hc('head')",
    ],
)
def test_conditions_that_hold(expression: str) -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"X-A", b"1"), (b"x-a", b"2")]
    assert complaint(expression, CheckAnswer(418, headers, b"a tea pot")) == ""


def test_a_condition_that_does_not_hold() -> None:
    """It is the only one that counts, and is named."""
    assert complaint("hc('body') !~ /tea/", CheckAnswer(200, (), b"tea")) == (
        "ok does not hold, status 200"
    )


def test_any_byte_can_be_looked_for() -> None:
    assert complaint(r"hc('body') =~ /\xff\x00/", CheckAnswer(200, (), b"\xff\x00")) == ""


def test_a_text_that_is_too_long() -> None:
    answer = CheckAnswer(200, (), b"x" * 65536)
    with pytest.raises(GatewayError):
        complaint(" . ".join(["hc('body')"] * 257) + " == 'x'", answer)
