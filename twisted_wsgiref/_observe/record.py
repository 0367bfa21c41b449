"""The record of a finished exchange: one plain value. The thread that sent the last byte makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

#: Values that one observer asks for beyond the fields of every record.
Extra: TypeAlias = "tuple[str | None, ...]"
#: The fields of a `Record`, in their order. Python makes and unpacks nothing as fast as a plain tuple.
Facts: TypeAlias = "tuple[str | None, str, int, int, float, float, str, str, str, str, float, int, str, Extra]"
#: Makes an `Extra` of an environ, the fields of a request by their CGI names, and the field lines of its answer.
Extract: TypeAlias = Callable[[Mapping[str, object], Mapping[str, str], str], Extra]


class Record(NamedTuple):
    """One request and its answer, for logs and metrics.

    ``peer`` is the client's address or None (UNIX sockets). ``finished`` is in seconds since the epoch, ``seconds`` the
    time from the arrival of the head, or of the body if that is collected, until the kernel took the last byte.
    ``size`` is the number of bytes of the answer's body. ``status`` is 0 if the client left before an answer began.
    ``method`` is that of the request, "" for input that never became one. ``waited`` is the time from the same arrival
    until a thread took the request, in seconds: 0.0 if it needs no thread, and ``seconds`` if no thread took it.
    ``received`` is the number of bytes of the request's body that came. ``request_id`` is "" if the server identifies
    no requests. ``extra`` is for the server's own access log. Text fields are as the client sent them, latin-1.
    """

    peer: str | None
    request_line: str
    status: int
    size: int
    finished: float
    seconds: float
    referer: str
    user_agent: str
    user: str
    method: str = ""
    waited: float = 0.0
    received: int = 0
    request_id: str = ""
    extra: tuple[str | None, ...] = ()

    @classmethod
    def refused(cls, peer: str | None, status: int, size: int, now: float) -> Record:
        """Return the record of input that never became a request; the body of its answer has `size` bytes."""
        return cls(peer, "-", status, size, now, 0.0, "", "", "")


class Timed(Protocol):
    """What has the clock of exchanges at hand."""

    @property
    def clock(self) -> Callable[[], float]: ...


class Ended(Protocol):
    """An exchange that is over, as `_gateway.exchange.Exchange` is one. Times are by its gateway's clock."""

    kept: object
    status: int
    size: int
    received: float
    started: float

    @property
    def head(self) -> Head: ...

    @property
    def body(self) -> object: ...

    @property
    def gateway(self) -> Timed: ...

    def taken(self) -> int: ...


class Head(Protocol):
    """The head of a request; ``note`` lives as long as that, and says first whose it is."""

    request_line: str
    target: str
    request_id: str
    note: tuple[object, ...]

    @property
    def fields(self) -> Mapping[str, str]: ...


class ExchangeLog(Protocol):
    """An observer that takes exchanges themselves, and of each no more than it writes. Any thread calls it."""

    @property
    def timed(self) -> bool:
        """Whether it wants to know when a thread took a request."""

    @property
    def noted(self) -> object:
        """If a head's ``note`` begins with this, `keep` would return the second value there, but for a REMOTE_USER."""

    def keep(self, head: Head, environ: Mapping[str, object]) -> object:
        """Return what it has to know of `environ`, which goes now; it is ``kept`` of the exchange."""

    def observe_exchange(self, exchange: Ended) -> None:
        """Learn that `exchange` is over."""

    def observe_facts(self, facts: Facts) -> None:
        """Learn of input that never became a request."""


class FactsObserver(Protocol):
    """An observer that takes a plain tuple instead of a `Record`, since it costs less for each request."""

    def observe_facts(self, facts: Facts, /) -> object: ...


# Both are public at the package's top. (Within them a type checker takes the name for one of their fields.)
Record.__module__ = FactsObserver.__module__ = "twisted_wsgiref"
# As a named tuple's own constructor, with a call less.
_make_record: Final[Callable[[type[Record], Facts], Record]] = tuple.__new__


def find_extract(observers: Iterable[object]) -> Extract | None:
    """Return the ``extract`` of the first of `observers` whose class has one; it may be None, too.

    What it returns for an exchange is ``extra`` of the record. It is called where the exchange ends, in any thread, and
    must not raise.
    """
    for observer in observers:
        if hasattr(type(observer), "extract"):
            found: Extract | None = getattr(observer, "extract")  # noqa: B009 - no name that its type knows
            return found
    return None


def find_log(observers: Iterable[object]) -> ExchangeLog | None:
    """Return the first of `observers` that takes exchanges, if there is one."""
    for observer in observers:
        # Not of any object: a `Mock` has every attribute.
        if hasattr(type(observer), "takes_exchanges") and getattr(observer, "takes_exchanges", False):
            return cast(ExchangeLog, observer)
    return None


def lost_of(observers: Iterable[object]) -> int:
    """Return how many lines those of `observers` that are access logs have lost."""
    # Not of any object: a `Mock` has every attribute.
    return sum(lost for each in observers if type(lost := getattr(each, "lost", 0)) is int)


def told_facts(observer: Callable[[Record], object] | FactsObserver) -> Callable[[Facts], object]:
    """Return a function that tells `observer` of `Facts`, as a `Record` unless it is a `FactsObserver`."""
    # Not of the object itself: a `Mock` has every attribute.
    if hasattr(type(observer), "observe_facts"):
        return cast(FactsObserver, observer).observe_facts
    call = cast("Callable[[Record], object]", observer)

    def tell(facts: Facts) -> None:
        call(_make_record(Record, facts))

    return tell
