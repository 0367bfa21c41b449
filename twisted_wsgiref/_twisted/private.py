"""Twisted's private names, and its undocumented behaviour, as far as this package relies on them.

Each function says what an upgrade of Twisted has to check. `tests/test_twisted_private.py` checks it, and fails with a
sentence that names the function. Only this module, and `web_private` beside it, read or set a private name of Twisted
(`tests/test_structure.py`). Imports are late, since the log needs only the log.

Four points have no function here, since each is a class, or is called once a request. The tests cover them too:

- `_connection.sender`: ``registerProducer(producer, False)`` of a TCP transport calls ``resumeProducing`` at once, and
  then, after ``startWriting()``, whenever the socket can be written, as long as the transport itself holds nothing.
- `_connection.protocol`: if a TCP transport holds nothing, it neither delays nor reorders bytes that are sent on its
  socket. ``transport.write`` may be mixed with such sends only if nothing is sent straight afterwards.
- `_connection.secure`: ``TLSMemoryBIOFactory.protocol`` makes each connection's TLS, and may be set on one factory. Its
  ``dataReceived`` is looked up on the object for each read. ``wrappedProtocol`` is the protocol above it.
- `_threads.forks`, which knows no room of ours: the child of a fork in ``twisted.internet.process`` ends in ``exec``.

The reactor's thread calls every function whose docstring names no other thread.
"""

from __future__ import annotations

import inspect
import select
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from twisted.logger import ILogObserver, LogEvent, Logger, globalLogBeginner, globalLogPublisher

# Not late: when it is needed, the process may have lost the right to read modules.
from twisted.python.logfile import LogFile

from .reactor import Listening, Port, Reactor, Transport

if TYPE_CHECKING:
    from twisted.internet import tcp
    from twisted.internet.interfaces import IProtocolFactory, ITransport
    from twisted.internet.posixbase import PosixReactorBase
    from twisted.python.systemd import ListenFDs


class _Insides(Port, Protocol):
    """A port, with the private names that this module uses."""

    _logger: Logger
    _shouldShutdown: bool
    _preexistingSocket: socket.socket | None


# ---- The log ---------------------------------------------------------------------------------------------------


def is_log_unheard() -> bool:
    """Return whether only the buffer that Twisted keeps until logging begins listens to the log. In any thread.

    To be checked: ``globalLogBeginner._temporaryObserver`` is that buffer, and None once logging has begun.
    ``globalLogPublisher._observers`` is the list of all observers. Without these names somebody is taken to listen.
    """
    buffer = getattr(globalLogBeginner, "_temporaryObserver", None)
    observers = getattr(globalLogPublisher, "_observers", None)
    return buffer is not None and bool(observers == [buffer])


def has_logging_begun() -> bool:
    """Return whether the program has begun logging: a second beginning makes Twisted warn of it.

    To be checked: as `is_log_unheard`.
    """
    return getattr(globalLogBeginner, "_temporaryObserver", None) is None


def log_files_of(handler: object) -> list[LogFile]:
    """Return the log files that `handler`, of SIGUSR1, would rotate if it is twistd's. Called in the main thread.

    To be checked: twistd's handler is a function in a module of Twisted, with its ``LogFile`` in its closure.
    """
    if not inspect.isfunction(handler) or not handler.__module__.startswith("twisted."):
        return []
    return [each for each in inspect.getclosurevars(handler).nonlocals.values() if isinstance(each, LogFile)]


def descriptor_of_log(file: LogFile) -> int:
    """Return the descriptor that `file` writes to.

    To be checked: ``BaseLogFile._file`` is a file object of Python's.
    """
    return int(file._file.fileno())


# ---- Listening ports -------------------------------------------------------------------------------------------


def tell_of_accepting(port: object, note: Callable[[LogEvent], None]) -> None:
    """Give the log events that `port` makes while it accepts to `note`, and not to the log.

    To be checked: ``doRead`` logs by ``tcp.Port._logger``. The event has ``acceptError`` if accepting failed, and
    ``address`` if a connection was closed because no descriptor was left. Without ``_logger`` each such event is a line
    in the log.
    """
    logger = getattr(port, "_logger", None)
    if logger is not None:
        cast(_Insides, port)._logger = Logger(namespace=logger.namespace, observer=cast(ILogObserver, note))


def keep_socket_open(port: Port) -> None:
    """Make `port` close its descriptor when it closes, but not shut the socket down, which others share.

    To be checked: ``_closeSocket`` of ``tcp._SocketCloser`` looks at ``_shouldShutdown``.
    """
    cast(_Insides, port)._shouldShutdown = False


def close_socket(port: Port, reason: object) -> None:
    """Close the socket of `port`, a TCP or UNIX one, without removing its path.

    To be checked: ``unix.Port.connectionLost`` does as ``tcp.Port.connectionLost``, and removes path and lock.
    """
    from twisted.internet import tcp

    tcp.Port.connectionLost(cast(tcp.Port, port), reason)


