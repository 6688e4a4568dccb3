"""A Flask application with what web applications do: forms, sessions, uploads, streams."""

import hashlib
from collections.abc import Iterator

from flask import Flask, Response, jsonify, redirect, request, session, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from tests.e2e.apps.gate import wait_for

app = Flask(__name__)
app.secret_key = "for the tests"


@app.get("/variables")
def variables() -> Response:
    """The request's variables, as the server hands them on."""
    return jsonify({k: v for k, v in request.environ.items() if isinstance(v, str)})


@app.post("/form")
def form() -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(request.form.items()))


@app.get("/session")
def count() -> str:
    """How often this session was here."""
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.post("/upload")
def upload() -> str:
    """Length and SHA-256 of the uploaded file."""
    data = request.files["file"].read()
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


@app.post("/raw")
def raw() -> str:
    """Length and SHA-256 of the body."""
    data = request.get_data()
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


@app.get("/stream")
def stream() -> Response:
    """A second piece that comes only when the client has the first."""
    gate = request.args["gate"]

    def pieces() -> Iterator[str]:
        yield "first\n"
        wait_for(gate)
        yield "second\n"

    return Response(pieces(), mimetype="text/plain")


@app.get("/redirect")
def away() -> WerkzeugResponse:
    return redirect(url_for("variables", _external=True))


@app.get("/status/<int:code>")
def status(code: int) -> tuple[str, int]:
    return f"status {code}", code
