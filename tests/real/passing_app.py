"""Downloads and events for those who have logged in, by Flask and by Django, as docs/mounts.md says."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, HttpResponseForbidden
from django.urls import path
from flask import Flask, Response, abort, send_file, session
from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

app = Flask(__name__)
app.config.update(SECRET_KEY="known to everybody", USE_X_SENDFILE=True)


def check() -> None:
    """Send whoever is not logged in away."""
    if "name" not in session:
        abort(403)


@app.get("/login")
def login() -> str:
    """Log in."""
    session["name"] = "someone"
    return "welcome"


@app.get("/download/<name>")
def download(name: str) -> Response:
    """Have the server send a file."""
    check()
    answer = Response(headers={"X-Accel-Redirect": f"/protected/{name}"})
    del answer.headers["Content-Type"]  # the file's is that of its name
    return answer


@app.get("/path/<name>")
def by_path(name: str) -> Response:
    """Have the server send a file by its path, as Flask does with USE_X_SENDFILE."""
    check()
    return send_file(os.path.join(os.environ["FILES"], name), as_attachment=True)


@app.get("/events")
def events() -> Response:
    """Have a resource stream events."""
    check()
    return Response(headers={"X-Accel-Redirect": "/stream/flask"}, mimetype="text/event-stream")


def django_login(request: Any) -> HttpResponse:
    """Log in."""
    request.session["name"] = "someone"
    return HttpResponse("welcome")


def django_download(request: Any, name: str) -> HttpResponse:
    """Have the server send a file."""
    if "name" not in request.session:
        return HttpResponseForbidden("log in")
    return HttpResponse(headers={"X-Accel-Redirect": f"/protected/{name}", "Content-Type": "application/pdf"})


def django_path(request: Any, name: str) -> HttpResponse:
    """Have the server send a file by its path; the body of another one is dropped."""
    if "name" not in request.session:
        return HttpResponseForbidden("log in")
    return FileResponse(open(__file__, "rb"), headers={"X-Sendfile": os.path.join(os.environ["FILES"], name)})


def django_events(request: Any) -> HttpResponse:
    """Have a resource stream events."""
    if "name" not in request.session:
        return HttpResponseForbidden("log in")
    return HttpResponse(headers={"X-Accel-Redirect": "/stream/django", "Content-Type": "text/event-stream"})


urlpatterns = [
    path("django/login", django_login),
    path("django/download/<name>", django_download),
    path("django/path/<name>", django_path),
    path("django/events", django_events),
]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="known to everybody",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ],
)
django.setup()
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Have Django answer below /django, and Flask the rest."""
    return (_django if environ["PATH_INFO"].startswith("/django/") else app)(environ, start_response)


class Stream(Resource):
    """Streams an event at once, and then ten a second; each says where it came from."""

    isLeaf = True

    def render_GET(self, request: Any) -> int:
        """Begin to stream."""
        loop = LoopingCall(request.write, b"data: %b\n\n" % request.postpath[0])
        loop.clock = reactor
        loop.start(0.1)
        request.notifyFinish().addBoth(lambda _: loop.stop())
        return NOT_DONE_YET
