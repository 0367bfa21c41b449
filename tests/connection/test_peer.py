"""Does an application learn whose certificate a client has shown, and which local user has come?"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.address import UNIXAddress

from tests.authorities import Owner, family, make
from tests.connection.test_certificates import handshake
from tests.connection.test_secure import Visitor, fetch, listens_on
from tests.support import request, serving
from twisted_wsgiref._connection import peer as peer_module
from twisted_wsgiref._connection.certificates import read_secure
from twisted_wsgiref._connection.peer import certificate_facts, local_facts, tls_facts

# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ALICE = make(
    "\xe4lice",
    family()[0],
    serial=0xABC,
    more=(
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, "Shop, Ltd"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "stock"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "sales"),
        (NameOID.EMAIL_ADDRESS, "alice@shop.example"),
    ),
    names=[x509.RFC822Name("alice@shop.example"), x509.DNSName("alice.example")],
)
SAID = {
    "SSL_CLIENT_VERIFY": "SUCCESS",
    "SSL_CLIENT_M_VERSION": "3",
    "SSL_CLIENT_M_SERIAL": "0ABC",
    "SSL_CLIENT_V_START": "Jan  5 06:07:08 2026 GMT",
    "SSL_CLIENT_V_END": "Dec 12 06:07:08 2125 GMT",
    "SSL_CLIENT_S_DN": "CN=\xc3\xa4lice,emailAddress=alice@shop.example,OU=sales,OU=stock,O=Shop\\, Ltd,C=DE",
    "SSL_CLIENT_S_DN_CN": "\xc3\xa4lice",
    "SSL_CLIENT_S_DN_C": "DE",
    "SSL_CLIENT_S_DN_O": "Shop, Ltd",
    "SSL_CLIENT_S_DN_OU": "stock",
    "SSL_CLIENT_S_DN_OU_1": "sales",
    "SSL_CLIENT_S_DN_Email": "alice@shop.example",
    "SSL_CLIENT_I_DN": "CN=root",
    "SSL_CLIENT_I_DN_CN": "root",
    "SSL_CLIENT_SAN_Email_0": "alice@shop.example",
    "SSL_CLIENT_SAN_DNS_0": "localhost",
    "SSL_CLIENT_SAN_DNS_1": "alice.example",
    "SSL_CLIENT_CERT": ALICE.pem.decode(),
}


def test_a_certificate_says_all_that_apache_would_say() -> None:
    assert certificate_facts(ALICE.certificate) == SAID


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    """That of a server which asks for certificates, and takes none for an answer."""
    root, middle, leaf = family()
    (tmp_path / "all.pem").write_bytes(leaf.key_pem() + leaf.pem + middle.pem)
    (tmp_path / "root.pem").write_bytes(root.pem)
    words = f"0:{tmp_path}/all.pem:interface=127.0.0.1:clientCA={tmp_path}/root.pem:clientVerify=optional"
    made: SSL.Context = read_secure(words).options.getContext()
    return made


class Transport:
    """As Twisted's: its handle is OpenSSL's connection."""

    def __init__(self, connection: Any) -> None:
        self.getHandle: Callable[[], Any] = lambda: connection


@pytest.mark.parametrize("client", [None, ALICE], ids=["nobody", "alice"])
def test_how_tls_is_spoken(context: SSL.Context, client: Owner | None) -> None:
    here, _ = handshake(context, client)
    told = tls_facts(Transport(here))
    assert told.pop("SSL_PROTOCOL") == "TLSv1.3"
    assert told.pop("SSL_CIPHER").startswith("TLS_")
    assert told.pop("SSL_CIPHER_USEKEYSIZE") in ("128", "256")
    assert told == (SAID if client else {"SSL_CLIENT_VERIFY": "NONE"})


def test_a_certificate_that_can_not_be_read_names_nobody(context: SSL.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = handshake(context, ALICE)

    def unreadable(certificate: Any) -> Any:
        raise ValueError("not well-formed")

    monkeypatch.setattr(peer_module, "certificate_facts", unreadable)
    told = tls_facts(Transport(here))
    assert told["SSL_CLIENT_VERIFY"] == "FAILED:the certificate can not be read"
    assert [name for name in told if name.startswith("SSL_CLIENT_")] == ["SSL_CLIENT_VERIFY"]


def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with all that could be of a peer."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({k: v for k, v in environ.items() if "SSL_" in k or "X_REMOTE" in k}).encode()]


FORGED = request(fields="SSL_CLIENT_VERIFY: SUCCESS\nSSL-Client-Verify: SUCCESS\nX-Remote-UID: 0\nConnection: close")


def test_the_environ_says_it_and_no_field_can(context: SSL.Context, tmp_path: Path) -> None:
    with serving(tell) as server:
        listens_on(server, f"ssl:0:{tmp_path}/all.pem:interface=127.0.0.1")
        visitor = Visitor(server)
        told = json.loads(fetch(visitor, FORGED, False).partition(b"\r\n\r\n")[2])
        visitor.close()
    assert told.pop("HTTP_SSL_CLIENT_VERIFY") == "SUCCESS"
    assert told.pop("HTTP_X_REMOTE_UID") == "0"
    assert set(told) == {"SSL_PROTOCOL", "SSL_CIPHER", "SSL_CIPHER_USEKEYSIZE", "SSL_CLIENT_VERIFY"}
    assert told["SSL_CLIENT_VERIFY"] == "NONE"


def test_a_plain_connection_says_nothing() -> None:
    with serving(tell) as server:
        (answer,) = server.ask(request()).answers()
        assert json.loads(answer.body) == {}


needs_credentials = pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell")


@needs_credentials
def test_a_local_user_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tell) as server:
        client = server.connect()
        client.transport.getHost = client.transport.getPeer = lambda: UNIXAddress(b"/run/x")
        client.send(request())
        server.settle()
        (answer,) = client.answers()
    assert json.loads(answer.body) == {
        "X_REMOTE_PID": str(os.getpid()),
        "X_REMOTE_UID": str(os.getuid()),
        "X_REMOTE_GID": str(os.getgid()),
    }


def test_where_nobody_can_be_named_nothing_is_said() -> None:
    assert local_facts(None) == {}
    with socket.socket() as tcp:
        assert local_facts(tcp) == {}
    closed = socket.socket(socket.AF_UNIX)
    closed.close()
    assert local_facts(closed) == {}


def test_the_server_name_that_a_client_asks_for_is_told(context: SSL.Context) -> None:
    theirs = SSL.Context(SSL.TLS_METHOD)
    here, there = SSL.Connection(context, None), SSL.Connection(theirs, None)
    there.set_tlsext_host_name(b"shop.example")
    here.set_accept_state()
    there.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        there.do_handshake()
    here.bio_write(there.bio_read(1 << 16))
    with pytest.raises(SSL.WantReadError):
        here.do_handshake()
    assert tls_facts(Transport(here))["SSL_TLS_SNI"] == "shop.example"
