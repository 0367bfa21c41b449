"""Is an application served on a port for the length of a block, by whatever thread, and is nothing left of it?"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any
from urllib.request import urlopen

import pytest
import treq
from twisted.internet import reactor as any_reactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from tests.real.children import ROOT, environment
from tests.support import PATIENCE, PORT_TAKEN, TEXT, echo, hello
from twisted_wsgiref import ListenError, SettingError
from twisted_wsgiref._twisted.private import close_reactor
from twisted_wsgiref.testing import serve

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def body_of(url: str) -> bytes:
    with urlopen(url, timeout=PATIENCE) as answer:
        octets: bytes = answer.read()
        return octets


def left() -> tuple[set[str], set[str]]:
    """Return the threads that a server has of its own, and the descriptors of this process."""
    threads = {each.name for each in threading.enumerate() if each.name.startswith("wsgi-testing")}
    return threads, set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()


def wait_until_left(before: tuple[set[str], set[str]]) -> None:
    """Wait until no more is left than `before`: workers, which hold a descriptor each, end by themselves.

    Less may be left: a descriptor of another test is closed whenever its object is collected.
    """
    end = time.monotonic() + PATIENCE
    while any(len(now) > len(then) for now, then in zip(left(), before, strict=True)):
        gc.collect()  # what was raised holds what it met
        time.sleep(0.001)
        if time.monotonic() > end:
            raise RuntimeError(f"{left()} is left, and was {before}")


def test_it_is_served_within_the_block_and_not_after_it() -> None:
    with serve(hello) as url:
        assert url.startswith("http://127.0.0.1:")
        assert not url.endswith("/")
        assert body_of(f"{url}/path") == b"hello"
    with pytest.raises(OSError, match="refused"):
        body_of(url)


def test_two_may_be_served_at_once() -> None:
    def other(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return [b"other"]

    with serve(hello) as one, serve(other) as two:
        assert (body_of(one), body_of(two)) == (b"hello", b"other")


def test_nothing_is_left_of_it() -> None:
    with serve(hello, host="127.0.0.1") as url:
        body_of(url)
    before = left()
    for _ in range(3):
        with serve(hello) as url:
            body_of(url)
    wait_until_left(before)


def test_idle_clients_do_not_hold_up_the_end() -> None:
    clients: list[socket.socket] = []
    with serve(hello, grace=PATIENCE) as url:
        for _ in range(5):
            clients.append(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=PATIENCE))
        for client in clients[:3]:
            client.sendall(GET)
            assert client.recv(1000)
        clients[3].sendall(GET[:10])
    for client in clients:  # closed by the server, since nobody here closed anything
        with client:
            assert client.recv(1000) == b""


def test_a_request_in_flight_is_answered_before_the_end() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        go_on.wait(PATIENCE)
        return hello(environ, start_response)

    with serve(slow, grace=PATIENCE) as url:
        client = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=PATIENCE)
        client.sendall(GET)
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, go_on.set).start()
    with client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_an_application_that_is_stuck_does_not_hold_up_the_end_for_longer_than_the_grace() -> None:
    begun, never = threading.Event(), threading.Event()

    def stuck(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        never.wait()
        return hello(environ, start_response)

    with serve(stuck, grace=0.05) as url:
        client = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=PATIENCE)
        client.sendall(GET)
        assert begun.wait(PATIENCE)
    never.set()
    client.close()


def test_what_is_raised_in_the_block_passes_and_the_server_ends() -> None:
    with pytest.raises(LookupError), serve(hello) as url:
        raise LookupError
    with pytest.raises(OSError, match="refused"):
        body_of(url)


def test_settings_and_parts_of_the_service_are_keywords() -> None:
    records: list[Any] = []
    given: dict[str, Any] = {"mounts": {"/other": echo}, "observers": [records.append], "server_header": "mine"}
    with serve(hello, threads=1, **given) as url, urlopen(url) as answer:
        assert answer.headers["Server"] == "mine"
        with urlopen(f"{url}/other", b"said") as other:
            assert other.read() == b"said"
    assert [each.status for each in records] == [200, 200]


def test_a_setting_that_can_not_be_is_refused_and_nothing_is_left() -> None:
    before = left()
    with pytest.raises(SettingError, match="threads is 0"), serve(hello, threads=0):
        pass
    with pytest.raises(TypeError, match="thread"), serve(hello, thread=1):
        pass
    wait_until_left(before)


@PORT_TAKEN
def test_a_port_that_is_taken_is_a_listen_error_and_nothing_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = left()
        with pytest.raises(ListenError, match="Address already in use"), serve(hello, port=taken.getsockname()[1]):
            pass
        wait_until_left(before)


def test_it_can_be_reached_by_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with serve(hello, host="::1") as url:
        assert url.startswith("http://[::1]:")
        assert body_of(url) == b"hello"


def outcome(code: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    return done.stdout + done.stderr


BEGINNING = """
import sys, threading
from urllib.request import urlopen
from tests.support import hello
from twisted_wsgiref.testing import serve
names = lambda: sorted(each.name for each in threading.enumerate() if "reactor" in each.name)
"""


def test_no_reactor_is_installed() -> None:
    code = BEGINNING.replace("tests.support", "twisted_wsgiref.simple_server").replace("hello", "demo_app")
    code += "with serve(demo_app) as url: urlopen(url).read()\nprint('twisted.internet.reactor' in sys.modules)"
    assert outcome(code) == "False\n"


def test_a_reactor_that_another_thread_runs_is_taken() -> None:
    code = """
