"""Sets of IP networks, and how they are written: ``Require ip``, ``Allow from``."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


class NetworkSet:
    """Networks as one look-up: its cost is the number of different mask lengths.

    An IPv4 client on an IPv6 socket (``::ffff:a.b.c.d``) is compared as IPv4. None, a client on a
    UNIX socket, is in no network.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[Network]) -> None:
        tables: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in networks:
            by_mask = tables[network.version]
            by_mask.setdefault(int(network.netmask), set()).add(int(network.network_address))
        self._v4, self._v6 = (
            tuple((mask, frozenset(fronts)) for mask, fronts in tables[version].items())
            for version in (4, 6)
        )

    def __contains__(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            return False
        table = self._v4
        if isinstance(address, IPv6Address):
            mapped = address.ipv4_mapped
            if mapped is None:
                table = self._v6
            else:
                address = mapped
        number = int(address)
        for mask, fronts in table:  # noqa: SIM110 - a generator costs more than the look-ups
            if number & mask in fronts:
                return True
        return False


LOOPBACK_NETWORKS: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
LOOPBACK = NetworkSet(LOOPBACK_NETWORKS)


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Read the words of ``Require ip``.

    Each is an address, the first numbers of an IPv4 address (``10.1``), a network with a length
    or a netmask (bits beyond it are ignored, as Apache does). Raises ValueError with a sentence.
    """
    networks = tuple(parse_network(word) for word in words)
    if not networks:
        raise ValueError("no address; expected one or more addresses or networks")
    return networks


def parse_network(word: str) -> Network:
    address, slash, mask = word.partition("/")
    try:
        if ":" in address:
            if "%" in word:
                raise ValueError("a zone does not belong to a network")
            return _unmapped(IPv6Network(word, strict=False))
        if not slash:
            return _parse_partial(address)
        length = int(mask) if mask.isascii() and mask.isdigit() else _mask_length(mask)
        return IPv4Network((address, length), strict=False)
    except ValueError:
        raise ValueError(
            f"{word!r} is no address or network; expected one like 10.1.2.3, 10.1,"
            " 10.1.0.0/16, 10.1.0.0/255.255.0.0, 2001:db8::1 or 2001:db8::/32"
        ) from None


def _unmapped(network: IPv6Network) -> Network:
    if not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))


def _parse_partial(text: str) -> IPv4Network:
    """``10.1`` or ``10.1.``: the front of an address, whole numbers only."""
    numbers = text.removesuffix(".").split(".")
    if len(numbers) > 4:
        raise ValueError("more than four numbers")
    whole = ".".join(numbers + ["0"] * (4 - len(numbers)))
    return IPv4Network((whole, 8 * len(numbers)))


def _mask_length(mask: str) -> int:
    """The length of ``255.255.0.0``. `ipaddress` alone would take ``0.0.255.255`` for it too."""
    holes = int(IPv4Address(mask)) ^ 0xFFFFFFFF
    if holes & (holes + 1):
        raise ValueError("not a run of ones")
    return 32 - holes.bit_length()


def is_loopback(host: str) -> bool:
    """Whether a name or an address is always this machine: 127.0.0.0/8, ::1, localhost (RFC 6761)."""
    try:
        return unmapped(ip_address(host)).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that ``::ffff:a.b.c.d`` stands for; any other as it is (RFC 4291, 2.5.5.2)."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address
