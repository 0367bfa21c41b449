"""What every server is asked about clients that are slow, many or gone, and about its end.

Each question gets a server started afresh, since it may leave one behind that answers nobody.
"""

from __future__ import annotations

import contextlib
import time

from benchmarks.conformance.application import BIG_BLOCKS
from benchmarks.conformance.questions import CLOSE, Question, Verdict, describe
from benchmarks.conformance.subject import Subject
from tests.real.raw_client import Answer, Client, ask, request

#: Within this many seconds another client is served.
PROMPT = 1.0
# More memory than this for one client that reads nothing, in MiB, and a hundred of them fill a small machine.
_MOST_MEMORY = 20


def _another_client(subject: Subject) -> Verdict:
    """Return whether another client is answered promptly; said is the time it took."""
    start = time.monotonic()
    answer = ask(subject.port, request("/hello", lines=CLOSE), timeout=3.0)
    took = time.monotonic() - start
    if answer is None or answer.status != 200:
        return Verdict(False, f"{describe(answer)} in {took:.1f} s")
    return Verdict(took < PROMPT, f"{took * 1000:.0f} ms")


def _beside(subject: Subject, clients: int, octets: bytes, settle: float = 0.5, receive_buffer: int = 0) -> Verdict:
    """Return how another client fares while `clients` have each sent `octets`, and do nothing more."""
    with contextlib.ExitStack() as stack:
        for _ in range(clients):
            try:
                client = stack.enter_context(Client(subject.port, 2.0, receive_buffer))
            except OSError:
                break  # it accepts no more: the other client will show
            client.send(octets)
        time.sleep(settle)
        return _another_client(subject)


def half_sent_heads(subject: Subject) -> Verdict:
    """4 half-sent requests, and another client is served within 1 s"""
    return _beside(subject, 4, b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Half")


def half_sent_bodies(subject: Subject) -> Verdict:
    """4 half-sent bodies, and another client is served within 1 s"""
    return _beside(subject, 4, b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")


def _stalled(subject: Subject, path: str) -> Verdict:
    return _beside(subject, 8, request(path), settle=1.5, receive_buffer=4096)


def stalled_readers_of_a_list(subject: Subject) -> Verdict:
    """8 clients that read nothing of a list of 16 MiB, and another client is served within 1 s"""
    return _stalled(subject, "/big-list")


def stalled_readers_of_a_file(subject: Subject) -> Verdict:
    """8 clients that read nothing of a file of 16 MiB, and another client is served within 1 s"""
    return _stalled(subject, "/big-file")


def stalled_readers_of_an_iterator(subject: Subject) -> Verdict:
    """8 clients that read nothing of an iterator's 64 MiB, and another client is served within 1 s"""
    return _stalled(subject, "/big")


def stalled_reader_is_waited_for(subject: Subject) -> Verdict:
    """An application is made to wait for a client that reads nothing, instead of filling the memory"""
    if subject.process is None:
        return Verdict(False, "not running")
    before = subject.process.usage().rss
    with Client(subject.port, receive_buffer=4096) as client:
        client.send(request("/big?memory"))
        grown, last = 0.0, -1.0
        for _ in range(10):  # until it grows no more
            time.sleep(0.7)
            grown = (subject.process.usage().rss - before) / 2**20
            if grown - last < 0.5:
                break
            last = grown
    return Verdict(grown < _MOST_MEMORY, f"{grown:.0f} MiB of {BIG_BLOCKS // 16}")


def idle_connections(subject: Subject) -> Verdict:
    """120 connections that send nothing, and another client is served within 1 s"""
    return _beside(subject, 120, b"")


def idle_after_a_request(subject: Subject) -> Verdict:
    """8 kept-alive connections, each idle after a request, and another client is served within 1 s"""
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(Client(subject.port))
            client.send(request("/hello"))
            client.read_answer(timeout=1.0)
        return _another_client(subject)


def system_exit_costs_no_thread(subject: Subject) -> Verdict:
    """SystemExit in the application, 12 times, is 12 times a 500, and the server serves on"""
    answers: list[Answer | None] = [ask(subject.port, request("/leave", lines=CLOSE)) for _ in range(12)]
    errors = sum(answer is not None and answer.status == 500 for answer in answers)
    well = subject.is_well()
    seen = f"{errors} of 12 answered 500, then {'well' if well else 'no answer'}"
    return Verdict(errors == 12 and well, seen)


def stops_politely(subject: Subject) -> Verdict:
    """SIGTERM with a request in flight: it is answered, and the exit status is 0"""
    if subject.process is None:
        return Verdict(False, "not running")
    with Client(subject.port) as client:
        client.send(request("/slow"))
        time.sleep(0.5)
        subject.process.ask_to_stop()
        answer = client.read_answer(timeout=4.0)
    status = subject.process.exit_status(8.0)
    answered = answer is not None and answer.body == b"hello"
    ended = "still running after 8 s" if status is None else f"status {status}"
    return Verdict(answered and status == 0, f"{'answered' if answered else 'not answered'}, {ended}")


ENDURANCE: tuple[Question, ...] = (
    half_sent_heads,
    half_sent_bodies,
    stalled_readers_of_a_list,
    stalled_readers_of_a_file,
    stalled_readers_of_an_iterator,
    stalled_reader_is_waited_for,
    idle_connections,
    idle_after_a_request,
    system_exit_costs_no_thread,
    stops_politely,
)
