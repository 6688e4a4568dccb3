"""An SCGI backend as a part of an ordinary twisted.web site::

    python mount_in_site.py scgi://127.0.0.1:4000/ [PORT]

Everything below /app/ is the backend's; the page at / is this program's own.
"""

import sys

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from scgiproxy.web.mount import ProxyPassResource

if __name__ == "__main__":
    root = Resource()
    root.putChild(b"", Data(b"<p>See <a href='app/'>the application</a>.", "text/html"))
    root.putChild(b"app", ProxyPassResource.for_url(reactor, sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
    endpoints.TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(Site(root))
    reactor.run()
