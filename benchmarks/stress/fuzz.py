"""Throw damaged messages at the HTTP room for a while, then weigh what hostile shapes cost.

    python -m benchmarks.stress.fuzz --seconds 60 [--seed N]

Three things must hold, and the exit status is 1 if one does not: nothing is raised but `ProtocolError`, and every
accepted message survives being written and read again; no input of up to 64 KiB takes over 50 ms; doubling an input
takes at most 2.5 times as long. The corpus and the connection come from `tests/http`, so it runs in a checkout.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

from benchmarks.harness.script import run
from tests.corpus import HOSTILE, VALID
from tests.http.drive import bytewise, cut_at, drive, whole
from tests.http.mutation import mutate, rewrite, settle
from twisted_wsgiref._http.limits import Limits

KIB64 = 65536
MOST_MILLISECONDS = 50.0
MOST_FACTOR = 2.5
# Below this many seconds a factor is noise, or a step (a limit met earlier), and cannot hurt anybody.
FLOOR = 0.001

# So wide that not the limits end a shape, but its own size: linear must be the code, not the bounds alone.
WIDE = Limits(1 << 24, 1 << 24, 1 << 24, 1 << 24, 1 << 24, 1 << 24)

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def fill(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


#: Each makes about as many octets as it is asked for.
SHAPES: dict[str, Callable[[int], bytes]] = {
    "plain body": lambda n: b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % n + b"a" * n,
    "chunks of one octet": lambda n: CHUNKED + fill(b"1\r\na\r\n", n) + b"0\r\n\r\n",
    "chunks with long extensions": lambda n: CHUNKED + fill(b"1;" + b"a" * 200 + b"\r\na\r\n", n) + b"0\r\n\r\n",
    "chunks with many extensions": lambda n: CHUNKED + fill(b"1" + b";a=b" * 60 + b"\r\na\r\n", n) + b"0\r\n\r\n",
    "chunks with white space in extensions": lambda n: (
        CHUNKED + fill(b"1" + b" " * 60 + b";" + b" " * 60 + b"a" + b" " * 60 + b"= b\r\na\r\n", n) + b"0\r\n\r\n"
    ),
    "one endless extension": lambda n: CHUNKED + b"1;" + b"a" * n + b"\r\na\r\n0\r\n\r\n",
    "one endless quoted extension": lambda n: CHUNKED + b'1;a="' + fill(b'\\"', n) + b"\r\na\r\n0\r\n\r\n",
    "a size of zeros": lambda n: CHUNKED + b"0" * n,
    "many trailers": lambda n: CHUNKED + b"0\r\n" + fill(b"X: a\r\n", n) + b"\r\n",
    "one long trailer": lambda n: CHUNKED + b"0\r\nX:" + b" " * n + b"\r\n\r\n",
    "a broken trailer at the end": lambda n: CHUNKED + b"0\r\n" + fill(b"X: a\r\n", n) + b"X\r\n\r\n",
    "many fields of one name": lambda n: GET + fill(b"X: a\r\n", n) + b"\r\n",
    "many fields": lambda n: GET + b"".join(b"X%070x: a\r\n" % i for i in range(n // 76)) + b"\r\n",
    "many empty fields": lambda n: GET + fill(b"X:\r\n", n) + b"\r\n",
    "many cookies": lambda n: GET + fill(b"Cookie: a=b\r\n", n) + b"\r\n",
    "one long field": lambda n: GET + b"X: " + b"a" * n + b"\r\n\r\n",
    "one long name": lambda n: GET + b"X" * n + b": a\r\n\r\n",
    "a long name without colon": lambda n: GET + b"X" * n + b"\r\n\r\n",
    "spaces before a value": lambda n: GET + b"X:" + b" " * n + b"a\r\n\r\n",
    "spaces before a control character": lambda n: GET + b"X:" + b" " * n + b"\x01\r\n\r\n",
    "tabs and spaces before a bare LF": lambda n: GET + b"X:" + fill(b" \t", n) + b"\n\r\n\r\n",
    "spaces after a value": lambda n: GET + b"X: a" + b" " * n + b"\r\n\r\n",
    "spaces between words": lambda n: GET + b"X: " + fill(b"a ", n) + b"\r\n\r\n",
    "a long target": lambda n: b"GET /" + b"a" * n + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target of escapes": lambda n: b"GET /" + fill(b"%41", n) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target of slashes": lambda n: b"GET " + b"/" * n + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute target of question marks": lambda n: b"GET http://a" + b"?" * n + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long absolute authority": lambda n: b"GET http://" + b"a" * n + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long method": lambda n: b"A" * n + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a request line of versions": lambda n: b"GET /" + fill(b"HTTP/1.1", n) + b"\r\n" + HOST + b"\r\n",
    "a long host": lambda n: b"GET / HTTP/1.1\r\nHost: " + b"a" * n + b"!@\r\n\r\n",
    "a host of escapes": lambda n: b"GET / HTTP/1.1\r\nHost: " + fill(b"%41", n) + b"%4\r\n\r\n",
    "a long list of connection options": lambda n: GET + b"Connection: " + fill(b"a, ", n) + b"\r\n\r\n",
    "a long length": lambda n: GET + b"Content-Length: " + b"9" * n + b"\r\n\r\n",
    "a long coding": lambda n: GET + b"Transfer-Encoding: " + fill(b"chunked, ", n) + b"\r\n\r\n",
    "a head that never ends": lambda n: GET + b"X: " + b"a" * n,
    "fields that never end": lambda n: GET + fill(b"X: a\r\n", n),
    "empty lines": lambda n: b"\r\n" * (n // 2),
    "carriage returns": lambda n: GET + b"X: a" + b"\r" * n,
    "pipelined requests": lambda n: fill(GET + b"\r\n", n),
    "pipelined requests with bodies": lambda n: fill(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\na", n),
    "pipelined requests with chunks": lambda n: fill(CHUNKED + b"0\r\n\r\n", n),
    "nothing but zeros": bytes,
}

#: How the octets come. One at a time they are 65,536 inputs, each with its own turn of the reactor, which costs far
#: more than the parsing: no single one holds anybody up, and so their sum is only weighed by its factor.
FEEDS: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "at once": whole,
    "in 1460s": lambda octets: cut_at(octets, range(1460, len(octets), 1460)),
    "one at a time": bytewise,
}


class Cost(NamedTuple):
    """What the worst shape was, in milliseconds for 64 KiB, and by what factor a double input is dearer."""

    milliseconds: float
    factor: float


def measure(pieces: list[bytes], limits: Limits, best: float = float("inf")) -> float:
    """Return the least of some runs, and `best`, in seconds of processor time: what else the machine does only adds."""
    spent = 0.0
    for _ in range(8):
        start = time.thread_time()
        drive(pieces, limits)
        took = time.thread_time() - start
        best = min(best, took)
        spent += took
        if spent > 0.15:
            break
    return best


def weigh(name: str, feed: str, limits: Limits) -> Cost:
    inputs = [list(FEEDS[feed](SHAPES[name](size))) for size in (KIB64 // 2, KIB64, KIB64 * 2)]
    times = [measure(pieces, limits) for pieces in inputs]
    # A steep one is measured again before it is believed: other programs share the caches.
    for _ in range(5):
        factor = max((b / a for a, b in pairwise(times) if b > FLOOR), default=1.0)
        if factor <= MOST_FACTOR:
            break
        times = [measure(pieces, limits, best) for pieces, best in zip(inputs, times, strict=True)]
    return Cost(times[1] * 1000, factor)


def weigh_all(limits: Limits, title: str) -> bool:
    print(f"\n{title}: shapes of 64 KiB, the worst first")
    good = True
    for feed in FEEDS:
        costs = sorted(((name, weigh(name, feed, limits)) for name in SHAPES), key=lambda pair: -pair[1].milliseconds)
        worst, cost = costs[0]
        steep, steepest = max(costs, key=lambda pair: pair[1].factor)
        print(f"  {feed:14} most {cost.milliseconds:7.2f} ms ({worst}); doubling {steepest.factor:.2f} ({steep})")
        for name, each in costs[1:4]:
            print(f"  {'':14}      {each.milliseconds:7.2f} ms ({name}), doubling {each.factor:.2f}")
        if steepest.factor > MOST_FACTOR or (feed != "one at a time" and cost.milliseconds > MOST_MILLISECONDS):
            good = False
    return good


def fuzz(seconds: float, seed: int) -> bool:
    """Mutate for `seconds`; return whether everything held."""
    chance = random.Random(seed)
    # Mostly of what is right: a second mistake in what is wrong finds little.
    seeds = [entry.octets for entry in VALID] * 20 + [entry.octets for entry in HOSTILE if len(entry.octets) < 4096]
    counts: Counter[str] = Counter()
    slowest, good = 0.0, True
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        octets = mutate(chance.choice(seeds), chance, seeds)[:KIB64]
        places = [chance.randrange(len(octets) + 1) for _ in range(chance.randrange(4))]
        pieces = cut_at(octets, places)
        try:
            start = time.thread_time()
            outcome = drive(pieces)
            slowest = max(slowest, time.thread_time() - start)
            for message in outcome.messages:
                if [settle(again) for again in drive([rewrite(message)]).messages] != [settle(message)]:
                    raise RuntimeError(f"not the same when it is written and read again: {message}")
            if outcome.messages != drive([octets]).messages:
                raise RuntimeError("other messages when split otherwise")
        except Exception as error:  # whatever it is: that is what is looked for
            good = False
            counts[f"FAILED {type(error).__name__}"] += 1
            if sum(counts[name] for name in counts if name.startswith("FAILED")) <= 5:
                print(f"  {error!r} by {octets!r}, cut at {sorted(places)}")
            continue
        counts["inputs"] += 1
        counts["messages"] += len(outcome.messages)
        counts[f"refused {outcome.status}" if outcome.status else "waiting" if outcome.waiting else "served"] += 1
    print(f"mutation, {seconds:g} s, seed {seed}: slowest input {slowest * 1000:.2f} ms")
    for name, count in sorted(counts.items()):
        print(f"  {name:14} {count:>10,}")
    return good and slowest * 1000 <= MOST_MILLISECONDS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stress.fuzz",
        description="Mutated messages and hostile shapes against the HTTP room.",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to mutate (60)")
    parser.add_argument("--seed", type=int, default=9112, help="where chance starts (9112)")
    options = parser.parse_args()
    good = fuzz(options.seconds, options.seed)
    good &= weigh_all(Limits(), "With the default limits")
    good &= weigh_all(WIDE, "Without limits")
    print("\nall held" if good else "\nNOT all held")
    return 0 if good else 1


if __name__ == "__main__":
    run(main)
