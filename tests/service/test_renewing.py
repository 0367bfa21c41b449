"""Can an embedding program renew the certificates of its service, and does it hear of what is wrong with files?"""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.authorities import Owner, family, make
from tests.support import GET, Server, serving
from twisted_wsgiref._connection import tls_transport

# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT, MIDDLE, FIRST = family()
_TURNS = 1000


def write(path: Path, owner: Owner) -> None:
    path.write_bytes(owner.key_pem() + owner.pem + MIDDLE.pem)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "all.pem", FIRST)
    return tmp_path / "all.pem"


@pytest.fixture(params=["ours", "twisted's"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who speaks TLS: it is the same to everybody."""
    if request.param != "ours":
        monkeypatch.setattr(tls_transport, "accept_straight", lambda *_: False)
    return str(request.param)


def shown(server: Server) -> int:
    """Return the number of the certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    place = ("127.0.0.1", server.service._listener.ports.opened[0].getHost().port)
    with contextlib.closing(socket.create_connection(place)) as sock:
        sock.setblocking(False)
        for _ in range(_TURNS):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                certificate: Any = end.getpeercert()
                sock.send(outgoing.read())
                server.settle()
                return int(certificate["serialNumber"], 16)
            sock.send(outgoing.read())
            server.settle()
            with contextlib.suppress(BlockingIOError):
                incoming.write(sock.recv(1 << 16))
    raise RuntimeError(f"no handshake: {server.logged()}")


def endpoint(kind: str, path: Path) -> dict[str, Any]:
    """Return what makes a service whose endpoint speaks TLS by the file at `path`."""
    if kind == "by options":
        return {"service": {"endpoints": ["tcp:0:interface=127.0.0.1"]}, "tls_cert": f"{path}"}
    return {"service": {"endpoints": [f"ssl:0:interface=127.0.0.1:certKey={path}"]}}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["by options", "by words"])
def test_a_program_renews_certificates(path: Path, kind: str) -> None:
    with serving(**endpoint(kind, path)) as server:
        service = server.service
        assert service.speaks_tls
        assert shown(server) == FIRST.certificate.serial_number
        path.write_bytes(b"nothing of the kind\n")
        assert service.renew_certificates() is False
        word = "tls_cert" if kind == "by options" else "certKey"
        said = f"certificates are not renewed, those of before stay: {word} is '{path}': there is no private key in it"
        assert said in server.logged()
        assert shown(server) == FIRST.certificate.serial_number
        fresh = make("localhost", MIDDLE)
        write(path, fresh)
        assert service.renew_certificates() is True
        assert shown(server) == fresh.certificate.serial_number


def test_without_tls_there_is_nothing_to_renew(path: Path) -> None:
    with serving() as server:
        assert (server.service.speaks_tls, server.service.renew_certificates()) == (False, True)
    with serving(**endpoint("by words", path)) as server:
        service = server.service
        service.stopService()
        assert (service.speaks_tls, service.renew_certificates()) == (False, True)
        service.startService()
        server.settle()
        assert service.speaks_tls
        assert shown(server) == FIRST.certificate.serial_number


def test_the_site_keeps_its_certificates_over_a_stop_that_is_taken_back(path: Path) -> None:
    with serving(status=f"ssl:0:interface=127.0.0.1:certKey={path}") as server:
        server.held = True
        server.ask(GET)  # while it runs, the stop waits, and so does the port of the site
        server.service.stopService()
        server.settle()
        server.service.startService()
        server.settle()
        path.write_bytes(b"nothing of the kind\n")
        assert server.service.renew_certificates() is False
        server.held = False
