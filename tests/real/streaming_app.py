"""An event stream by Flask and by Django, as docs/streaming.md says, and the number of threads at work."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse
from django.urls import path
from flask import Flask, Response
from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_wsgiref import AsyncBody

app = Flask(__name__)


async def events() -> AsyncIterator[bytes]:
    """Yield an event at once, and then ten a second."""
    number = 0
    while True:
        yield b"data: %d\n\n" % number
        number += 1
        await deferLater(reactor, 0.1)  # type: ignore[arg-type]


@app.get("/events")
def stream() -> Response:
    """Stream events."""
    return Response(AsyncBody(events()), mimetype="text/event-stream", direct_passthrough=True)


@app.get("/threads")
def threads() -> str:
    """Tell which threads there are."""
    return json.dumps([each.name for each in threading.enumerate()])


def django_stream(request: Any) -> FileResponse:
    """Stream events."""
    return FileResponse(AsyncBody(events()), content_type="text/event-stream")  # type: ignore[arg-type]


urlpatterns = [path("django/events", django_stream)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="known to everybody")
django.setup()
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Have Django answer below /django, and Flask the rest."""
    return (_django if environ["PATH_INFO"].startswith("/django/") else app)(environ, start_response)
