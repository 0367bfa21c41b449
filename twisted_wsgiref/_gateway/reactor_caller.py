"""The reactor, for the threads of an application: functions that it calls, and whose result a thread waits for.

A thread that waits here comes back in every case: with the result, or if the service or its reactor stops. So it looks
up from time to time, by itself: no trigger of the reactor comes early enough for a thread that the reactor joins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Final, NoReturn, Protocol, TypeVar, overload

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure

from twisted_wsgiref._observe.log import logger

from .client_gone import ClientGone
from .exchange import Exchange

_T = TypeVar("_T")

_log = logger(__name__)
# A thread that waits looks this often, in seconds, whether the client has left, or the service has stopped.
_LOOK: Final = 0.25
# The services of this process that run: mostly one.
_open: list[ReactorCaller] = []


class ServiceStopped(RuntimeError):
    """The service or its reactor has stopped, or does not run yet: nobody would call the function."""

    __module__ = "twisted_wsgiref"


class _Reactor(Protocol):
    """All that is asked of a reactor here."""

    running: bool


class ReactorCaller:
    """Has functions called in the reactor's thread: ``environ["twisted_wsgiref.reactor"]``.

    There is one for each service. A thread that an application starts may be given it.
    """

    __module__ = "twisted_wsgiref"

    def __init__(
        self,
        reactor: _Reactor,
        wake: Callable[[Callable[[], None]], object],
        running: Callable[[], Sequence[tuple[threading.Thread, object]]],
    ) -> None:
        self._reactor = reactor
        self._wake = wake
        self._running = running
        self._is_open = False
        self._thread: int | None = None  # the reactor's
        self._ran = False  # the reactor ran when it was seen

    # ---- In any thread -----------------------------------------------------------------------------------------

    @overload
    def call(
        self, function: Callable[..., Deferred[_T]], *args: object, until_gone: bool = False, **kwargs: object
    ) -> _T: ...

    @overload
    def call(
        self,
        function: Callable[..., Coroutine[Deferred[object], object, _T]],
        *args: object,
        until_gone: bool = False,
        **kwargs: object,
    ) -> _T: ...

    @overload
    def call(self, function: Callable[..., _T], *args: object, until_gone: bool = False, **kwargs: object) -> _T: ...

    def call(
        self, function: Callable[..., object], *args: object, until_gone: bool = False, **kwargs: object
    ) -> object:
        """Return the result of ``function(*args, **kwargs)``, called in the reactor's thread; raise as it raises.

        If it returns a Deferred or a coroutine, the result of that is waited for. With `until_gone`, to be used in a
        thread that runs a request, `ClientGone` is raised once the request's client has left.

        If the wait ends early, a function that has not begun is not called, and a Deferred is cancelled. Raises
        `ServiceStopped` if the service or its reactor stops, or does not run. In the reactor's thread itself the
        function is called at once; a Deferred without a result is cancelled there, and `RuntimeError` raised, since
        the reactor would wait for itself.
        """
        exchange = self._find_exchange() if until_gone else None
        self._check_open()
        call = _Call(partial(function, *args, **kwargs))
        if threading.get_ident() == self._thread:
            call.begin()
            if not call.is_over(0):
                call.withdraw()
                raise RuntimeError(
                    "call() was called in the reactor's thread, which can not wait for a Deferred: await it instead"
                )
        else:
            self._wake(call.begin)
            while not call.is_over(_LOOK):
                if exchange is not None and not exchange.is_waited_for():
                    self._wake(call.withdraw)
                    exchange.break_off()
                    raise ClientGone
                if not self._is_usable():
                    self._wake(call.withdraw)
                    _raise_stopped()
        return call.result()

    def fire(self, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Have ``function(*args, **kwargs)`` called in the reactor's thread soon, and wait for nothing.

        An exception, of the function or of the Deferred or coroutine that it returns, is logged. Raises
        `ServiceStopped` if the service or its reactor has stopped, or does not run.
        """
        self._check_open()
        self._wake(partial(_fire, partial(function, *args, **kwargs)))

    def runs(self, thread: threading.Thread) -> bool:
        """Return whether `thread` runs a request of this service at this moment."""
        return any(each is thread for each, _ in self._running())

    def _find_exchange(self) -> Exchange:
        me = threading.current_thread()
        for thread, exchange in self._running():
            if thread is me and isinstance(exchange, Exchange):
                return exchange
        raise RuntimeError("until_gone is for a thread that runs a request: this one has no client that could leave")

    def _is_usable(self) -> bool:
        return self._is_open and self._thread is not None and (not self._ran or self._reactor.running)

    def _check_open(self) -> None:
        if not self._is_usable():
            _raise_stopped()

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def open(self) -> None:
        """Take calls, as soon as the reactor runs."""
        if not self._is_open:
            self._is_open = True
            _open.append(self)
            self._wake(self._note_thread)

    def close(self) -> None:
        """Take no more calls, and end each wait."""
        if self._is_open:
            self._is_open = False
            _open.remove(self)

    def _note_thread(self) -> None:
        self._thread = threading.get_ident()
        self._ran = getattr(self._reactor, "running", False)

    def forked(self, heir: bool) -> None:
        """Know that no reactor runs here, unless this is its `heir`."""
        if not heir:
            self.close()


