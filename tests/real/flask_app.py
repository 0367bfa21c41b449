"""A Flask application with one view for each thing that a server can get wrong; and the same within a validator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from flask import Flask, Response, redirect, request, send_file, session, stream_with_context, url_for

from twisted_wsgiref.validate import validator

app = Flask(__name__)
app.secret_key = "known to everybody: only ever opened in tests"


@app.get("/")
def hello() -> str:
    """Greet."""
    return "hello"


@app.get("/wait")
def wait() -> str:
    """Say that a request is in flight, and wait for an octet in the named pipe GATE."""
    print("in flight", flush=True)
    with open(os.environ["GATE"], "r+b", buffering=0) as gate:
        gate.read(1)
    return "answered"


@app.post("/form")
def form() -> dict[str, Any]:
    """Tell what was sent, and how."""
    return {"form": request.form.to_dict(), "json": request.get_json(silent=True), "type": request.mimetype}


@app.post("/length")
def length() -> dict[str, Any]:
    """Tell the length and the digest of any body, read in one go."""
    data = request.get_data()
    return {"octets": len(data), "digest": sha256(data).hexdigest(), "told": request.content_length}


@app.post("/upload")
def upload() -> Response:
    """Tell the digest of the file that was sent, and send it back block by block."""
    file = request.files["file"]
    digest = sha256()
    while block := file.stream.read(65536):
        digest.update(block)
    file.stream.seek(0)
    # Flask closes the file when the view is through, before the answer is sent.
    kept = os.fdopen(os.dup(file.stream.fileno()), "rb")

    def blocks() -> Iterator[bytes]:
        with kept:
            while block := kept.read(65536):
                yield block

    fields = {"X-Digest": digest.hexdigest(), "X-Note": request.form["note"]}
    return Response(blocks(), headers=fields, mimetype="application/octet-stream")


@app.get("/stream")
def stream() -> Response:
    """Stream, and read the request while doing so."""

    def blocks() -> Iterator[str]:
        yield "begin "
        for number in range(int(request.args["lines"])):
            yield f"{number} "
        yield request.args["last"]

    return Response(stream_with_context(blocks()), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    """Send a real file, whole or in part."""
    return send_file(os.environ["LARGE_FILE"], mimetype="application/octet-stream", conditional=True)


@app.get("/login/<name>")
def login(name: str) -> Any:
    """Remember a name in a signed cookie, and a word in a plain one."""
    session["name"] = name
    answer = redirect(url_for("whoami"))
    answer.set_cookie("colour", "blue", httponly=True, samesite="Lax")
    return answer


@app.get("/whoami")
def whoami() -> dict[str, Any]:
    """Tell what was remembered."""
    return {"name": session.get("name"), "colour": request.cookies.get("colour")}


@app.get("/where")
def where() -> dict[str, Any]:
    """Tell what Flask makes of the environ."""
    return {
        "url": url_for("hello", _external=True),
        "full": request.url,
        "peer": request.remote_addr,
        "server": [request.environ["SERVER_NAME"], request.environ["SERVER_PORT"]],
        "remote_port": request.environ.get("REMOTE_PORT"),
    }


@app.get("/broken")
def broken() -> str:
    """Fail."""
    raise LookupError("deliberately")


@app.get("/unhandled")
def unhandled() -> str:
    """Fail, for Flask itself to answer."""
    raise ArithmeticError("deliberately")


@app.get("/breaks")
def breaks() -> Response:
    """Fail half-way, for the server to deal with."""

    def blocks() -> Iterator[bytes]:
        yield b"the first block"
        raise ArithmeticError("deliberately")

    return Response(blocks(), mimetype="text/plain")


@app.errorhandler(LookupError)
def apologise(error: LookupError) -> tuple[str, int]:
    """Turn the failure into an answer."""
    return f"sorry: {error}", 418


def sized(environ: dict[str, Any], start_response: Any) -> Any:
    """Run `app` without telling it that the input ends by itself.

    ProcessOptions so, Werkzeug reads without a size, which PEP 3333 does not have and a validator therefore refuses.
    """
    del environ["wsgi.input_terminated"]
    return app(environ, start_response)


checked = validator(sized)