def call_before_close(tcp_port: tcp.Port, call: Callable[[], None]) -> None:
    """Make `tcp_port` call `call`, which may accept, at the moment before it closes its socket. It has to stop soon.

    To be checked: ``stopListening`` calls ``connectionLost`` of the object itself a turn of the reactor later, and
    changes nothing but ``disconnecting`` meanwhile.
    """
    port = cast(Port, tcp_port)
    lose = port.connectionLost

    def call_and_lose(reason: object) -> None:
        port.disconnecting = False
        call()
        port.disconnecting = True
        lose(reason)

    port.connectionLost = call_and_lose


def accept_by(port: Port, may_accept: Callable[[], int]) -> None:
    """Make `port` accept, whenever it could, as many connections as `may_accept` returns.

    To be checked: reactors look ``doRead`` up on the object each time, and it accepts at most ``numberAccepts``.
    """
    port.doRead = _InTurn(port, port.doRead, may_accept)


class _InTurn:
    """In the place of a port's ``doRead``: accepts by `accept` as many connections as `may_accept` returns."""

    def __init__(self, port: Port, accept: Callable[[], object], may_accept: Callable[[], int]) -> None:
        self._port = port
        self.accept = accept
        self._may_accept = may_accept

    def __call__(self) -> object:
        number = self._may_accept()
        if not number:
            return None
        # Twisted would take a hundred.
        self._port.numberAccepts = number
        return self.accept()


def accept_otherwise(port: Port, accept: Callable[[], object]) -> Callable[[], object] | None:
    """Make `port` accept by `accept`, at most ``numberAccepts``; in turn, if it does so now. Return its own way.

    None, and nothing is changed, unless it is a port of Twisted's own that accepts as Twisted does, TCP or UNIX.
    To be checked: as `accept_by`; and the ``transport`` of a port makes a connection of each socket.
    """
    from twisted.internet import tcp, unix

    kind: object = type(port)
    makes = tcp.Server if kind is tcp.Port else unix.Server if kind is unix.Port else None
    if makes is None or getattr(port, "transport", None) is not makes:
        return None
    in_turn = port.doRead
    if isinstance(in_turn, _InTurn):
        own, in_turn.accept = in_turn.accept, accept
        return own
    if in_turn != type(port).doRead.__get__(port):  # somebody else has put something in its place
        return None
    port.doRead = accept
    return in_turn


def adopt_unix_port(reactor: Reactor, descriptor: int, factory: IProtocolFactory) -> Port:
    """Return a port that accepts on a copy of `descriptor`, a UNIX socket whose path is another process's.

    The port neither sets the path's mode nor ever removes it. To be checked: ``unix.Port._fromListeningDescriptor``
    puts the copy into ``_preexistingSocket``. ``startListening`` does the same, and sets path and backlog.
    """
    # Late: there are no UNIX sockets on Windows.
    from twisted.internet import unix

    port = cast(_Insides, unix.Port._fromListeningDescriptor(reactor, descriptor, factory))
    # Closing means that this process accepts no more, not that nobody does. (Twisted sets it for TCP by itself.)
    keep_socket_open(port)
    port.connectionLost = lambda reason: close_socket(port, reason)
    sock = cast("socket.socket", port._preexistingSocket)
    port._preexistingSocket = None
    factory.doStart()
    port.socket = sock
    port.connected = True
    port.numberAccepts = 100
    port.fileno = sock.fileno
    port.startReading()
    return port


def adopt_stream_port(reactor: Listening, descriptor: int, family: int, factory: IProtocolFactory) -> Port:
    """Return a port that accepts on a copy of `descriptor`, an inherited socket.

    The path of a UNIX socket stays as whoever made it wants it. To be checked: ``PosixReactorBase.adoptStreamPort``
    lets everybody connect to it (``chmod``), which only its owner may do, and its port removes it.
    """
    from twisted.internet.base import ReactorBase  # our own wrappers are none, and pass it on to one

    if isinstance(reactor, ReactorBase) and family == getattr(socket, "AF_UNIX", None):
        return adopt_unix_port(cast(Reactor, reactor), descriptor, factory)
    return reactor.adoptStreamPort(descriptor, family, factory)


# ---- Sockets that systemd hands over ---------------------------------------------------------------------------


def inherited_sockets() -> ListenFDs | None:
    """Return the `ListenFDs` of ``systemd:`` endpoints, or None.

    Twisted reads them from the environment once, and removes them there, so we have to ask Twisted. To be checked:
    ``endpoints._SystemdParser._sddaemon`` is that object.
    """
    from twisted.internet import endpoints

    return getattr(getattr(endpoints, "_SystemdParser", None), "_sddaemon", None)


def inherit_sockets(descriptors: Sequence[int], names: Sequence[str]) -> None:
    """Make ``systemd:`` endpoints find `descriptors` by these `names`. To be checked: as for `inherited_sockets`."""
    from twisted.internet import endpoints
    from twisted.python.systemd import ListenFDs

    parser = getattr(endpoints, "_SystemdParser", None)
    if parser is not None and descriptors:
        parser._sddaemon = ListenFDs(descriptors, names)


# ---- Connections -----------------------------------------------------------------------------------------------


