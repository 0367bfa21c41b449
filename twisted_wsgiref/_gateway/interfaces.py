"""What the gateway sees of whatever brought a request: where its answer goes, and who wants to know that it is over.

HTTP/1 puts the answers of a connection into one queue, one after the other. Whatever else speaks HTTP, and has an
outlet of its own for each answer, needs nothing else from here. No Twisted, no sockets, no locks of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias

from twisted_wsgiref._http.response import Piece

from .file_span import FileSpan
from .input_pipe import InputPipe

if TYPE_CHECKING:
    from types import TracebackType

    from twisted.internet.interfaces import IProtocol, ITransport

    from twisted_wsgiref._http.head import RequestHead
    from twisted_wsgiref._http.response import Fields, Framing
    from twisted_wsgiref.types import WSGIEnvironment

    from .exchange import Exchange


class WholeBody(Protocol):
    """A body that is all there: a `RequestBody`, or what another server has collected."""

    #: Its length in bytes.
    size: int

    def open(self) -> IO[bytes]:
        """Return it from its start; from then on it is the caller's. Raises `OSError`. Called in a worker's thread."""

    def close(self) -> None:
        """Give everything back. Raises nothing."""


#: A body that is whole, or still arrives; None if it is empty.
Body: TypeAlias = WholeBody | InputPipe | None
#: What is to be called, with the lock free, after a block was admitted: with the block, and whether it is the last one
#: of its answer and given by the thread that will end the exchange, so that nobody else may put. Raises `ClientGone`.
GoOn = Callable[..., None]


class Coder(Protocol):
    """How an answer looks on the wire. `_http.coder.HTTP1Coder` is one, and says what each method does.

    Called in any thread. It has no state that depends on the order in which answers are coded: a wire that has such
    a state takes heads as they are (`UncodedHead`), and writes them when it sends.
    """

    @property
    def last_block(self) -> bytes:
        """The end of a body whose parts have to be coded."""

    def whole(
        self, request: RequestHead, status: str, fields: Fields, body: bytes, keep: bool, now: float
    ) -> tuple[Piece | tuple[Piece, bytes], Framing]:
        """Return the answer to `request`, and how the end of its body is told."""

    def head(
        self, request: RequestHead, status: str, fields: Fields, known: int | None, keep: bool, now: float
    ) -> tuple[Piece, Framing]:
        """Return the head of the answer to `request`, and how the end of its body is told."""

    def join(self, head: Piece, block: bytes) -> Piece | tuple[Piece, bytes]:
        """Return `head` with the first `block` behind it."""

    def block(self, data: bytes) -> bytes:
        """Return `data` as a part of a body whose framing is chunked."""

    def interim(self, status: int, lines: str = "") -> Piece:
        """Return an interim answer with field `lines`."""

    def error(self, status: int, now: float, extra: str = "", *, head: bool = False, body: bytes = b"") -> bytes:
        """Return the whole answer to a request that reaches no target."""


class Lock(Protocol):
    """A lock that the thread which holds it may take again: `threading.RLock`, or one of a test's own."""

    def acquire(self) -> object:
        """Wait until no other thread holds it, and hold it."""

    def release(self) -> None:
        """Hold it once less."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Outlet(Protocol):
    """Where the bytes of an answer go. Called in any thread, but for what says otherwise."""

    #: How they are written.
    coder: Coder

    #: A first block that waits for other answers to leave with it; empty for none.
    kept: bytes
    #: The client has left.
    gone: bool
    #: A part of the answer has left, or is about to.
    under_way: bool

    @property
    def lock(self) -> Lock:
        """Held while something is admitted, and while an answer decides whether it may be.

        The same thread may take it again: garbage is collected at any step, and an application's finalizer may write.
        """

    def admit(self, block: Piece | tuple[Piece, bytes], straight: bool, keep: bool = False) -> GoOn:
        """Take `block` in, with the lock held, and return what to call with it. Raises `ClientGone`.

        It may go `straight` if nothing is before it, and with `keep` wait for other answers.
        """

    def admit_file(self, head: Piece, span: FileSpan) -> GoOn:
        """Take `head`, and `span` behind it, which is the outlet's to close from then on; as `admit`."""

    def may_be_seized(self) -> bool:
        """Return, with the lock held, whether nothing is between the reactor and the client."""

    def send_kept(self, alone: bool = False) -> None:
        """Send what was kept, if nobody else has taken it. Raises `ClientGone`."""

    def wait_for_room(self) -> None:
        """Wait while more than the high-water mark is queued. Raises `ClientGone`. Not in the reactor's thread."""

    @property
    def is_full(self) -> bool:
        """Whether more than the high-water mark is queued."""

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called in the reactor's thread, once, when there is room for half of the high-water mark.

        The client's leaving makes room, too. If that is so now, it is called at once, in the thread of whoever asks.
        """

    def take_over(self) -> None:
        """Take what is kept. Called in the reactor's thread."""

    def lose(self) -> None:
        """Have every further block raise `ClientGone`. Called in the reactor's thread."""

    def forget(self) -> None:
        """Be lost, in the child of a fork."""


class Target(Protocol):
    """Who answers requests: an application on a worker, a resource, files. Called in the reactor's thread.

    Both are attributes, and not methods: each is a call for each request, and may be somebody else's function.
    """

    #: Whether a request is handed over once its body is whole. If not, it is at the end of its head; whoever answers
    #: it without reading the body refuses the rest.
    collects: bool
    #: Whether one that collects takes a body that still arrives, too, if the service streams.
    streams: bool

    @property
    def prepare(self) -> Callable[[RequestHead, WSGIEnvironment, Body, Outlet, Connection], Exchange]:
        """Return the exchange in which the request of a head and its body will be answered, by an outlet."""

    @property
    def start(self) -> Callable[[Exchange], None]:
        """Begin to answer, or queue it for whoever does. The exchange may be over when this returns."""


class Mounts(Protocol):
    """What is mounted beside a service's application. Called in the reactor's thread."""

    def find(self, head: RequestHead) -> Target | None:
        """Return who answers the request of `head`; None for the application.

        Raises `ProtocolError` for a path that could mean another mount than it says.
        """


class Connection(Protocol):
    """What an exchange came by."""

    def exchange_ended(self) -> None:
        """Learn that the handler is through. Called in the worker's thread."""

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of a target. Called in the reactor's thread, after the claim."""

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> ITransport:
        """Give the connection to `protocol`, and return the transport for it; its answer to `exchange` is its own.

        Called in the reactor's thread. Raises `RuntimeError` if the answer has begun, or another one is under way.
        """


class PassingConnection(Connection, Protocol):
    """A connection on which a request may be passed on."""

    def pass_on(self, exchange: Exchange, target: Target, head: RequestHead, user: str | None) -> None:
        """Have `target` answer the request of `head` instead of `exchange`, of which nothing is out.

        `user` is whom the application has found it to be from. Called in the reactor's thread. From now on `exchange`
        is no longer the connection's.
        """
