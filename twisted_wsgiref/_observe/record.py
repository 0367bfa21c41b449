"""What is told of a finished exchange: one plain value, made by the thread that sent the last byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

#: The fields of a `Record`, in their order. Nothing is made, and taken apart, as fast as a plain tuple.
Facts: TypeAlias = "tuple[str | None, str, int, int, float, float, str, str, str]"


class Record(NamedTuple):
    """One request and its answer, for logs and metrics.

    ``peer`` is the client's address or None (UNIX sockets), ``finished`` seconds since the epoch, ``seconds`` how long
    it took from the head's arrival to the last byte handed to the kernel, ``size`` the bytes of the answer's body.
    ``status`` is 0 when the client left before an answer began. Text fields are as the client sent them, latin-1.
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

    @classmethod
    def refused(cls, peer: str | None, status: int, size: int, now: float) -> Record:
        """Return the record of what never became a request; the body of its answer has `size` bytes."""
        return cls(peer, "-", status, size, now, 0.0, "", "", "")


class FactsObserver(Protocol):
    """An observer that does without the names, since it is told of every request."""

    def observe_facts(self, facts: Facts, /) -> object: ...


# Both are found at the front door. (Within them a type checker takes the name for one of their fields.)
Record.__module__ = FactsObserver.__module__ = "twisted_wsgiref"
# What a named tuple's own constructor calls, with a call less.
_make_record: Final[Callable[[type[Record], tuple[Any, ...]], Record]] = tuple.__new__


def told_facts(observer: Callable[[Record], object] | FactsObserver) -> Callable[[Facts], object]:
    """Return what to call with `Facts` so that `observer` learns of them, as a `Record` unless it does without."""
    given: Any = observer
    # Not of the object itself: a `Mock` has every attribute.
    if hasattr(type(observer), "observe_facts"):
        plain: Callable[[Facts], object] = given.observe_facts
        return plain

    def tell(facts: Facts) -> None:
        given(_make_record(Record, facts))

    return tell
