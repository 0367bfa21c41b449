"""Clients of `cross_talk`: what they ask, how they behave, and what they make of the answers.

What lives here: one connection after the other, each with a manner of its own. What may not: processes, the end.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.stress.cross_talk_app import FAULTY, READINGS, RIGHT, body_of, late_block
from benchmarks.stress.hostile_app import made
from tests.real.raw_client import CLOSE, Answer, Client, NotHTTP

#: In seconds; an answer that has not come by then never will.
PATIENCE = 30.0
_RIGHT = [each.__name__.replace("_", "-") for each in RIGHT]
_FAULTY = [each.__name__.replace("_", "-") for each in FAULTY]
_WITHOUT_BODY = ("empty", "unchanged")
# Parts of each are in no request that is right; behind them nothing may be served.
_BAD = (
    b"GET / HTTP/1.1\r\nHost: h\r\nX-Bad : 1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 6\r\n\r\nabcde",
    b"POST /whole/x?x&0&0&all HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nabcde\r\n0\r\n\r\n",
    b"\0\0\0\0 / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n",
)


@dataclass
class Tally:
    """What the clients of one server found; each adds under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, kind: str, number: int = 1) -> None:
        """Count it."""
        with self.lock:
            self.counts[kind] += number

    def fault(self, kind: str, text: str) -> None:
        """Count what may not be, and keep the first few texts."""
        with self.lock:
            self.counts[kind] += 1
            if len(self.faults) < 20:
                self.faults.append(f"{kind}: {text}")


@dataclass
class Ask:
    """A request, and what its answer has to be."""

    nonce: str
    how: str
    method: str
    version: str
    head: bytes
    body: bytes
    size: int
    last: bool  # the client has asked for the end of the connection

    @property
    def octets(self) -> bytes:
        """All of it."""
        return self.head + self.body

    def wrong(self, answer: Answer) -> str:
        """Return why `answer` is not the one to this request; nothing if it is."""
        for early in answer.early:
            if early.status not in (100, 103) or early.get("link") not in (None, f"</{self.nonce}>"):
                return f"a {early.status} with {early.get('link')!r} came before it"
        said = answer.get("x-nonce")
        if self.how in ("fails", "fails-after-start") or (self.how == "breaks" and not self.size):
            right = answer.status == 500 and said is None and self.nonce.encode() not in answer.body
            return "" if right else f"{answer.status}, of {said}, not 500"
        if answer.status != {"empty": 204, "unchanged": 304}.get(self.how, 200) or said != self.nonce:
            return f"{answer.status}, of {said}"
        return self._wrong_body(answer, made(self.nonce, self.size))

    def _wrong_body(self, answer: Answer, expected: bytes) -> str:
        if answer.get("x-hash") != hashlib.sha256(expected).hexdigest():
            return "the hash is of another body"
        body = answer.body.replace(late_block(self.nonce), b"") if self.how == "late-write" else answer.body
        if self.method == "HEAD" or self.how in _WITHOUT_BODY:
            return f"{len(body)} bytes of body" if body else ""
        if self.how == "breaks":
            # An answer that was broken off has to look so.
            return "" if expected.startswith(body) and not answer.whole else f"looks whole, ended {answer.ended}"
        return "" if body == expected and answer.whole else f"{len(body)} of {self.size} bytes, ended {answer.ended}"


def _size(chance: random.Random, most: float) -> int:
    """Return a size up to 2 ** `most`, small ones more often; one in four is 0."""
    return 0 if chance.random() < 0.25 else int(2 ** chance.uniform(0, most))


def ask_of(chance: random.Random, nonce: str, *, faulty: bool = True, expects: bool = False) -> Ask:
    """Return a request of any kind; with `expects` one that waits for 100 (Continue)."""
    how = chance.choice(_FAULTY if faulty and chance.random() < 0.1 else _RIGHT)
    # Up to 400 KiB: beyond 256 the server writes it to a file.
    length = _size(chance, chance.choice((1, 12, 18.6)))
    if expects:
        length = 1 + _size(chance, chance.choice((14, 20)))
    size = _size(chance, chance.choice((10, 14, 18)))
    method = "HEAD" if not length and how in _RIGHT and chance.random() < 0.1 else "POST" if length else "GET"
    version = "1.0" if not expects and chance.random() < 0.04 else "1.1"
    lines = [f"{method} /{how}/{nonce}?{nonce}&{length}&{size}&{chance.choice(READINGS)} HTTP/{version}", "Host: h"]
    lines += [f"X-Nonce: {nonce}", f"Cookie: {nonce}", *["User-Agent: cross-talk"] * (chance.random() < 0.5)]
    last = version == "1.0" or chance.random() < 0.03
    lines += ["Connection: close"] * (last and version == "1.1") + ["Expect: 100-continue"] * expects
    body = body_of(nonce, length)
    if version == "1.1" and length and chance.random() < 0.5:
        lines.append("Transfer-Encoding: chunked")
        body = _chunked(body, chance)
    elif length:
        lines.append(f"Content-Length: {length}")
    return Ask(nonce, how, method, version, "\r\n".join([*lines, "", ""]).encode(), body, size, last)


