"""A Flask site for members: a view looks at the session, and then the server sends the file, or a resource goes on.

Needs `pip install flask`. Run it in this directory, and open http://127.0.0.1:8000/ in several windows:

    $ twisted-wsgiref flask_members:app --mount /files=internal:static:. --mount /stream=internal:flask_members:visitors

The views answer with X-Accel-Redirect, as they would behind nginx. No thread is held by a download that a phone takes
slowly, nor by a browser that waits for news. Nobody reaches /files and /stream without a view.
"""

from __future__ import annotations

import secrets
from urllib.parse import quote

from flask import Flask, Response, abort, redirect, render_template_string, request, session
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

# ---- Flask, in a thread for as long as a view takes ----------------------------------------------------------------

app = Flask(__name__)
app.config.update(SECRET_KEY=secrets.token_hex(), SESSION_COOKIE_SAMESITE="Lax")

PAGE = """<!doctype html>
<title>Members</title>
{% if name %}
<p>Good day, {{ name }}. Members who are here now: <b id="here">?</b></p>
<p><a id="program" href="/download/flask_members.py">Download this program</a></p>
<script>
  new EventSource("/here").onmessage = (event) => { here.textContent = event.data; };
</script>
{% else %}
<form method="post"><label>Your name <input name="name" required autofocus></label> <button>Enter</button></form>
{% endif %}
"""


@app.get("/")
def index():
    return render_template_string(PAGE, name=session.get("name"))


@app.post("/")
def enter():
    session["name"] = request.form["name"]
    return redirect("/")


@app.get("/download/<name>")
def download(name: str):
    answer = passed_on("/files/" + quote(name))
    answer.headers["Content-Disposition"] = "attachment"
    del answer.headers["Content-Type"]  # the server knows it by the name of the file
    return answer


@app.get("/here")
def here():
    answer = passed_on("/stream")
    answer.headers["Content-Type"] = "text/event-stream"
    return answer


def passed_on(path: str) -> Response:
    if "name" not in session:
        abort(403)
    return Response(headers={"X-Accel-Redirect": path, "Cache-Control": "no-store"})


# ---- Twisted, in the reactor's thread ------------------------------------------------------------------------------


class Visitors(Resource):
    """Tells every browser how many there are, each time that one comes or leaves."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self._requests = set()

    def render_GET(self, request):
        self._requests.add(request)
        request.notifyFinish().addErrback(self._leave, request)  # also when the server stops
        self._tell()
        return NOT_DONE_YET

    def _leave(self, reason, request) -> None:
        self._requests.discard(request)
        self._tell()

    def _tell(self) -> None:
        for each in self._requests:
            each.write(b"data: %d\n\n" % len(self._requests))


visitors = Visitors()
