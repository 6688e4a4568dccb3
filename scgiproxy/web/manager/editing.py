"""A change that was posted: read, checked, and made, all of it or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from twisted.web.server import Request

from scgiproxy.errors import escaped
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.changes import ADDING, balancer_change, member_change
from scgiproxy.rules.parameters import suggest
from scgiproxy.web.manager.protection import has_nonce

MOST_FORM = 16384
"""Bytes of a form."""

_MOST_FIELDS = 100
_FORM = b"application/x-www-form-urlencoded"
_NEXT = re.compile("; (?='?[bw]_)")
"""Between two problems of one ValueError, each of which begins with the name of its field."""
_NUMBERS = frozenset(("w_hf", "w_hi", "w_hp"))
_OWN = frozenset(("b", "w", "nonce", "xml", "format"))


class NotDone(Exception):
    """A request that is not fulfilled: the status to answer with, and sentences for the user."""

    def __init__(self, status: int, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.status = status
        self.problems = problems


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of several ones with a name the last counts, as in Apache.

    Raises NotDone.
    """
    media_type = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != _FORM:
        raise NotDone(415, f"Expected the Content-Type {_FORM.decode()}.")
    body = b"" if request.content is None else request.content.read(MOST_FORM + 1)
    if len(body) > MOST_FORM:
        raise NotDone(413, f"The form is longer than {MOST_FORM} bytes.")
    try:
        text = "&".join(piece for piece in body.decode("ascii").split("&") if piece)
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="surrogateescape",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise NotDone(
            400, f"Expected a form of at most {_MOST_FIELDS} fields, such as b=app&nonce=..."
        ) from None
    # An empty number says nothing: a form has it where there is no health check.
    return {name: word for name, word in pairs if word or name not in _NUMBERS}


def find_balancer(balancers: Sequence[ManagedBalancer], name: str) -> ManagedBalancer:
    """The balancer of that name, in any case, with ``balancer://`` or without it. Raises NotDone."""
    wanted = name.lower().removeprefix("balancer://")
    for balancer in balancers:
        if balancer.name.lower() == wanted:
            return balancer
    near = suggest(wanted, [balancer.name for balancer in balancers])
    raise NotDone(404, f"There is no balancer {_quoted(name)} here{near}.")


def find_member(balancer: ManagedBalancer, label: str) -> Backend:
    """The member with that URL; of a UNIX socket's the part behind the bar will do, as in Apache.
    Raises NotDone."""
    try:
        return balancer.member(label)
    except ValueError as error:
        members = balancer.pool.backends
        found = [one for one in members if one.label.partition("|")[2] == label != ""]
        if len(found) == 1:
            return found[0]
        raise NotDone(404, f"{_sentence(str(error))}.") from None


def change(
    balancers: Sequence[ManagedBalancer], fields: Mapping[str, str], by: str
) -> tuple[ManagedBalancer, Backend | None]:
    """Do what `fields` say, and return what it was done to; `by`: who wants it, for the log.

    Raises NotDone with every problem, and then nothing is changed.
    """
    if not fields.get("b"):
        raise NotDone(400, "b: expected the name of a balancer.")
    balancer = find_balancer(balancers, fields["b"])
    if balancer.nonce and not fields.get("nonce"):
        raise NotDone(403, "nonce: it is missing; it is on the page, and in ?format=json.")
    if not has_nonce(fields.get("nonce", ""), balancer.nonce):
        raise NotDone(
            403,
            "nonce: it is not that of this balancer. It changes with each start of the gateway;"
            " load the page again.",
        )
    member = find_member(balancer, fields["w"]) if fields.get("w") else None
    problems = [
        f"{escaped(_octets(name))}: there is no such field"
        for name in fields
        if name not in _OWN and not name.startswith(("w_", "b_"))
    ]
    problems += _checked(balancer, member, fields)
    if problems:
        raise NotDone(400, *(f"{_sentence(problem)}." for problem in problems))
    return balancer, make(balancer, member, fields, by)


def _checked(
    balancer: ManagedBalancer, member: Backend | None, fields: Mapping[str, str]
) -> list[str]:
    problems: list[str] = []
    for read in (member_change, balancer_change):
        try:
            read(fields)
        except ValueError as error:
            problems += _NEXT.split(str(error))
    of_member = any(name.startswith("w_") for name in fields)
    of_balancer = any(name.startswith("b_") for name in fields)
    if of_member and member is None:
        problems.append("w: expected the URL of a member, since there are fields with w_")
    if of_member and of_balancer:
        # Each is done as a whole; the two together would not be.
        problems.append("expected fields with w_ or with b_, got both")
    if not of_member and not of_balancer:
        problems.append("expected a field that says what is to be changed, such as w_lf")
    if fields.get("b_wyes", "") not in ("", "0", "1"):
        problems.append("b_wyes: expected 0 or 1")
    method = fields.get("b_lbm")
    if method is not None and method not in balancer.methods:
        problems.append(f"b_lbm: expected one of {', '.join(balancer.methods)}")
    return list(dict.fromkeys(problems))


def make(
    balancer: ManagedBalancer, member: Backend | None, fields: Mapping[str, str], by: str
) -> Backend | None:
    """Do what `fields` say, which have been checked; the member is returned. Raises NotDone."""
    try:
        if member is not None and not fields.keys() & ADDING:
            wanted = member_change(fields)
            balancer.change_member(member, wanted, by)
        # First what may fail: the rest has been checked.
        if fields.get("b_wyes") == "1":
            member = balancer.add(fields.get("b_nwrkr", ""), by)
        balancer.change(balancer_change(fields), by)
    except ValueError as error:
        raise NotDone(400, f"{_sentence(str(error))}.") from None
    return member


def _sentence(text: str) -> str:
    return text.rstrip(".")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return escaped(_octets(text))
