"""Rows of the table: what `config.tree` executes while it reads."""

from __future__ import annotations

from scgiproxy.config.table import ANYWHERE, Context, Directive

_EVERYWHERE = ANYWHERE | Context.REQUIRE


def _row(
    name: str, syntax: str, doc: str, count: tuple[int, int] = (1, 1), default: str = ""
) -> Directive:
    return Directive(
        name=name,
        contexts=_EVERYWHERE,
        syntax=syntax,
        count=count,
        doc=doc,
        default=default,
        read_time=True,
    )


ROWS = (
    _row("Define", "NAME [VALUE]", "Defines ${NAME} for the lines after it.", (1, 2)),
    _row("UnDefine", "NAME", "Undoes a Define, or a -D of the command line."),
    _row("Include", "PATH|PATTERN", "Reads files in this place; there must be one."),
    _row("IncludeOptional", "PATH|PATTERN", "Reads files in this place, if there are any."),
    _row(
        "ServerRoot",
        "DIRECTORY",
        "Where relative paths begin.",
        default="the folder of the configuration file",
    ),
    _row("Error", "TEXT", "Stops with that message."),
    _row("IfModule", "[!]MODULE", "For a module of Apache whose work is done here."),
    _row("IfDefine", "[!]NAME", "If NAME is defined, by Define or -D."),
    _row("IfFile", "[!]PATH", "If a file is there."),
    _row(
        "IfVersion", "[OPERATOR] VERSION", "Compares with the version of Apache's language.", (1, 2)
    ),
    _row("IfDirective", "[!]NAME", "If a directive is supported here."),
)
