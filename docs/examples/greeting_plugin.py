"""A Resource for ``SetHandler greeting``. Its place is ``twisted/plugins/`` in a folder of sys.path."""

from twisted.web.resource import Resource
from zope.interface import implementer

from scgiproxy.interfaces import IResourcePlugin


class Greeting(Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"Content-Type", b"text/plain")
        return b"Hello from the gateway itself, at %b.\n" % request.uri


@implementer(IResourcePlugin)
class GreetingPlugin:
    name = "greeting"

    def resource(self, settings):  # noqa: ARG002
        return Greeting()


greeting = GreetingPlugin()
