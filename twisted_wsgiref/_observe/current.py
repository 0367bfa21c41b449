"""The id of the request that the calling thread runs, for whatever is logged there meanwhile."""

from __future__ import annotations

import threading


class _Current(threading.local):
    request_id: str = ""


_current = _Current()


def current_request_id() -> str:
    """Return the id of the request that this thread runs, as a `str`.

    It is "" if the thread runs none, or `Settings.request_id` is off. For a filter or a formatter of `logging`, which
    has no environ. Any thread may call.
    """
    return _current.request_id


current_request_id.__module__ = "twisted_wsgiref"  # public at the package's top


def begin_request(ident: str) -> None:
    """Have this thread run the request of that id; "" for none any more."""
    _current.request_id = ident