def current_reactor_caller() -> ReactorCaller:
    """Return the `ReactorCaller` for the calling thread, for code that has no environ.

    In a thread that runs a request it is that of the request's service. In another thread it is that of the service
    that runs in this process. Raises `ServiceStopped` if there is none, and `RuntimeError` if there are several: then
    hand the thread the ``environ["twisted_wsgiref.reactor"]`` of its service. Any thread may call.
    """
    callers = list(_open)
    if len(callers) == 1:
        return callers[0]
    me = threading.current_thread()
    for each in callers:
        if each.runs(me):
            return each
    if not callers:
        raise ServiceStopped("no service of twisted_wsgiref runs in this process")
    raise RuntimeError(
        f"{len(callers)} services run in this process, and this thread is of none: hand it the "
        'environ["twisted_wsgiref.reactor"] of its service'
    )


current_reactor_caller.__module__ = "twisted_wsgiref"


class _Call:
    """A call, and the wait of a thread for its result."""

    __slots__ = ("_deferred", "_function", "_lock", "_result", "_withdrawn")

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._lock = threading.Lock()  # held until there is a result
        self._lock.acquire()
        self._deferred: Deferred[object] | None = None
        self._result: object = None
        self._withdrawn = False

    # ---- In the thread that waits ------------------------------------------------------------------------------

    def is_over(self, seconds: float) -> bool:
        """Wait for at most `seconds`; return whether there is a result. Once it is so, `result` is next."""
        return self._lock.acquire(timeout=seconds)

    def result(self) -> object:
        """Return the result, or raise the exception."""
        result = self._result
        try:
            if isinstance(result, Failure):
                result.raiseException()
            return result
        finally:
            self._result = result = None  # a traceback has this frame: a cycle

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Call the function, unless nobody waits any more."""
        if self._withdrawn:
            return
        # Not by maybeDeferred: of a Deferred that has failed already, Twisted 24.7 takes the traceback away.
        try:
            result = self._function()
        except BaseException:
            self._settle(Failure())
            return
        if isinstance(result, Deferred | Coroutine):
            self._deferred = ensureDeferred(result)
            self._deferred.addBoth(self._settle)
        else:
            self._settle(result)

    def withdraw(self) -> None:
        """Know that nobody waits any more."""
        self._withdrawn = True
        if self._deferred is not None:
            self._deferred.cancel()

    def _settle(self, result: object) -> None:
        if not self._withdrawn:
            self._result = result
            self._lock.release()
        elif isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("a call failed whose thread did not wait any more", result)


def _fire(function: Callable[[], object]) -> None:
    maybeDeferred(function).addErrback(partial(_log.failure, "a function that the reactor was to call failed"))


def _raise_stopped() -> NoReturn:
    raise ServiceStopped("the service has stopped, or its reactor, or they do not run yet")
