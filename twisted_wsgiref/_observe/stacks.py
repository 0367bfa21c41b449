"""Every thread's stack, with the request that it runs: what an operator asks a silent server for.

What lives here: the text. What may not: the server; which thread runs which request is handed in. Any thread may call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from twisted_wsgiref._wsgiref.tracebacks import stack_text


def requests_of(running: Iterable[tuple[threading.Thread, Any]]) -> dict[int, str]:
    """Return the request line of each thread's job, as `WorkerPool.running` tells of them."""
    return {thread.ident: _request_line(job) for thread, job in running if thread.ident is not None}


def _request_line(job: Any) -> str:
    head = getattr(job, "head", None)
    return getattr(head, "request_line", None) or type(job).__name__


def describe_threads(requests: Mapping[int, str], *, only: bool = False) -> str:
    """Return the stack of every thread, innermost call last; `only` of those that run a request."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sorted(sys._current_frames().items()):
        request = requests.get(ident)
        if only and request is None:
            continue
        doing = f" runs {_printable(request)}" if request is not None else ""
        parts.append(f"thread {names.get(ident, ident)}{doing}\n{stack_text(frame)}")
    return "\n".join(parts)


def _printable(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii") if text.isprintable() else repr(text)
