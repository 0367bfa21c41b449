"""Do new connections get the certificates of now, and do sessions go on no longer than they may?"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.task import Clock

from tests.authorities import family, make
from twisted_wsgiref import Settings
from twisted_wsgiref._connection.certificates import KEY_SECONDS, Certificates, read_secure, read_words
from twisted_wsgiref._connection.tls_settings import endpoints_of, renewed

from .test_certificates import FILES, ROOT, folder

__all__ = ["folder"]
# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.usefixtures("folder")]

MIDDLE = family()[1]
PROFILE = "privateKey=all.pem:minimum=1.2"


def made(text: str, clock: Any = lambda: 0.0) -> Certificates:
    return Certificates(read_words(text)[1], clock)


def trusting(most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, own: str = "") -> ssl.SSLContext:
    """Return the context of a client that trusts the root; `own` is the file of its certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    context.maximum_version = most
    if own:
        context.load_cert_chain(own)
    return context


def met(
    options: Certificates, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, SSL.Connection]:
    """Return a client's end and the server's after a handshake in memory, and after a byte of the server's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    here = SSL.Connection(options.getContext(), None)
    here.set_accept_state()
    for _ in range(6):
        with contextlib.suppress(ssl.SSLWantReadError):
            there.do_handshake()
        if data := outgoing.read():
            here.bio_write(data)
        with contextlib.suppress(SSL.WantReadError):
            here.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            incoming.write(here.bio_read(1 << 16))
    here.send(b"x")
    incoming.write(here.bio_read(1 << 16))
    assert there.read(1) == b"x"  # the tickets of TLS 1.3 come before it
    return there, here


def serial(end: ssl.SSLObject) -> int:
    shown: Any = end.getpeercert()
    return int(shown["serialNumber"], 16)


def renew_file(folder: Path, name: str = "all.pem") -> int:
    """Put another certificate and key in the place of those of the file; return its number."""
    fresh = make("localhost", MIDDLE)
    (folder / name).write_bytes(fresh.key_pem() + fresh.pem + MIDDLE.pem)
    return fresh.certificate.serial_number


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.mark.parametrize("text", ["privateKey=all.pem", PROFILE])
def test_new_connections_get_the_certificate_of_now(folder: Path, text: str) -> None:
    options, client = made(text), trusting()
    before, here = met(options, client)
    number = renew_file(folder)
    assert serial(met(options, client)[0]) == serial(before) != number
    options.renew()
    assert serial(met(options, client)[0]) == number
    here.send(b"y")  # the other one goes on
    assert here.get_context() is not options.getContext()


@pytest.mark.parametrize(
    "content",
    [None, b"nothing of the kind\n", FILES["leaf.pem"], FILES["broken.pem"]],
    ids=["none", "text", "no key", "broken"],  # two processes make two certificates, and have to agree on the names
)
def test_files_that_are_not_as_they_have_to_be_change_nothing(folder: Path, content: bytes | None) -> None:
    options, client = made(PROFILE), trusting()
    before = options.getContext()
    (folder / "all.pem").unlink()
    if content is not None:
        (folder / "all.pem").write_bytes(content)
    with pytest.raises(ValueError, match=r"^privateKey is 'all.pem': "):
        options.renew()
    assert options.getContext() is before
    number = renew_file(folder)
    options.renew()
    assert serial(met(options, client)[0]) == number


def test_a_mistake_is_told_once_and_by_the_word_that_gave_the_file(folder: Path) -> None:
    settings = Settings(tls_cert="fullchain.pem", tls_key="key.pem")
    given = [*endpoints_of(["tcp:1", "tcp:2"], settings), "ssl:3:privateKey=all.pem"]
    all_of_them = [read_secure(str(each).removeprefix("ssl:")).options for each in given]
    (folder / "key.pem").write_bytes(FILES["strangers-key.pem"])
    (folder / "all.pem").unlink()
    assert renewed(all_of_them, settings) == [
        "tls_cert is 'fullchain.pem': no certificate in it belongs to the key in 'key.pem'",
        "privateKey is 'all.pem': No such file or directory",
    ]
    (folder / "key.pem").write_bytes(FILES["key.pem"])
    number = renew_file(folder)
    assert renewed(all_of_them, settings) == []
    assert serial(met(all_of_them[2], trusting())[0]) == number


# ---- Sessions ------------------------------------------------------------------------------------------------------


@VERSIONS
def test_a_session_goes_on(version: ssl.TLSVersion) -> None:
    options, client = made(PROFILE), trusting(version)
    first, _ = met(options, client)
    again, here = met(options, client, first.session)
    assert (first.session_reused, again.session_reused) == (False, True)
    assert again.version() == here.get_protocol_version_name() == version.name.replace("_", ".")
    assert met(options, client, again.session)[0].session_reused


@VERSIONS
@pytest.mark.parametrize(
    ("words", "goes_on"),
    [
        ("privateKey=all.pem", False),  # Twisted's own default
        ("privateKey=all.pem:tickets=on", True),
        (f"{PROFILE}:tickets=off", False),
        (f"{PROFILE}:clientCA=root.pem", False),  # each client is to show its certificate
        (f"{PROFILE}:clientCA=root.pem:clientVerify=optional", False),
        (f"{PROFILE}:clientCA=root.pem:tickets=on", True),
    ],
)
def test_the_words_say_whether_a_session_goes_on(
    folder: Path, words: str, goes_on: bool, version: ssl.TLSVersion
) -> None:
    known = make("known", ROOT)
    (folder / "known.pem").write_bytes(known.key_pem() + known.pem)
    options, client = made(words), trusting(version, "known.pem")
    first, before = met(options, client)
    again, after = met(options, client, first.session)
    assert again.session_reused is goes_on
    shown = [each.get_peer_certificate() for each in (before, after)]
    expected = known.certificate if "clientCA" in words else None
    assert [each and each.to_cryptography() for each in shown] == [expected, expected]


def test_a_wrong_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tickets is 'yes': it has to be on or off$"):
        made("privateKey=all.pem:tickets=yes")


@VERSIONS
def test_a_session_ends_with_the_key_of_its_tickets(folder: Path, version: ssl.TLSVersion) -> None:
    clock = Clock()
    options, client = made(PROFILE, clock.seconds), trusting(version)
    (folder / "all.pem").unlink()  # the files are not read for it
    first, _ = met(options, client)
    clock.advance(KEY_SECONDS - 1)
    assert met(options, client, first.session)[0].session_reused
    clock.advance(1)
    again, _ = met(options, client, first.session)
    assert not again.session_reused
    assert serial(again) == serial(first)
    clock.advance(KEY_SECONDS - 1)
    assert met(options, client, again.session)[0].session_reused


@VERSIONS
def test_a_session_of_another_endpoint_does_not_go_on(version: ssl.TLSVersion) -> None:
    client = trusting(version)
    first, _ = met(made(PROFILE), client)
    assert not met(made(PROFILE), client, first.session)[0].session_reused


@VERSIONS
def test_a_session_ends_when_certificates_are_renewed(folder: Path, version: ssl.TLSVersion) -> None:
    options, client = made(PROFILE), trusting(version)
    first, _ = met(options, client)
    number = renew_file(folder)
    options.renew()
    again, _ = met(options, client, first.session)
    assert (again.session_reused, serial(again)) == (False, number)


def test_without_tickets_a_context_stays_for_ever() -> None:
    clock = Clock()
    options = made("privateKey=all.pem", clock.seconds)
    before = options.getContext()
    clock.advance(KEY_SECONDS * 1000)
    assert options.getContext() is before
