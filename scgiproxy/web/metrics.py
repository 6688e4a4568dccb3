"""``SetHandler metrics``: the numbers for Prometheus, as its text format and as OpenMetrics.

Families and samples are made when somebody asks, from the objects that count. What plugins have
put into prometheus-client's own registry is shown as well, and with it what that tells of the
process and of Python; of several processes with the label `worker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from twisted.web.server import Request

from scgiproxy.web.gatewaynumbers import GatewayNumbers, NumbersSource
from scgiproxy.web.later import answer_when_there
from scgiproxy.web.metricfamilies import families
from scgiproxy.web.page import OwnPage, set_headers
from scgiproxy.web.pieces import answer_in_pieces

Encoder = Callable[[Collector], bytes]

_END = b"# EOF\n"


class GatewayCollector(Collector):
    """The metric families of a gateway that is one process, and those of prometheus-client's own
    registry."""

    def __init__(self, numbers: Callable[[], GatewayNumbers]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """All of them, with the numbers of this moment."""
        for _, (family, *more) in groupby(pieces(self._numbers()), lambda piece: piece.name):
            for piece in more:
                family.samples += piece.samples
            yield family


def pieces(numbers: GatewayNumbers) -> Iterator[Metric]:
    """All families, some samples at a time: what follows under the same name goes on with it."""
    own = REGISTRY.collect() if numbers.registries is None else numbers.registries
    return chain(families(numbers), own)


class MetricsResource(OwnPage):
    """Answers in the format that `Accept` prefers: Prometheus's own, unless it asks
    for OpenMetrics."""

    def __init__(self, numbers: NumbersSource) -> None:
        super().__init__()
        self._numbers = numbers

    def render_HEAD(self, request: Request) -> bytes:
        self._set_headers(request)
        return b""

    def render_GET(self, request: Request) -> bytes | int:
        return answer_when_there(request, self._numbers(), partial(self._answer, request))

    def _answer(self, request: Request, numbers: GatewayNumbers) -> int:
        encoder = self._set_headers(request)
        return answer_in_pieces(request, _texts(pieces(numbers), encoder))

    @staticmethod
    def _set_headers(request: Request) -> Encoder:
        encoder: Encoder = generate_latest
        content_type = CONTENT_TYPE_PLAIN_0_0_4
        if prefers_openmetrics(request.getHeader(b"accept") or b""):
            encoder, content_type = openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
        set_headers(request, content_type)
        request.responseHeaders.setRawHeaders("Vary", ["Accept"])
        return encoder


def _texts(pieces: Iterator[Metric], encoder: Encoder) -> Iterator[bytes]:
    name = ""
    for piece in pieces:
        text = encoder(_Piece(piece)).removesuffix(_END)
        # A family is described once, before its samples.
        while piece.name == name and text.startswith(b"#"):
            text = text.partition(b"\n")[2]
        name = piece.name
        if text:
            yield text
    if encoder is openmetrics.generate_latest:
        yield _END


@dataclass(frozen=True)
class _Piece(Collector):
    piece: Metric

    def collect(self) -> Iterable[Metric]:
        return (self.piece,)


def prefers_openmetrics(accept: bytes) -> bool:
    """Whether an Accept field (RFC 9110 section 12.5.1) has OpenMetrics 1.0 no lower than the text
    format. A range such as ``*/*``, and what cannot be read, says nothing for it."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    versions = {"application/openmetrics-text": "1.0.0", "text/plain": "0.0.4"}
    for media_range in accept.decode("latin-1").lower().split(","):
        kind, *pairs = (part.strip() for part in media_range.split(";"))
        parameters = dict(pair.partition("=")[::2] for pair in pairs)
        version = parameters.get("version", "").strip('"')
        if kind in best and version in ("", versions[kind]):
            best[kind] = max(best[kind], _quality(parameters.get("q", "1")))
    wanted, other = best.values()
    return wanted > 0 and wanted >= other


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
