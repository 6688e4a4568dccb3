"""The other side of SCGI: any twisted.web Resource, or any WSGI application, as a SCGI server.

A Resource, on a UNIX socket that the gateway's user may open::

    from twisted.internet import endpoints, reactor
    from twisted.web.static import File
    from scgiproxy.wire.server import ScgiServerFactory

    factory = ScgiServerFactory(File("/srv/site"), reactor=reactor)
    endpoints.serverFromString(reactor, "unix:/run/site.sock:mode=660").listen(factory)
    reactor.run()

A WSGI application, on a TCP port::

    from scgiproxy.wire.server import scgi_wsgi

    factory = scgi_wsgi(application, reactor, reactor.getThreadPool())
    endpoints.serverFromString(reactor, "tcp:4000:interface=127.0.0.1").listen(factory)

and in the gateway's configuration ``ProxyPass "/site/" "scgi://127.0.0.1:4000/" pathinfo=on``.

Whoever can connect is believed in all that a gateway knows (REMOTE_USER, REMOTE_ADDR, HTTPS), so
listen on a UNIX socket with narrow permissions, or on the loopback.
"""

from scgiproxy.wire.server.channel import ScgiChannel
from scgiproxy.wire.server.factory import ScgiServerFactory
from scgiproxy.wire.server.request import ScgiServerRequest
from scgiproxy.wire.server.wsgi import WsgiResource, scgi_wsgi

__all__ = [
    "ScgiChannel",
    "ScgiServerFactory",
    "ScgiServerRequest",
    "WsgiResource",
    "scgi_wsgi",
]
