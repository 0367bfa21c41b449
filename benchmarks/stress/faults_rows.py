"""The rows of `faults`: each mistreats a server in one way, and judges what its clients saw."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stress.faults_house import APPLICATION, Client, House, Load, Tally
from tests.real.children import alive


@dataclass
class Outcome:
    """What was measured, and whether that is what was asked."""

    holds: bool
    measured: str


@dataclass
class Row:
    """One promise, and how it is tried. `patience` bounds it, in seconds."""

    asked: str
    run: Callable[[Path, bool], Awaitable[Outcome]]
    patience: float = 90.0


ROWS: dict[str, Row] = {}


def row(name: str, asked: str, patience: float = 90.0) -> Callable[..., Callable[[Path, bool], Awaitable[Outcome]]]:
    """Put the function that follows into the table."""

    def put(function: Callable[[Path, bool], Awaitable[Outcome]]) -> Callable[[Path, bool], Awaitable[Outcome]]:
        ROWS[name] = Row(asked, function, patience)
        return function

    return put


@row("kill", "kill -9 of one of two workers every 3 s under 32 keep-alive and 32 fresh clients, 15 times", 150)
async def kill(folder: Path, quick: bool) -> Outcome:
    """None refused, lost at most what was in flight there, none misdelivered, replaced within a second."""
    times = 4 if quick else 15
    late, slowest, most = 0, 0.0, 0
    with House(folder) as house:
        await house.serving()
        async with Load(house.port, keep=32, fresh=32, rate=600) as tally:
            await asyncio.sleep(1)
            for index in range(times):
                known = house.workers()
                before = len(tally.lost)
                killed = time.monotonic()
                os.kill(known[index % len(known)], signal.SIGKILL)
                await asyncio.sleep(3)
                # Ready to serve counts: the first answer may be a while off when clients hold on to the other worker.
                new = [each for each in house.workers() if each not in known]
                seen = [tally.first_seen[str(pid)] - killed for pid in new if str(pid) in tally.first_seen]
                slowest = max(slowest, *seen) if seen else 99.0
                lost = tally.lost[before:]
                most = max(most, len(lost))
                late += sum(each.connected > killed + 0.05 for each in lost)
        status = await _stopped(house)
    holds = not (tally.refused or tally.misdelivered or tally.bad_status or late) and slowest <= 1.0 and status == 0
    return Outcome(
        holds,
        f"{tally.answered} answered, {len(tally.refused)} refused, {len(tally.lost)} lost in {times} kills "
        f"(most {most} at once, {late} of them on connections made after the kill), {tally.misdelivered} misdelivered, "
        f"slowest replacement answered after {slowest:.2f} s, status {status}",
    )


async def _stopped(house: House, number: int = signal.SIGTERM) -> int | None:
    house.send(number)
    return await house.ended()


@row("drain", "SIGTERM with 50 two-second requests in flight and 20 idle connections: all answered, 0 within 3.5 s")
async def drain(folder: Path, quick: bool) -> Outcome:
    """50 of 50 answered, exit 0 within 3.5 s."""
    tally, idle = Tally(), Tally()
    with House(folder, "--threads", "50") as house:
        await house.serving()
        idlers = [Client(house.port, idle, keep=True) for _ in range(20)]
        for client in idlers:
            await client.ask()
        clients = [Client(house.port, tally, keep=True) for _ in range(50)]
        asking = [asyncio.create_task(client.ask("/sleep?2")) for client in clients]
        await asyncio.sleep(0.7)
        begun = time.monotonic()
        status = await _stopped(house)
        took = time.monotonic() - begun
        await asyncio.wait(asking, timeout=5)
        for client in [*clients, *idlers]:
            client.close()
    holds = tally.answered == 50 and status == 0 and took <= 3.5
    return Outcome(holds, f"{tally.answered} of 50 answered, status {status} after {took:.2f} s")


@row(
    "stuck-stop",
    "SIGTERM with a thread stuck for ever: gone within grace + 1 s, not 0, stack in the log, others answered",
)
async def stuck_stop(folder: Path, quick: bool) -> Outcome:
    """With two workers, and with one process alone."""
    parts, holds = [], True
    for workers in (2, 1):
        place = folder / str(workers)
        place.mkdir()
        tally, stuck = Tally(), Tally()
        with House(place, "--grace", "3", workers=workers) as house:
            await house.serving()
            victims = [asyncio.create_task(Client(house.port, stuck, keep=True).ask("/stuck")) for _ in range(2)]
            asking = [asyncio.create_task(Client(house.port, tally, keep=True).ask("/sleep?1.5")) for _ in range(2)]
            await asyncio.sleep(0.5)
            begun = time.monotonic()
            status = await _stopped(house)
            took = time.monotonic() - begun
            await asyncio.wait([*victims, *asking], timeout=5)
            told = "wait_for_ever" in house.look() and "GET /stuck" in house.look()
        holds = holds and took <= 4.0 and status not in (0, None) and told and tally.answered == 2
        parts.append(
            f"{workers} worker{'s' if workers > 1 else ''}: gone after {took:.2f} s (grace 3), status {status}, stack "
            f"{'' if told else 'not '}in the log, {tally.answered} of 2 others answered"
        )
    return Outcome(holds, "; ".join(parts))


@row(
    "reload", "SIGHUP every 5 s for 60 s at 200 requests a second: none failed, new code within 2 s, nothing grows", 150
)
async def reload(folder: Path, quick: bool) -> Outcome:
    """Compared without clients: after the first two reloads and their load, and after the last."""
    times = 4 if quick else 12
    slowest, answered, failed = 0.0, 0, 0
    sizes: list[tuple[int, int, int]] = []
    with House(folder) as house:
        await house.serving()
        for versions in (range(2, 4), range(4, times + 2)):
            async with Load(house.port, keep=16, fresh=16, rate=200) as tally:
                await asyncio.sleep(1)
                for version in versions:
                    house.write(APPLICATION.replace("@VERSION@", str(version)))
                    begun = time.monotonic()
                    house.send(signal.SIGHUP)
                    await asyncio.sleep(5)
                    slowest = max(slowest, tally.first_seen.get(f"v{version}", begun + 99) - begun)
            answered, failed = answered + tally.answered, failed + tally.failed
            await asyncio.sleep(1)
            sizes.append(house.sizes())
        status = await _stopped(house)
    first, last = sizes
    steady = last[0] <= first[0] and last[1] <= first[1] and last[2] <= first[2] * 1.05
    return Outcome(
        failed == 0 and slowest <= 2.0 and steady and status == 0,
        f"{answered} answered, {failed} failed in {times} reloads, new code answered after at most {slowest:.2f} s; "
        f"descriptors {first[0]} to {last[0]}, threads {first[1]} to {last[1]}, memory {first[2] / 1024:.1f} to "
        f"{last[2] / 1024:.1f} MiB, status {status}",
    )


@row("bad-reload", "reload into code that fails to import, or hangs in import: none failed, a clear error")
async def bad_reload(folder: Path, quick: bool) -> Outcome:
    """The old code goes on, and mended code is taken."""
    with House(folder, "--start-timeout", "4") as house:
        await house.serving()
        async with Load(house.port, keep=16, fresh=16, rate=200) as tally:
            house.write("import nowhere_at_all\n")
            house.send(signal.SIGHUP)
            await house.until("the reload is given up", 1)
            failing = "No module named 'nowhere_at_all'" in house.look()
            house.write("import time\ntime.sleep(3600)\n")
            house.send(signal.SIGHUP)
            await house.until("the reload is given up", 2)
            # The stack shows the line, the supervisor's words the reason.
            hanging = bool(re.search(r'site_under_test.py", line 2, in <module>', house.look()))
            house.write(APPLICATION.replace("@VERSION@", "mended"))
            house.send(signal.SIGHUP)
            await house.until("reloaded: ")
            await asyncio.sleep(0.5)
        mended = "vmended" in tally.first_seen
        status = await _stopped(house)
    return Outcome(
        tally.failed == 0 and failing and hanging and mended and status == 0,
        f"{tally.answered} answered, {tally.failed} failed; the log {'names' if failing else 'hides'} the failed import"
        f" and {'shows' if hanging else 'hides'} where the other hangs; mended code {'' if mended else 'not '}taken",
    )


@row("stuck-worker", "all threads of one worker stuck: the other loses nothing; replaced by deadline + grace + 2 s")
async def stuck_worker(folder: Path, quick: bool) -> Outcome:
    """Fresh connections only: a connection to the stuck worker is no other's."""
    deadline, grace, threads = 2.0, 2.0, 3
    words = ["--request-timeout", str(deadline), "--grace", str(grace), "--threads", str(threads)]
    with House(folder, *words) as house:
        await house.serving()
        tally = Tally()
        holder = Client(house.port, tally, keep=True)
        await holder.ask()
        (victim,) = tally.by_pid
        other = next(pid for pid in house.workers() if str(pid) != victim)
        begun, stuck = time.monotonic(), Tally()
        asking = await _stick(house, victim, threads, stuck)
        load = Tally()
        client = Client(house.port, load, keep=True)
        for _ in range(50):  # find the other worker, and stay there
            if str(other) in load.by_pid:
                break
            client.close()
            await client.ask(patience=1)
        lost, bad = len(load.lost), load.bad_status
        while alive(int(victim)) and time.monotonic() - begun < deadline + grace + 5:
            await client.ask(patience=1)
            await asyncio.sleep(0.02)
        took = time.monotonic() - begun
        await asyncio.wait(asking, timeout=1)
        kept = len(load.lost) == lost and load.bad_status == bad and alive(other)
        replaced = len(house.workers()) == 2
        status = await _stopped(house)
    return Outcome(
        kept and replaced and took <= deadline + grace + 2.0 and status == 0,
        f"gone {took:.2f} s after its threads were stuck (deadline {deadline:g}, grace {grace:g}), "
        f"{'' if replaced else 'not '}replaced; the other answered {load.answered} and lost {len(load.lost) - lost}; "
        f"{stuck.bad_status} of {threads} stuck requests were answered by the server; status {status}",
    )


