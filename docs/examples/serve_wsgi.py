"""A Flask application, or any other of WSGI, served over SCGI by Twisted::

    python serve_wsgi.py tcp:4000:interface=127.0.0.1
    twistd -n scgiproxy --proxypass '/hello/ scgi://127.0.0.1:4000/ pathinfo=on'

and open http://127.0.0.1:8080/hello/. The argument is any server endpoint of Twisted, such as
``unix:/run/hello.sock:mode=660``.
"""

import sys

from flask import Flask, request, url_for
from twisted.internet import endpoints, reactor

from scgiproxy.wire.server import scgi_wsgi

app = Flask(__name__)


@app.get("/")
def hello():
    return f"""<!DOCTYPE html>
        <p>You are {request.remote_addr}, and this is {url_for("hello")}.
        <form method=post action={url_for("echo")}><input name=word> <button>Send</button></form>
    """


@app.post("/echo")
def echo():
    return {"word": request.form["word"], "bytes": request.content_length}


if __name__ == "__main__":
    factory = scgi_wsgi(app, reactor, reactor.getThreadPool())
    endpoints.serverFromString(reactor, sys.argv[1]).listen(factory)
    reactor.run()
