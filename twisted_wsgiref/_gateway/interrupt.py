"""The end of a request from outside: an exception that is set in the thread that runs it, and in nobody else's way.

CPython raises such an exception between two steps of Python code, whichever they are. So it may be set only while the
application's own code runs: this room says when that is. When a request's time is over is decided elsewhere. Imported
only by a service that has the knob on: all others pay one look at ``gateway.guard``.

A lock lives here. It guards two marks, and the setting itself; never a wait.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from twisted_wsgiref._observe.stacks import frames

from .async_body import AsyncBody
from .client_gone import RequestExpired
from .input_pipe import InputPipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from _typeshed import WriteableBuffer

    from twisted_wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .wsgi_exchange import WSGIExchange

_P = ParamSpec("_P")
_T = TypeVar("_T")

# By subscript, which makes a function of our own: the types of the attribute's would be everybody's.
_set_async_exc: Final = ctypes.pythonapi["PyThreadState_SetAsyncExc"]
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
_set_async_exc.restype = ctypes.c_int


def _set(ident: int) -> None:
    """Have `RequestExpired` raised at the next step of the thread `ident`. Called in any thread."""
    _set_async_exc(ident, id(RequestExpired))


# CPython 3.11 looks at one mark for all threads, and a thread that is traced or profiled goes on only once the mark is
# taken down, which the thread does that the exception is for. If that one waits in a call, all traced threads wait too.
# 3.10 and 3.12 to 3.15 were tried, too: they do not.
_HOLDS_UP_TRACED: Final = sys.version_info[:2] == (3, 11)

#: For the log, if `is_hindered`.
HINDERED: Final = (
    "request_interrupt: a tracer is at work (a debugger, a coverage tool, a profiler), so applications are not "
    "interrupted: on CPython 3.11 every traced thread would wait until the interrupted call returns"
)


def is_hindered() -> bool:
    """Return whether a tracer or profiler is at work that makes an interrupt unsafe here. Called in any thread.

    One that somebody has set for a single other thread is found by the frames that it follows.
    """
    if not _HOLDS_UP_TRACED:
        return False
    if threading.gettrace() or threading.getprofile() or sys.gettrace() or sys.getprofile():
        return True
    for top in frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_trace is not None:
                return True
            frame = frame.f_back
    return False


def _arrive() -> None:
    """Do nothing: CPython looks whether something is to be raised whenever a function of Python begins.

    Let it be raised, not taken back: up to 3.12 an exception that is set and then cleared (by a NULL) leaves a mark
    that is never taken down, so that every thread of the process looks for it at every step, and under a debugger or
    a coverage tool spins for ever.
    """


class Interrupt:
    """The one exception that may be set for one request, in the thread that made this or was the last to `move` it.

    `enter` and `leave` are where the application's code begins and ends; between them the thread is *inside*. What
    holds, whatever the two threads do:

    - `fire` sets at most one exception, ever, and only while the thread is inside: both are looked at, and the
      exception is set, under the lock that `enter` and `leave` need to change it.
    - `fire` while a tracer hinders it (`is_hindered`): nothing is set, ever.
    - `fire` before `enter`, or between a `leave` and the next `enter`: nothing is set; the next `enter` raises in the
      ordinary way. After the last `leave`: nothing is set, and nobody enters again.
    - `fire` while inside: the exception is raised at the next step, and that is in the application, or already in
      `leave`. A step of `leave` that comes before the lock: the exception leaves `leave`. It waits for the lock, which
      `fire` has: once it has it the exception is set, and nothing more can be. It is raised at the end of ``with``, and
      at the latest in `_arrive`.
    - So `leave` either returns, and nothing is set, or it raises, and what was set is used up. If it raises before it
      has changed the mark, or with the lock taken (some versions look between the two steps of ``with``), no harm is
      done: of `fire`, which is through, nothing more than a look at its own mark is asked, and the lock is one that
      its owner may take again.
    - `enter` that is hit right after the mark is set raises, without a `leave` to come: the same again.

    Whoever calls these is ready for `RequestExpired`, then: the handler is, since it is a `ClientGone`. What comes
    after the handler, the worker's own loop and the next request, has nothing to meet.
    """

    __slots__ = ("_due", "_fired", "_ident", "_inside", "_lock")

    def __init__(self) -> None:
        self._ident = get_ident()
        self._lock = RLock()
        self._inside = False
        self._fired = False
        self._due = False  # raised by the next to enter

    # ---- In any thread -----------------------------------------------------------------------------------------

    def fire(self) -> bool:
        """Have `RequestExpired` raised in the application's code, once; return False if a tracer hinders that.

        Later calls do nothing.
        """
        if self._fired:
            return True
        hindered = is_hindered()
        with self._lock:
            if self._fired:
                return True
            self._fired = True
            if not self._inside:
                self._due = True
            elif hindered:
                return False
            else:
                _set(self._ident)
        return True

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Never fire. The lock may have been held by a thread that is not here, so another takes its place."""
        self._lock = RLock()
        self._fired = True
        self._due = False

    # ---- In the worker's thread --------------------------------------------------------------------------------

    def move(self) -> None:
        """Belong to this thread from now on: it goes on with a request that another has left, outside."""
        with self._lock:
            self._ident = get_ident()

    def enter(self) -> None:
        """Let the thread be inside. Raises `RequestExpired` if that was due."""
        with self._lock:
            if self._due:
                self._due = False
                raise RequestExpired
            self._inside = True

    def leave(self) -> None:
        """Let the thread be outside, and nothing be set any more. Raises `RequestExpired` if that was set."""
        with self._lock:
            self._inside = False
        if self._fired:
            _arrive()

    def within(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `call`, which is the application's, returns. Raises `RequestExpired`, and what `call` raises."""
        self.enter()
        try:
            result = call(*args, **kwargs)
        except BaseException:
            self.leave()
            raise
        try:
            self.leave()
        except RequestExpired:
            self._due = True  # it waits for the next to enter: what was made already has a close() to be called
        return result

    def shield(self, call: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return `call`, which is ours, to be called by the application: outside, so that a lock is not left locked.

        What is interrupted in the middle of it would be shared with other requests: the log, the reactor's wake.
        Whatever waits in there is woken when the connection is given up.
        """

        def shielded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            if not self._inside or get_ident() != self._ident:
                return call(*args, **kwargs)  # from a thread of the application's own, or from close()
            self.leave()
            try:
                return call(*args, **kwargs)
            finally:
                self.enter()

        return shielded


class _Blocks:
    """What an application returned, iterated inside. ``close`` and all else are its own."""

    def __init__(self, blocks: Iterable[bytes], interrupt: Interrupt) -> None:
        self._blocks = blocks
        self._interrupt = interrupt
        self._next: Callable[[], bytes]

    def __iter__(self) -> Iterator[bytes]:
        self._next = self._interrupt.within(iter, self._blocks).__next__
        return self

    def __next__(self) -> bytes:
        return self._interrupt.within(self._next)

    def __getattr__(self, name: str) -> object:
        return getattr(self._blocks, name)


class _Shielded:
    """A stream of ours in the application's hands: its methods run outside."""

    def __init__(self, stream: object, interrupt: Interrupt) -> None:
        self._stream = stream
        self._interrupt = interrupt

    def __getattr__(self, name: str) -> object:
        value = getattr(self._stream, name)
        return self._interrupt.shield(value) if callable(value) else value


class _ShieldedPipe(RawIOBase):
    """The raw end of a body that is still arriving: what the application reads from stays an `io.BufferedReader`."""

    def __init__(self, pipe: InputPipe, interrupt: Interrupt) -> None:
        super().__init__()
        self._read = interrupt.shield(pipe.readinto)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._read(buffer)


def guard(exchange: WSGIExchange, application: WSGIApplication) -> WSGIApplication:
    """Return `application`, which ends with `RequestExpired` once ``exchange.interrupt`` is fired.

    It is inside while it is called and while what it returned is iterated; not in ``close()``, which is to be called
    to its end, nor while a list, a tuple or a file is sent. Called in the worker's thread.
    """
    exchange.interrupt = interrupt = Interrupt()
    # The reactor first says that the time is over, and then looks for an interrupt: one of the two sees the other.
    if exchange.expired:
        interrupt.fire()

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        _shield_environ(environ, exchange.body, interrupt)
        result = interrupt.within(application, environ, _shield_start(start_response, interrupt))
        if (
            result is None
            or isinstance(result, list | tuple | AsyncBody)
            or _is_of(environ.get("wsgi.file_wrapper"), result)
        ):
            return result
        return _Blocks(result, interrupt)

    return guarded


def _shield_start(
    start_response: Callable[_P, Callable[[bytes], object]], interrupt: Interrupt
) -> Callable[_P, Callable[[bytes], object]]:
    def start(*args: _P.args, **kwargs: _P.kwargs) -> Callable[[bytes], object]:
        return interrupt.shield(interrupt.shield(start_response)(*args, **kwargs))

    return start


def _is_of(wrapper: object, result: object) -> bool:
    return isinstance(wrapper, type) and isinstance(result, wrapper)


def _shield_environ(environ: WSGIEnvironment, body: object, interrupt: Interrupt) -> None:
    environ["wsgi.errors"] = _Shielded(environ["wsgi.errors"], interrupt)
    if "wsgi.early_hints" in environ:
        environ["wsgi.early_hints"] = interrupt.shield(environ["wsgi.early_hints"])
    if type(body) is InputPipe:
        environ["wsgi.input"] = BufferedReader(_ShieldedPipe(body, interrupt))
