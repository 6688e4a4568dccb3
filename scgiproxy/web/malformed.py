"""What the errors of llhttp and of OpenSSL mean."""

from __future__ import annotations

from typing import Any

from httptools import HttpParserCallbackError, HttpParserError, HttpParserInvalidMethodError
from twisted.logger import Logger

from scgiproxy.errors import BadRequest, NotImplementedHere, quoted
from scgiproxy.message.headers import is_token
from scgiproxy.web.address import ConnectionEnd

_TLS_HANDSHAKE = b"\x16"


def meaning_of(error: HttpParserError, data: bytes) -> BaseException:
    """What to raise for `error`, which came of `data`; what a callback has raised, as it is."""
    cause = error.__context__
    if isinstance(error, HttpParserCallbackError) and cause is not None:
        return cause
    if "PRI/Upgrade" in str(error):
        return BadRequest("HTTP/2 is not spoken here; expected HTTP/1.1")
    if isinstance(error, HttpParserInvalidMethodError):
        if data.startswith(_TLS_HANDSHAKE):
            return BadRequest("a TLS handshake, where plain HTTP is spoken")
        method = data[:80].lstrip(b"\r\n").split(b" ", 1)[0]
        if is_token(method):
            return NotImplementedHere("the method is not one of HTTP's")
        return BadRequest(f"expected a method, got {quoted(method)}")
    return BadRequest(f"malformed request: {error}")


def tell_of_tls(log: Logger, client: ConnectionEnd, error: Any) -> None:
    """Log why there was no agreement with a client that is gone by `error`, if that was it."""
    if not type(error).__module__.startswith("OpenSSL"):
        return
    # What OpenSSL has noted (library, function, reason), or the number and the words of errno.
    noted = error.args[0] if error.args else ()
    if isinstance(noted, list | tuple):
        why = "; ".join(str(each[-1]) for each in noted) or "unexpected end"
    else:
        why = str(error.args[-1])
    log.info("{log_key}: no TLS with {client}: {why}", log_key="client.tls", client=client, why=why)