def stop_transport_reading(transport: Transport) -> None:
    """Make `transport` read nothing by itself. Called within ``connectionMade``.

    To be checked: ``stopReading`` ends the watch that ``startReading`` begins before ``connectionMade``, and only
    ``resumeProducing`` begins it anew.
    """
    cast("tcp.Connection", transport).stopReading()


def lose_connection(transport: Transport, error: OSError) -> None:
    """End `transport` as if it had met `error` itself while it read.

    To be checked: a failed read calls ``connectionLost`` of the transport, which takes it from the reactor, closes its
    socket and tells its protocol.
    """
    from twisted.internet.error import ConnectionLost
    from twisted.python.failure import Failure

    cast("tcp.Connection", transport).connectionLost(Failure(ConnectionLost(error)))


def transport_below_tls(transport: object) -> ITransport | None:
    """Return the transport that carries the TLS of `transport`, below wrappers; None if there is none (any more).

    To be checked: ``TLSMemoryBIOProtocol.transport`` is that transport until it is lost. When it closes, it sends the
    bytes that TLS has written to it, and waits for no close_notify.
    """
    if "twisted.protocols.tls" not in sys.modules:  # nobody speaks TLS
        return None
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    while transport is not None and not isinstance(transport, TLSMemoryBIOProtocol):
        transport = getattr(transport, "transport", None)
    return None if transport is None else transport.transport


# ---- The reactor, and the thread that runs it ------------------------------------------------------------------


def is_reactors_handler(handler: object, reactor: object) -> bool:
    """Return whether `reactor` itself has installed `handler`, of a signal. Called in the main thread.

    To be checked: for SIGINT, SIGTERM and SIGBREAK reactors install bound methods of their own, before they call the
    functions given to ``callWhenRunning``.
    """
    return getattr(handler, "__self__", None) is reactor


def stand_in_for_run(reactor: Reactor, run: Callable[..., None]) -> Callable[..., None]:
    """Put `run` into the place of ``reactor.run``, and return the old one. Called before the reactor runs.

    To be checked: twistd, twist and crochet look ``run`` up on the reactor when they call it.
    """
    really = reactor.run
    reactor.run = run
    return really


def has_run(reactor: object) -> bool:
    """Return whether `reactor` has run before, and so can not run again.

    To be checked: ``ReactorBase._startedBefore`` says so. Without that name ``run`` raises `ReactorNotRestartable`.
    """
    return bool(getattr(reactor, "_startedBefore", False))


def lone_reactor() -> Reactor:
    """Return a new reactor that is not the process's. Run it in any thread, and then give it to `close_reactor`.

    To be checked: if ``ReactorBase._registerAsIOThread`` is false, ``run`` does not declare its thread to be the
    reactor's thread for all of Twisted. Any thread may call ``run(installSignalHandlers=False)``.
    """
    from twisted.internet import selectreactor

    kind: type[PosixReactorBase] = selectreactor.SelectReactor
    if hasattr(select, "epoll"):
        from twisted.internet import epollreactor

        kind = epollreactor.EPollReactor
    reactor = kind()
    reactor._registerAsIOThread = False
    return cast(Reactor, reactor)


def close_reactor(reactor: Reactor) -> None:
    """Close every descriptor of `reactor`, which has ended, also those of its wakers. Called in the thread that ran it.

    To be checked: ``removeAll`` returns all descriptors but ``_internalReaders``, which ``connectionLost`` closes. The
    epoll object of an ``EPollReactor`` is its ``_poller``.
    """
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    ended = cast("PosixReactorBase", reactor)
    for each in {*ended.removeAll(), *ended._internalReaders}:
        each.connectionLost(Failure(ConnectionDone()))
    ended._internalReaders.clear()
    poller = getattr(ended, "_poller", None)
    if poller is not None:
        poller.close()


def loop_of(reactor: object) -> object:
    """Return the asyncio loop that `reactor` runs on; None if it is another kind of reactor.

    To be checked: ``AsyncioSelectorReactor._asyncioEventloop`` is that loop.
    """
    return getattr(reactor, "_asyncioEventloop", None)


def makes_reactor(kind: object, reactor: object) -> bool:
    """Return whether `kind`, one of ``getReactorTypes()``, makes reactors of the class of `reactor`.

    To be checked: ``moduleName`` of a kind is the module that has the reactor's class.
    """
    return bool(getattr(kind, "moduleName", "") == type(reactor).__module__)


def is_reaped(pid: int) -> bool:
    """Return whether Twisted itself waits for the end of the process `pid`, which it has started.

    To be checked: ``process.reapProcessHandlers`` has the pid of each from its start to its end.
    """
    # Late: there is none on Windows.
    from twisted.internet.process import reapProcessHandlers

    return pid in reapProcessHandlers


# ---- The command line ------------------------------------------------------------------------------------------


def asks_for_completion(words: Sequence[str]) -> bool:
    """Return whether `words` come from a shell that asks for completions, which Twisted itself answers.

    To be checked: ``usage.Options.parseOptions`` looks for ``--_shell-completion``.
    """
    return "--_shell-completion" in words
