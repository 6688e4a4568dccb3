"""Hours in minutes: mixed traffic with everything that goes wrong, and what the gateway holds meanwhile::

    python -m tests.soak --minutes 30 [--workers 2]

Clients of all kinds (`clients`) use a gateway in front of applications that fail in all ways
(`application`) and of a balancer whose members crash and hang and come back (`members`), while its
configuration is read again and again. Now and then the traffic rests: then nothing may be left of it,
and memory and descriptors are read (`readings`). Everything is on loopback, and stopped at the end.
"""
