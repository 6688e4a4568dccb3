"""Real servers on loopback and UNIX sockets, with the gateway in front of them.

`processes` starts and stops programs, `gateway` is the gateway as one of them, `servers`,
`fossil` and `rtorrent` are the SCGI servers, `dnsmasq` is a name server; `scripted` is a backend
that plays what a test wants, `http_client` and `scgi_client` are the other ends. `contract` has the
tests that every web application behind the gateway must pass; the applications themselves are in
`apps`.
"""