async def _stick(house: House, victim: str, threads: int, stuck: Tally) -> list[asyncio.Task[int]]:
    """Give the worker `victim` as many requests that never end as it has threads, on connections that are its own."""
    clients: list[Client] = []
    for _ in range(200):
        tally = Tally()
        client = Client(house.port, tally, keep=True)
        await client.ask()
        if victim in tally.by_pid:
            client.tally = stuck
            clients.append(client)
        if len(clients) == threads:
            break
    return [asyncio.create_task(client.ask("/stuck", patience=20)) for client in clients]


@row("crash-loops", "crash at start, crash at each request: at most one restart a second, a message, the parent alive")
async def crash_loops(folder: Path, quick: bool) -> Outcome:
    """Counted after the first five, which are free."""
    parts, holds = [], True
    for kind in ("start", "request"):
        place = folder / kind
        place.mkdir()
        if kind == "start":
            (place / "site_under_test.py").write_text("import os\nos._exit(7)\n")
        with House(place) as house:
            if kind == "request":
                await house.serving()
            tally = Tally()
            end = time.monotonic() + 60
            while "one is started a second" not in house.look() and time.monotonic() < end:
                await _provoke(house, kind, tally)
            before, begun = house.look().count(" starts: pid "), time.monotonic()
            while time.monotonic() - begun < 8:
                await _provoke(house, kind, tally)
            starts, took = house.look().count(" starts: pid ") - before, time.monotonic() - begun
            message = "one is started a second" in house.look()
            living = house.process.poll() is None
            status = await _stopped(house)
        holds = holds and message and living and starts <= took + 1 and status == 0
        parts.append(
            f"at {kind}: {starts} starts in {took:.0f} s, {'a' if message else 'no'} message, parent "
            f"{'alive' if living else 'gone'}, then status {status}"
        )
    return Outcome(holds, "; ".join(parts))