from twisted.internet import reactor
thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, name="my reactor")
running = threading.Event()
reactor.callWhenRunning(running.set)
thread.start()
running.wait(20)
with serve(hello) as url:
    print(urlopen(url).read(), names())
reactor.callFromThread(reactor.stop)
thread.join(20)
with serve(hello) as url:
    print(urlopen(url).read(), names())
"""
    assert outcome(BEGINNING + code) == "b'hello' ['my reactor']\nb'hello' ['wsgi-testing-reactor']\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("leaves", [False, True], ids=["stays in the block", "leaves the block"])
def test_the_child_of_a_fork_has_nothing_of_the_server(leaves: bool) -> None:
    code = f"""
import os
from twisted_wsgiref._threads import forks
def say(what):  # as one write, since two processes have the same output
    os.write(1, f"{{what}}\\n".encode())
hold, let_go = os.pipe()
parent = os.getpid()
with serve(hello) as url:
    urlopen(url).read()
    child = os.fork()
    if not child:
        say(forks._fork.kind)
    if not child and not {leaves}:
        os.close(let_go)
        os.read(hold, 1)
        os._exit(0)
if os.getpid() != parent:
    os.close(let_go)
    os.read(hold, 1)
    os._exit(0)
try:
    urlopen(url)
except OSError as error:
    say("refused" in str(error))
os.close(let_go)
say(os.waitpid(child, 0)[1])
"""
    said = outcome(BEGINNING + code, "-u", "-W", "ignore").splitlines()
    assert sorted(said) == ["0", "True", "stranger"]


def test_a_reactor_that_does_not_run_is_refused() -> None:
    reactor: Any = SelectReactor()
    with pytest.raises(RuntimeError, match="does not run"), serve(hello, reactor=reactor):
        pass
    close_reactor(reactor)


class Trial(TestCase):
    timeout = PATIENCE

    async def test_its_own_thread_would_wait_for_itself(self) -> None:
        reactor: Any = any_reactor
        await deferLater(reactor, 0)  # it runs from now on
        with self.assertRaisesRegex(RuntimeError, "use serving"), serve(hello, reactor=reactor):
            pass

    async def test_in_the_reactor_s_thread_it_is_served_by_another(self) -> None:
        with serve(hello) as url:
            response = await treq.get(url, agent=Agent(any_reactor))
            self.assertEqual(await response.text(), "hello")

    async def test_an_exception_of_the_application_is_found_by_flush_logged_errors(self) -> None:
        def failing(environ: dict[str, Any], start_response: Any) -> Any:
            raise ValueError("on purpose")

        with serve(failing) as url:
            response = await treq.get(url, agent=Agent(any_reactor))
            self.assertEqual(response.code, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
