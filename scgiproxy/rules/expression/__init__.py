r"""Apache's expressions (ap_expr): conditions, and texts with values in them.

::

    condition ::= condition "||" condition | condition "&&" condition | "!" condition
                | "(" condition ")" | "true" | "false" | comparison
    comparison ::= word "==" word       also = != < <= > >=, as texts
                | word "-eq" word       also -ne -lt -le -gt -ge, as integers; eq ne lt le gt ge
                | word "=~" regex | word "!~" regex
                | word "-in" "{" word "," word ... "}"      also in
                | word "-strmatch" word                     also -strcmatch -fnmatch
                | "-n" word | "-z" word | "-T" word
    word ::= word "." word | number | string | "%{" variable "}" | "%{" function ":" text "}"
                | "$" digit | function "(" word ")"
    regex ::= "/" pattern "/" ["i"] | "m" separator pattern separator ["i"]

``or``, ``and`` and ``not`` are ``||``, ``&&`` and ``!``; the later of them bind tighter, and ``!``
is for a whole comparison. In a string (``'...'``, ``"..."``) and in a text ``%{...}`` and
``$digit`` are replaced, and a backslash takes the next character literally or is an escape: ``\n
\r \t \b \f``, or an octal number. ``$0`` to ``$9`` are what the last regex with groups has
matched, and empty if it has not.

`lexer` makes tokens, `parser` a tree of them, `tree` knows what each node is for a request.
(https://httpd.apache.org/docs/2.4/expr.html)
"""

from scgiproxy.rules.expression.parser import (
    CompileRegex,
    Vocabulary,
    parse_condition,
    parse_text,
)
from scgiproxy.rules.expression.tree import Context, Expression

__all__ = [
    "CompileRegex",
    "Context",
    "Expression",
    "Vocabulary",
    "parse_condition",
    "parse_text",
]