async def _provoke(house: House, kind: str, tally: Tally) -> None:
    if kind == "request":
        await Client(house.port, tally, keep=False).ask("/crash", patience=0.5)
    await asyncio.sleep(0.02)


@row("parent-killed", "parent killed by SIGKILL: port free within 6 s, no orphan")
async def parent_killed(folder: Path, quick: bool) -> Outcome:
    """With a request in flight and idle connections."""
    tally = Tally()
    with House(folder) as house:
        await house.serving()
        workers = house.workers()
        idlers = [Client(house.port, tally, keep=True) for _ in range(4)]
        for client in idlers:
            await client.ask()
        asking = asyncio.create_task(Client(house.port, tally, keep=True).ask("/sleep?1"))
        endless = asyncio.create_task(Client(house.port, Tally(), keep=True).ask("/sleep?60"))
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        house.process.kill()
        house.process.wait(5)
        free = gone = 99.0
        while time.monotonic() - begun < 10 and max(free, gone) == 99.0:
            if free == 99.0 and _bindable(house.port):
                free = time.monotonic() - begun
            if gone == 99.0 and not any(alive(pid) for pid in workers):
                gone = time.monotonic() - begun
            await asyncio.sleep(0.02)
        await asyncio.wait([asking, endless], timeout=1)
        for client in idlers:
            client.close()
        for pid in workers:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    return Outcome(
        max(free, gone) <= 6.0 and tally.answered == 5,
        f"port free after {free:.2f} s, last worker gone after {gone:.2f} s with a request that never ends, "
        f"{tally.answered - 4} of 1 short request in flight answered",
    )


