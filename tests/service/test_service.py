"""Does the service do over real sockets, with real threads and Twisted's own HTTP client, what it says?"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import treq
from twisted.internet import defer, endpoints, reactor, task
from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from tests.support import PORT_TAKEN, TEXT, checked, hello
from twisted_wsgiref._connection import transports
from twisted_wsgiref._connection.endpoints import ListenError, parse_endpoint
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import Settings

# Twisted's own client uses what newer Pythons deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LOOPBACK = "tcp:0:interface=127.0.0.1"


def thread_name(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*TEXT])
    return [threading.current_thread().name.encode()]


def body_size(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    size = 0
    while block := environ["wsgi.input"].read(65536):
        size += len(block)
    start_response("200 OK", [*TEXT])
    yield b"%d" % size


class ServiceTests(TestCase):
    """Real sockets on loopback."""

    timeout = 30

    def setUp(self) -> None:
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.agent = Agent(reactor, pool=self.pool)
        self.services: list[WSGIService] = []

    async def tear_down(self) -> None:
        for service in self.services:
            if service.running:
                await service.stopService()
        await self.pool.closeCachedConnections()

    def tearDown(self) -> Any:
        return defer.ensureDeferred(self.tear_down())

    async def serve(
        self, application: Any, *listen: Any, settings: Settings | None = None, **how: Any
    ) -> tuple[Any, int]:
        service = WSGIService(checked(application), list(listen) or [LOOPBACK], settings, **how)
        self.services.append(service)
        service.startService()
        ports = await service.whenListening
        address = ports[0].getHost()
        return service, 0 if isinstance(address, UNIXAddress) else address.port

    async def get(self, port: int, path: str = "/", **how: Any) -> tuple[int, bytes]:
        answer = await treq.request(how.pop("method", "GET"), f"http://127.0.0.1:{port}{path}", agent=self.agent, **how)
        return answer.code, await answer.content()

    def test_it_answers(self) -> Any:
        async def run() -> None:
            _, port = await self.serve(hello)
            assert await self.get(port) == (200, b"hello")

        return defer.ensureDeferred(run())

    def test_many_at_once(self) -> Any:
        async def run() -> None:
            _, port = await self.serve(thread_name, settings=Settings(threads=3), name="mine")
            results = await defer.gatherResults([defer.ensureDeferred(self.get(port)) for _ in range(50)])
            assert {code for code, _ in results} == {200}
            assert {name for _, name in results} <= {b"mine-1", b"mine-2", b"mine-3"}

        return defer.ensureDeferred(run())

    def test_an_upload_through_a_file(self) -> Any:
        async def run() -> None:
            _, port = await self.serve(body_size, settings=Settings(body_memory=65536))
            assert await self.get(port, method="POST", data=b"x" * 5_000_000) == (200, b"5000000")

        return defer.ensureDeferred(run())

    def test_a_streamed_upload(self) -> Any:
        async def run() -> None:
            _, port = await self.serve(body_size, settings=Settings(stream_input=True, body_memory=65536))
            assert await self.get(port, method="POST", data=b"x" * 5_000_000) == (200, b"5000000")

        return defer.ensureDeferred(run())

    def test_a_download_larger_than_all_buffers(self) -> Any:
        def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [*TEXT])
            for _ in range(1000):
                yield b"x" * 10_000

        async def run() -> None:
            _, port = await self.serve(app, settings=Settings(high_water=65536))
            code, body = await self.get(port)
            assert (code, len(body)) == (200, 10_000_000)

        return defer.ensureDeferred(run())

    def test_several_services_share_nothing_but_the_process(self) -> Any:
        async def run() -> None:
            _, one = await self.serve(thread_name, name="one")
            second, two = await self.serve(thread_name, name="two")
            _, body = await self.get(one)
            assert body.startswith(b"one-")
            _, body = await self.get(two)
            assert body.startswith(b"two-")
            await second.stopService()
            code, _ = await self.get(one)
            assert code == 200

        return defer.ensureDeferred(run())

    def test_several_endpoints_of_one_service(self) -> Any:
        async def run() -> None:
            # Trial's own `mktemp` would leave its folders in the checkout where pytest runs this.
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            path = f"{folder.name}/socket"
            third = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
            service, port = await self.serve(hello, LOOPBACK, f"unix:{path}", third)
            assert await self.get(port) == (200, b"hello")
            raw = await endpoints.connectProtocol(
                endpoints.UNIXClientEndpoint(reactor, path), Raw(b"GET / HTTP/1.0\r\n\r\n")
            )
            assert (await raw.done).endswith(b"\r\n\r\nhello")
            assert len(await service.whenListening) == 3
            await service.stopService()
            assert not Path(path).exists()

        return defer.ensureDeferred(run())

    def test_stopping_waits_for_what_is_in_flight(self) -> Any:
        running, go = threading.Event(), threading.Event()

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            running.set()
            go.wait(20)
            return hello(environ, start_response)

        async def run() -> None:
            service, port = await self.serve(app)
            answer = defer.ensureDeferred(self.get(port))
            while not running.is_set():
                await task.deferLater(reactor, 0.01)
            stopped = service.stopService()
            await task.deferLater(reactor, 0.05)
            assert not stopped.called
            go.set()
            assert await answer == (200, b"hello")
            await stopped

        return defer.ensureDeferred(run())

    def test_stopping_never_waits_longer_than_the_grace(self) -> Any:
        running, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def stuck(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            running.set()
            go.wait(60)
            return hello(environ, start_response)

        async def run() -> None:
            service, port = await self.serve(stuck, settings=Settings(grace=0.2))
            answer = defer.ensureDeferred(self.get(port))
            while not running.is_set():
                await task.deferLater(reactor, 0.01)
            begun = time.monotonic()
            await service.stopService()
            assert time.monotonic() - begun < 20
            with pytest.raises(Exception, match=r"."):
                await answer
            go.set()

        return defer.ensureDeferred(run())

    def test_every_listener_on_this_machine_is_told_to_send_unpaced(self) -> Any:
        async def run() -> None:
            told: list[Any] = []
            self.patch(transports, "send_unpaced", told.append)
            service, _ = await self.serve(hello, LOOPBACK, LOOPBACK)
            assert told == [port.socket for port in await service.whenListening]

        return defer.ensureDeferred(run())

    def test_it_starts_again(self) -> Any:
        async def run() -> None:
            service, port = await self.serve(hello)
            assert await self.get(port) == (200, b"hello")
            for _ in range(2):
                await service.stopService()
                with pytest.raises(Exception, match=r"."):
                    await self.get(port)
                service.startService()
                (listening,) = await service.whenListening
                port = listening.getHost().port
                assert await self.get(port) == (200, b"hello")

        return defer.ensureDeferred(run())

    def test_it_starts_again_on_the_same_address_while_it_stops(self) -> Any:
        async def run() -> None:
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            listen = [f"tcp:{port}:interface=127.0.0.1", f"unix:{folder.name}/socket"]
            service, _ = await self.serve(hello, *listen)
            for _ in range(3):
                stopped = service.stopService()
                service.startService()
                await service.whenListening
                await stopped
                assert await self.get(port) == (200, b"hello")
            await service.stopService()

        return defer.ensureDeferred(run())

    def test_it_ends_when_it_is_stopped_started_and_stopped_at_once(self) -> Any:
        async def run() -> None:
            service, port = await self.serve(hello)
            first = service.stopService()
            service.startService()
            await service.stopService()
            await first
            with pytest.raises(Exception, match=r"."):
                await self.get(port)

        return defer.ensureDeferred(run())

    def test_no_thread_is_left(self) -> Any:
        async def run() -> None:
            service, port = await self.serve(hello, name="ended")
            await self.get(port)
            await service.stopService()
            for _ in range(500):
                if not any(each.name.startswith("ended-") for each in threading.enumerate()):
                    return
                await task.deferLater(reactor, 0.01)
            raise AssertionError("threads are left")

        return defer.ensureDeferred(run())

    @PORT_TAKEN
    def test_a_busy_port_is_one_clear_line(self) -> Any:
        async def run() -> None:
            with socket.socket() as busy:
                busy.bind(("127.0.0.1", 0))
                busy.listen()
                port = busy.getsockname()[1]
                service = WSGIService(hello, [LOOPBACK, f"tcp:{port}:interface=127.0.0.1"])
                self.services.append(service)
                service.startService()
                with pytest.raises(ListenError) as caught:
                    await service.whenListening
                assert str(port) in str(caught.value)
                assert "in use" in str(caught.value)
                assert "\n" not in str(caught.value)

        return defer.ensureDeferred(run())


class Raw(Protocol):
    """A client that says one thing and reads until the end."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._received = b""
        self.done: defer.Deferred[bytes] = defer.Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._octets)

    def dataReceived(self, data: bytes) -> None:
        self._received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.done.callback(self._received)


