"""Durations, with and without units: when the gateway waits no longer."""

from __future__ import annotations

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway, request
from tests.web.harness import Client

TIMES = [("7", 7.0), ("7s", 7.0), ("1500ms", 1.5), ("2min", 120.0), ("1H", 3600.0)]


def ends_after(gateway: ConfiguredGateway, client: Client, seconds: float) -> None:
    """Nothing has happened shortly before, and the connection or its answer has ended after."""
    before = client.received
    gateway.advance(seconds - 0.5, 0.5)
    assert client.closed is None
    assert client.received == before
    gateway.advance(2, 0.25)
    assert client.closed or client.received != before


@behaviour("KeepAliveTimeout")
@pytest.mark.parametrize(("word", "seconds"), TIMES)
def test_idle_connection(configured: Configured, word: str, seconds: float) -> None:
    gateway = configured(f"KeepAliveTimeout {word}\nProxyPass / scgi://127.0.0.1/")
    ends_after(gateway, gateway.ask().client, seconds)


@behaviour("KeepAliveTimeout")
def test_idle_connection_of_a_host(configured: Configured) -> None:
    """An inner one counts, in the host that answered last."""
    gateway = configured(
        """
        KeepAliveTimeout 7
        ProxyPass / scgi://127.0.0.1/
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          KeepAliveTimeout 30
        </VirtualHost>
        """
    )
    ends_after(gateway, gateway.ask(host="one.example").client, 7)
    ends_after(gateway, gateway.ask(host="two.example").client, 30)


@behaviour("Timeout")
@pytest.mark.parametrize(("word", "seconds"), TIMES)
def test_slow_head(configured: Configured, word: str, seconds: float) -> None:
    """A client that sends half a head is given so long, if no other limit is lower."""
    gateway = configured(
        f"TimeOut {word}\nRequestReadTimeout header=0\nProxyPass / scgi://127.0.0.1/"
    )
    ends_after(gateway, gateway.client().send(b"GET / HT"), seconds)
    assert not gateway.attempts


@behaviour("Timeout")
def test_slow_body(configured: Configured) -> None:
    """A client that stops in its body gets a 408, and the backend never sees it whole."""
    gateway = configured("Timeout 7\nProxyPass / scgi://127.0.0.1/ timeout=1h")
    client = gateway.client().send(request("/", "Content-Length: 10", method="POST") + b"12345")
    end = gateway.accept()
    ends_after(gateway, client, 7)
    assert client.answers[-1].status == 408
    assert end.body == b"12345"
    assert end.closed


def head_in_time(gateway: ConfiguredGateway, host: str, path: str, seconds: float) -> None:
    """The backend says nothing: 504 after so long."""
    client = gateway.client().send(request(path, host=host))
    end = gateway.accept()
    ends_after(gateway, client, seconds)
    assert client.answers[-1].status == 504
    assert end.closed


@behaviour("Timeout", "ProxyTimeout", "timeout=")
@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("Timeout 7\n|\n|", 7),
        ("Timeout 7\n|Timeout 9\n|", 9),
        ("Timeout 7\nProxyTimeout 11|\n|", 11),
        ("Timeout 7\nProxyTimeout 11|Timeout 9\n|", 11),
        ("Timeout 7\nProxyTimeout 11|ProxyTimeout 1500ms\n|", 1.5),
        ("Timeout 7\nProxyTimeout 11||timeout=13", 13),
        ("Timeout 7|ProxyTimeout 11|timeout=500ms", 0.5),
    ],
)
def test_slow_backend(configured: Configured, lines: str, seconds: float) -> None:
    """Its own timeout, else ProxyTimeout, else Timeout; each of the innermost place."""
    main, inner, parameter = lines.replace("\n|", "|").split("|")
    gateway = configured(
        f"{main}\n<VirtualHost *>\n{inner}\nProxyPass / scgi://127.0.0.1/ {parameter}\n"
        "</VirtualHost>"
    )
    head_in_time(gateway, "example.com", "/", seconds)


@behaviour("Timeout")
def test_slow_backend_of_an_inherited_mount(configured: Configured) -> None:
    """A mount of the main server waits as long as the host says that it serves."""
    gateway = configured(
        """
        Timeout 7
        ProxyPass / scgi://127.0.0.1/
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          Timeout 20
        </VirtualHost>
        """
    )
    head_in_time(gateway, "one.example", "/", 7)
    head_in_time(gateway, "two.example", "/", 20)


@behaviour("timeout=")
def test_timeout_is_of_each_wait(configured: Configured) -> None:
    """A body that comes a little each time may take for ever; one that stops is given up."""
    gateway = configured("ProxyPass / scgi://127.0.0.1/ timeout=2")
    client = gateway.send("/")
    end = gateway.accept()
    end.answer(b"X-Slow: yes\r\n\r\n")
    for _ in range(5):
        gateway.advance(1.5)
        end.answer(b"body")
    gateway.advance(1.5)
    assert client.closed is None
    gateway.advance(3)
    assert client.closed == "aborted"
    assert not client.answers[0].whole


