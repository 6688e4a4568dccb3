"""Tests for `scgiproxy.rules.networks`."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.networks import NetworkSet, parse_networks


@pytest.mark.parametrize(
    ("word", "network"),
    [
        ("10", "10.0.0.0/8"),
        ("10.1", "10.1.0.0/16"),
        ("10.1.", "10.1.0.0/16"),
        ("10.1.2", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.0.0/255.255.0.0", "10.1.0.0/16"),
        ("10.1.2.3/255.255.255.255", "10.1.2.3/32"),
        ("0.0.0.0/0.0.0.0", "0.0.0.0/0"),
        ("::1", "::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:db8::5/32", "2001:db8::/32"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
    ],
)
def test_network_is_read(word: str, network: str) -> None:
    """Each way to write a network gives that network."""
    assert parse_networks([word]) == (ip_network(network),)


@pytest.mark.parametrize(
    "word",
    [
        "",
        ".",
        "10..1",
        "10.256",
        "10.01",
        "10.1/16",
        "10.1.2.3.4",
        "10.1.2.3/33",
        "10.1.2.3/-1",
        "10.1.2.3/",
        "10.0.0.0/0.0.0.255",
        "10.0.0.0/255.0.255.0",
        "10.1.2.x",
        "example.com",
        "fe80::1%eth0",
        "::1/129",
        "2001:db8::/ffff::",
        "\u0661\u0660",
    ],
)
def test_what_is_no_network_is_refused_with_a_sentence(word: str) -> None:
    """The message shows the word and how networks are written."""
    with pytest.raises(ValueError, match="is no address or network; expected one like") as caught:
        parse_networks([word])
    assert repr(word) in str(caught.value)


@given(st.lists(st.ip_addresses(v=4)), st.lists(st.integers(0, 32)), st.ip_addresses(v=4))
def test_network_set_agrees_with_one_by_one(fronts, lengths, address) -> None:
    """The compiled look-up says what a search through the list says."""
    networks = [
        ip_network((int(front), length), strict=False)
        for front, length in zip(fronts, lengths, strict=False)
    ]
    assert (address in NetworkSet(networks)) is any(address in each for each in networks)
