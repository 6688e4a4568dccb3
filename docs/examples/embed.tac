"""A gateway inside another Twisted application, beside a service of its own.

The application answers over SCGI on a UNIX socket, and the gateway of the same process shows it to
browsers::

    twistd -ny embed.tac

and open http://127.0.0.1:8080/ (PORT in the environment: another port).
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.web.resource import Resource

from scgiproxy.tap import Options, makeService
from scgiproxy.wire.server import ScgiServerFactory


class Greeting(Resource):
    """The application: it greets, and tells where it is mounted."""

    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        name = request.args.get(b"name", [b"world"])[0]
        mount = request.scgi_variables[b"SCRIPT_NAME"] or b"/"
        return b"Hello, %b! I am mounted at %b.\n" % (name, mount)


folder = TemporaryDirectory(prefix="embed-")  # only its owner may look into it
socket = Path(folder.name, "greeting.sock")

options = Options()
options.parseOptions(
    [
        "--listen",
        "127.0.0.1:" + os.environ.get("PORT", "8080"),
        "--proxypass",
        f'"/" "unix:{socket}|scgi://greeting/" pathinfo=on',
    ]
)

application = Application("greeting")
StreamServerEndpointService(
    UNIXServerEndpoint(reactor, str(socket), mode=0o600),
    ScgiServerFactory(Greeting(), reactor=reactor),
).setServiceParent(application)
makeService(options).setServiceParent(application)
