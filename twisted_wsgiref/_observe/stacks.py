"""Every thread's stack, with the request that it runs, for an operator whose server is silent.

Only the text lives here. The caller hands in which thread runs which request. Any thread may call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping

from twisted_wsgiref._wsgiref.tracebacks import stack_text


def requests_of(running: Iterable[tuple[threading.Thread, object]]) -> dict[int, str]:
    """Return the request line of each thread's job, by the thread's number; `running` is as of `WorkerPool.running`."""
    return {thread.ident: _request_line(job) for thread, job in running if thread.ident is not None}


def _request_line(job: object) -> str:
    line: str | None = getattr(getattr(job, "head", None), "request_line", None)
    return line or type(job).__name__


def describe_threads(requests: Mapping[int, str], *, only: bool = False) -> str:
    """Return the stack of every thread, innermost call last; with `only`, of the threads that run a request."""
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
