"""Large bodies, more requests than can be served, and many connections that check every octet."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import multiprocessing
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.stress.hostile_app import BLOCK, made
from benchmarks.stress.hostile_clients import CLOSE, THREADS, Times
from benchmarks.stress.hostile_server import Row
from tests.real.raw_client import Client, ask, request
from tests.real.secure_client import connect, open_streams

LARGE = 256 * 2**20
CONNECTIONS = 64
# MiB that the heap still grows by in a load of random sizes: it settles after a minute, and glibc keeps 8 of what was
# freed. A leak of a KiB an exchange would be more within half a minute.
SETTLING = 16


# ---- Transfers -------------------------------------------------------------------------------------------------------


def _upload(port: int, chunked: bool) -> bool:
    """Send `LARGE` octets; return whether the application got the same."""
    block = made("upload", BLOCK)
    digest = hashlib.sha256()
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {LARGE}"
    with Client(port, 60.0) as client:
        client.send(f"POST /upload HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(LARGE // BLOCK):
            digest.update(block)
            client.send(b"%x\r\n%b\r\n" % (BLOCK, block) if chunked else block)
        if chunked:
            client.send(b"0\r\n\r\n")
        answer = client.read_answer()
    return answer is not None and answer.body.decode() == f"{LARGE} {digest.hexdigest()}"


def _download(port: int, path: str) -> bool:
    """Read `LARGE` octets; return whether they are what the application gave, and ended as they should."""
    block = made("download", BLOCK)
    expected = hashlib.sha256()
    for _ in range(LARGE // BLOCK):
        expected.update(block)
    digest = hashlib.sha256()
    with contextlib.closing(connect(port, 60)) as sock, sock.makefile("rb") as stream:
        sock.sendall(request(f"{path}?{LARGE}", lines=CLOSE))
        chunked = False
        while (line := stream.readline()) != b"\r\n":
            chunked |= line.lower().startswith(b"transfer-encoding: chunked")
            if not line:
                return False
        while chunked:
            size = int(stream.readline(), 16)
            digest.update(stream.read(size))
            stream.readline()
            if not size:
                break
        while not chunked and (data := stream.read(BLOCK)):
            digest.update(data)
    return digest.digest() == expected.digest()


TRANSFERS: dict[str, Callable[[int], bool]] = {
    "up by length": lambda port: _upload(port, False),
    "up chunked": lambda port: _upload(port, True),
    "down chunked from an iterator": lambda port: _download(port, "/download"),
    "down by length from an iterator": lambda port: _download(port, "/download-with-length"),
    "down by file_wrapper": lambda port: _download(port, "/download-file"),
}


def transfers(times: Times) -> Iterator[Row]:
    """256 MiB up and down, each way a row."""
    with times.server("--threads", str(THREADS)) as server:
        for name, transfer in TRANSFERS.items():
            before, start = server.forget_peak(), time.monotonic()
            equal = transfer(server.port)
            took = time.monotonic() - start
            grown = (server.memory("VmHWM") - before) / 1024
            server.is_well()  # the thread has let go of the request
            files = server.counts().files
            measured = (
                f"hash {'equal' if equal else 'DIFFERENT'}, {grown:.1f} MiB more, {files} files left, {took:.1f} s"
            )
            yield Row(f"256 MiB {name}", "one client", measured, equal and grown <= 8 and not files)


# ---- Overload --------------------------------------------------------------------------------------------------------


async def _status(port: int) -> int:
    reader, writer = await open_streams(port)
    try:
        writer.write(request("/sleep", lines=CLOSE))
        head = await reader.read(4096)
        return int(head[9:12] or 0)
    finally:
        writer.close()


async def _ask(port: int, due: float, answers: list[tuple[int, float]]) -> None:
    """Ask on a new connection at the time `due`; note status and seconds since `due`."""
    await asyncio.sleep(due - time.monotonic())
    status = 0
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        status = await asyncio.wait_for(_status(port), 10)
    answers.append((status, time.monotonic() - due))


async def _open_loop(port: int, rate: float, seconds: float) -> list[tuple[int, float]]:
    """Ask `rate` times a second, whatever becomes of it."""
    answers: list[tuple[int, float]] = []
    start = time.monotonic() + 0.2
    await asyncio.gather(*(_ask(port, start + number / rate, answers) for number in range(int(rate * seconds))))
    return answers


async def _closed_loop(port: int, clients: int, seconds: float) -> float:
    """Return how many a second are answered 200, with as many clients as keep all threads at it."""
    answers: list[tuple[int, float]] = []
    start = time.monotonic()

    async def client() -> None:
        while time.monotonic() - start < seconds:
            await _ask(port, 0, answers)

    await asyncio.gather(*(client() for _ in range(clients)))
    return sum(status == 200 for status, _ in answers) / (time.monotonic() - start)


def _notice(port: int, seconds: float, pipe: Connection) -> None:
    """Ask on new connections, one after another; send the status of each, and how many seconds it took."""
    noticed: list[tuple[int, float]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        answer = ask(port, request("/sleep", lines=CLOSE), timeout=5.0)
        noticed.append((0 if answer is None else answer.status, time.monotonic() - start))
        time.sleep(0.01)
    pipe.send(noticed)


def overload(times: Times) -> Row:
    """3 times the capacity, open loop, the queue so short that it is waited through in less than 100 ms.

    How long a 503 takes is noticed by a client in a process of its own: those that make the load wait for each other.
    """
    queue = 12
    ours, theirs = multiprocessing.get_context("spawn").Pipe(False)
    with times.server("--threads", str(THREADS), "--queue", str(queue)) as server:
        capacity = asyncio.run(_closed_loop(server.port, 2 * THREADS, 2.0))
        apart = (server.port, times.overload, theirs)
        client = multiprocessing.get_context("spawn").Process(target=_notice, args=apart)
        client.start()
        answers = asyncio.run(_open_loop(server.port, 3 * capacity, times.overload))
        noticed: list[tuple[int, float]] = ours.recv() if ours.poll(30) else []
        client.join(5)
        lines = len(server.log_lines())
    statuses = Counter(status for status, _ in answers)
    rate = statuses[200] / times.overload
    refused = sorted(took for status, took in noticed if status == 503)
    within = sum(took <= 0.1 for took in refused)
    served = sorted(took for status, took in answers if status == 200)
    holds = rate >= 0.9 * capacity and bool(refused) and within == len(refused) and set(statuses) <= {200, 503}
    measured = (
        f"{rate:.0f}/s answered ({rate / capacity:.0%}), p99 {served[int(len(served) * 0.99)] * 1000:.0f} ms; "
        f"{statuses[503]} x 503; a client apart: {within} of {len(refused)} x 503 within 100 ms, "
        f"median {statistics.median(refused or [0]) * 1000:.0f}, slowest {max(refused, default=0) * 1000:.0f} ms; "
        f"{len(answers) - len(served) - statuses[503]} otherwise; {lines} log lines"
    )
    return Row("overload", f"3 x {capacity:.0f}/s for {times.overload:g} s, queue {queue}", measured, holds)


# ---- Integrity -------------------------------------------------------------------------------------------------------


@dataclass
class _Tally:
    """What the clients of one run found; each adds under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    good: int = 0
    aborted: int = 0
    octets: int = 0
    wrong: list[str] = field(default_factory=list)


