"""The Flask application served by flup: `python -m tests.e2e.apps.flup_server PORT`."""

import sys

from flup.server.scgi import WSGIServer

from tests.e2e.apps.flask_app import app

if __name__ == "__main__":
    WSGIServer(app, bindAddress=("127.0.0.1", int(sys.argv[1]))).run()
