"""The application of `watched`: one page that says hello, and one that never comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted_wsgiref.types import StartResponse, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Say hello, or wait for ever below ``/stuck``."""
    if environ["PATH_INFO"] == "/stuck":
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
