"""Private names of Twisted's TLS and of pyOpenSSL, as far as this package relies on them; the rest is in `private`.

Each function says what an upgrade has to check, and `tests/test_twisted_private.py` checks it. This is imported only
where somebody speaks TLS. The reactor's thread calls every function but the last.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, cast

from OpenSSL import SSL

if TYPE_CHECKING:
    import socket
    from typing import Protocol

    from twisted.protocols.tls import TLSMemoryBIOFactory

    class _Library(Protocol):
        """OpenSSL itself."""

        def SSL_set_fd(self, ssl: object, descriptor: int) -> int: ...

        def SSL_set_mode(self, ssl: object, mode: int) -> int: ...

        def SSL_clear_mode(self, ssl: object, mode: int) -> int: ...

        def ERR_clear_error(self) -> None: ...

        def SSL_read(self, ssl: object, room: object, most: int) -> int: ...

        def SSL_write(self, ssl: object, data: bytes, size: int) -> int: ...

    class _Room(Protocol):
        """Memory of C's."""

        def __len__(self) -> int: ...

    class _View(Protocol):
        """The bytes in it."""

        def __getitem__(self, part: slice) -> bytes: ...

    class _Foreign(Protocol):
        """What makes both."""

        def new(self, kind: str, size: int) -> _Room: ...

        def buffer(self, room: _Room) -> _View: ...


# What OpenSSL's own header calls SSL_MODE_ENABLE_PARTIAL_WRITE and SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER.
_MODE: Final = 1 | 2
# SSL_MODE_AUTO_RETRY: a read goes on until bytes have come for us. Meanwhile nobody else is served, so a client that
# sends nothing but new keys (RFC 8446, section 4.6.3) would hold up all others for as long as it likes.
_READS_ON: Final = 4
_lib = cast("_Library | None", getattr(SSL, "_lib", None))
_openssl = cast("_Library", _lib)  # whoever has made a connection has it
_ffi = cast("_Foreign", getattr(SSL, "_ffi", None))


def make_tls(factory: TLSMemoryBIOFactory, transport: object, sock: socket.socket | None) -> SSL.Connection:
    """Return the connection of OpenSSL's that `factory` makes for `transport`, but on `sock`, unless that is None.

    To be checked: ``_creatorCallable`` of the factory, before Twisted 25 ``_createConnection``, makes it in memory, and
    asks `transport` for its ``factory``. pyOpenSSL keeps the memory in ``_into_ssl`` and ``_from_ssl``, a socket in
    ``_socket``, and OpenSSL's own in ``_ssl``. OpenSSL's ``SSL_set_fd`` puts a socket into the place of the memory.
    ``SSL_set_mode`` has it take a part, and then the rest from another place, as late pyOpenSSL asks for; after
    ``SSL_clear_mode`` a read ends with the first record, whatever that was.
    """
    create = getattr(factory, "_creatorCallable", None) or getattr(factory, "_createConnection")  # noqa: B009
    made: SSL.Connection = create(transport)
    if _lib is None or _lib.SSL_set_mode(made._ssl, _MODE) & _MODE != _MODE:
        raise OSError("OpenSSL does not take its bytes again at another place, or a part of them")
    if _lib.SSL_clear_mode(made._ssl, _READS_ON) & _READS_ON:
        raise OSError("OpenSSL does not end a read with the first record")
    if sock is not None:
        if _lib.SSL_set_fd(made._ssl, sock.fileno()) != 1:
            raise OSError("OpenSSL does not take the socket")
        made._into_ssl = made._from_ssl = None
        made._socket = sock
    return made


_NOTHING: Final = "OpenSSL has taken or given nothing, and does not say why"
# Where a thread reads to. All its connections have it in common: each would else keep room for a whole record.
_rooms: Final[dict[int, _Room]] = {}


class Records:
    """The bytes of `connection`, which is on a socket, at most `most` at a time: as its ``recv`` and ``send``.

    After each call pyOpenSSL asks OpenSSL, and all callbacks, whether there was a mistake, which costs more than the
    call. Here they are asked if no bytes have come or gone. To be checked: ``SSL_read`` and ``SSL_write`` return how
    many have, and ``_raise_ssl_error`` raises what ``recv`` and ``send`` raise if none have.
    """

    __slots__ = ("_complain", "_most", "_read", "_room", "_send", "_ssl", "_view", "_write")

    def __init__(self, connection: SSL.Connection, most: int) -> None:
        me = threading.get_ident()
        room = _rooms.get(me)
        if room is None or len(room) < most:
            room = _rooms[me] = _ffi.new("char[]", most)
        self._room = room
        self._view = _ffi.buffer(room)
        self._most = most
        self._ssl = connection._ssl
        self._read = _openssl.SSL_read
        self._write = _openssl.SSL_write
        self._send = connection.send
        self._complain = connection._raise_ssl_error

    def read(self) -> bytes:
        """Return what a record has brought. Called in the thread that has made this. Raises as ``recv``."""
        count = self._read(self._ssl, self._room, self._most)
        if count <= 0:
            self._complain(self._ssl, count)
            raise SSL.Error(_NOTHING)  # the room has bytes of other connections
        return self._view[:count]

    def write(self, data: bytes | memoryview) -> int:
        """Send what is taken of `data`, which is not empty; return how much. Called in any thread. Raises as ``send``.

        Two threads must not be here at the same time.
        """
        if type(data) is not bytes or len(data) > self._most:
            return self._send(data)
        count = self._write(self._ssl, data, len(data))
        if count <= 0:
            self._complain(self._ssl, count)
            raise SSL.Error(_NOTHING)
        return count


class _Asking:
    """Stands for a transport."""

    def __init__(self, factory: TLSMemoryBIOFactory) -> None:
        self.factory = factory


def can_make_tls(factory: TLSMemoryBIOFactory) -> bool:
    """Return whether `make_tls` can put what `factory` makes on a socket: not if an endpoint makes something else."""

    try:
        made = make_tls(factory, _Asking(factory), None)
        Records(made, 1)
        return type(made) is SSL.Connection and hasattr(_lib, "SSL_set_fd") and bool(made._ssl) and made._socket is None
    except Exception:
        return False


def forget_errors() -> None:
    """Forget the errors that OpenSSL has noted for this thread. Any thread may call this.

    To be checked: OpenSSL before version 4 takes one of them for that of a later step, of another connection, that only
    has to wait. pyOpenSSL leaves one there if a socket fails; an application may leave others.
    """
    if _lib is not None:
        _lib.ERR_clear_error()
