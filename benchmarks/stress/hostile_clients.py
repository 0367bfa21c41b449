"""Clients that are slow, stalled, many, greedy or gone: each row one function from `Times` to a `Row`.

Load that fills pipes and disks is in `hostile_loads`.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import selectors
import socket
import statistics
import struct
import termios
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.stress.hostile_app import NUMBERED_OCTETS
from benchmarks.stress.hostile_server import HostileServer, Row
from tests.real.raw_client import Client, ask, request
from tests.real.secure_client import Socket, connect
from twisted_wsgiref.settings import Settings

THREADS = 4
CLOSE = "Connection: close\r\n"


@dataclass(frozen=True)
class Times:
    """How long rows last, in seconds, where files may be put, and what else the server is given."""

    folder: Path
    options: tuple[str, ...]
    head_timeout: float
    send_timeout: float
    overload: float
    integrity: float
    tls: bool = False

    def server(self, *options: str, before: str = "") -> HostileServer:
        """Return the server of a row, which is given `options` too."""
        return HostileServer(self.folder, *self.options, *options, before=before, tls=self.tls)


def _probe(port: int, seconds: float, pipe: Connection) -> None:
    """Ask for a small answer on a new connection, again and again; send the seconds that each took, in order."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        answer = ask(port, request("/", lines=CLOSE), timeout=5.0)
        took.append(time.monotonic() - start if answer is not None else float("inf"))
        time.sleep(0.01)
    pipe.send(sorted(took))


