"""Does a client that asks for new keys get all of an answer, whatever the socket takes? RFC 8446, section 4.6.3."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from tests.connection.test_tls_exit import FILLING, Pair
from twisted_wsgiref._connection.tls_exit import SendsFirst

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyOpenSSL's, of its own types


class Records:
    """The client's records, made by hand: pyOpenSSL can not ask for new keys. RFC 8446, sections 5.2 and 7.1."""

    def __init__(self, secret: bytes) -> None:
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._cipher, self._start = AESGCM(self._expand(b"key", 32)), self._expand(b"iv", 12)

    def _expand(self, name: bytes, size: int) -> bytes:
        words = b"tls13 " + name
        info = struct.pack("!HB", size, len(words)) + words + b"\0"
        return HKDFExpand(hashes.SHA384(), size, info).derive(self._secret)

    def make(self, data: bytes, kind: int = 23) -> bytes:
        head = b"\x17\3\3" + struct.pack("!H", len(data) + 17)
        number = struct.pack("!IQ", 0, self._number)
        self._number += 1
        nonce = bytes(one ^ other for one, other in zip(self._start, number, strict=True))
        return head + self._cipher.encrypt(nonce, data + bytes([kind]), head)

    def key_update(self) -> bytes:
        """Return a record that asks for new keys of both; those behind it have new ones."""
        record = self.make(b"\x18\0\0\1\1", 22)
        self._use(self._expand(b"traffic upd", 48))
        return record


class Updating(Pair):
    def make_client_context(self) -> SSL.Context:
        self.lines: list[bytes] = []
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_keylog_callback(lambda _, line: self.lines.append(line))
        return context

    def __init__(self) -> None:
        super().__init__()
        if self.client.get_cipher_name() != "TLS_AES_256_GCM_SHA384":
            pytest.skip("the records are made for another cipher")
        (secret,) = [line.split()[2] for line in self.lines if line.startswith(b"CLIENT_TRAFFIC_SECRET_0 ")]
        self.records = Records(bytes.fromhex(secret.decode()))


@pytest.fixture
def pair() -> Iterator[Updating]:
    made = Updating()
    yield made
    made.close()


@pytest.fixture
def full(pair: Updating) -> Updating:
    for _ in range(1000):
        try:
            pair.exit.send(FILLING)
        except BlockingIOError:
            return pair
    raise RuntimeError("the socket takes everything")


def test_new_keys_wait_until_the_record_that_is_under_way_is_out(full: Updating) -> None:
    full.theirs.send(full.records.key_update() + full.records.make(b"with the new keys"))
    for _ in range(3):
        with pytest.raises(SendsFirst):
            full.exit.receive()
    got = full.read()
    assert full.exit.pay()
    with pytest.raises(BlockingIOError):
        full.exit.receive()
    assert full.exit.receive() == b"with the new keys"
    got += full.send_all(FILLING + b"and the end", 300)
    assert got.endswith(FILLING + b"and the end")
    assert got.count(FILLING) * len(FILLING) + len(b"and the end") == len(got)


def test_new_keys_are_no_hindrance_while_nothing_is_under_way(pair: Updating) -> None:
    for number in range(100):
        pair.theirs.send(pair.records.key_update() + pair.records.make(b"%d" % number))
        with pytest.raises(BlockingIOError):
            pair.exit.receive()
        assert pair.exit.receive() == b"%d" % number
        assert pair.send_all(b"answer", 300) == b"answer"


def test_what_comes_is_read_while_a_record_is_under_way(full: Updating) -> None:
    full.theirs.send(full.records.make(b"a request that is longer than a message for new keys"))
    assert full.exit.receive() == b"a request that is longer than a message for new keys"


def test_a_flood_of_new_keys_is_read_one_record_at_a_time(pair: Updating) -> None:
    # OpenSSL would go on reading them by itself, for as long as they come, and nobody else would be served.
    pair.theirs.send(b"".join(pair.records.key_update() for _ in range(3)) + pair.records.make(b"a request"))
    steps = []
    while b"a request" not in steps and len(steps) < 20:
        try:
            steps.append(pair.exit.receive())
        except BlockingIOError:
            steps.append(b"")
    assert steps[:3] == [b"", b"", b""]
    assert steps[-1] == b"a request"
