"""How does a served process end: with requests in flight, idle connections, stuck threads, impatient operators?"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from twisted_wsgiref._process.supervisor import CUT_SHORT

from .children import COMMANDS, SOON, Child, Stopwatch, environment
from .wires import WIRES, Client, Served, client, complaints, gate, served

pytestmark = pytest.mark.slow

IN_FLIGHT = re.compile("in flight")
# The last thing of the beginning of the end: by then every connection knows.
STOPPING = re.compile(r"TLS Port \d+ Closed")


@dataclass
class Gated:
    """A server whose ``/wait`` is answered once `open` has been called, once for each."""

    served: Served
    open: Callable[[], None]

    @property
    def child(self) -> Child:
        """The process."""
        return self.served.child

    def stopped_after(self, watch: Stopwatch) -> float:
        """Wait for the end; return how long it took by `watch`, in seconds that say something of the process."""
        self.child.wait(SOON)
        return watch.undisturbed()


@contextlib.contextmanager
def gated(folder: Path, *words: str, app: str = "wait") -> Iterator[Gated]:
    command = [*COMMANDS["twistd"], "--app", f"tests.real.plain_apps:{app}", *words]
    env = environment(GATE=str(folder / "gate"))
    with gate(folder / "gate") as let_go, served(command, folder, env, folder) as made:
        yield Gated(made, let_go)


@contextlib.contextmanager
def client_of_each(server: Gated) -> Iterator[list[Client]]:
    """A client on every wire, all at the same time."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(client(server.served.wires[name])) for name in WIRES]


def test_requests_in_flight_are_answered_and_the_process_ends_at_once_after_them(tmp_path: Path) -> None:
    with gated(tmp_path) as server, client_of_each(server) as clients, ThreadPoolExecutor(len(WIRES)) as threads:
        asked = [threads.submit(web.get, "/wait") for web in clients]
        server.child.wait_for(re.compile(f"(in flight(?s:.)*){{{len(WIRES)}}}"))
        server.child.process.send_signal(signal.SIGTERM)
        server.child.wait_for(STOPPING)
        for _ in clients:
            server.open()
        answers = [each.result() for each in asked]
        watch = Stopwatch()
        for answer in answers:
            assert (answer.status, answer.text, answer.fields["Connection"]) == (200, "answered", "close")
        assert server.stopped_after(watch) < 1.0
        assert server.child.process.returncode == 0
        assert complaints(server.child) == []


def test_answers_that_have_begun_are_sent_to_their_end(tmp_path: Path) -> None:
    with gated(tmp_path, app="stream") as server:
        with client_of_each(server) as clients:
            answers = [web.open("GET", "/") for web in clients]
            assert [answer.read(5) for answer in answers] == [b"first"] * len(WIRES)
            server.child.process.send_signal(signal.SIGTERM)
            server.child.wait_for(STOPPING)
            for _ in clients:
                server.open()
            assert [answer.read() for answer in answers] == [b" and last"] * len(WIRES)
        # These clients have closed; for one that has not, its connection is an idle one now.
        assert server.stopped_after(Stopwatch()) < 1.0
        assert server.child.process.returncode == 0


def test_a_connection_that_was_promised_to_live_on_answers_one_request_more(tmp_path: Path) -> None:
    with gated(tmp_path, app="stream") as server, client_of_each(server) as clients:
        answers = [web.open("GET", "/") for web in clients]
        assert [(answer.read(5), answer.headers["Connection"]) for answer in answers] == [(b"first", None)] * len(WIRES)
        server.child.process.send_signal(signal.SIGTERM)
        server.child.wait_for(STOPPING)
        for _ in clients:
            server.open()
        assert [answer.read() for answer in answers] == [b" and last"] * len(WIRES)
        # The clients could not know: each may have sent a POST already, which it may not send again.
        for web in clients:
            server.open()
            last = web.ask("POST", "/", b"once")
            assert (last.status, last.text, last.fields["Connection"]) == (200, "first and last", "close")
        assert server.stopped_after(Stopwatch()) < 1.0
        assert server.child.process.returncode == 0


def test_the_answer_closes_the_connection_and_no_new_one_is_taken(tmp_path: Path) -> None:
    with gated(tmp_path) as server, client(server.served.wires["tcp"]) as web, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(web.get, "/wait")
        server.child.wait_for(IN_FLIGHT)
        server.child.process.send_signal(signal.SIGTERM)
        server.child.wait_for(STOPPING)
        with client(server.served.wires["tcp"]) as late, pytest.raises(ConnectionError):
            late.get("/")
        server.open()
        assert asked.result().fields["Connection"] == "close"
        assert server.stopped_after(Stopwatch()) < 1.0
        assert server.child.process.returncode == 0


def test_a_second_sigterm_changes_nothing(tmp_path: Path) -> None:
    with gated(tmp_path) as server, client(server.served.wires["tcp"]) as web, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(web.get, "/wait")
        server.child.wait_for(IN_FLIGHT)
        for _ in range(3):
            server.child.process.send_signal(signal.SIGTERM)
            server.child.wait_for(STOPPING)
        server.open()
        assert asked.result().text == "answered"
        assert server.stopped_after(Stopwatch()) < 1.0
        assert server.child.process.returncode == 0


def test_idle_connections_do_not_hold_it_up_longer_than_the_linger(tmp_path: Path) -> None:
    with gated(tmp_path) as server, contextlib.ExitStack() as stack:
        for name in WIRES:
            used, unused = (stack.enter_context(client(server.served.wires[name])) for _ in range(2))
            assert used.get("/").status == 200
            unused.connection.connect()
        watch = Stopwatch()
        server.child.process.send_signal(signal.SIGTERM)
        # 2 s of linger, in which a request that is on its way is still answered, and a moment to notice its end.
        assert server.stopped_after(watch) < 2.0 + 1.0
        assert watch.seconds() > 1.9
        assert server.child.process.returncode == 0


def test_a_connection_that_was_just_idle_is_still_answered(tmp_path: Path) -> None:
    with gated(tmp_path) as server, client(server.served.wires["tcp"]) as web:
        assert web.get("/").status == 200
        watch = Stopwatch()
        server.child.process.send_signal(signal.SIGTERM)
        server.child.wait_for(STOPPING)
        last = web.get("/")
        assert (last.status, last.fields["Connection"]) == (200, "close")
        assert server.stopped_after(watch) < 1.5
        assert server.child.process.returncode == 0


def test_a_stuck_application_holds_it_up_for_the_grace_and_no_longer(tmp_path: Path) -> None:
    with gated(tmp_path, "--grace", "1") as server, client(server.served.wires["tcp"]) as web:
        web.connection.request("GET", "/wait")
        server.child.wait_for(IN_FLIGHT)
        watch = Stopwatch()
        server.child.process.send_signal(signal.SIGTERM)
        assert server.stopped_after(watch) < 2.0
        assert watch.seconds() > 0.9
        assert server.child.process.returncode == CUT_SHORT
        assert "1 connections are cut off at the end of the grace" in server.child.said


def test_stuck_behind_a_full_pool_too(tmp_path: Path) -> None:
    with gated(tmp_path, "--grace", "1", "--threads", "1") as server, contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(client(server.served.wires[name])) for name in (*WIRES, *WIRES)]
        for each in waiting:
            each.connection.request("GET", "/wait")
        server.child.wait_for(IN_FLIGHT)
        watch = Stopwatch()
        server.child.process.send_signal(signal.SIGTERM)
        assert server.stopped_after(watch) < 2.0
        assert server.child.process.returncode == CUT_SHORT