class Probe:
    """Another client, in a process of its own, so that our load does not slow it."""

    def __init__(self, port: int, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe(False)
        self._process = context.Process(target=_probe, args=(port, seconds, other), daemon=True)
        self._process.start()
        self._seconds = seconds

    def read(self) -> tuple[int, float, float]:
        """Return how many requests were sent, and their median and 99th percentile in milliseconds."""
        took: list[float] = self._pipe.recv() if self._pipe.poll(self._seconds + 30) else [float("inf")]
        self._process.join(5)
        return len(took), statistics.median(took) * 1000, took[min(len(took) - 1, int(len(took) * 0.99))] * 1000


class SlowClient:
    """One slow client: sends an octet every `period` seconds, and notes when and how it is answered."""

    def __init__(self, port: int, first: bytes, period: float) -> None:
        self.sock = connect(port, 5.0)
        self.started = time.monotonic()
        self.sock.sendall(first)
        self.sock.setblocking(False)
        self.period = period
        self.due = self.started + period
        self.status = 0
        self.ended = 0.0

    def read(self) -> bool:
        """Read what is there; return whether it is over."""
        try:
            data = self.sock.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not self.status and data[9:12].isdigit():
            self.status = int(data[9:12])
        if not data:
            self.ended = time.monotonic()
        return not data

    def send(self, now: float) -> None:
        """Send the next octet, if it is time."""
        if self.period and now >= self.due and not self.ended:
            self.due += self.period
            with contextlib.suppress(OSError):
                self.sock.send(b"a")


def drip(clients: list[SlowClient], seconds: float) -> None:
    """Have `clients` send and read until all are over, or `seconds` have passed."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        while selector.get_map() and (now := time.monotonic()) < end:
            for key, _ in selector.select(0.05):
                if key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.sock.close()
            for client in clients:
                client.send(now)
    for client in clients:
        client.sock.close()


def slow_clients(times: Times) -> Row:
    """500 heads at an octet every 2 s, 4 x threads bodies at an octet a second, 2,000 idle, and another client."""
    deadline = times.head_timeout
    with times.server("--threads", str(THREADS), "--head-timeout", f"{deadline:g}") as server:
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        post = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        idle = [SlowClient(server.port, b"", 0) for _ in range(2000)]
        heads = [SlowClient(server.port, head, 2.0) for _ in range(500)]
        bodies = [SlowClient(server.port, post, 1.0) for _ in range(4 * THREADS)]
        # A body's rate is judged over 10 seconds.
        seconds = max(deadline, 11.0) + 3
        probe = Probe(server.port, seconds)
        drip(idle + heads + bodies, seconds)
        number, p50, p99 = probe.read()
        server.check_alive()
    after = [client.ended - client.started for client in heads if client.status == 408]
    slow = [client.ended - client.started for client in bodies if client.status == 408]
    early, late = min(after, default=0.0), max(after, default=0.0)
    # The deadlines are looked at once a second.
    in_time = deadline - 0.1 <= early and late < deadline + 2
    holds = p99 <= 50 and len(after) == len(heads) and len(slow) == len(bodies) and in_time
    closed = sum(client.ended > 0 for client in idle)
    measured = (
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms of {number}; heads: {len(after)} x 408 after {early:.1f} to {late:.1f} s; "
        f"bodies: {len(slow)} x 408 after {min(slow, default=0):.1f} to {max(slow, default=0):.1f} s; "
        f"{closed} idle ones closed"
    )
    done = f"{len(heads)} slow heads, {len(bodies)} slow bodies, {len(idle)} idle; head deadline {deadline:g} s"
    return Row("slow clients", done, measured, holds)


def stalled_readers(times: Times) -> Row:
    """As many stalled readers as threads, the application yielding 1 GiB to each."""
    deadline = times.send_timeout
    with times.server("--threads", str(THREADS), "--send-timeout", f"{deadline:g}") as server:
        server.news()
        before = server.forget_peak()
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            for _ in range(THREADS):
                client = stack.enter_context(Client(server.port, receive_buffer=4096))
                client.send(request("/endless"))
            time.sleep(min(2.0, deadline / 2))
            blocked = not server.is_well(0.3)
            server.wait_until_well(deadline + 4)
            back = time.monotonic() - start
            grown = server.memory("VmHWM") - before
            closed = server.notes()["closed"]
            while closed < THREADS and time.monotonic() - start < deadline + 8:
                time.sleep(0.05)
                closed += server.notes()["closed"]
            at_once = _asked_at_once(server, THREADS)
    holds = grown <= 1024 * THREADS and closed == THREADS and back <= deadline + 3 and at_once == THREADS
    measured = (
        f"{grown / THREADS:.0f} KiB more each; {'all threads taken, ' if blocked else ''}another client served after "
        f"{back:.1f} s; close() called {closed} times; {at_once} of {THREADS} threads back"
    )
    return Row("stalled readers", f"{THREADS} of 1 GiB, {THREADS} threads, deadline {deadline:g} s", measured, holds)


def _asked_at_once(server: HostileServer, number: int) -> int:
    """Return how many of `number` requests at the same time are answered."""
    with ThreadPoolExecutor(number) as pool:
        answers = pool.map(lambda _: ask(server.port, request("/sleep", lines=CLOSE), timeout=2.0), range(number))
        return sum(answer is not None and answer.body == b"slept" for answer in answers)


def pipelined(times: Times) -> Row:
    """10,000 pipelined requests, nothing read; then all is read."""
    number = 10_000
    requests = [request(f"/numbered?{each:05d}") for each in range(number)]
    octets, size = b"".join(requests), len(requests[0])
    with times.server("--threads", str(THREADS)) as server, contextlib.ExitStack() as stack:
        server.news()
        before = server.forget_peak()
        sock = connect(server.port, 10.0, 8192)
        stack.callback(sock.close)
        sock.setblocking(False)
        sent = _send_until_stuck(sock, octets)
        started = [each for each in server.news() if each["kind"] == "numbered"]
        kept = sent - _unsent(sock) - _unread(server.port, sock.getsockname()[1]) - len(started) * size
        grown = server.memory("VmHWM") - before
        stalled_at = len(started)
        order, whole = _read_numbered(sock, octets[sent:], number)
        started += [each for each in server.news() if each["kind"] == "numbered"]
        in_flight = max(int(str(each["most"])) for each in started)
    right = order == list(range(number)) and [each["number"] for each in started] == order
    holds = in_flight == 1 and kept <= Settings().max_pipelined and right and grown <= 1024
    measured = (
        f"stalled after {stalled_at}; {in_flight} in flight at most, {kept} octets of input kept, {grown} KiB more "
        f"memory while stalled; {len(order)} answers, order {'exact' if right else 'WRONG'}"
        f"{'' if whole else ', then cut'}"
    )
    return Row("pipelined requests", f"{number} of {size} octets, {NUMBERED_OCTETS} octets back", measured, holds)


def _send_until_stuck(sock: Socket, octets: bytes) -> int:
    """Send what goes until nothing has gone for a second, at most ten; return how much that was."""
    view, sent = memoryview(octets), 0
    last = time.monotonic()
    end = last + 10
    while time.monotonic() < end and time.monotonic() - last < 1.0:
        try:
            count = sock.send(view[sent:]) if sent < len(octets) else 0
        except BlockingIOError:
            count = 0
        if count:
            sent, last = sent + count, time.monotonic()
        else:
            time.sleep(0.02)
    return sent


def _unsent(sock: Socket) -> int:
    """Return how many octets our kernel has not sent yet, or has no acknowledgement for."""
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])


def _unread(local: int, remote: int) -> int:
    """Return how many octets wait in the kernel for the process at port `local`, from port `remote`."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{local:04X}") and words[2].endswith(f":{remote:04X}"):
            return int(words[4].split(":")[1], 16)
    return 0


