"""X-Sendfile: a backend names a file, and the gateway sends it (ProxySCGISendfile, XSendFilePath)."""

from __future__ import annotations

from collections.abc import Sequence

from scgiproxy.errors import Forbidden, quoted
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.headers import HeaderList
from scgiproxy.web.errorpage import answer_page
from scgiproxy.web.files import Refuse, send_file
from scgiproxy.web.openfile import open_beneath


def answer_with_file(
    request: IGatewayRequest,
    name_value: bytes,
    headers: HeaderList,
    status: int,
    reason: bytes | None,
    roots: Sequence[str],
    *,
    refuse: Refuse = answer_page,
) -> None:
    """Answer with the file that a backend has named.

    `name_value` is the value of its X-Sendfile header: an absolute path of the file system, taken
    as it is, not URL-decoded. `headers` are the others of its answer, without that one; they are
    kept, as `status` and `reason` are. `roots` are the folders of XSendFilePath, or DocumentRoot
    where there is none. `refuse` answers a 412 or 416. Raises `Forbidden`, `NotFound` or `GatewayError` before anything is sent.
    """
    if not roots:
        raise Forbidden(
            f"the backend names the file {quoted(name_value, 200)}, and no folder is open to it:"
            " set XSendFilePath (or DocumentRoot)"
        )
    if not name_value:
        raise Forbidden("the backend names a file to send, and the name is empty")
    opened = open_beneath(roots, name_value)
    send_file(request, opened, headers=headers, status=status, reason=reason, refuse=refuse)
