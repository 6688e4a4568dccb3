"""Rows of the table: the members of balancers, what may be done to them, and who knows of them."""

from __future__ import annotations

from scgiproxy.config.arguments import flag, integer
from scgiproxy.config.model import NameServer, WrittenDirectory
from scgiproxy.config.parameters import read_member_parameters
from scgiproxy.config.proxy import hint_at
from scgiproxy.config.scopes import MemberDraft, Place
from scgiproxy.config.table import HOST, Context, Directive, Merge
from scgiproxy.message.backend_url import BackendUrl, parse_backend_url
from scgiproxy.rules.discovery import name_server

_NO_BALANCERS = (
    "a balancer cannot be added while it runs, nor can it be by Apache's balancer-manager; for"
    " members there is growth="
)
_LOST = BackendUrl(None, b"", "", "")
"""Of a `<Proxy>` whose URL cannot be read."""


def _read_words(_: Place, words: list[str]) -> list[str]:
    return words


def _add_member(place: Place, words: list[str]) -> None:
    if place.context is Context.PROXY:
        balancer = place.backend
        if place.is_lost:
            balancer = _LOST
        if balancer is None or balancer.address is not None:
            raise ValueError("expected it in a <Proxy balancer://NAME>")
    else:
        if len(words) < 2:
            raise ValueError("expected balancer://NAME and a URL outside <Proxy>")
        balancer, words = parse_backend_url(words[0]), words[1:]
        if balancer.address is not None:
            raise ValueError(f"expected balancer://NAME first, got {balancer.label!r}")
    url = parse_backend_url(words[0])
    if url.address is None:
        raise ValueError(f"a balancer cannot be a member, got {words[0]!r}")
    hint_at(place, "BalancerMember", url)
    parameters = read_member_parameters(place, "BalancerMember", words[1:], url)
    draft = place.host.balancer(balancer.balancer, place.position)
    for other in draft.members:
        if (other.url.address, other.url.path) == (url.address, url.path):
            place.warn(
                f"BalancerMember: {words[0]} is a member already, by"
                f" {other.parameters.position}; this line does nothing"
            )
            return
    draft.members.append(MemberDraft(url, parameters))


def _read_name_server(place: Place, words: list[str]) -> NameServer:
    return NameServer(name_server(words[0]), place.position)


def _read_storage(place: Place, words: list[str]) -> str:
    path = place.resolve(words[0])
    if not path.parent.is_dir():
        raise ValueError(f"the directory of {str(path)!r} does not exist")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a directory; expected a file")
    return str(path)


def _read_runtime_directory(place: Place, words: list[str]) -> WrittenDirectory:
    # Whether it is one matters only when something is kept there.
    return WrittenDirectory(str(place.resolve(words[0])), place.position)


def _persist(place: Place, is_on: bool) -> None:
    place.host.server["balancer_persist"] = is_on
    place.host.persist_position = place.position


ROWS = (
    Directive(
        name="BalancerMember",
        contexts=HOST | Context.PROXY,
        syntax="[balancer://NAME] URL [KEY=VALUE ...]",
        count=(1, None),
        read=_read_words,
        effect=_add_member,
        merge=Merge.APPEND,
        doc="A backend of a balancer, which is the <Proxy> section's, or the one that is named.",
    ),
    Directive(
        name="BalancerInherit",
        contexts=HOST,
        syntax="On|Off",
        read=flag,
        server="balancer_inherit",
        doc="Whether the balancer-manager of a virtual host has the main server's balancers too.",
        default="On",
    ),
    Directive(
        name="BalancerGrowth",
        contexts=HOST,
        syntax="NUMBER",
        read=integer(0, 1000),
        doc=f"Does nothing here: {_NO_BALANCERS}.",
        inert=_NO_BALANCERS,
    ),
    Directive(
        name="BalancerPersist",
        contexts=HOST,
        syntax="On|Off",
        read=flag,
        server="balancer_persist",
        effect=_persist,
        doc="Whether what is changed while the gateway runs, and counters, survive a restart.",
        default="Off",
    ),
    Directive(
        name="DefaultRuntimeDir",
        contexts=Context.SERVER,
        syntax="DIRECTORY",
        read=_read_runtime_directory,
        config="runtime_directory",
        doc="Where the file of BalancerPersist is kept.",
        default="systemd's StateDirectory, else twistd's working directory",
    ),
    Directive(
        name="ProxyResolver",
        contexts=Context.SERVER,
        syntax="HOST[:PORT]",
        read=_read_name_server,
        config="name_server",
        doc="The name server that is asked for members with discover=; port 53 by default.",
        default="the system's name servers",
    ),
    Directive(
        name="HeartbeatStorage",
        contexts=Context.SERVER,
        syntax="FILE",
        read=_read_storage,
        config="heartbeat_storage",
        doc="The file of Apache's mod_heartmonitor, which lbmethod=heartbeat goes by.",
        default="none",
    ),
)