def _read_numbered(sock: Socket, rest: bytes, number: int) -> tuple[list[int], bool]:
    """Send what could not be sent, and read all answers; return their numbers, and whether there were all."""
    order: list[int] = []
    buffer = bytearray()
    end = time.monotonic() + 60
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0))
        while len(order) < number and time.monotonic() < end:
            for _, events in selector.select(1.0):
                if events & selectors.EVENT_WRITE:
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[sock.send(rest) :]
                    if not rest:
                        selector.modify(sock, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    try:
                        data = sock.recv(1 << 20)
                    except BlockingIOError:  # of TLS, a part of a record
                        continue
                    if not data:
                        return order, False
                    buffer += data
                    _take_numbered(buffer, order)
    return order, len(order) == number


def _take_numbered(buffer: bytearray, order: list[int]) -> None:
    """Move the numbers of all whole answers from `buffer` to `order`."""
    while (body := buffer.find(b"\r\n\r\n") + 4) > 3 and len(buffer) >= body + NUMBERED_OCTETS:
        order.append(int(buffer[body : body + NUMBERED_OCTETS]))
        del buffer[: body + NUMBERED_OCTETS]


def few_descriptors(times: Times) -> Row:
    """``ulimit -n 64`` and 200 connections, each with the beginning of a request, or of a handshake."""
    opening = b"\x16\x03\x01\x02" if times.tls else b"GET / HTTP/1.1\r\nHost: loc"
    with times.server("--threads", str(THREADS), before="ulimit -n 64") as server:
        lines = len(server.log_lines())
        sockets: list[socket.socket] = []
        refused = 0
        for _ in range(200):
            try:
                sock = socket.create_connection(("127.0.0.1", int(server.port)), 1)
                sock.sendall(opening)
                sockets.append(sock)
            except OSError:
                refused += 1
        time.sleep(3.0)
        meanwhile = server.is_well(2.0)
        most = server.counts().descriptors
        for sock in sockets:
            sock.close()
        well = server.wait_until_well(5.0)
        server.check_alive()
        logged = len(server.log_lines()) - lines
    measured = (
        f"same process, {most} descriptors, {logged} log lines, another client meanwhile "
        f"{'served' if meanwhile else 'not served'}, {refused} not accepted; well again after {well:.2f} s"
    )
    return Row("few descriptors", "ulimit -n 64, 200 connections for 3 s", measured, logged <= 20 and well <= 1.0)


def resets(times: Times) -> Row:
    """1,000 resets, in the middle of an upload and in the middle of an answer."""
    head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"

    def reset(number: int) -> bool:
        try:
            with Client(server.port, 5.0) as client:
                if number % 2:
                    # Past the mark from which bodies go into files, and below it.
                    client.send(head + bytes(400_000 if number % 4 == 1 else 4_000))
                    if number % 3 == 0:
                        time.sleep(0.01)
                else:
                    client.send(request("/endless"))
                    if number % 4 == 0:
                        client.read_answer(timeout=0.01)
                client.reset()
                return True
        except OSError:
            return False

    with times.server("--threads", str(THREADS)) as server:
        # In each worker the thread that waits for disks starts, and what stands for a lost connection is made.
        with ThreadPoolExecutor(8) as pool:
            upload = request("/upload", "POST", CLOSE, bytes(1_000_000))
            list(pool.map(lambda _: ask(server.port, upload), range(16)))
            list(pool.map(reset, range(64)))
        server.wait_until_well(5.0)
        time.sleep(0.5)
        before = server.counts()
        server.news()
        with ThreadPoolExecutor(16) as pool:
            done = sum(pool.map(reset, range(1000)))
        after, took = server.wait_for_counts(before, 10.0)
        well = server.wait_until_well(5.0)
        bugs = sum("bug in" in line or "Traceback" in line for line in server.log_lines())
    back = all(have <= had for have, had in zip(after, before, strict=True))
    measured = (
        f"descriptors {before.descriptors} -> {after.descriptors}, threads {before.threads} -> {after.threads}, "
        f"files {before.files} -> {after.files} after {took:.2f} s; {bugs} tracebacks"
    )
    holds = back and took <= 2.0 and well <= 1.0 and not bugs
    return Row("resets", f"{done} resets, mid-upload and mid-answer", measured, holds)


CLIENTS: tuple[Callable[[Times], Row], ...] = (slow_clients, stalled_readers, pipelined, few_descriptors, resets)
