"""Is what goes through TLS on a socket the same at the other end, however little the socket takes, and who asks?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from OpenSSL import SSL, crypto

from tests.authorities import family
from twisted_wsgiref._connection.tls_exit import RECORD, TLSExit
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._twisted.private_tls import make_tls

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyOpenSSL's, of its own types


class Pair:
    """An exit of ours, and a client that reads when it is told to."""

    def __init__(self) -> None:
        _, _, leaf = family()
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_privatekey(crypto.PKey.from_cryptography_key(leaf.key))
        context.use_certificate(crypto.X509.from_cryptography(leaf.certificate))
        self.ours, self.theirs = socket.socketpair()
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        for each in (self.ours, self.theirs):
            each.setblocking(False)
        factory: Any = SimpleNamespace(_creatorCallable=lambda _: SSL.Connection(context, None))
        self.server = make_tls(factory, None, self.ours)
        self.server.set_accept_state()
        self.client = SSL.Connection(self.make_client_context(), self.theirs)
        self.client.set_connect_state()
        for _ in range(10):
            for each in (self.client, self.server):
                try:
                    each.do_handshake()
                except (SSL.WantReadError, SSL.WantWriteError):
                    pass
        self.exit = TLSExit(self.server, self.ours)
        assert self.read() == b""

    def make_client_context(self) -> SSL.Context:
        return SSL.Context(SSL.TLS_METHOD)

    def read(self) -> bytes:
        got = b""
        while True:
            try:
                got += self.client.recv(1 << 16)
            except SSL.WantReadError:
                return got

    def send_all(self, data: bytes, piece: int) -> bytes:
        """Send all of `data`, at most `piece` bytes at a time, as a sender does that keeps the rest."""
        got = b""
        for _ in range(10_000):
            if not data:
                break
            try:
                data = data[self.exit.send(data[:piece]) :]
            except BlockingIOError:
                got += self.read()
        return got + self.read()

    def close(self) -> None:
        self.exit.release()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def full(pair: Pair) -> Pair:
    """A pair whose socket has taken a part of a record, of these bytes, and takes no more."""
    for _ in range(1000):
        try:
            pair.exit.send(b"filling" * 100)
        except BlockingIOError:
            return pair
    raise RuntimeError("the socket takes everything")


FILLING = b"filling" * 100


@pytest.mark.parametrize("piece", [1 << 20, 30_000, 16_384, 5_000])
def test_all_arrives_whatever_the_socket_takes(pair: Pair, piece: int) -> None:
    data = os.urandom(300_000)
    assert pair.send_all(data, piece) == data


def test_what_was_not_taken_may_come_again_in_smaller_pieces(full: Pair) -> None:
    before = full.read()
    assert not len(before) % len(FILLING)
    for part in (FILLING[:10], FILLING[10:20]):
        assert full.exit.send(part) == 10
    assert full.exit.send(FILLING[20:] + b"more") == len(FILLING) - 20
    assert full.exit.send(b"more") == 4
    assert full.read() == FILLING + b"more"


def test_what_was_not_taken_may_come_again_with_more_behind_it(full: Pair) -> None:
    full.read()
    rest = FILLING + b"and more"
    while rest:
        rest = rest[full.exit.send(rest) :]
    assert full.read() == FILLING + b"and more"


@pytest.mark.parametrize("other", [b"another answer", b"x" * 1000])
def test_other_bytes_in_their_place_are_never_sent(full: Pair, other: bytes) -> None:
    full.read()
    with pytest.raises(OSError, match="not what a record was made of"):
        full.exit.send(other)
    assert full.read() == b""


@pytest.mark.parametrize("size", [0, 1, RECORD, 200_000])
def test_two_parts_arrive_as_one(pair: Pair, size: int) -> None:
    head, body = b"head:", os.urandom(size)
    whole = head + body
    got, sent = b"", 0
    try:
        sent = pair.exit.send_parts((head, body))
    except BlockingIOError:
        pass
    got += pair.read()
    assert got + pair.send_all(whole[sent:], 1 << 17) == whole


@pytest.mark.parametrize("size", [1, RECORD, 200_000])
def test_a_file_arrives_whole(pair: Pair, size: int, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(data := os.urandom(size))
    with path.open("rb") as file:
        span = FileSpan(file.fileno(), 0, size)
    got = b""
    for _ in range(10_000):
        if not span.remaining:
            break
        pair.exit.send_file(span)
        got += pair.read()
    assert got + pair.read() == data


def test_nothing_is_sent_while_another_thread_is_in_the_same_connection(pair: Pair) -> None:
    with pair.exit._steps:
        with pytest.raises(BlockingIOError):
            pair.exit.send(b"x")
        with pytest.raises(BlockingIOError):
            pair.exit.receive()
    assert pair.exit.send(b"x") == 1


def test_an_end_in_order_is_told_from_a_cut(pair: Pair) -> None:
    pair.client.send(b"last")
    pair.client.shutdown()
    assert pair.exit.receive() == b"last"
    assert pair.exit.receive() == b""
    cut = Pair()
    with pytest.raises(BlockingIOError):
        cut.exit.receive()
    cut.theirs.close()
    with pytest.raises(ConnectionResetError):
        cut.exit.receive()
    cut.close()


def test_our_end_is_said_once_and_waits_for_nobody(pair: Pair) -> None:
    pair.exit.send(b"answer")
    pair.exit.close_half()
    pair.exit.say_end()
    assert pair.client.recv(100) == b"answer"
    with pytest.raises(SSL.ZeroReturnError):
        pair.client.recv(100)
    assert pair.theirs.recv(100) == b""
    pair.client.send(b"still")  # the other direction is open
    assert pair.exit.receive() == b"still"


def test_no_end_is_said_in_the_middle_of_a_record(full: Pair) -> None:
    full.exit.say_end()
    full.read()
    full.ours.shutdown(socket.SHUT_WR)
    with pytest.raises(SSL.SysCallError):
        full.client.recv(1)


def test_a_client_that_is_gone_is_an_error_of_a_socket(pair: Pair) -> None:
    pair.theirs.close()
    with pytest.raises(ConnectionError):
        pair.exit.send(b"x")


def test_a_lost_connection_leaves_nothing_that_another_could_meet(full: Pair) -> None:
    gone = Pair()
    gone.theirs.close()
    with pytest.raises(OSError, match="EPIPE"):
        gone.exit.send(FILLING)
    assert SSL._lib.ERR_peek_error() == 0
    with pytest.raises(BlockingIOError):
        full.exit.send(FILLING)
    with pytest.raises(BlockingIOError):
        full.exit.receive()
    gone.close()


def leave_an_error() -> None:
    """Do as an application does that uses OpenSSL, too, and does not look whether all has gone well.

    From OpenSSL 4 on no other step is mistaken for that.
    """
    SSL._lib.ERR_put_error(20, 0, 1, SSL._ffi.NULL, 0)


def test_errors_of_an_application_are_no_errors_of_a_connection(full: Pair) -> None:
    leave_an_error()
    with pytest.raises(BlockingIOError):
        full.exit.send(FILLING)
    leave_an_error()
    with pytest.raises(BlockingIOError):
        full.exit.receive()
    leave_an_error()
    assert not full.exit.pay()
    full.read()
    leave_an_error()
    assert full.exit.pay()


def test_no_byte_of_another_connection_is_ever_given(pair: Pair) -> None:
    other = Pair()
    other.client.send(b"a secret of another connection")
    assert other.exit.receive() == b"a secret of another connection"
    other.close()
    pair.exit._records._complain = lambda *_: None  # if it ever told of no mistake
    with pytest.raises(ConnectionResetError):
        pair.exit.receive()


def test_a_severed_descriptor_takes_nothing_more(pair: Pair) -> None:
    pair.exit.sever()
    with pytest.raises(ConnectionError):
        pair.exit.send(b"x")


def test_connections_of_a_thread_read_to_one_place_and_mix_nothing(pair: Pair) -> None:
    other = Pair()
    try:
        got: list[tuple[bytes, bytes]] = []
        for number in range(20):
            one, two = b"%d " % number * 500, b"%d-" % number * (number + 1)
            pair.client.send(one)
            other.client.send(two)
            got.append((pair.exit.receive(), other.exit.receive()))
            for each in (pair, other):
                with pytest.raises(BlockingIOError):
                    each.exit.receive()
        assert got == [(b"%d " % number * 500, b"%d-" % number * (number + 1)) for number in range(20)]
    finally:
        other.close()


def test_a_view_and_bytes_of_more_than_a_record_are_sent_as_bytes_are(pair: Pair) -> None:
    data = bytes(range(256)) * 16
    got = pair.send_all(data, 1000)
    assert pair.exit.send(memoryview(b"view")) == 4
    assert got + pair.read() == data + b"view"
    large = data * 8
    assert pair.send_all(large, len(large)) == large


def test_a_half_that_is_closed_leaves_the_other_one_to_be_read(pair: Pair) -> None:
    pair.exit.close_half()
    pair.client.send(b"a late word")
    assert pair.exit.receive() == b"a late word"


def test_after_the_end_nothing_is_decrypted(pair: Pair) -> None:
    pair.exit.end()
    pair.client.send(b"a late word")
    with pytest.raises(BlockingIOError):
        pair.exit.receive()


@pytest.mark.parametrize("last", [b"", b"no record of TLS at all"])
def test_after_the_end_a_client_may_leave_without_a_word(pair: Pair, last: bytes) -> None:
    pair.exit.end()
    pair.theirs.recv(RECORD)
    pair.theirs.send(last)
    pair.theirs.close()
    assert pair.exit.receive() == b""


def test_after_the_end_a_close_notify_is_read_together_with_the_end_behind_it(pair: Pair) -> None:
    pair.exit.end()
    pair.theirs.recv(RECORD)
    pair.client.shutdown()
    pair.theirs.close()
    assert pair.exit.receive() == b""
