"""TLS straight on a socket: what one connection of OpenSSL's reads and sends, for the two threads that use it.

Two threads are never in one connection of OpenSSL's, which says nothing and loses bytes if they are. So each step takes
a lock. A step never waits: the socket does not block, and a record has at most 16 KiB. Whoever sends does not wait for
the lock either: if the reactor is just reading, nothing is taken, as if the socket were full, and the reactor sends.

OpenSSL notes errors for a thread, and not for a connection: one that is noted already is taken for that of a step that
only has to wait. So whoever meets one forgets all of them and tries again, once, before a connection is taken for lost.

What lives here: records, and OpenSSL's errors, which become `OSError`. What may not: the life of a connection, which is
`tls_transport`'s. This is imported only where somebody speaks TLS.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from OpenSSL import SSL

from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._twisted.private_tls import Records, forget_errors

from .transports import sever

_T = TypeVar("_T")

#: The most that one record carries, in bytes: RFC 8446, section 5.1. OpenSSL gives one at a time.
RECORD: Final = 16 * 1024
# The most that is sent in one go, in records: what a plain socket is given at a time.
_RECORDS: Final = 8
# A thread that has the lock is in a step, which takes some microseconds. It would take for ever if a finalizer, which a
# collection of garbage runs in such a step, waited for the reactor: then the reactor asks again in its next turn.
_PATIENCE: Final = 0.01


# A record so long at most may ask for new keys: 5 bytes of a message, its kind, and 16 bytes that prove it. RFC 8446,
# sections 4.6.3 and 5.2.
_KEY_UPDATE: Final = 22
_HEAD: Final = 5
_DATA: Final = 23


class SendsFirst(BlockingIOError):
    """What comes can not be read before what is owed is sent."""


class TLSExit:
    """An `Exit` by `connection`, which is on `sock`, and its other direction.

    The reactor's thread reads; whoever owns the way out sends.
    """

    __slots__ = ("_ahead", "_connection", "_ended", "_is_left", "_is_over", "_owed", "_records", "_sock", "_steps")

    def __init__(self, connection: SSL.Connection, sock: socket.socket) -> None:
        self._connection = connection
        self._records = Records(connection, RECORD)
        self._sock = sock
        self._is_left = False  # the close of the socket is ours
        self._steps = threading.Lock()
        # OpenSSL has made a record of these bytes, which the socket did not take: they have to be given again.
        self._owed = b""
        # They were given again as the beginning of more, all of which is sent, and these are asked for next.
        self._ahead = b""
        self._ended = False
        self._is_over = False  # nobody looks at what comes

    # ---- In the reactor's thread ---------------------------------------------------------------------------------

    def receive(self) -> bytes:
        """Return what a record has brought, b"" after a close_notify.

        Raises `BlockingIOError` if none is there, `SendsFirst` if the socket has to be written before, and `OSError` if
        the connection is lost, or ends without a close_notify: RFC 8446, section 6.1, has that be no end but a cut.
        """
        # Without a wait first: that is half the price, and nearly always enough.
        if not self._steps.acquire(False) and not self._steps.acquire(timeout=_PATIENCE):
            raise BlockingIOError
        try:
            return self._drain() if self._is_over else self._receive()
        except SSL.Error as error:
            return _once_more(self._receive, error)
        finally:
            self._steps.release()

    def _receive(self) -> bytes:
        try:
            if self._owed and self._may_be_key_update() and not self._pay():
                raise SendsFirst
            return self._records.read()
        except SSL.WantReadError:
            raise BlockingIOError from None
        except SSL.WantWriteError:
            raise SendsFirst from None
        except SSL.ZeroReturnError:
            return b""

    def _drain(self) -> bytes:
        """As `_receive`, with bytes that nobody can read: OpenSSL is not asked for them, nor whether they are good."""
        return self._sock.recv(RECORD) and self._sock.recv(RECORD)  # a close_notify, and the end behind it

    def pay(self) -> bool:
        """Send what is owed, if the socket takes it; return whether nothing is owed now. Raises `OSError`."""
        if not self._steps.acquire(timeout=_PATIENCE):
            return False
        try:
            return not self._owed or self._pay()
        except SSL.Error as error:
            return _once_more(self._pay, error)
        finally:
            self._steps.release()

    def _pay(self) -> bool:
        try:
            sent = self._records.write(self._owed)
        except SSL.WantWriteError:
            return False
        self._ahead, self._owed = self._owed[:sent], b""
        return True

    def _may_be_key_update(self) -> bool:
        """Return whether the next record may ask for new keys.

        OpenSSL answers one with a record, and breaks the connection off if a part of another is out.
        """
        try:
            head = self._sock.recv(_HEAD, socket.MSG_PEEK)
        except OSError:
            return False
        if not head:
            return False
        return len(head) < _HEAD or head[0] != _DATA or int.from_bytes(head[3:5], "big") <= _KEY_UPDATE

    # ---- In the thread that owns the way out ---------------------------------------------------------------------

    def send(self, data: bytes | memoryview, /) -> int:
        """Send what is taken of `data` at once, and return how many bytes that is."""
        if not self._steps.acquire(False):
            raise BlockingIOError
        try:
            if self._owed or self._ahead:
                return self._send_again(data)
            return self._send(data)
        finally:
            self._steps.release()

    def _send(self, data: bytes | memoryview, again: bool = False) -> int:
        size = len(data)
        sent = 0
        if not size:
            return 0
        try:
            sent = self._records.write(data)
            if sent < size:
                view = memoryview(data)
                most = min(size, RECORD * _RECORDS)
                while sent < most:
                    sent += self._records.write(view[sent : sent + RECORD])
        except SSL.WantWriteError:
            self._owed = bytes(data[sent : sent + RECORD])
            if not sent:
                raise BlockingIOError from None
        except SSL.Error as error:
            forget_errors()
            if again:
                raise _lost(error) from error
            try:
                sent += self._send(memoryview(data)[sent:], True)
            except BlockingIOError:
                if not sent:
                    raise
            except OSError:
                raise _lost(error) from error
        return sent

    def _send_again(self, data: bytes | memoryview) -> int:
        """As `send`, where OpenSSL has something that has to come first: `data` has to begin with it."""
        if not self._ahead:
            owed = self._owed
            if owed[: len(data)] != data[: len(owed)]:
                raise OSError(errno.EPROTO, "what is sent is not what a record was made of")
            self._owed = b""
            sent = self._send(data if len(data) > len(owed) else owed)
            if sent <= len(data):
                return sent
            self._ahead = owed[len(data) : sent]
            return len(data)
        ahead = self._ahead
        size = min(len(ahead), len(data))
        if ahead[:size] != data[:size]:
            raise OSError(errno.EPROTO, "what is sent is not what was sent before")
        self._ahead = ahead[size:]
        return size

    def send_parts(self, parts: tuple[bytes, bytes], /) -> int:
        """Send two parts as one."""
        head, body = parts
        if len(body) <= RECORD * _RECORDS:
            return self.send(head + body)
        first = head + body[:RECORD]
        sent = self.send(first)
        if sent == len(first):
            with suppress(BlockingIOError):
                sent += self.send(memoryview(body)[RECORD:])
        return sent

    def send_before_file(self, data: bytes) -> int:
        """As `send`; a part of a file follows."""
        return self.send(data)

    def send_file(self, span: FileSpan) -> bool:
        """Send a piece of `span`, which is read; return whether all of the piece was taken."""
        return span.send_piece_by(self.send)

    def close_half(self) -> None:
        """Send a close_notify, and the end of the stream behind it. Raises nothing."""
        with self._steps:
            self._say_end()
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left
            pass

    def end(self) -> None:
        """As `close_half`. What comes is not decrypted any more."""
        self.close_half()
        self._is_over = True

    def say_end(self) -> None:
        """Send a close_notify, if it can be sent at once: nobody waits for it, nor for its answer. Raises nothing."""
        if self._steps.acquire(timeout=_PATIENCE):
            try:
                self._say_end()
            finally:
                self._steps.release()

    def _say_end(self) -> None:
        # A part of a record is out: whatever follows would be taken for its rest.
        if not self._ended and not self._owed:
            self._ended = True
            try:
                self._connection.shutdown()
            except SSL.Error:
                forget_errors()

    def sever(self) -> None:
        """Put a socket without another end in the descriptor's place."""
        sever(self._sock)

    def leave(self) -> None:
        """Close the socket only when it is released: a thread may be sending on it."""
        self._is_left = True

    def release(self) -> None:
        """Close the descriptor, if that was left to this."""
        if self._is_left:
            self._is_left = False
            self._sock.close()


def _once_more(step: Callable[[], _T], error: SSL.Error) -> _T:
    """Forget what OpenSSL has noted, and do `step` again, which has failed with `error`. Raises `OSError`."""
    forget_errors()
    try:
        return step()
    except SSL.Error:
        forget_errors()
        raise _lost(error) from error


def _lost(error: SSL.Error) -> OSError:
    """Return `error` as one of a socket."""
    if isinstance(error, SSL.SysCallError) and error.args and error.args[0] > 0:
        return OSError(*error.args[:2])
    # The end came without a close_notify; or the client has broken the protocol, or begins a handshake anew, which TLS
    # 1.3 has no more and we do not do.
    return ConnectionResetError(errno.ECONNRESET, "TLS has ended before its end")
