"""Balancers: whose turn it is, and who is asked when somebody has failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.e2e.scripted import Pause, ReadBody, ReadHead, Send, answer
from tests.parity.case import Case, Differs, Held, get, post
from tests.parity.cases.known import KEPT_OPEN

NAMES = ("BACKEND", "OTHER", "THIRD", "FOURTH")
GET_X = get("/x")
TEXT = b"Content-Type: text/plain\r\n\r\n"


def balancer(*members: str, parameters: str = "", names: Sequence[str] = NAMES) -> str:
    """A balancer whose members have these parameters; `names` are where they are."""
    lines = [
        f"BalancerMember scgi://${{{name}}} {words}"
        for name, words in zip(names, members, strict=False)
    ]
    inside = "\n".join(lines)
    return f"ProxyPass / balancer://b/ {parameters}\n<Proxy balancer://b>\n{inside}\n</Proxy>"


def _turns(name: str, config: str, count: int, **more: Any) -> Case:
    """So many requests, one after the other."""
    return Case(
        name=f"lb-{name}", config=config, before=(GET_X,) * (count - 1), request=GET_X, **more
    )


SHARES = (
    ("two", ("", ""), 6),
    ("three", ("", "", ""), 6),
    ("one-two", ("loadfactor=1", "loadfactor=2"), 6),
    ("three-two", ("loadfactor=3", "loadfactor=2"), 10),
    ("four", ("", "", "", "loadfactor=2"), 10),
    ("one-one-three", ("", "", "loadfactor=3"), 10),
    ("five-one-one", ("loadfactor=5", "", ""), 7),
    ("disabled", ("", "status=D", "", ""), 6),
    ("decimals", ("loadfactor=1.25", "loadfactor=2.5"), 6),
)
_SHARES = [_turns(f"requests-{name}", balancer(*words), count) for name, words, count in SHARES]
_HELD = Held(post("/held", b"12345")[:-2])
_METHODS = [
    _turns(f"{method}-{name}", balancer(*words, parameters=f"lbmethod={method}"), count)
    for method, name, words, count in (
        ("byrequests", "named", ("", ""), 4),
        ("bytraffic", "two", ("", ""), 4),
        ("bytraffic", "one-three", ("", "loadfactor=3"), 9),
    )
]
_QUIET = 0.1
"""Seconds. A request of Apache's counts as in flight until a moment after its answer."""
_OTHERS_TURNS = "another worker may be asked, whose turns are its own"
_BUSY = [
    Case(
        name=f"lb-bybusyness-{name}",
        config=balancer(*words, parameters="lbmethod=bybusyness"),
        before=(*before, *((_QUIET, GET_X) * 3), _QUIET),
        request=GET_X,
        # Each that is held has a connection of its own.
        one_worker=_OTHERS_TURNS if before.count(_HELD) > 1 else "",
    )
    for name, words, before in (
        ("two", ("", ""), ()),
        ("one-three", ("", "loadfactor=3"), (GET_X, _QUIET) * 4),
        ("one-is-busy", ("", ""), (GET_X, _QUIET, GET_X, _QUIET, _HELD)),
        ("one-is-busier", ("loadfactor=9", ""), (_HELD, _HELD, _HELD)),
    )
]
_HEARTBEATS = [
    _turns(
        f"heartbeat-{name}",
        # Only 127.0.0.1 has told of free slots; localhost is another name.
        balancer(*("loadfactor=9", "", "lbset=1"), parameters="lbmethod=heartbeat", names=names),
        4,
        **more,
    )
    for name, names, more in (
        ("by-name", ("NAMED_BACKEND", "OTHER"), {}),
        ("no-slots", ("NAMED_BACKEND",), {"own_page": True, "differs": KEPT_OPEN}),
    )
]
_FLAGS = [
    _turns(name, balancer(*words, names=names), 4)
    for name, words, names in (
        ("standby", ("", "status=H"), NAMES),
        ("standby-needed", ("", "status=H"), ("DEAD", "OTHER")),
        ("standby-before-a-later-set", ("", "status=H", "lbset=1"), ("DEAD", "OTHER", "THIRD")),
        ("sets", ("lbset=1", ""), NAMES),
        ("sets-needed", ("lbset=1", ""), ("BACKEND", "DEAD")),
        ("draining", ("", "status=N"), NAMES),
        ("draining-and-standby", ("status=N", "status=H"), NAMES),
        ("draining-and-sets", ("status=N", "lbset=1"), NAMES),
        ("spare", ("", "", "status=R"), NAMES),
        ("spare-needed", ("", "", "status=R"), ("DEAD", "OTHER", "THIRD")),
        ("spare-for-disabled", ("status=D", "", "status=R"), NAMES),
        ("spare-for-draining", ("status=N", "", "status=R"), NAMES),
        ("spare-before-standby", ("", "status=H", "status=R"), ("DEAD", "OTHER", "THIRD")),
        ("spare-of-its-set", ("", "lbset=1", "lbset=1 status=R"), ("DEAD", "OTHER", "THIRD")),
        ("spare-and-standby", ("", "status=RH"), NAMES),
        ("draining-spare", ("", "status=RN", "status=R"), ("DEAD", "OTHER", "THIRD")),
        ("draining-standby", ("", "status=HN", "status=H"), ("DEAD", "OTHER", "THIRD")),
        ("standby-beside-a-spare", ("status=D", "status=R", "status=H"), NAMES),
        ("stopped", ("status=S", ""), NAMES),
        ("ignored-errors", ("status=I", ""), NAMES),
    )
]