@pytest.mark.parametrize(
    "description", ["nonsense", "tcp", "tcp:notaport", "ssl:443:privateKey=/nowhere/key.pem", "tcp:1:x=y"]
)
def test_an_endpoint_that_makes_no_sense_is_one_clear_line(description: str) -> None:
    with pytest.raises(ListenError) as caught:
        parse_endpoint(reactor, description)
    assert description in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "cure"),
    [
        ("127.0.0.1:8000", "as an endpoint that is tcp:8000:interface=127.0.0.1"),
        ("http://0.0.0.0:8000/", "as an endpoint that is tcp:8000:interface=0.0.0.0"),
        ("localhost:8000", "as an endpoint that is tcp:8000:interface=localhost"),
        ("*:8080", "as an endpoint that is tcp:8080"),
        (":8080", "as an endpoint that is tcp:8080"),
        ("[::1]:8080", r"as an endpoint that is tcp6:8080:interface=\:\:1"),
        ("8000", "as an endpoint that is tcp:8000"),
        ("/run/app.sock", "as an endpoint that is unix:/run/app.sock"),
        ("tpc:8080", "Unknown endpoint type: 'tpc'; did you mean tcp:?"),
        ("carrier:1", "Unknown endpoint type: 'carrier'; an endpoint is such as tcp:8000 or unix:/run/app.sock"),
        (
            "systemd:domain=INET:index=0",
            "systemd has handed over no socket: it does so to what its .socket unit starts (LISTEN_FDS)",
        ),
    ],
)
def test_what_is_no_endpoint_is_told_what_to_write(description: str, cure: str) -> None:
    with pytest.raises(ListenError) as caught:
        parse_endpoint(reactor, description)
    assert str(caught.value) == f"can not listen on {description!r}: {cure}"


