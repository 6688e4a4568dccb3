"""A SCGI application that shows a newcomer that everything works: ``twistd scgiproxy --demo``.

`build_demo` makes its resource tree, an ordinary twisted.web application that knows nothing of the
gateway. `service.DemoService` serves it over SCGI on a UNIX socket, with a gateway before it.
"""

from scgiproxy.demo.resource import build_demo

__all__ = ["build_demo"]
