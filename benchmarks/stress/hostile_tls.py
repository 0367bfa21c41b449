"""Clients that are slow or greedy before they have said a word of HTTP, over TLS: each row one function, as elsewhere.

Nothing here waits for OpenSSL's client: what is sent is made before, and sent as it is.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.stress.hostile_clients import THREADS, Probe, SlowClient, Times, drip
from benchmarks.stress.hostile_server import Row

HANDSHAKES = 500
DEADLINE = 6.0


def hello() -> bytes:
    """Return the first message of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    come, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(come, gone, server_hostname="localhost").do_handshake()
    return gone.read()


class _SlowHandshake(SlowClient):
    """Sends a byte of a handshake every second."""

    def __init__(self, port: int, rest: bytes) -> None:
        super().__init__(port, b"", 1.0)
        self._rest = rest

    def send(self, now: float) -> None:
        """Send the next byte, if it is time."""
        if now >= self.due and not self.ended:
            self.due += self.period
            with contextlib.suppress(OSError):
                self.sock.send(self._rest[:1])
            self._rest = self._rest[1:]


def slow_handshakes(times: Times) -> Row:
    """500 handshakes at a byte a second, and another client."""
    with times.server("--threads", str(THREADS), "--tls-timeout", f"{DEADLINE:g}") as server:
        lines, before = len(server.log_lines()), server.forget_peak()
        rest = hello()
        probe = Probe(server.port, DEADLINE + 3)
        clients = [_SlowHandshake(int(server.port), rest) for _ in range(HANDSHAKES)]
        drip([*clients], DEADLINE + 3)
        number, p50, p99 = probe.read()
        grown = server.memory("VmHWM") - before
        logged = len(server.log_lines()) - lines
        server.check_alive()
    ends = sorted(each.ended - each.started for each in clients if each.ended)
    early, late = (ends[0], ends[-1]) if ends else (0.0, 0.0)
    holds = p99 <= 50 and len(ends) == HANDSHAKES and early >= DEADLINE - 0.1 and late < DEADLINE + 2 and logged <= 5
    measured = (
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms of {number}; {len(ends)} ended after {early:.1f} to {late:.1f} s; "
        f"{grown / HANDSHAKES:.0f} KiB more each, {logged} log lines"
    )
    done = f"{HANDSHAKES} at a byte a second, deadline {DEADLINE:g} s"
    return Row("slow handshakes", done, measured, holds and grown <= 60 * HANDSHAKES)


def broken_handshakes(times: Times) -> Row:
    """Hellos that are cut, reset, garbled, or plain text, by eight threads for five seconds; and another client."""
    whole = hello()
    kinds = (whole[:40], whole[:-1], whole[:60] + bytes(200), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", whole)

    def break_off(number: int) -> int:
        done = 0
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(server.port)), 5) as sock:
                sock.sendall(kinds[(number + done) % len(kinds)])
                if done % 2:
                    sock.settimeout(0.05)
                    sock.recv(100)
                if done % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            done += 1
            stop.wait(0.01)
        return done

    stop = threading.Event()
    with times.server("--threads", str(THREADS)) as server:
        server.wait_until_well(5.0)
        lines, before = len(server.log_lines()), server.counts()
        probe = Probe(server.port, 5)
        end = time.monotonic() + 5
        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(break_off, range(8)))
        number, p50, p99 = probe.read()
        after, took = server.wait_for_counts(before, 5.0)
        logged = len(server.log_lines()) - lines
        bugs = sum("bug in" in line or "Traceback" in line for line in server.log_lines())
        well = server.wait_until_well(5.0)
    measured = (
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms of {number}; "
        f"descriptors {before.descriptors} -> {after.descriptors} after {took:.2f} s; "
        f"{logged} log lines, {bugs} tracebacks"
    )
    back = after.descriptors <= before.descriptors
    holds = p99 <= 100 and back and not bugs and well <= 1.0 and logged <= 20
    return Row("broken handshakes", f"{done} of {len(kinds)} kinds in 5 s", measured, holds)


OVER_TLS: tuple[Callable[[Times], Row], ...] = (slow_handshakes, broken_handshakes)
