"""A resolver that is the test, and the records it answers with."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError

from scgiproxy.pool.records import Answer


class Question:
    """One that was asked; `cancelled` once nobody waits for it."""

    def __init__(self, name: str, record: int) -> None:
        self.name = name
        self.record = record
        self.cancelled = False
        self.deferred: Deferred[Answer] = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        self.cancelled = True

    @property
    def open(self) -> bool:
        return not self.deferred.called


class FakeNames:
    """Answers from `zone` when told to, or `at_once`.

    A name in the zone has a list of records, or an exception; other names do not exist.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, int], list[dns.RRHeader] | Exception] = {}
        self.questions: list[Question] = []
        self.at_once = False

    def lookupAddress(self, name: str) -> Deferred[Answer]:
        return self._ask(name, dns.A)

    def lookupIPV6Address(self, name: str) -> Deferred[Answer]:
        return self._ask(name, dns.AAAA)

    def lookupService(self, name: str) -> Deferred[Answer]:
        return self._ask(name, dns.SRV)

    def _ask(self, name: str, record: int) -> Deferred[Answer]:
        question = Question(name, record)
        self.questions.append(question)
        if self.at_once:
            self._answer(question)
        return question.deferred

    def open(self) -> list[Question]:
        """The questions that wait for an answer."""
        return [question for question in self.questions if question.open]

    def answer(self) -> int:
        """Answer whatever is asked, and asked because of that; how many questions that were."""
        count = 0
        while self.open():
            for question in self.open():
                self._answer(question)
                count += 1
        return count

    def _answer(self, question: Question) -> None:
        if all(name != question.name for name, _ in self.zone):
            question.deferred.errback(DNSNameError(f"there is no {question.name}"))
            return
        records = self.zone.get((question.name, question.record), [])
        if isinstance(records, Exception):
            question.deferred.errback(records)
        else:
            question.deferred.callback((records, [], []))

    # -- the zone ------------------------------------------------------------------------------

    def addresses(self, name: str, *texts: str, ttl: int = 60) -> None:
        """Let that be the addresses of `name`, of both families."""
        for record, payload in ((dns.A, dns.Record_A), (dns.AAAA, dns.Record_AAAA)):
            of_family = [text for text in texts if (":" in text) == (record == dns.AAAA)]
            self.zone[name, record] = [
                dns.RRHeader(name, record, dns.IN, ttl, payload(text)) for text in of_family
            ]

    def services(self, name: str, *services: tuple[int, int, int, str], ttl: int = 60) -> None:
        """Let that be its SRV records: priority, weight, port, target."""
        self.zone[name, dns.SRV] = [
            dns.RRHeader(name, dns.SRV, dns.IN, ttl, dns.Record_SRV(*service))
            for service in services
        ]

    def fail(self, name: str, *records: int, error: Exception | None = None) -> None:
        """Let questions for these records end with `error`."""
        for record in records:
            self.zone[name, record] = error or DNSServerError("SERVFAIL")

    def remove(self, name: str) -> None:
        """Let there be no such name."""
        for key in [key for key in self.zone if key[0] == name]:
            del self.zone[key]