def _chunked(body: bytes, chance: random.Random) -> bytes:
    cuts = sorted({0, len(body), *(chance.randrange(len(body)) for _ in range(3))})
    parts = [body[start:end] for start, end in pairwise(cuts)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Talk:
    """One connection: it sends, and checks what comes back."""

    def __init__(
        self, client: Client, chance: random.Random, names: Callable[[], str], tally: Tally, manner: str
    ) -> None:
        self.client = client
        self.manner = manner
        self.chance = chance
        self.names = names
        self.tally = tally
        self.over = False  # the server has said, or shown, that nothing more comes
        self.last: Ask | None = None  # the one that was answered before
        self.began = time.monotonic()
        self._senders: list[threading.Thread] = []
        self.failed = False  # something was wrong already: what comes after it says nothing

    def asks(self, number: int, *, faulty: bool = True) -> list[Ask]:
        """Return so many requests, the last of which alone may end the connection by its own wish."""
        made = [ask_of(self.chance, self.names(), faulty=faulty) for _ in range(number)]
        wishes = [place for place, each in enumerate(made) if each.last]
        return made[: wishes[0] + 1] if wishes else made

    def check(self, asks: Sequence[Ask]) -> None:
        """Read an answer to each of `asks`, which were sent whole, and look whether it is theirs."""
        for place, ask in enumerate(asks):
            try:
                answer = None if self.over else self.client.read_answer(ask.method, PATIENCE)
            except NotHTTP as error:
                self.tally.add("requests")
                self._fault("wrong answers", ask, str(error))
                continue
            if self.over or (answer is None and self._ended_by_fault()) or self._lost_to_reset(asks[place:]):
                self.over = True
                self.tally.add("to be sent again")
                continue
            self.tally.add("requests")
            if answer is None:
                self._fault("unanswered", ask, f"{self.client.rest()[:60]!r} came")
            elif wrong := ask.wrong(answer):
                self._fault("wrong answers", ask, wrong)
            else:
                self.tally.add("right answers")
                closes = (answer.get("connection") or "").lower() == "close"
                self.over = ask.last or closes or answer.ended == CLOSE or not answer.whole
                self.last = ask

    def _ended_by_fault(self) -> bool:
        """Return whether the application made the server close behind the last answer, though it did not say so."""
        faulty = self.last is not None and self.last.how in _FAULTY
        return faulty and self.client.closed and not self.client.rest()

    def _lost_to_reset(self, asks: Sequence[Ask]) -> bool:
        """Return whether an answer to `asks` had to end by a reset: that takes along whatever is still unread."""
        return self.client.was_reset and any(ask.how == "breaks" and ask.version == "1.0" for ask in asks)

    def _fault(self, kind: str, ask: Ask, what: str) -> None:
        self.over = self.failed = True
        state = "reset" if self.client.was_reset else "closed" if self.client.closed else "open"
        before = f"behind {self.last.how}" if self.last else "first"
        took = f"{state} after {time.monotonic() - self.began:.1f} s"
        lines = ask.head.split(b"\r\n", 1)[0].decode()
        self.tally.fault(kind, f"{self.manner}: {lines} {'last' * ask.last}, {before}: {what}; {took}")

    def end(self, why: str) -> None:
        """See that nothing more comes."""
        if self.failed:
            return
        self.client.is_closed(PATIENCE)
        if self.client.rest():
            self.tally.fault("wrong answers", f"after {why} came {self.client.rest()[:80]!r}")
        elif not self.client.closed:
            self.tally.fault("unanswered", f"after {why} the connection stays open")

    def send_beside(self, octets: bytes, send: Callable[[bytes], object] | None = None) -> None:
        """Have a thread send `octets`: if nobody read answers meanwhile, both sides would stand still."""
        thread = threading.Thread(target=send or self.client.send, args=(octets,), daemon=True)
        thread.start()
        self._senders.append(thread)

    def wait_until_sent(self) -> None:
        """Return once no thread sends any more."""
        for thread in self._senders:
            thread.join()
        self._senders.clear()

    def leave(self) -> None:
        """Have no thread send any more: the descriptor is soon another connection's."""
        if self._senders:
            self.client.half_close()
        self.wait_until_sent()

    def drip(self, octets: bytes) -> None:
        """Send `octets` in a few pieces."""
        for start in _cuts(self.chance, len(octets)):
            self.client.send(octets[start.start : start.stop])
            time.sleep(self.chance.random() * 0.004)


def _cuts(chance: random.Random, length: int) -> list[range]:
    cuts = sorted({0, length, *(chance.randrange(length) for _ in range(chance.randrange(1, 8)))})
    return [range(start, end) for start, end in pairwise(cuts)]


# ---- Manners ---------------------------------------------------------------------------------------------------------


def one_by_one(talk: Talk) -> None:
    for ask in talk.asks(talk.chance.randrange(1, 30)):
        if talk.over:
            break
        talk.client.send(ask.octets)
        talk.check([ask])


def pipelining(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(2, 12))
    talk.send_beside(b"".join(ask.octets for ask in asks))
    talk.check(asks)


def dripping(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(1, 4))
    octets = b"".join(ask.octets for ask in asks)
    talk.send_beside(octets, talk.drip)
    talk.check(asks)


def waiting_for_100(talk: Talk) -> None:
    for _ in range(talk.chance.randrange(1, 6)):
        talk.wait_until_sent()
        ask = ask_of(talk.chance, talk.names(), expects=True)
        talk.client.send(ask.head)
        # Not every application reads: then the answer comes, and the body is not wanted.
        status = talk.client.next_status(talk.chance.choice((0.001, PATIENCE)))
        if status in (None, 100, 103):
            talk.send_beside(ask.body)
        talk.check([ask])
        if talk.over or status not in (None, 100, 103):
            break


def slow_reading(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(1, 6))
    talk.send_beside(b"".join(ask.octets for ask in asks))
    time.sleep(talk.chance.random() * 0.1)
    talk.check(asks)


def half_closing(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(1, 5))
    # Small enough to be sent at once, whatever is read.
    asks = [ask for ask in asks if len(ask.octets) < 10000 and ask.size < 10000]
    if asks:
        talk.client.send(b"".join(ask.octets for ask in asks))
        talk.client.half_close()
        talk.check(asks)
        talk.end("a half-close")


def resetting(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(1, 4))
    octets = b"".join(ask.octets for ask in asks)
    talk.client.send(octets[: talk.chance.randrange(1, min(len(octets), 50000) + 1)])
    if talk.chance.random() < 0.7:
        answer = talk.client.read_answer(asks[0].method, talk.chance.random() * 0.01)
        if answer is not None and answer.whole and asks[0].how != "breaks" and (wrong := asks[0].wrong(answer)):
            talk.tally.fault("wrong answers", f"{asks[0].nonce} before a reset: {wrong}")
    talk.tally.add("resets")
    talk.client.reset()


def misbehaving(talk: Talk) -> None:
    asks = talk.asks(talk.chance.randrange(0, 4), faulty=False)
    if any(ask.last for ask in asks):
        return
    talk.send_beside(b"".join(ask.octets for ask in asks) + talk.chance.choice(_BAD))
    talk.check(asks)
    if not talk.over:
        answer = talk.client.read_answer("GET", PATIENCE)
        talk.tally.add("bad requests")
        if answer is not None and (answer.status < 400 or answer.get("x-nonce")):
            talk.tally.fault("wrong answers", f"{answer.status}, of {answer.get('x-nonce')}, to a bad request")
        elif answer is None and not talk.client.was_reset:
            talk.tally.fault("unanswered", "a bad request")
    talk.end("a bad request")


def breaking_off(talk: Talk) -> None:
    ask = ask_of(talk.chance, talk.names(), faulty=False, expects=False)
    if not ask.body:
        return
    talk.drip(ask.head + ask.body[: talk.chance.randrange(len(ask.body))])
    talk.client.half_close()
    answer = talk.client.read_answer(ask.method, PATIENCE)
    talk.tally.add("broken off")
    # With streamed input an application that does not need the rest has answered, or begun to.
    if answer is not None and answer.status != 400 and answer.get("x-nonce") != ask.nonce:
        talk.tally.fault("wrong answers", f"{answer.status}, of {answer.get('x-nonce')}, to {ask.nonce}, broken off")
    talk.end("a body that was broken off")


#: Each as often as it says.
MANNERS: dict[Callable[[Talk], None], int] = {
    one_by_one: 6,
    pipelining: 6,
    dripping: 3,
    waiting_for_100: 3,
    slow_reading: 2,
    half_closing: 2,
    resetting: 3,
    misbehaving: 2,
    breaking_off: 2,
}


def converse(port: int, seed: str, end: float, tally: Tally) -> None:
    """Make one connection after the other until the time `end`."""
    chance, number = random.Random(seed), 0

    def name() -> str:
        nonlocal number
        number += 1
        return f"{seed}-{number}"

    while time.monotonic() < end:
        (manner,) = chance.choices([*MANNERS], [*MANNERS.values()])
        tally.add("connections")
        try:
            with Client(port, PATIENCE, 4096 if manner is slow_reading else 0) as client:
                talk = Talk(client, chance, name, tally, manner.__name__)
                try:
                    manner(talk)
                finally:
                    talk.leave()
        except NotHTTP as error:
            tally.fault("wrong answers", f"{seed}-{number} {manner.__name__}: {error}")
        except OSError as error:
            tally.fault("unanswered", f"{seed}-{number} {manner.__name__}: {type(error).__name__}: {error}")