def _size(chance: random.Random) -> int:
    """Return a size from 0 to 1 MiB, small ones more often."""
    return int(2 ** chance.uniform(0, 20)) - 1


def _converse(port: int, seed: int, end: float, tally: _Tally) -> None:
    """Exchange bodies on one connection after the other until `end`."""
    chance = random.Random(seed)
    number = 0
    while time.monotonic() < end:
        try:
            with Client(port, 20.0) as client:
                while time.monotonic() < end:
                    number += 1
                    if not _exchange(client, chance, f"{seed}-{number}", tally):
                        break
        except Exception as error:
            with tally.lock:
                tally.wrong.append(f"{type(error).__name__}: {error}")


def _exchange(client: Client, chance: random.Random, nonce: str, tally: _Tally) -> bool:
    """Make one exchange; return whether the connection may be used again."""
    body, size = chance.randbytes(_size(chance)), _size(chance)
    how = chance.choice(("list", "write", "file", "iterator"))
    lines = f"X-Hash: {hashlib.sha256(body).hexdigest()}\r\nX-Nonce: {nonce}\r\n"
    head = f"POST /exchange?{nonce}&{size}&{how} HTTP/1.1\r\nHost: localhost\r\n{lines}"
    if chance.random() < 0.5:
        octets = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    else:
        cut = chance.randrange(len(body) + 1)
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
        octets = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
    if chance.random() < 0.05:
        # Leaves in the middle of the upload, or before or while the answer comes.
        client.send(octets[: chance.randrange(len(octets))] if chance.random() < 0.5 else octets)
        if chance.random() < 0.5:
            client.read_answer(timeout=0.005)
        client.reset()
        with tally.lock:
            tally.aborted += 1
        return False
    client.send(octets)
    answer = client.read_answer()
    if answer is None or answer.status != 200 or answer.get("x-nonce") != nonce or answer.body != made(nonce, size):
        with tally.lock:
            said = "no answer" if answer is None else f"{answer.status}, {len(answer.body)} of {size}, {answer.ended}"
            tally.wrong.append(f"{nonce} {how}: {said}")
        return False
    with tally.lock:
        tally.good += 1
        tally.octets += len(body) + size
    return True


def integrity(times: Times) -> Row:
    """64 connections, random sizes both ways, a nonce and a hash in each, 5 % aborts."""
    tally = _Tally()
    with times.server("--threads", str(THREADS)) as server:
        server.news()
        end = time.monotonic() + times.integrity
        threads = [
            threading.Thread(target=_converse, args=(server.port, seed, end, tally)) for seed in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(times.integrity * 0.3)
        early = server.memory()
        for thread in threads:
            thread.join()
        grown = (server.memory() - early) / 1024
        notes = server.notes()
        counts, _ = server.wait_for_counts(server.counts()._replace(files=0), 2.0)
        bugs = sum("bug in" in line or "Traceback" in line for line in server.log_lines())
    holds = not tally.wrong and not notes["mismatch"] and grown <= SETTLING and not counts.files and not bugs
    measured = (
        f"{tally.good} exchanges, {tally.octets / 2**20:.0f} MiB, {tally.aborted} aborted; {len(tally.wrong)} wrong "
        f"answers, {notes['mismatch']} wrong requests, {grown:+.1f} MiB since the first third, {counts.files} files "
        f"left, {bugs} tracebacks{'; first: ' + tally.wrong[0] if tally.wrong else ''}"
    )
    return Row("integrity", f"{CONNECTIONS} connections, {times.integrity:g} s", measured, holds)


LOADS: tuple[Callable[[Times], Row | Iterator[Row]], ...] = (transfers, overload, integrity)
