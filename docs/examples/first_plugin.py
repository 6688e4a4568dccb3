"""A method for ``lbmethod=first``. Its place is ``twisted/plugins/`` in a folder of sys.path."""

from zope.interface import implementer

from scgiproxy.interfaces import IBalancingMethod


@implementer(IBalancingMethod)
class First:
    """Fill the first member up to its ``max``, then the next: the last ones may be switched off."""

    name = "first"

    def choose(self, candidates, request):  # noqa: ARG002
        # Whoever has all of its connections in use is no candidate.
        return candidates[0]


first = First()
