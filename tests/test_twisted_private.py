"""Is all that we rest on of Twisted's private parts still there? Whatever fails here, an upgrade of Twisted has moved.

Each test is of one function of `twisted_wsgiref._twisted.private` or `web_private`, or of one of the points above them.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from OpenSSL import SSL
from twisted.application import app
from twisted.application.reactors import getReactorTypes
from twisted.internet import asyncioreactor, endpoints, process, selectreactor, tcp, unix
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, LoopingCall
from twisted.internet.testing import StringTransport
from twisted.logger import Logger, globalLogBeginner, globalLogPublisher
from twisted.protocols import tls
from twisted.python import logfile, threadable, usage
from twisted.python.failure import Failure
from twisted.python.systemd import ListenFDs
from twisted.web import server
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource

from tests.stepped import SteppedReactor
from twisted_wsgiref._twisted import private, private_tls, web_private
from twisted_wsgiref._twisted.reactor import repeating

POINTS = "the points at the top"


def gone(what: str, function: str) -> NoReturn:
    """Fail with the one sentence that whoever upgrades Twisted has to read."""
    pytest.fail(f"Twisted has changed: {what}; see {function} in twisted_wsgiref/_twisted/", pytrace=False)


def need(holds: object, what: str, function: str) -> None:
    if not holds:
        gone(what, function)


class Ends(Protocol):
    """A connection that says when it is lost, and what came."""

    def __init__(self) -> None:
        self.lost: list[Any] = []
        self.came = b""

    def dataReceived(self, data: bytes) -> None:
        self.came += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.append(reason)


@pytest.fixture
def reactor() -> Iterator[SteppedReactor]:
    made = SteppedReactor()
    yield made
    made.close()


@pytest.fixture
def factory() -> Any:
    made = Factory.forProtocol(Ends)
    made.noisy = False
    return made


@pytest.fixture
def port(reactor: SteppedReactor, factory: Any) -> Any:
    return reactor.listenTCP(0, factory, interface="127.0.0.1")


@pytest.fixture
def pair(reactor: SteppedReactor) -> Iterator[Any]:
    """Yield a transport of TCP, its protocol, and the socket of its other end."""
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)
    protocol = Ends()
    transport = tcp.Server(theirs, protocol, ("127.0.0.2", 5), None, 0, reactor)  # type: ignore[arg-type]
    protocol.makeConnection(transport)
    with ours:
        yield transport, protocol, ours


def turns(reactor: SteppedReactor, number: int = 5) -> None:
    for _ in range(number):
        reactor.turn()


# ---- The log ---------------------------------------------------------------------------------------------------


def test_the_log_before_it_begins_has_one_observer_a_buffer() -> None:
    function = "is_log_unheard"
    need(hasattr(globalLogBeginner, "_temporaryObserver"), "LogBeginner has no _temporaryObserver", function)
    need(isinstance(getattr(globalLogPublisher, "_observers", None), list), "LogPublisher has no _observers", function)
    code = (
        "from twisted.logger import globalLogBeginner as log; from twisted_wsgiref._twisted.private import *; "
        "before = is_log_unheard(); log.beginLoggingTo([lambda event: None], redirectStandardIO=False); "
        "raise SystemExit(10 * before + is_log_unheard())"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    need(done.returncode == 10, "a program that has not begun logging can not be told from one that has", function)


def test_a_program_that_has_begun_logging_can_be_told_without_its_observers() -> None:
    code = (
        "from twisted.logger import globalLogBeginner as log; from twisted_wsgiref._twisted.private import *; "
        "from twisted.logger import globalLogPublisher; globalLogPublisher.addObserver(lambda event: None); "
        "before = has_logging_begun(); log.beginLoggingTo([lambda event: None], redirectStandardIO=False); "
        "raise SystemExit(10 * has_logging_begun() + before)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    need(done.returncode == 10, "a program that has begun logging can not be told", "has_logging_begun")


def test_twistds_handler_of_a_rotation_knows_its_log_file() -> None:
    function = "log_files_of"
    with tempfile.TemporaryDirectory() as folder:
        file = logfile.LogFile("twistd.log", folder)
        try:
            need(hasattr(file, "_file"), "a LogFile has no _file", "descriptor_of_log")
            same = os.path.samestat(os.fstat(private.descriptor_of_log(file)), os.stat(file.path))
            need(same, "the _file of a LogFile is not what it writes to", "descriptor_of_log")
            if not hasattr(signal, "SIGUSR1"):
                return
            before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
            try:
                options = {"logfile": file.path, "syslog": False, "nodaemon": False, "prefix": "", "logger": None}
                from twisted.scripts._twistd_unix import UnixAppLogger

                observer: Any = UnixAppLogger(options)._getLogObserver()
                files = private.log_files_of(signal.getsignal(signal.SIGUSR1))
                for each in files:
                    each.close()
                need(observer and len(files) == 1, "twistd's handler of SIGUSR1 does not show its log file", function)
            finally:
                signal.signal(signal.SIGUSR1, before)
        finally:
            file.close()


def test_another_handler_is_not_taken_for_twistds() -> None:
    assert private.log_files_of(signal.SIG_DFL) == private.log_files_of(lambda *_: None) == []


# ---- Listening ports -------------------------------------------------------------------------------------------


def test_a_port_logs_what_it_could_not_accept_by_a_logger_of_its_own(port: Any, monkeypatch: Any) -> None:
    function = "tell_of_accepting"
    need(isinstance(getattr(port, "_logger", None), Logger), "tcp.Port has no _logger", function)
    events: list[Any] = []
    private.tell_of_accepting(port, events.append)

    class Full:
        def accept(self) -> NoReturn:
            raise OSError(12, "no memory")

    own, port.socket = port.socket, Full()
    port.doRead()
    port.socket = own
    need(events and "acceptError" in events[0], "a failed accept is no event with acceptError", function)


def test_a_port_may_close_without_shutting_its_socket_down(port: Any, reactor: SteppedReactor) -> None:
    function = "keep_socket_open"
    need(getattr(port, "_shouldShutdown", None) is True, "tcp.Port has no _shouldShutdown", function)
    private.keep_socket_open(port)
    with port.socket.dup() as other, socket.socket() as client:
        port.stopListening()
        turns(reactor)
        try:
            client.connect(other.getsockname())
        except OSError:
            gone("a port that closes ends what shares its socket", function)


def test_a_unix_port_can_be_closed_and_its_path_left(reactor: SteppedReactor, factory: Any, tmp_path: Path) -> None:
    made = reactor.listenUNIX(str(tmp_path / "s"), factory)
    made.stopReading()
    private.close_socket(made, None)
    need((tmp_path / "s").exists(), "tcp.Port.connectionLost removes the path of a UNIX port", "close_socket")
    need(not made.connected, "tcp.Port.connectionLost does not close a UNIX port", "close_socket")


def test_a_port_closes_a_turn_later_by_its_own_connection_lost(port: Any, reactor: SteppedReactor) -> None:
    told: list[bool] = []
    private.call_before_close(port, lambda: told.append(port.connected))
    port.stopListening()
    need(told == [], "stopListening closes the port at once", "call_before_close")
    turns(reactor)
    need(told == [True], "stopListening does not end in connectionLost of the port", "call_before_close")
    assert not port.connected


def test_a_port_accepts_by_what_it_is_told(port: Any, reactor: SteppedReactor, factory: Any) -> None:
    allowed = [0, 2, 1]
    seen: list[int] = []
    accepted: list[Any] = []
    factory.buildProtocol = accepted.append  # and closed
    private.accept_by(port, lambda: allowed.pop(0))
    clients = [socket.create_connection(port.socket.getsockname()) for _ in range(3)]
    for _ in range(3):
        reactor.turn()
        seen.append(len(accepted))
    for client in clients:
        client.close()
    need(seen == [0, 2, 3], "a port does not accept numberAccepts connections in its doRead", "accept_by")


def test_a_port_may_accept_otherwise_and_still_in_its_turn(port: Any, reactor: SteppedReactor) -> None:
    calls: list[str] = []
    allowed = [0, 2]
    private.accept_by(port, lambda: allowed.pop(0) if allowed else 1)

    def accept() -> None:
        calls.append(f"ours, {port.numberAccepts} at most")
        if own is not None:
            own()

    own = private.accept_otherwise(port, accept)
    need(own is not None, "a port of Twisted's own is not known as one by its class and transport", "accept_otherwise")
    with socket.create_connection(port.socket.getsockname()):
        turns(reactor, 2)
    need(calls == ["ours, 2 at most"], "the reactor does not look up doRead on the port", "accept_otherwise")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets here")
def test_a_unix_socket_can_be_adopted(reactor: SteppedReactor, factory: Any, tmp_path: Path) -> None:
    function = "adopt_unix_port"
    need(hasattr(unix.Port, "_fromListeningDescriptor"), "unix.Port has no _fromListeningDescriptor", function)
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX) as client:
        bound.bind(path)
        os.chmod(path, 0o600)
        bound.listen()
        bound.setblocking(False)
        made = unix.Port._fromListeningDescriptor(reactor, bound.fileno(), factory)  # type: ignore[no-untyped-call]
        own = getattr(made, "_preexistingSocket", None)
        need(own is not None, "an adopted unix.Port has no _preexistingSocket", function)
        own.close()
        made = private.adopt_unix_port(reactor, bound.fileno(), factory)
        accepted: list[Any] = []
        factory.buildProtocol = accepted.append
        client.connect(path)
        turns(reactor)
        need(accepted, "an adopted unix.Port does not accept", function)
        made.stopListening()
        turns(reactor)
        need(os.stat(path).st_mode & 0o777 == 0o600, "an adopted unix.Port changes its path", function)
        client.close()
        with socket.socket(socket.AF_UNIX) as second:
            try:
                second.connect(path)
            except OSError:
                gone("an adopted unix.Port ends what shares its socket", function)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets here")
def test_an_inherited_unix_socket_keeps_its_path_and_mode(
    reactor: SteppedReactor, factory: Any, tmp_path: Path
) -> None:
    function = "adopt_stream_port"
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        os.chmod(path, 0o600)
        bound.listen()
        bound.setblocking(False)
        made: Any = private.adopt_stream_port(cast(Any, reactor), bound.fileno(), socket.AF_UNIX, factory)
        made.stopListening()
        turns(reactor)
        need(os.path.exists(path), "an inherited unix.Port removes its path", function)
        need(os.stat(path).st_mode & 0o777 == 0o600, "an inherited unix.Port changes its path's mode", function)


# ---- Sockets that systemd hands over ---------------------------------------------------------------------------


def test_systemd_endpoints_take_their_sockets_from_one_object(monkeypatch: Any) -> None:
    function = "inherited_sockets"
    parser: Any = getattr(endpoints, "_SystemdParser", None)
    need(hasattr(parser, "_sddaemon"), "endpoints._SystemdParser has no _sddaemon", function)
    need(isinstance(private.inherited_sockets(), ListenFDs), "_SystemdParser._sddaemon is no ListenFDs", function)
    monkeypatch.setattr(parser, "_sddaemon", None)
    private.inherit_sockets([7], ["shop"])
    made: Any = endpoints.serverFromString(object(), "systemd:domain=INET:name=shop")
    need(made.fileno == 7, "a systemd: endpoint does not ask _sddaemon", function)


# ---- Connections -----------------------------------------------------------------------------------------------


def test_a_transport_that_was_told_to_stop_reading_reads_nothing(pair: Any, reactor: SteppedReactor) -> None:
    transport, protocol, other = pair
    transport.startReading()
    private.stop_transport_reading(transport)
    other.send(b"hello")
    turns(reactor)
    need(protocol.came == b"", "a transport reads after stopReading", "stop_transport_reading")
    transport.resumeProducing()
    turns(reactor)
    need(protocol.came == b"hello", "a transport does not read after resumeProducing", "stop_transport_reading")


def test_a_connection_can_be_lost_from_outside(pair: Any, reactor: SteppedReactor) -> None:
    transport, protocol, other = pair
    transport.startReading()
    private.lose_connection(transport, OSError(104, "reset"))
    need(len(protocol.lost) == 1, "connectionLost of a transport does not tell its protocol", "lose_connection")
    need(transport not in reactor.getReaders(), "connectionLost leaves a transport with the reactor", "lose_connection")
    other.settimeout(5)
    need(other.recv(1) == b"", "connectionLost of a transport does not close its socket", "lose_connection")


def test_a_pull_producer_is_asked_at_once_and_whenever_the_socket_can_be_written(
    pair: Any, reactor: SteppedReactor
) -> None:
    transport = pair[0]
    asked: list[str] = []

    class Puller:
        def resumeProducing(self) -> None:
            asked.append("resume")

        def stopProducing(self) -> None:
            asked.append("stop")

    transport.registerProducer(Puller(), False)
    need(asked == ["resume"], "a pull producer is not asked when it is registered", POINTS)
    transport.startWriting()
    turns(reactor, 1)
    need(asked == ["resume"] * 2, "a pull producer is not asked once the socket can be written", POINTS)
    transport.unregisterProducer()


def test_what_is_sent_on_the_socket_of_a_transport_is_not_held_up(pair: Any, reactor: SteppedReactor) -> None:
    transport, _, other = pair
    other.settimeout(5)
    transport.getHandle().send(b"a")
    need(other.recv(9) == b"a", "getHandle of a transport is not its socket", POINTS)
    transport.write(b"b")
    turns(reactor)
    transport.getHandle().send(b"c")
    need(other.recv(9) == b"bc", "a transport holds what it could have sent", POINTS)


def test_openssl_s_connection_can_be_put_on_a_socket() -> None:
    factory = tls.TLSMemoryBIOFactory(CertificateOptions(), False, Factory.forProtocol(Ends))
    need(private_tls.can_make_tls(factory), "it can not be made", "make_tls")

    class Transport:
        pass

    transport: Any = Transport()
    transport.factory = factory
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        made = private_tls.make_tls(factory, transport, near)
        need(made.fileno() == near.fileno(), "it is not on the socket", "make_tls")
        need(made.get_app_data() in (transport, None), "it does not know its transport", "make_tls")
        far.settimeout(10)
        # A ClientHello that ends in its version: each OpenSSL says so by an alert.
        far.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")
        with pytest.raises(SSL.Error):
            made.do_handshake()
        with pytest.raises(TypeError):
            made.bio_read(1)  # it has no memory any more
        need(far.recv(1) == b"\x15", "the alert does not go to the socket", "make_tls")


def test_tls_has_a_protocol_of_its_own_above_and_a_transport_below() -> None:
    kind: Any = getattr(tls.TLSMemoryBIOFactory, "protocol", None)
    is_tls = isinstance(kind, type) and issubclass(kind, tls.TLSMemoryBIOProtocol)
    need(is_tls, "TLSMemoryBIOFactory.protocol does not make the connections", POINTS)
    below = StringTransport()

    factory = tls.TLSMemoryBIOFactory(CertificateOptions(), False, Factory.forProtocol(Ends))
    connection = kind(factory, Ends())
    need(isinstance(connection.wrappedProtocol, Ends), "TLS has no wrappedProtocol", POINTS)
    connection.transport = below
    wrapper: Any = type("Wrapper", (), {})()
    wrapper.transport = connection
    need(private.transport_below_tls(wrapper) is below, "TLS has no transport below it", "transport_below_tls")
    assert private.transport_below_tls(below) is None
    connection.transport = None
    assert private.transport_below_tls(connection) is None


def test_a_transport_asks_for_data_received_each_time(pair: Any, reactor: SteppedReactor) -> None:
    transport, protocol, other = pair
    came: list[bytes] = []
    protocol.dataReceived = came.append
    transport.startReading()
    other.send(b"x")
    turns(reactor)
    need(came == [b"x"], "a transport does not look dataReceived up for each read", POINTS)


# ---- The reactor, and who runs it ------------------------------------------------------------------------------


def test_a_reactors_handlers_are_its_own_methods_once_it_runs() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    chld = getattr(signal, "SIGCHLD", None)
    if chld is not None:
        before[chld] = signal.getsignal(chld)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reactor: Any = selectreactor.SelectReactor()
    handlers: list[Any] = []
    try:
        reactor.callWhenRunning(lambda: handlers.extend(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM))))
        reactor.callWhenRunning(reactor.stop)
        reactor.run()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in reactor.removeAll():
            each.connectionLost(None)
    own = [private.is_reactors_handler(each, reactor) for each in handlers]
    need(own == [True, True], "the reactor's handlers of signals are not its methods", "is_reactors_handler")
    assert not private.is_reactors_handler(signal.SIG_DFL, reactor)


def test_twistd_looks_run_up_on_the_reactor() -> None:
    class Reactor:
        def run(self) -> None:
            raise RuntimeError("the one that was replaced")

    reactor = Reactor()
    ran: list[int] = []
    really = private.stand_in_for_run(reactor, lambda: ran.append(1))
    assert really == Reactor.run.__get__(reactor)
    config = {"profile": False, "debug": False, "nodaemon": True}
    said = io.StringIO()
    app.runReactorWithLogging(config, said, said, reactor=reactor)  # type: ignore[no-untyped-call]
    need(ran == [1], "twistd does not call reactor.run of the object", "stand_in_for_run")


def test_a_kind_of_reactor_names_its_module() -> None:
    reactor = selectreactor.SelectReactor.__new__(selectreactor.SelectReactor)
    names = [each.shortName for each in getReactorTypes() if private.makes_reactor(each, reactor)]
    need(names == ["select"], "a reactor type has no moduleName", "makes_reactor")


def test_a_reactor_knows_that_it_has_run(reactor: SteppedReactor) -> None:
    need(not private.has_run(reactor), "a new reactor is taken for one that has run", "has_run")
    reactor.callWhenRunning(reactor.stop)
    reactor.run(installSignalHandlers=False)
    need(private.has_run(reactor), "ReactorBase has no _startedBefore", "has_run")


def test_twisted_knows_the_processes_that_it_waits_for() -> None:
    handlers: Any = getattr(process, "reapProcessHandlers", None)
    need(isinstance(handlers, dict), "twisted.internet.process has no reapProcessHandlers", "is_reaped")
    assert not private.is_reaped(-1)
    handlers[-1] = object()
    try:
        need(private.is_reaped(-1), "reapProcessHandlers is another object", "is_reaped")
    finally:
        del handlers[-1]


def test_a_fork_of_twisteds_is_made_in_its_module_process() -> None:
    kind: Any = getattr(process, "_BaseProcess", None)
    need(hasattr(kind, "_fork"), "twisted.internet.process does not fork by itself", POINTS)
    need(kind.__module__ == "twisted.internet.process", "Twisted forks in another module", POINTS)


# ---- Requests of twisted.web -----------------------------------------------------------------------------------


def test_a_channel_says_that_its_transport_told_it_to_pause() -> None:
    channel = HTTPChannel()
    channel.makeConnection(StringTransport())
    assert not web_private.waits_for_transport(channel)
    assert not web_private.waits_for_transport(object())
    channel.pauseProducing()
    need(
        web_private.waits_for_transport(channel), "HTTPChannel has no mark _waitingForTransport", "waits_for_transport"
    )
    channel.resumeProducing()
    assert not web_private.waits_for_transport(channel)
    channel.connectionLost(Failure(ConnectionDone()))


def test_a_request_says_that_it_was_made_secure() -> None:
    channel = HTTPChannel()
    channel.makeConnection(StringTransport())
    request = Request(channel)
    assert not web_private.is_made_secure(request)
    request.setHost(b"h", 443, ssl=1)
    need(web_private.is_made_secure(request), "Request has no mark _forceSSL", "is_made_secure")
    channel.connectionLost(Failure(ConnectionDone()))


def test_a_request_of_twisteds_own_says_whether_it_writes_plainly(pair: Any) -> None:
    transport, _, theirs = pair
    function = "writes_plainly"
    channel = HTTPChannel()
    channel.site = server.Site(Resource())
    transport.setTcpNoDelay = lambda enabled: None  # a pair has none, and no address
    transport.getHost = transport.getPeer
    channel.makeConnection(transport)
    request = server.Request(channel)
    request.clientproto, request.method = b"HTTP/1.1", b"GET"
    need(web_private.writes_plainly(request, channel), "a name of Request or of the transport is another", function)
    request.responseHeaders.setRawHeaders(b"content-length", [b"5"])
    sent = transport.writeSomeData(b"at once ")
    need(sent == 8 and theirs.recv(100) == b"at once ", "writeSomeData does not send at once", function)
    request.startedWriting, request.sentLength = 1, 5
    request.write(b"hello")
    need(list(transport._tempDataBuffer) == [b"hello"], "a request that has begun writes its head", function)
    assert not web_private.writes_plainly(request, channel)  # it has begun, and the transport holds something
    for name, value in {
        "_encoder": object(),
        "cookies": [b"a=b"],
        "etag": b"a",
        "lastModified": 1,
        "finished": 1,
    }.items():
        other = server.Request(channel)
        need(hasattr(other, name), f"Request has no {name}", function)
        setattr(other, name, value)
        assert not web_private.writes_plainly(other, channel)
    assert not web_private.writes_plainly(Request(channel), channel)
    channel.connectionLost(Failure(ConnectionDone()))


# ---- The command line ------------------------------------------------------------------------------------------


def test_twisted_answers_a_shell_that_asks_how_to_go_on(capsys: Any) -> None:
    class Options(usage.Options):
        optFlags = [["shiny", None, "shine"]]

    words = ["--", "--_shell-completion", "zsh:1"]
    assert private.asks_for_completion(words)
    assert not private.asks_for_completion(["app:app"])
    try:
        Options().parseOptions(words)  # type: ignore[no-untyped-call]
    except SystemExit:
        return
    except usage.UsageError:
        pass
    gone("usage.Options has no --_shell-completion", "asks_for_completion")


@pytest.mark.parametrize("module", [private, web_private])
def test_all_of_the_file_is_tested_here(module: Any) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    functions = [
        name for name, each in vars(module).items() if inspect.isfunction(each) and each.__module__ == module.__name__
    ]
    assert [name for name in functions if f"{name}(" not in source] == []
    assert all("To be checked:" in (getattr(module, name).__doc__ or "") for name in functions)


def test_a_lone_reactor_is_not_the_process_s_and_leaves_nothing() -> None:
    function = "lone_reactor"
    before, descriptors = threadable.ioThread, open_descriptors()
    lone = private.lone_reactor()
    need(open_descriptors() > descriptors or not descriptors, "a reactor has no descriptors of its own", function)
    turned: list[object] = []
    lone.callWhenRunning(lambda: turned.append(threadable.ioThread))
    lone.callWhenRunning(lone.stop)
    thread = threading.Thread(target=lambda: lone.run(installSignalHandlers=False))
    thread.start()
    thread.join(60)
    need(turned == [before] and threadable.ioThread == before, "ReactorBase has no _registerAsIOThread", function)
    private.close_reactor(lone)
    need(open_descriptors() == descriptors, "a reactor keeps descriptors that are not in removeAll()", "close_reactor")


def open_descriptors() -> set[str]:
    """Return the descriptors of this process; none where the system does not tell."""
    try:
        return set(os.listdir("/proc/self/fd"))
    except OSError:
        return set()


def test_the_loop_of_an_asyncio_reactor_can_be_told() -> None:
    loop = asyncio.SelectorEventLoop()
    made = asyncioreactor.AsyncioSelectorReactor(loop)
    need(private.loop_of(made) is loop, "AsyncioSelectorReactor has no _asyncioEventloop", "loop_of")
    need(private.loop_of(object()) is None, "another reactor has a loop", "loop_of")
    private.close_reactor(cast(Any, made))
    loop.close()


def test_repeating_calls_that_were_started_apart_come_in_one_turn() -> None:
    clock = Clock()
    times: list[list[float]] = [[], []]
    for each, start in zip(times, (0.3, 0.4), strict=True):
        clock.advance(start)
        loop = repeating(lambda each=each: each.append(clock.seconds()), cast(Any, clock))  # type: ignore[misc]
        loop.start(1.0)
    clock.pump([0.05] * 40)
    first, second = (each[1:] for each in times)
    assert first == second
    assert [round(when, 2) for when in first] == [1.0, 2.0]


def test_a_repeating_call_is_made_of_four_things_and_installs_no_reactor() -> None:
    function = "_Repeating in reactor.py, and"
    theirs, ours = LoopingCall(print), repeating(print, cast(Any, object()))
    need(vars(theirs).keys() == vars(ours).keys(), "LoopingCall.__init__ sets something else", function)
    code = (
        "import sys; from twisted.internet.selectreactor import SelectReactor as Made; "
        "from twisted_wsgiref import WSGIService; WSGIService(print, [], reactor=Made()); "
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    need(done.returncode == 0, "a service that is given its reactor installs another", function)
