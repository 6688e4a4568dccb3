"""Rows of the table: documents, error pages, handlers, and what a backend's header may ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from scgiproxy.config.arguments import (
    directory,
    header_or_flag,
    integer,
    is_directory,
    parse_size,
)
from scgiproxy.config.expressions import missing_groups
from scgiproxy.config.model import WrittenDirectory
from scgiproxy.config.scopes import MountDraft, Place
from scgiproxy.config.table import ANYWHERE, HOST, Context, Directive, Merge
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.rules.mapping import Alias
from scgiproxy.rules.parameters import as_bytes, parse_integer
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind

_REPORTS = frozenset({"server-info", "ldap-status"})
"""Handlers of Apache that tell of itself."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ERROR_CODES = frozenset(status.value for status in HTTPStatus if status.value >= 400)


def _read_alias(place: Place, words: list[str]) -> Alias:
    prefix, target = words
    if not prefix.startswith("/"):
        raise ValueError(f"expected a path that begins with / first, got {prefix!r}")
    path = place.resolve(target)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        place.warn(f"Alias: {str(path)!r} does not exist")
    except OSError as error:
        place.warn(f"Alias: {str(path)!r} cannot be looked at: {error.strerror}")
    if prefix != "/" and prefix.endswith("/") != target.endswith("/"):
        place.warn("Alias: one of its paths ends in / and the other does not")
    return Alias(as_bytes(prefix), str(path))


def _alias(place: Place, alias: Alias) -> None:
    place.host.aliases.append(alias)


def _read_error_document(place: Place, words: list[str]) -> Mapping[int, ErrorDocument]:
    code = parse_integer(words[0]) if words[0].isdigit() else 0
    if code not in _ERROR_CODES:
        raise ValueError(f"expected a status of HTTP from 400 to 511, got {words[0]!r}")
    text = words[1]
    if text.lower() == "default":
        return {code: ErrorDocument(ErrorDocumentKind.DEFAULT)}
    if " " in text:
        kind = ErrorDocumentKind.TEXT
    elif text.startswith("/"):
        kind = ErrorDocumentKind.LOCAL
    elif _URL.match(text):
        kind = ErrorDocumentKind.REDIRECT
    else:
        kind = ErrorDocumentKind.TEXT
    if kind is ErrorDocumentKind.REDIRECT and code == HTTPStatus.UNAUTHORIZED:
        # Apache says so as well, and goes on.
        place.warn(
            "ErrorDocument: 401 cannot be a full URL, the client would not be asked for a"
            " password; the page is the gateway's own"
        )
        return {code: ErrorDocument(ErrorDocumentKind.DEFAULT)}
    # The old form of a text: a quote at its front and none at its end.
    return {code: ErrorDocument(kind, as_bytes(text.removeprefix('"')))}


def _read_set_handler(place: Place, words: list[str]) -> str | MountDraft | None:
    name = words[0]
    if name.lower() in ("none", "default-handler"):
        return None
    if name.lower() in _REPORTS:
        message = f"SetHandler: {name} does nothing here: there is no such page"
        place.note_once(f"SetHandler {name.lower()}", message)
        return None
    if not name.lower().startswith("proxy:"):
        handlers = place.host.handlers
        handlers[name] = (*handlers.get(name, ()), place.position)
        return name
    if place.context in Context.DIRECTORY | Context.FILES | Context.PROXY:
        raise ValueError("proxy:URL has no meaning here; expected it in a <Location>")
    target = parse_backend_url(name[len("proxy:") :])
    if target.note:
        place.warn(f"SetHandler: {target.note}")
    if not isinstance(place.pattern, bytes):
        if missing := missing_groups(target.path, place.pattern):
            place.warn(f"SetHandler: {missing}")
    else:
        # PATH_INFO is what follows the section's path, whatever path the URL has, as with Apache.
        target = replace(target, path=b"/" if place.pattern.endswith(b"/") else b"")
    # Apache's walk through the file system gives such a request its PATH_INFO, so it is sent.
    return MountDraft(place.pattern, target, place.parameters({"path_info": True}))


