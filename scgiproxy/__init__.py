"""An HTTP gateway to SCGI applications, made of Twisted parts.

The nouns, and where each lives (imports point down only)::

    tap                   `twistd scgiproxy`: the options, and makeService
    service               the model becomes pools, a resource tree and listeners; start and stop
    web      | config     HTTP: channel, request, site,   | Apache's language: text to model.
                          mount, exchange, files, access, | knows neither web nor Twisted
                          the gateway's own pages         |
    pool                  which backend: members, methods, queue, health, discovery
    wire                  SCGI on a transport: client, dialer, body sources, agent, server
    log                   which way log events go, and the files of lines
    rules                 what directives mean, as values and pure functions
    scgi     | message    the SCGI codec                  | HTTP and CGI rules. Both without I/O
    interfaces, errors

One request's path: `web.channel` parses the head and makes a `web.request.GatewayRequest`;
`web.site` picks the virtual host, normalises the target, runs the rules and finds the mount;
`web.mount` asks `pool.dispatch` for a connection; `web.exchange` pumps both ways; the response
head decides (`web.responsehead`) whether the body is relayed, a file is sent (`web.sendfile`) or
the request goes through the site again (`web.redirect`).

Beside the requests, of a balancer: `pool.health` probes its members, `pool.discovery` asks name
servers for them, `pool.readiness` connects to them beforehand, and `pool.managed` changes them while
they serve, for `web.manager`.
"""

from importlib.metadata import version

__version__ = version("scgiproxy")
