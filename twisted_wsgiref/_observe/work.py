"""The work of a service at this moment: its application's name, and each thread's request."""

from __future__ import annotations

import threading
from types import FunctionType, MethodType
from typing import NamedTuple, cast


class Work(NamedTuple):
    """One request that a thread runs at this moment, as `WSGIService.threads_at_work` found it.

    ``thread`` runs it. ``request_line`` is as the client sent it, with its query (RFC 9112, section 3). ``seconds`` is
    the time since the request was ready for a thread, by the clock of the service; the wait for the thread counts.
    ``client`` is the client's address, ``REMOTE_ADDR`` of the environ, or None (UNIX sockets). ``expired`` says that
    `Settings.request_timeout` is over and the client answered: the thread is free when the application notices.
    ``client_gone`` says that the client has left, or has closed its sending half.
    """

    thread: threading.Thread
    request_line: str
    seconds: float
    client: str | None
    expired: bool
    client_gone: bool


Work.__module__ = "twisted_wsgiref"  # public at the package's top


def application_name(application: object) -> str:
    """Return ``module:name`` of a function or a class, or of an object's class. Runs none of the application's code."""
    if type(application) is MethodType:
        application = application.__func__
    kind = type(application)
    if kind is FunctionType or issubclass(kind, type):
        named = cast(type, application)
        return f"{named.__module__}:{named.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__} object"