def _read_send_file_path(place: Place, words: list[str]) -> tuple[str, ...]:
    path = place.resolve(words[0])
    if not words[0].startswith("/"):
        raise ValueError(f"expected an absolute path, got {words[0]!r}")
    if not is_directory(path):
        place.warn(f"XSendFilePath: {str(path)!r} is not an existing directory")
    return (str(path),)


def _read_spool_directory(place: Place, words: list[str]) -> WrittenDirectory:
    return WrittenDirectory(directory(place, words), place.position)


ROWS = (
    Directive(
        name="DocumentRoot",
        contexts=HOST,
        syntax="DIRECTORY",
        read=directory,
        server="document_root",
        doc="Where the files are that no mount and no alias stands for.",
        default="none: no files are served",
    ),
    Directive(
        name="Alias",
        contexts=HOST,
        syntax="URL-PATH FILE-PATH",
        count=(2, 2),
        read=_read_alias,
        effect=_alias,
        merge=Merge.FIRST,
        doc="Serves the files below a directory, or one file, at a path; the first match counts.",
    ),
    Directive(
        name="ErrorDocument",
        contexts=ANYWHERE,
        syntax="STATUS TEXT|/PATH|URL|default",
        count=(2, 2),
        read=_read_error_document,
        settings="error_documents",
        merge=Merge.BY_KEY,
        doc="What is answered instead of the gateway's own page for an error.",
        default="the gateway's page",
    ),
    Directive(
        name="SetHandler",
        contexts=ANYWHERE,
        syntax="NAME|proxy:URL|None",
        read=_read_set_handler,
        settings="handler",
        doc="Lets one of the gateway's own pages (balancer-manager, server-status, metrics), a resource"
        " plugin, or a backend, answer every request of a section.",
        default="None",
    ),
    Directive(
        name="LimitRequestBody",
        contexts=ANYWHERE,
        syntax="BYTES",
        read=integer(),
        settings="limit_request_body",
        doc="The longest request body; a longer one is answered with 413. 0 is no limit.",
        default="1073741824",
    ),
    Directive(
        name="SpoolDirectory",
        contexts=Context.SERVER,
        syntax="DIRECTORY",
        read=_read_spool_directory,
        config="spool_directory",
        doc="Where uploads of unknown length are kept that are too large for memory, in files"
        " without a name.",
        default="the system's temporary directory",
    ),
    Directive(
        name="SpoolMaxTotal",
        contexts=Context.SERVER,
        syntax="BYTES[K|M|G|T]",
        read=lambda _, words: parse_size(words[0]),
        config="spool_max_total",
        doc="What all files of SpoolDirectory may take at a time, of each process; an upload for"
        " which there is no room beside the others is answered with 503. 0 is no limit.",
        default="4G",
    ),
    Directive(
        name="ProxySCGIInternalRedirect",
        contexts=ANYWHERE,
        syntax="On|Off|HEADER",
        read=header_or_flag(b"location"),
        settings="internal_redirect",
        doc="Whether a backend's Location (or HEADER) with a local path is followed here.",
        default="On",
    ),
    Directive(
        name="ProxySCGISendfile",
        contexts=ANYWHERE,
        syntax="On|Off|HEADER",
        read=header_or_flag(b"x-sendfile"),
        settings="sendfile",
        doc="Whether a backend's X-Sendfile (or HEADER) names a file that is sent instead.",
        default="Off",
    ),
    Directive(
        name="XSendFilePath",
        contexts=ANYWHERE,
        syntax="DIRECTORY",
        read=_read_send_file_path,
        settings="sendfile_roots",
        merge=Merge.APPEND,
        doc="A directory in which a backend may name files; none given, it is DocumentRoot.",
        default="DocumentRoot",
    ),
)