@pytest.mark.parametrize("words", ["index=2", "name=https"])
def test_a_socket_that_systemd_has_not_handed_over_is_told_those_that_it_has(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted.internet.endpoints._SystemdParser._sddaemon", ListenFDs([3, 4], ["http", "admin"]))
    with pytest.raises(ListenError) as caught:
        parse_endpoint(reactor, f"systemd:domain=INET:{words}")
    assert str(caught.value).endswith(": systemd has handed over sockets 0 to 1, of the names admin, http")


@pytest.mark.parametrize("application", [None, "text", 5])
def test_what_can_not_be_called_is_no_application(application: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        WSGIService(application, [], reactor=object())


@pytest.mark.parametrize("settings", [{"threads": 8}, {}, object(), 8])
def test_what_are_no_settings_is_one_clear_line(settings: Any) -> None:
    with pytest.raises(TypeError, match="they have to be a Settings, as Settings"):
        WSGIService(hello, [], settings, reactor=object())


PROGRAM = """
import sys, threading
{install}
from twisted.internet import reactor
from twisted_wsgiref.service import WSGIService

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/":
        return [threading.current_thread().name.encode()]
    return (b"x" * 10000 for _ in range(300))

service = WSGIService(app, ["tcp:0:interface=127.0.0.1"], name="child")

def ask(ports):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", ports[0].getHost().port, timeout=20)
    said = []
    for path in ("/", "/large", "/"):
        connection.request("GET", path)
        said.append(connection.getresponse().read())
    connection.close()
    return said

def told(said):
    assert said[0].startswith(b"child-") and len(said[1]) == 3000000, said[0]
    print(type(reactor).__name__, "well")

def main():
    from twisted.internet.threads import deferToThread
    service.startService()
    done = service.whenListening.addCallback(lambda ports: deferToThread(ask, ports)).addCallback(told)
    done.addCallback(lambda _: service.stopService())
    done.addErrback(lambda failure: print(failure.getTraceback()))
    done.addBoth(lambda _: reactor.stop())

reactor.callWhenRunning(main)
reactor.run()
"""
REACTORS = {
    "SelectReactor": "from twisted.internet import selectreactor; selectreactor.install()",
    "PollReactor": "from twisted.internet import pollreactor; pollreactor.install()",
    "EPollReactor": "from twisted.internet import epollreactor; epollreactor.install()",
    "AsyncioSelectorReactor": "from twisted.internet import asyncioreactor; asyncioreactor.install()",
    "uvloop": "import asyncio, uvloop; from twisted.internet import asyncioreactor; "
    "asyncioreactor.install(uvloop.new_event_loop())",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REACTORS)
def test_any_reactor_will_do(name: str) -> None:
    if name == "uvloop":
        pytest.importorskip("uvloop")
    program = PROGRAM.format(install=REACTORS[name])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.endswith(" well\n"), done.stdout + done.stderr
    assert done.returncode == 0
