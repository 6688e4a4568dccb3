"""A SCGI application in fifteen lines, on the `scgi` package: ``python hello.py``."""

from scgi.scgi_server import SCGIHandler, SCGIServer


class Hello(SCGIHandler):
    def produce(self, env, bodysize, source, sink):
        sent = source.read(bodysize).decode()
        asked = f"{env['REQUEST_METHOD']} {env['SCRIPT_NAME']}"
        sink.write(b"Content-Type: text/plain; charset=utf-8\r\n\r\n")
        sink.write(f"{asked}, and a body of {len(sent)} letters.\n".encode())


if __name__ == "__main__":
    SCGIServer(Hello, host="127.0.0.1", port=4000).serve()
