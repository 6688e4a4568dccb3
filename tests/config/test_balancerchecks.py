"""Members of balancers that are written without an error, and cannot work."""

from __future__ import annotations

import pytest

from tests.config.loading import errors_of, notes_of

HEAD = "ProxyPass / balancer://b/\n"


def _notes(*members: str) -> list[str]:
    """Of a balancer with these members, from line 2 on; without where they are."""
    lines = [
        f"BalancerMember balancer://b scgi://127.0.0.1:{number} {member}"
        for number, member in enumerate(members, 4001)
    ]
    return [note.replace("BalancerMember: ", "") for note in notes_of(HEAD + "\n".join(lines))]


def test_a_redirect_to_nowhere() -> None:
    assert _notes("route=a redirect=c", "route=b") == [
        "f:2: redirect=c: no member of balancer://b has that route"
    ]
    assert _notes("route=a redirect=b", "route=b") == []


def test_a_redirect_to_itself() -> None:
    assert _notes("route=a redirect=a") == [
        "f:2: redirect=a is the member's own route, and does nothing"
    ]


def test_a_route_that_two_have() -> None:
    (note,) = _notes("route=a", "route=a")
    assert note.startswith("f:3: route=a is that of scgi://127.0.0.1:4001 too (f:2): its sessions")


@pytest.mark.parametrize("other", ["status=H", "status=R", "lbset=1"])
def test_who_takes_over_may_have_the_route(other: str) -> None:
    assert _notes("route=a", f"route=a {other}") == []


@pytest.mark.parametrize("name", ["growth=1", "discover=a"])
def test_routes_that_are_not_known_yet(name: str) -> None:
    """Of a member that is added later, or found by its name."""
    growth = (
        f"ProxySet balancer://b {name}\n<Location /m>\nSetHandler balancer-manager\n</Location>"
    )
    text = f"{HEAD}BalancerMember balancer://b scgi://127.0.0.1 redirect=c\n"
    found = "BalancerMember balancer://b scgi://localhost:4002 discover=a"
    assert not any(
        "redirect" in note for note in notes_of(text + (growth if name[0] == "g" else found))
    )


def test_nobody_to_use() -> None:
    assert _notes("status=D", "status=S") == [
        "f:2: every member of balancer://b is disabled: its requests are 503"
    ]
    (note,) = _notes("status=R", "status=R")
    assert note.startswith("f:2: every member of balancer://b is a spare (status=R), and there is")
    assert _notes("status=D", "status=H") == []
    assert _notes("status=R", "status=D") == []


def test_growth_without_a_page_to_grow_by() -> None:
    text = f"{HEAD}ProxySet balancer://b growth=3"
    assert notes_of(text) == ["f:2: growth does nothing without a SetHandler balancer-manager"]
    page = (
        "\n<VirtualHost *>\n<Location /m>\nSetHandler balancer-manager\n</Location>\n</VirtualHost>"
    )
    assert notes_of(text + page) == []


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1:81", "127.0.0.1:81"),
        ("127.0.0.1:81", "localhost:81"),
        ("81", "127.0.0.1:81"),
        ("81", "[::1]:81"),
        ("0.0.0.0:81", "localhost:81"),
        ("192.0.2.7:81", "192.0.2.7:81"),
    ],
)
def test_a_backend_that_is_the_gateway(listen: str, host: str) -> None:
    """It would only talk to itself, in a language that it does not listen in."""
    told = f"{host} is where this gateway listens (f:1); expected where the application listens"
    assert errors_of(f"Listen {listen}\nProxyPass / scgi://{host}/") == [f"f:2: ProxyPass: {told}"]
    member = f"Listen {listen}\nBalancerMember balancer://b scgi://{host}\n{HEAD}"
    assert errors_of(member) == [f"f:2: BalancerMember: {told}"]


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1:81", "127.0.0.1:82"),
        ("127.0.0.1:81", "127.0.0.2:81"),
        ("192.0.2.7:81", "localhost:81"),
        ("81", "app.example:81"),
    ],
)
def test_a_backend_beside_the_gateway(listen: str, host: str) -> None:
    text = f"Listen {listen}\nProxyPass / scgi://{host}/"
    assert not any("gateway listens" in note for note in notes_of(text))


def test_the_port_of_srv_records() -> None:
    text = f"{HEAD}BalancerMember balancer://b scgi://_app._tcp.localhost:5 discover=srv"
    told = "f:2: BalancerMember: the port does nothing with discover=srv: the records say it"
    assert told in notes_of(text)
    assert told not in notes_of(text.replace(":5", ""))


def test_a_word_of_any_length_is_not_shown_whole() -> None:
    (error,) = errors_of(f"ProxyPass / scgi://127.0.0.1/ timeout={'x' * 100000}")
    assert "timeout: expected a time" in error
    assert error.endswith("...")
    assert len(error) < 1100
