"""A chat in Flask: its pages come from worker threads, its WebSockets from the reactor's thread, on one port.

Needs `pip install flask 'twisted[websocket]>=26'`. Run it in this directory, and open http://127.0.0.1:8000/ twice:

    $ twisted-wsgiref flask_chat:app --mount /room=flask_chat:socket

A WebSocket that is open holds no thread: a thousand of them leave all threads to Flask. The room is in the memory of
this one process; with `--workers` each process would have a room of its own.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import Flask, redirect, render_template_string, request, session
from itsdangerous import BadSignature
from twisted.web.resource import ForbiddenResource
from twisted.web.websocket import WebSocketResource

from twisted_wsgiref import current_reactor_caller

# ---- In the reactor's thread ---------------------------------------------------------------------------------------
# These functions never wait for anything, so none of them needs a lock.


class Guest:
    """One WebSocket; Twisted calls the methods."""

    def __init__(self, name: str) -> None:
        self.name = name

    def negotiationStarted(self, transport) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None:
        guests.add(self)
        tell_all(f"{self.name} has come")

    def textMessageReceived(self, message: str) -> None:
        tell_all(f"{self.name}: {message}")

    def bytesMessageReceived(self, data: bytes) -> None:
        self.transport.loseConnection(1003)  # the page sends text only

    def pongReceived(self, payload: bytes) -> None:
        pass

    def connectionLost(self, reason) -> None:
        guests.discard(self)


guests: set[Guest] = set()


def tell_all(line: str) -> None:
    for guest in guests:
        guest.transport.sendTextMessage(line)


class Room(WebSocketResource):
    """Lets in whoever has told Flask a name: both sides of the port read the same cookie.

    Browsers let pages of other sites open WebSockets, too, so those are told from ours.
    """

    def __init__(self) -> None:
        super().__init__(self)

    def render_GET(self, request):
        origin = request.getHeader("Origin")
        is_foreign = origin is not None and urlsplit(origin).netloc != request.getHeader("Host")
        if is_foreign or not name_of(request):
            return ForbiddenResource().render(request)
        return super().render_GET(request)

    def buildProtocol(self, request) -> Guest:
        return Guest(name_of(request))


def name_of(request) -> str:
    cookie = request.getCookie(app.config["SESSION_COOKIE_NAME"].encode())
    try:
        return app.session_interface.get_signing_serializer(app).loads((cookie or b"").decode()).get("name", "")
    except BadSignature:
        return ""


socket = Room()

# ---- In worker threads ---------------------------------------------------------------------------------------------

app = Flask(__name__)
app.config.update(SECRET_KEY=secrets.token_bytes(), SESSION_COOKIE_SAMESITE="Lax")

PAGE = """<!doctype html>
<title>Chat</title>
{% if name %}
<ul id="lines"></ul>
<form id="say"><input id="line" autofocus autocomplete="off"> <button>Say</button></form>
<form method="post" action="leave"><button id="leave">Leave</button></form>
<script>
  const room = new WebSocket(new URL("room", location).href.replace(/^http/, "ws"));
  room.onmessage = (event) => {
    lines.append(Object.assign(document.createElement("li"), { textContent: event.data }));
  };
  say.onsubmit = (event) => {
    event.preventDefault();
    room.send(line.value);
    line.value = "";
  };
</script>
{% else %}
<form method="post" action="enter"><input name="name" placeholder="Your name"> <button id="enter">Enter</button></form>
{% endif %}
"""


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, name=session.get("name"))


@app.post("/enter")
def enter():
    session["name"] = request.form["name"][:40]
    return redirect("/")


@app.post("/leave")
def leave():
    # A view runs in a thread of its own. The room belongs to the reactor, so the reactor is asked to call.
    current_reactor_caller().fire(tell_all, f"{session.pop('name', 'somebody')} has left")
    return redirect("/")
