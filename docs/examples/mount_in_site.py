"""An SCGI backend as a part of an ordinary twisted.web site::

    python mount_in_site.py scgi://127.0.0.1:4000/ [PORT]

Everything below /app/ is the backend's; the page at / is this program's own.
"""

import sys

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.mapping import Mount
from scgiproxy.web.mount import ProxyPassResource
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.dial import Dialer


def mount_of(address):
    """The Resource for a backend such as ``scgi://127.0.0.1:4000/``."""
    url = parse_backend_url(address)
    settings = BackendSettings(path_info=True, timeout=30)
    wheel = DeadlineWheel(reactor)
    backend = Backend(url.label, url.address, url.path, settings, clock=reactor)
    pool = Pool(url.label, [backend], dialer=Dialer(reactor, wheel), resolver=Resolver(reactor))
    mount = Mount(b"/app", url, settings)
    return ProxyPassResource(pool, mount, wheel=wheel, clock=reactor)


if __name__ == "__main__":
    root = Resource()
    root.putChild(b"", Data(b"<p>See <a href='app/'>the application</a>.", "text/html"))
    root.putChild(b"app", mount_of(sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
    endpoints.TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(Site(root))
    reactor.run()
