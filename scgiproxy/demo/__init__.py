"""A SCGI application that shows a newcomer that everything works: ``twistd scgiproxy --demo``.

`build_demo` makes its resource tree, `service.DemoService` serves it over SCGI on a UNIX socket of
its own. It is an ordinary twisted.web application: nothing in it knows the gateway.
"""

from scgiproxy.demo.resource import build_demo

__all__ = ["build_demo"]