_FLAGS.append(_turns("spare-for-nobody", balancer("status=R"), 1, own_page=True, differs=KEPT_OPEN))

_TEAPOT = answer(b"Status: 418 I'm a teapot\r\n" + TEXT)
_SLOW = (ReadHead(), ReadBody(), Pause(1.6), Send(TEXT))
_NO_HEAD = answer(b"no head")
_SILENT = (ReadHead(), ReadBody())
_FAILING = [
    _turns("one-down", balancer("", "", names=("DEAD", "OTHER")), 4),
    _turns(
        "all-down",
        balancer("", "", names=("DEAD", "DEAD2")),
        3,
        own_page=True,
        differs=KEPT_OPEN,
    ),
    _turns(
        "all-down-without-recovery",
        balancer("", "", parameters="forcerecovery=Off", names=("DEAD", "DEAD2")),
        2,
        own_page=True,
        differs=KEPT_OPEN,
    ),
    _turns(
        "attempts",
        balancer("", "", "", parameters="maxattempts=1", names=("DEAD", "DEAD2", "THIRD")),
        1,
        own_page=True,
        differs=KEPT_OPEN,
    ),
    _turns(
        "no-attempts",
        balancer("", "", parameters="maxattempts=0", names=("DEAD", "OTHER")),
        1,
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="lb-fail-on-own-status",
        config=balancer("timeout=1", "", parameters="failonstatus=504"),
        scripts=(_SLOW,),
        before=(GET_X, GET_X),
        request=GET_X,
    ),
    _turns("attempts-by-default", balancer("", "", "", names=("DEAD", "DEAD2", "THIRD")), 1),
    Case(
        name="lb-no-failover",
        config=balancer(
            *("route=r1", "route=r2"),
            parameters="stickysession=SID nofailover=On",
            names=("BACKEND", "DEAD"),
        ),
        before=(get("/x", "Cookie: SID=a.r2"), GET_X),
        request=get("/x", "Cookie: SID=a.r2"),
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        # Nor is its member waited for: an answer after half a minute would be none here.
        name="lb-no-failover-and-timeout",
        config=balancer(
            *("route=r1", "route=r2"),
            parameters="stickysession=SID nofailover=On timeout=30",
            names=("BACKEND", "DEAD"),
        ),
        before=(get("/x", "Cookie: SID=a.r2"), GET_X),
        request=get("/x", "Cookie: SID=a.r2"),
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="lb-no-failover-of-nobodys-session",
        config=balancer(
            *("route=r1", "route=r2"),
            parameters="stickysession=SID nofailover=On",
            names=("DEAD", "OTHER"),
        ),
        request=get("/x", "Cookie: SID=a.r3"),
    ),
    Case(
        name="lb-failover-of-a-session",
        config=balancer(
            *("route=r1", "route=r2"), parameters="stickysession=SID", names=("BACKEND", "DEAD")
        ),
        before=(get("/x", "Cookie: SID=a.r2"), GET_X),
        request=get("/x", "Cookie: SID=a.r2"),
    ),
    Case(
        name="lb-fail-on-status",
        config=balancer("retry=1", "", parameters="failonstatus=503,418"),
        scripts=(_TEAPOT,),
        before=(GET_X, GET_X, GET_X, 2.2, GET_X, GET_X),
        request=GET_X,
        # The pause is longer than KeepAliveTimeout.
        one_worker=_OTHERS_TURNS,
    ),
    _turns("other-status", balancer("", ""), 3, scripts=(_TEAPOT,)),
    Case(
        name="lb-recovery-beside-a-disabled-member",
        config=balancer("", "status=D", parameters="failonstatus=418"),
        scripts=(_TEAPOT,),
        before=(GET_X,),
        request=GET_X,
        differs=Differs(
            "forced-recovery",
            {"status": 503, "asked": 0},
            {"status": 418, "asked": 1},
            only_these=False,
        ),
    ),
    Case(
        name="lb-fail-on-timeout",
        config=balancer("timeout=1", "", parameters="failontimeout=On"),
        scripts=(_SLOW,),
        before=(GET_X, GET_X),
        request=GET_X,
        own_page=True,
        differs=Differs(
            "failontimeout",
            {"status": 504, "told.0.backend": "BACKEND"},
            {"status": 200, "told.0.backend": "OTHER"},
            only_these=False,
        ),
    ),
    Case(
        name="lb-no-head",
        config=balancer("", ""),
        scripts=(_NO_HEAD,),
        before=(GET_X, GET_X),
        request=GET_X,
        differs=Differs("bad-gateway", {"before.0": "500 BACKEND"}, {"before.0": "502 BACKEND"}),
    ),
    Case(
        name="lb-no-answer",
        config=balancer("", ""),
        scripts=(_SILENT,),
        request=GET_X,
        differs=Differs(
            "repeated-requests",
            {"status": 500, "asked": 1, "told.0.backend": "BACKEND"},
            {"status": 200, "asked": 2, "told.0.backend": "BACKEND", "told.1.backend": "OTHER"},
            only_these=False,
        ),
    ),
    Case(
        name="lb-no-answer-to-an-upload",
        config=balancer("", ""),
        scripts=(_SILENT,),
        request=post("/x", b"data"),
        own_page=True,
        differs=(
            Differs(
                "bad-gateway",
                {"status": 500, "reason": "Internal Server Error"},
                {"status": 502, "reason": "Bad Gateway"},
            ),
            KEPT_OPEN,
        ),
    ),
    *(
        Case(
            name=f"lb-upload-{size}",
            config=balancer("retry=1", "status=H", names=("DEAD", "OTHER")),
            before=(post("/x", b"y" * size),),
            request=post("/x", b"x" * size),
        )
        for size in (8, 64, 2048, 4096)
    ),
    Case(
        name="lb-without-members",
        config="ProxyPass / balancer://b/ growth=10",
        request=GET_X,
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="lb-waits-for-a-member",
        config=balancer("status=D", parameters="timeout=1"),
        request=GET_X,
        own_page=True,
        differs=KEPT_OPEN,
    ),
]

_PLACES = [
    Case(
        name="lb-paths",
        config="ProxyPass /path/ balancer://b/sub/\n"
        "BalancerMember balancer://B scgi://${BACKEND}/base\n"
        "SetEnv proxy-scgi-pathinfo 1",
        request=get("/path/foo"),
    ),
    Case(
        name="lb-socket",
        config="ProxyPass / balancer://b/\nBalancerMember balancer://b ${SOCKET} route=r1",
        request=GET_X,
    ),
    _turns(
        "proxy-set",
        balancer("", "loadfactor=3").replace("</Proxy>", "ProxySet lbmethod=bytraffic\n</Proxy>"),
        9,
    ),
]

CASES = (
    *_PLACES,
    *_SHARES,
    *_METHODS,
    *_BUSY,
    *_HEARTBEATS,
    *_FLAGS,
    *_FAILING,
)
