"""What a browser sends: a form by GET and by POST, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import parse_qsl

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    PushMultipartParser,
    parse_options_header,
)
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import CooperativeTask, Cooperator, TaskFinished, TaskStopped
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.demo.page import Page, html, refusal, shown, table, value

MAX_FORM = 1 << 16
MAX_FIELDS = 100
SHOWN = 2000
"""Bytes of a text that are shown."""


class FormPage(Page):
    """A form, and what came of it."""

    def render_GET(self, request: Request) -> bytes:
        query = request.uri.partition(b"?")[2]
        if not query:
            return html(request, "A form", *_form_intro(), _forms())
        return self._result(request, "GET", "the query string", query)

    def render_POST(self, request: Request) -> bytes:
        content_type = request.getHeader(b"content-type") or b""
        if content_type.partition(b";")[0].strip().lower() != b"application/x-www-form-urlencoded":
            return refusal(
                request,
                415,
                "This page takes application/x-www-form-urlencoded, not ",
                tags.code(shown(content_type) or "a body without a type"),
                ".",
            )
        body = request.content.read(MAX_FORM + 1) if request.content else b""
        if len(body) > MAX_FORM:
            return refusal(request, 413, f"A form here has at most {MAX_FORM} bytes.")
        return self._result(request, "POST", "the body", body)

    def _result(self, request: Request, method: str, where: str, data: bytes) -> bytes:
        try:
            text = data.decode("ascii", "surrogateescape")
            fields = parse_qsl(
                text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="backslashreplace"
            )
        except ValueError:
            return refusal(request, 400, f"A form here has at most {MAX_FIELDS} fields.")
        return html(
            request,
            "What came of the form",
            tags.p(f"Sent by {method}: the fields are in {where}.", class_="lead"),
            table(("Field", "Value"), ((shown(name), value(text)) for name, text in fields)),
            tags.h2(f"As it was sent, in {where}"),
            tags.pre(shown(data[:SHOWN])),
            tags.h2("Once more"),
            _forms(),
        )


def _form_intro() -> Iterable[Flattenable]:
    yield tags.p(
        "The same form twice. By GET its fields travel in the address, by POST in the body. "
        "Try some letters from far away, or <b>markup</b>: it comes back as text.",
        class_="lead",
    )


def _forms() -> Tag:
    return tags.div(_form("GET"), _form("POST"), class_="columns")


def _form(method: str) -> Tag:
    prefix = method.lower()
    return tags.form(
        tags.strong(f"By {method}"),
        tags.label("Your name", for_=f"{prefix}-name"),
        tags.input(type="text", name="name", id=f"{prefix}-name", value="Zoë & <friends>"),
        tags.label("Colour", for_=f"{prefix}-colour"),
        tags.select(
            *(tags.option(colour) for colour in ("teal", "amber", "violet")),
            name="colour",
            id=f"{prefix}-colour",
        ),
        tags.label("Message", for_=f"{prefix}-message"),
        tags.textarea("Hello through the gateway!", name="message", id=f"{prefix}-message"),
        tags.button(f"Send by {method}", type="submit"),
        method=prefix,
        action="form",
        class_="panel",
    )


@dataclass
class Part:
    """One part of a multipart body; of a file only what can be said about it."""

    name: str
    filename: str | None
    content_type: str
    size: int = 0
    text: bytearray = field(default_factory=bytearray)
    digest: Any = field(default_factory=hashlib.sha256)


def read_parts(file: IO[bytes], content_type: str) -> Generator[None, None, list[Part]]:
    """Read a multipart/form-data body (RFC 7578) a piece at a time; returns its parts at the end.

    Raises MultipartError with what is wrong.
    """
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data":
        raise MultipartError("it is not multipart/form-data")
    parts: list[Part] = []
    parser = PushMultipartParser(
        options.get("boundary", ""), max_segment_count=MAX_FIELDS, strict=True
    )
    for event in parser.parse_blocking(file.read):
        if isinstance(event, (bytes, bytearray)):
            part = parts[-1]
            part.size += len(event)
            part.digest.update(event)
            if part.filename is None and len(part.text) < SHOWN:
                part.text += event[: SHOWN - len(part.text)]
        elif event is not None:
            parts.append(Part(event.name or "", event.filename, event.content_type or ""))
        yield
    return parts


class UploadPage(Page):
    """Files, read in small steps so that everybody else is served meanwhile."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._cooperator = Cooperator(scheduler=lambda step: clock.callLater(0, step))

    def render_GET(self, request: Request) -> bytes:
        return html(
            request,
            "A file upload",
            tags.p(
                "Choose one or more files, large ones too. The gateway passes them on while "
                "they arrive; the application reads them, tells you what it got, and keeps nothing.",
                class_="lead",
            ),
            _upload_form(),
        )

    def render_POST(self, request: Request) -> int:
        if request.content is None:
            raise RuntimeError("a request without its body was rendered")
        reading = read_parts(request.content, request.getHeader("content-type") or "")
        result: list[Part] = []

        def steps() -> Generator[None, None, None]:
            result.extend((yield from reading))

        task = self._cooperator.cooperate(steps())
        request.notifyFinish().addErrback(lambda _: _stop(task))
        task.whenDone().addCallbacks(
            lambda _: _finish(request, _uploaded(request, result)),
            lambda failure: _upload_failed(request, failure),
        )
        return NOT_DONE_YET


def _stop(task: CooperativeTask[Generator[None, None, None]]) -> None:
    """The client has gone."""
    with suppress(TaskFinished):
        task.stop()


def _upload_failed(request: Request, failure: Failure) -> None:
    if isinstance(failure.value, MultipartError):
        reason = shown(failure.getErrorMessage())
        _finish(request, refusal(request, 400, "The upload could not be read: ", reason, "."))
    elif not isinstance(failure.value, TaskStopped):
        request.processingFailed(failure)


def _finish(request: Request, page: bytes) -> None:
    request.setHeader(b"Content-Length", b"%d" % len(page))
    request.write(page)
    request.finish()


def _uploaded(request: Request, parts: list[Part]) -> bytes:
    files = [part for part in parts if part.filename is not None]
    texts = [part for part in parts if part.filename is None]
    content: list[Flattenable] = [
        tags.p(
            "Compare the checksum with what ",
            tags.code("sha256sum"),
            " says on your side.",
            class_="lead",
        ),
        table(
            ("File", "Type", "Bytes", "SHA-256"),
            (
                (
                    shown(part.filename or "(no file chosen)"),
                    value(part.content_type),
                    tags.td(f"{part.size:,}"),
                    value(part.digest.hexdigest()),
                )
                for part in files
            ),
        ),
    ]
    if texts:
        rows = ((shown(part.name), value(bytes(part.text))) for part in texts)
        content += [tags.h2("The other fields"), table(("Field", "Value"), rows)]
    content += [tags.h2("Once more"), _upload_form()]
    return html(request, "What was uploaded", *content)


def _upload_form() -> Tag:
    return tags.form(
        tags.label("Files", for_="files"),
        tags.input(type="file", name="files", id="files", multiple="multiple", required="required"),
        tags.label("A note", for_="note"),
        tags.input(type="text", name="note", id="note", value="for the demo"),
        tags.button("Upload", type="submit"),
        method="post",
        action="upload",
        enctype="multipart/form-data",
        class_="panel",
    )
