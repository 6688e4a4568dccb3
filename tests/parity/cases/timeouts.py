"""RequestReadTimeout: requests that do not come in time."""

from __future__ import annotations

from tests.parity.case import Case, Differs, plain


def _late(name: str, request: bytes, differs: Differs | tuple[()] = ()) -> Case:
    return Case(
        name=f"late-{name}",
        request=request,
        config="",
        server="deadlines",
        own_page=True,
        differs=differs,
    )


CASES = (
    _late("header", b"GET /x HTTP/1.1\r\nHost: main.test\r\nX-A: "),
    _late(
        "request-line",
        b"GET /x HT",
        Differs(
            "late-request-line",
            apache={"no response": "BadAnswerError", "status": None},
            gateway={"no response": None, "status": 408, "close": True},
            only_these=False,
        ),
    ),
    _late(
        "body",
        plain("POST /x HTTP/1.1", "Host: main.test", "Content-Length: 10") + b"abc",
        Differs(
            "late-body",
            apache={"status": 500, "reason": "Internal Server Error"},
            gateway={"status": 408, "reason": "Request Timeout"},
        ),
    ),
)
