"""A Flask application with WebSockets of flask-sock, beside an ordinary view."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)


@app.get("/")
def hello() -> str:
    """Greet."""
    return "hello"


@sock.route("/echo")  # type: ignore[untyped-decorator, unused-ignore]
def echo(ws: Any) -> None:
    """Give back what comes, until the client closes."""
    while True:
        ws.send(ws.receive())


@sock.route("/bye")  # type: ignore[untyped-decorator, unused-ignore]
def bye(ws: Any) -> None:
    """Say one word, and close."""
    ws.send("bye")
    ws.close(4001, "enough")


@sock.route("/once")  # type: ignore[untyped-decorator, unused-ignore]
def once(ws: Any) -> None:
    """Answer once, and return without a close."""
    ws.send(ws.receive().upper())