@behaviour("timeout=")
def test_timeout_is_of_the_whole_head(configured: Configured) -> None:
    """A head in drips is not in time, though there is progress."""
    gateway = configured("ProxyPass / scgi://127.0.0.1/ timeout=2")
    client = gateway.send("/")
    end = gateway.accept()
    for _ in range(2):
        gateway.advance(1)
        end.answer(b"X-Slow: yes\r\n")
    gateway.advance(0.5)
    assert client.answers[0].status == 504


@behaviour("connectiontimeout=", "timeout=", "ProxyTimeout")
@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ("connectiontimeout=1500ms timeout=9", 1.5),
        ("timeout=9", 9),
        ("connectiontimeout=2min", 120),
        ("", 11),
    ],
)
def test_backend_that_is_not_there(configured: Configured, parameters: str, seconds: float) -> None:
    """Connecting has a limit of its own, else that of each wait."""
    gateway = configured(f"ProxyTimeout 11\nProxyPass / scgi://10.255.0.1/ {parameters}\n")
    client = gateway.send("/")
    assert gateway.attempts[-1].timeout == seconds
    ends_after(gateway, client, seconds)
    assert client.answers[-1].status == 503
    assert gateway.attempts[-1].given_up


@behaviour("RequestReadTimeout")
@pytest.mark.parametrize(
    ("main", "inner", "header", "body"),
    [
        ("#RequestReadTimeout", "", 20, 20),
        ("RequestReadTimeout header=7", "", 7, 20),
        ("RequestReadTimeout body=9,MinRate=1 HEADER=3-5,minrate=9", "", 3, 9),
        ("RequestReadTimeout header=7", "RequestReadTimeout body=5", 7, 5),
        ("RequestReadTimeout header=7 body=9", "RequestReadTimeout header=11", 11, 9),
        ("RequestReadTimeout header=0 body=0", "", 60, 60),
        ("RequestReadTimeout header=7 body=9\nTimeout 4", "", 4, 4),
    ],
)
def test_stages_of_a_request(
    configured: Configured, main: str, inner: str, header: float, body: float
) -> None:
    """Each stage of its own, the innermost counts; 0 leaves it to Timeout, which is for each wait."""
    gateway = configured(
        f"{main}\n<VirtualHost *>\n{inner}\nProxyPass / scgi://127.0.0.1/\n</VirtualHost>"
    )
    ends_after(gateway, gateway.client().send(b"GET / HT"), header)
    client = gateway.client().send(request("/", "Content-Length: 10", method="POST"))
    gateway.accept()
    ends_after(gateway, client, body)
    assert client.answers[-1].status == 408


@behaviour("RequestReadTimeout")
def test_stages_of_hosts(configured: Configured) -> None:
    """A head is of the first host of its address, a body of the one that is asked."""
    gateway = configured(
        """
        RequestReadTimeout header=7 body=7
        ProxyPass / scgi://127.0.0.1/
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          RequestReadTimeout header=11 body=30
        </VirtualHost>
        """
    )
    for host, seconds in (("one.example", 7), ("two.example", 30)):
        client = gateway.client().send(b"GET / HTTP/1.1\r\nHost: %b\r\n" % host.encode())
        ends_after(gateway, client, 7)
        sent = request("/", "Content-Length: 10", method="POST", host=host)
        client = gateway.client().send(sent)
        gateway.accept()
        ends_after(gateway, client, seconds)


@behaviour("ResponseSendTimeout")
@pytest.mark.parametrize(
    ("main", "inner", "seconds"),
    [
        ("#ResponseSendTimeout", "", 60),
        ("Timeout 7", "", 7),
        ("Timeout 7\nResponseSendTimeout 9", "", 9),
        ("ResponseSendTimeout 9,MinRate=0", "ResponseSendTimeout 500ms", 0.5),
        ("Timeout 7\nResponseSendTimeout 9", "ResponseSendTimeout ,MinRate=10", 7),
    ],
)
def test_client_that_does_not_read(
    configured: Configured, main: str, inner: str, seconds: float
) -> None:
    gateway = configured(
        f"{main}\n<VirtualHost *>\n{inner}\nProxyPass / scgi://127.0.0.1/\n</VirtualHost>"
    )
    client = gateway.send("/")
    end = gateway.accept()
    end.answer(b"A: b\r\n\r\nhello")
    client.transport.block()
    ends_after(gateway, client, seconds)
    assert client.closed == "aborted"
    assert end.closed == "aborted"


@behaviour("ProxyMaxDuration")
@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("ProxyMaxDuration 7\n|", 7),
        ("ProxyMaxDuration 7\n|ProxyMaxDuration 9", 9),
        ("ProxyMaxDuration 7\n|<Location /in>\nProxyMaxDuration 1500ms\n</Location>", 1.5),
        ("ProxyMaxDuration 7\n|<Proxy *>\nProxyMaxDuration 3\n</Proxy>", 3),
        ("ProxyMaxDuration 7\n|ProxyMaxDuration 0\nProxyTimeout 20", 20),
    ],
)
def test_whole_exchange(configured: Configured, lines: str, seconds: float) -> None:
    main, inner = lines.split("|")
    gateway = configured(
        f"{main}\n<VirtualHost *>\n{inner}\nProxyPass / scgi://127.0.0.1/\n</VirtualHost>"
    )
    head_in_time(gateway, "example.com", "/in", seconds)
