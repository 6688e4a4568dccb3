"""The Flask application served by the `scgi` package (nascheme's prefork server), whose handlers
get the variables and two files: `python -m tests.e2e.apps.nascheme_server PORT`."""

import io
import sys
from typing import BinaryIO
from wsgiref.handlers import BaseCGIHandler

from scgi.scgi_server import SCGIServer
from scgi.util import SCGIHandler

from tests.e2e.apps.flask_app import app


class WSGIHandler(SCGIHandler):
    def produce(
        self,
        env: dict[str, str],
        bodysize: int,
        input: BinaryIO,  # noqa: A002
        output: BinaryIO,
    ) -> None:
        """Run the application as CGI: `bodysize` bytes of `input`, and not one more, are its."""
        body = io.BytesIO(input.read(bodysize))
        BaseCGIHandler(body, output, sys.stderr, env).run(app)


if __name__ == "__main__":
    SCGIServer(WSGIHandler, "127.0.0.1", int(sys.argv[1]), max_children=3).serve()
