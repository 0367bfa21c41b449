"""The id of the request that the calling thread runs, for whatever is logged there meanwhile."""

from __future__ import annotations

import threading


class _Current(threading.local):
    request_id: str = ""


_current = _Current()


def request_id() -> str:
    """Return the id of this thread's request, "" if it runs none or the server identifies none. Any thread may call."""
    return _current.request_id


def begin_request(ident: str) -> None:
    """Have this thread run the request of that id; "" for none any more."""
    _current.request_id = ident
