"""What is told, to whoever asks a service, of what runs at this moment: the application, and each thread's request."""

from __future__ import annotations

import threading
from types import FunctionType, MethodType
from typing import Any, NamedTuple


class Work(NamedTuple):
    """One request that a thread runs at this moment, as `WSGIService.threads_at_work` found it.

    ``thread`` runs it. ``request_line`` is as the client sent it, query included (RFC 9112, section 3). ``seconds`` is
    how long ago the request was ready for a thread, by the clock of the service; the wait for the thread counts.
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


Work.__module__ = "twisted_wsgiref"  # found at the front door


def application_name(application: Any) -> str:
    """Return ``module:name`` of what is called; of an object, of its class. None of the application's code is run."""
    kind = type(application)
    if kind is MethodType:
        application, kind = application.__func__, type(application.__func__)
    if kind is FunctionType or issubclass(kind, type):
        return f"{application.__module__}:{application.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__} object"