def _bindable(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError:
            return False
        return True


@row("shares", "32 connections on 2 workers: neither serves under 35 %")
async def shares(folder: Path, quick: bool) -> Outcome:
    """All opened at once, five times; and requests of 32 keep-alive and of 32 fresh clients."""
    least, parts = 1.0, []
    with House(folder) as house:
        await house.serving()
        for _ in range(5):
            tally = Tally()
            clients = [Client(house.port, tally, keep=True) for _ in range(32)]
            await asyncio.gather(*(client.ask() for client in clients))
            share = _least(tally)
            least = min(least, share)
            parts.append(f"{share:.0%}")
            for client in clients:
                client.close()
            await asyncio.sleep(0.6)
        for name, keep in (("keep-alive", 32), ("fresh", 0)):
            async with Load(house.port, keep=keep, fresh=32 - keep, rate=100_000) as tally:
                await asyncio.sleep(3)
            least = min(least, _least(tally))
            parts.append(f"{name} {_least(tally):.0%} of {tally.answered}")
        idle_seconds = _cpu(house.process.pid)
        await asyncio.sleep(5)
        parent = (_cpu(house.process.pid) - idle_seconds) / 5
        await _stopped(house)
    return Outcome(least >= 0.35, f"smaller share {', '.join(parts)}; the idle parent takes {parent:.2%} of a core")


def _least(tally: Tally) -> float:
    return min(tally.by_pid.values()) / tally.answered if len(tally.by_pid) > 1 else 0.0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@row("two-workers", "two workers against one, hello, unpinned: measured")
async def two_workers(folder: Path, quick: bool) -> Outcome:
    """By wrk, which shares the cores; in turn, three times each."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return Outcome(True, "not measured: there is no wrk here")
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(1 if quick else 3):
        for workers, found_rates in rates.items():
            place = folder / f"{workers}"
            place.mkdir(exist_ok=True)
            with House(place, workers=workers) as house:
                await house.serving()
                command = [wrk, "-t1", "-c32", "-d4", f"http{'s' * house.tls}://127.0.0.1:{house.port}/"]
                done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
                found = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
                found_rates.append(float(found[1]) if found else 0.0)
                await _stopped(house)
    best = {workers: sorted(values)[len(values) // 2] for workers, values in rates.items()}
    ratio = best[2] / best[1] if best[1] else 0.0
    return Outcome(True, f"{best[1]:.0f} and {best[2]:.0f} requests a second, {ratio:.2f} times (median)")
