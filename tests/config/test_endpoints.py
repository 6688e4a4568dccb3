"""What is said of endpoint strings before Twisted sees them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.endpoints import (
    ENDPOINT_TYPES,
    check_endpoint,
    endpoint_files,
    with_files,
)
from tests.config.loading import errors_of


@pytest.mark.parametrize(
    "text",
    [
        "tcp:80",
        "tcp:port=80",
        "tcp:80:127.0.0.1:50",
        "tcp:80:interface=localhost:backlog=50",
        r"tcp6:80:50:\:\:1",
        r"tcp:80:interface=fe80\:\:1%eth0",
        "unix:/run/a b:mode=0660:lockfile=0:backlog=5",
        "unix:address=/run/a",
        r"unix:/run/a\:b\\c\=d",
        "ssl:443:key.pem:certificate.pem",
        "ssl:443:privateKey=k:certKey=c:extraCertChain=e:dhParameters=d:sslmethod=TLS_METHOD",
        "tls:/:443",
        "systemd:INET6:0",
        "systemd:domain=UNIX:name=web",
        "haproxy:tcp:80",
        "HAProxy:haproxy:TLS:/",
        "onion:80:whatever=x:=:y",
    ],
)
def test_what_can_be_meant(text: str) -> None:
    check_endpoint(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tcp:8080:foo=1", "'foo' is no key of tcp; expected port, interface or backlog"),
        (
            "unix:/a:moed=660",
            (
                "'moed' is no key of unix; expected address, mode, backlog or lockfile;"
                " did you mean mode?"
            ),
        ),
        ("haproxy:tcp:80:x=1", "'x' is no key of tcp; expected port, interface or backlog"),
        ("unix:/a:mode=999", "mode: expected an octal number such as 660, got '999'"),
        ("unix:/a:mode=rw", "mode: expected an octal number such as 660, got 'rw'"),
        ("unix:/a:lockfile=yes", "lockfile: expected 0 or 1, got 'yes'"),
        ("unix:address=", "address: expected a path"),
        ("tcp:http", "port: expected a number from 0 to 65535, got 'http'"),
        ("tcp:65536", "port: expected a number from 0 to 65535, got 65536"),
        ("tcp:80:backlog=-1", "backlog: expected a number from 0 to 2147483647, got '-1'"),
        ("tcp:80:backlog=5000000000", "backlog: expected a number from 0 to 2147483647, got "),
        ("tcp:80:interface=a/b", "interface: expected an address such as 127.0.0.1, got 'a/b'"),
        ("tls:/dev/null", "path: expected an existing directory, got '/dev/null'"),
        ("ssl:1:sslmethod=x", "sslmethod: expected TLS_METHOD, TLS_SERVER_METHOD, "),
        ("ssl:443:certKey=", "certKey: expected a path"),
        ("systemd:INET4:0", "domain: expected INET, INET6 or UNIX, got 'INET4'"),
        ("systemd:INET", "systemd needs one of index and name"),
        ("systemd:INET:0:name=a", "systemd needs one of index and name"),
        ("systemd:INET:name=", "name: expected a name"),
        ("tcp:interface=::", r"is given twice (a colon inside of a value is written \:)"),
        ("tcp:80:a:5:x", r"'x' is left over (a colon inside of a value is written \:)"),
        ("tcp:80:port=81", "port is given twice"),
        ("tcp:interface=a", "tcp needs port; expected tcp:PORT"),
        ("haproxy:x=1", "haproxy needs another endpoint; expected haproxy:tcp:PORT"),
        ("TCP:80", "'TCP' is no kind of endpoint; did you mean tcp?"),
        ("stdio:x", "standard input and output are no place to listen on"),
        ("tcp:80\\", "nothing follows the backslash at its end"),
    ],
)
def test_what_cannot(text: str, message: str) -> None:
    """Which key, and what was expected."""
    with pytest.raises(ValueError) as raised:
        check_endpoint(text)
    assert message in str(raised.value)


def test_all_that_is_wrong() -> None:
    (error,) = errors_of('Listen "tcp:x:foo=1:backlog=y"')
    assert error == (
        "f:1: Listen: 'tcp:x:foo=1:backlog=y': 'foo' is no key of tcp; expected port, interface or"
        " backlog; port: expected a number from 0 to 65535, got 'x'; backlog: expected a number"
        " from 0 to 2147483647, got 'y'"
    )


@given(
    st.sampled_from(sorted(ENDPOINT_TYPES)),
    st.lists(st.sampled_from([":", "=", "\\", "80", "mode", "interface", "haproxy", "", "a"])),
)
def test_any_text(kind: str, pieces: list[str]) -> None:
    """ValueError is all that wrong text can cause."""
    with suppress(ValueError):
        check_endpoint(kind + ":" + "".join(pieces))


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("tcp:80", {}),
        ("unix:/run/a", {}),
        ("tls:/etc/keys:443", {}),
        ("something:else=1", {}),
        ("ssl:443", {"privateKey": "server.pem"}),
        (
            "ssl:443:key.pem:certificate.pem",
            {"privateKey": "key.pem", "certKey": "certificate.pem"},
        ),
        (
            r"haproxy:ssl:443:dhParameters=d:extraCertChain=/a\:b\\c",
            {"privateKey": "server.pem", "extraCertChain": r"/a:b\c", "dhParameters": "d"},
        ),
    ],
)
def test_files_of_an_endpoint(text: str, files: dict[str, str]) -> None:
    assert endpoint_files(text) == files


@pytest.mark.parametrize(
    ("text", "files", "changed"),
    [
        ("tcp:80", {}, "tcp:80"),
        ("ssl:443", {"privateKey": "/a:b"}, r"ssl:port=443:privateKey=/a\:b"),
        (
            r"HAProxy:ssl:443:k:interface=\:\::certKey=c",
            {"privateKey": "1", "certKey": "2"},
            r"haproxy:ssl:port=443:privateKey=1:interface=\:\::certKey=2",
        ),
    ],
)
def test_an_endpoint_with_other_files(text: str, files: dict[str, str], changed: str) -> None:
    assert with_files(text, files) == changed
    check_endpoint(changed)
    assert {key: endpoint_files(changed)[key] for key in files} == files
