"""Every thread's stack, with the request that it runs, for an operator whose server is silent.

Only the text lives here. The caller hands in which thread runs which request. Any thread may call.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import sys
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from types import FrameType
from typing import Final

from twisted_wsgiref._threads.marks import NO_GIL
from twisted_wsgiref._wsgiref.tracebacks import stack_text

# The first line of a thread's stack by `faulthandler`; some versions also write the thread's name.
_START = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-f]+).*:\n", re.MULTILINE)

# In the stack of a thread of ours that waits, and in no other: a job is run from elsewhere.
_WAITS: Final = f"{os.sep}".join(["twisted_wsgiref", "_threads", "jobs.py"])


def requests_of(running: Iterable[tuple[threading.Thread, object]]) -> dict[int, str]:
    """Return the request line of each thread's job, by the thread's number; `running` is as of `WorkerPool.running`."""
    return {thread.ident: _request_line(job) for thread, job in running if thread.ident is not None}


def _request_line(job: object) -> str:
    line: str | None = getattr(getattr(job, "head", None), "request_line", None)
    return line or type(job).__name__


def describe_threads(requests: Mapping[int, str], *, only: bool = False) -> str:
    """Return the stack of every thread, innermost call last; with `only`, of the threads that run a request.

    Threads of ours that wait for a request have one line together.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts, idle = [], []
    for ident, stack in sorted(stacks(requests if only else None).items()):
        name, request = str(names.get(ident, ident)), requests.get(ident)
        if request is None and _WAITS in stack:
            idle.append(name)
            continue
        doing = f" runs {printable(request)}" if request is not None else ""
        parts.append(f"thread {name}{doing}\n{stack}")
    if idle:
        parts.append(f"{len(idle)} idle thread{'' if len(idle) == 1 else 's'}: {', '.join(sorted(idle))}")
    return "\n".join(parts)


def stacks(only: Container[int] | None = None) -> dict[int, str]:
    """Return the stack of every thread by its ident, innermost call last; of those in `only`, unless that is None.

    A frame of another thread may be read only while that thread does not run, which the GIL ensures. Without the GIL
    the interpreter itself has to stop all threads and write, as `faulthandler` does; then there are no lines of code.
    """
    if NO_GIL:
        found = _read_stacks(_dump())
    else:
        found = ((ident, stack_text(frame)) for ident, frame in frames().items() if _is_in(ident, only))
    return {ident: stack for ident, stack in found if _is_in(ident, only)}


def frames() -> dict[int, FrameType]:
    """Return the frame of every thread by its ident. Only with the GIL may they be read.

    Older CPythons (3.11.7, for one) hold a lock of the list of threads meanwhile, and make objects. If a round of the
    garbage collector came then, whatever that ends might let another thread run, and one that begins or ends waits for
    the lock, with the GIL: the process would hang (gh-106883). So there is no round.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()


def _is_in(ident: int, only: Container[int] | None) -> bool:
    return only is None or ident in only


def _dump() -> str:
    with TemporaryFile() as file:  # it writes to a descriptor
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode("utf-8", "backslashreplace")


def _read_stacks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the ident and the stack of each thread in `text`, which `faulthandler` has written."""
    starts = list(_START.finditer(text))
    for start, end in zip(starts, [each.start() for each in starts[1:]] + [len(text)], strict=True):
        calls = text[start.end() : end].strip("\n").split("\n")
        yield int(start[1], 16), "\n".join(reversed(calls))


def printable(text: str) -> str:
    """Return `text` as it can be in a line of the log, which it can neither end nor forge."""
    return text.encode("ascii", "backslashreplace").decode("ascii") if text.isprintable() else repr(text)
