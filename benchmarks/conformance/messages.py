"""The corpus of the tests, sent to a server over a socket: what became of each message.

A message is judged by what the application noted and by what came back, never by what a server says of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.conformance.subject import Subject
from tests.corpus import HOSTILE, TRUNCATED, VALID, Hostile, Truncated, Valid
from tests.real.raw_client import Client, NotHTTP, request

#: What became of a message, from good to bad.
REFUSED: Final = "refused"  # an error, or the connection closed; the application saw nothing
REFUSED_OPEN: Final = "open"  # refused, but what came next on the connection was served
WAITED: Final = "waited"  # neither answer nor end within the time
SERVED: Final = "served"  # the application was called
TWICE: Final = "served twice"  # and once more, for a request that was hidden in the message or put behind it

# An answer on the loopback interface is there within milliseconds; a busy machine takes longer.
_ANSWER_SECONDS = 0.6
_NEXT_SECONDS = 0.5

CLASSES: Final = ("smuggling", "chunks", "Host", "request line", "line ends", "fields", "sizes")
_CLASS_OF: Final = {
    "length": "smuggling",
    "coding": "smuggling",
    "both": "smuggling",
    "chunk": "chunks",
    "chunks": "chunks",
    "last": "chunks",
    "trailer": "chunks",
    "trailers": "chunks",
    "extension": "chunks",
    "host": "Host",
    "line": "request line",
    "method": "request line",
    "version": "request line",
    "target": "request line",
    "lf": "line ends",
    "cr": "line ends",
    "blank": "line ends",
    "next": "line ends",
    "nul": "line ends",
    "control": "line ends",
    "size": "sizes",
}


def class_of(message: Hostile) -> str:
    """Return the class of a hostile message, by the first word of its name."""
    return _CLASS_OF.get(message.name.split("-")[0], "fields")


@dataclass
class Fate:
    """What became of one message, and the status of the answer; 0 without one."""

    outcome: str
    status: int
    expected: bool  # the status is one that the corpus names


def send_hostile(subject: Subject, message: Hostile) -> Fate:
    """Return what `subject` makes of `message`."""
    subject.news()
    status = 0
    answered_next = False
    with Client(subject.port) as client:
        client.send(message.octets)
        try:
            answer = client.read_answer(timeout=_ANSWER_SECONDS)
        except NotHTTP:
            answer = None  # HTTP/0.9, which has no head
        status = answer.status if answer is not None else 0
        if (status or not client.closed) and not client.is_closed(0.1) and status:
            client.send(request("/canary"))
            client.is_closed(_NEXT_SECONDS)
        closed = client.closed
    requests = [each["path"] for each in subject.news() if each["kind"] == "request"]
    answered_next = "/canary" in requests
    own = [path for path in requests if path != "/canary"]
    if not own and (status >= 400 or closed):
        outcome = REFUSED_OPEN if answered_next else REFUSED
    elif not own:
        outcome = WAITED
    else:
        outcome = TWICE if "/smuggled" in own else SERVED
    return Fate(outcome, status, status in message.statuses)


def send_truncated(subject: Subject, message: Truncated) -> Fate:
    """Return what `subject` makes of a request that breaks off: nobody may take it for whole."""
    subject.news()
    with Client(subject.port) as client:
        client.send(message.octets)
        client.half_close()
        try:
            answer = client.read_answer(timeout=_ANSWER_SECONDS)
        except NotHTTP:
            answer = None
        status = answer.status if answer is not None else 0
        closed = client.is_closed(0.2)
    served = any(each["kind"] == "request" for each in subject.news())
    return Fate(SERVED if served else REFUSED if closed or status >= 400 else WAITED, status, not served)


def send_valid(subject: Subject, message: Valid) -> Fate:
    """Return whether `subject` serves `message`, and gives the application path, query and body as sent."""
    subject.news()
    with Client(subject.port) as client:
        client.send(message.octets)
        try:
            answer = client.read_answer(message.method, timeout=_ANSWER_SECONDS)
        except NotHTTP:
            answer = None
    status = answer.status if answer is not None else 0
    requests = [each for each in subject.news() if each["kind"] == "request"]
    if not requests:
        return Fate(REFUSED if status else WAITED, status, False)
    seen = [(each["method"], each["path"], each["query"] or "", each["body"]) for each in requests]
    right = seen == [(message.method, message.path, message.query, message.body.decode("latin-1"))]
    return Fate(SERVED, status, right and status == 200)


@dataclass
class Fates:
    """All messages of the corpus at one server, by name."""

    hostile: dict[str, Fate]
    truncated: dict[str, Fate]
    valid: dict[str, Fate]

    def count(self, class_: str) -> Counter[str]:
        """Return how many of a class had each outcome."""
        return Counter(self.hostile[each.name].outcome for each in HOSTILE if class_of(each) == class_)


def send_all(subject: Subject) -> Fates:
    """Send the whole corpus; a server that an earlier message has killed or blocked is started afresh."""

    def send(how: Callable[[Subject, Any], Fate], message: Any) -> Fate:
        if subject.process is None or subject.process.exit_status(0) is not None:
            subject.start()
        try:
            fate = how(subject, message)
        except OSError:  # it accepts nothing
            fate = Fate(WAITED, 0, False)
        if fate.outcome is WAITED and not subject.is_well():
            subject.start()
            fate = how(subject, message)
        return fate

    return Fates(
        {each.name: send(send_hostile, each) for each in HOSTILE},
        {each.name: send(send_truncated, each) for each in TRUNCATED},
        {each.name: send(send_valid, each) for each in VALID},
    )
