"""Do our own words for TLS reach every TCP port, and is each mistake in them told by the setting that it is in?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint

from tests.authorities import family
from twisted_wsgiref import SettingError, Settings, WSGIService
from twisted_wsgiref._connection.certificates import read_secure
from twisted_wsgiref._connection.tls_settings import endpoints_of

from .test_certificates import FILES, ROOT, folder, handshake

__all__ = ["folder"]
# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.usefixtures("folder")]

ALL = Settings(tls_cert="fullchain.pem", tls_key="key.pem")
WORDS = "certKey=fullchain.pem:privateKey=key.pem:minimum=1.2"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp:443", f"ssl:443:{WORDS}"),
        ("tcp:port=443:interface=127.0.0.1", f"ssl:443:interface=127.0.0.1:{WORDS}"),
        ("tcp:443:127.0.0.1:7", f"ssl:443:interface=127.0.0.1:backlog=7:{WORDS}"),
        ("tcp6:443", rf"ssl:443:interface=\:\::{WORDS}"),
        (r"tcp6:443:interface=\:\:1", rf"ssl:443:interface=\:\:1:{WORDS}"),
        ("haproxy:tcp:443", f"haproxy:ssl:443:{WORDS}"),
    ],
)
def test_a_tcp_port_speaks_tls(endpoint: str, expected: str) -> None:
    assert endpoints_of([endpoint], ALL) == (expected,)
    assert endpoints_of([expected], ALL) == (expected,)  # as a worker is given it
    assert endpoints_of([endpoint], Settings()) == (endpoint,)


def test_what_speaks_by_its_own_words_stays_as_it_is() -> None:
    given = ("tcp:443", "ssl:444:privateKey=a.pem", "unix:/run/a")
    assert endpoints_of(given, ALL)[1:] == given[1:]


@pytest.mark.parametrize(
    ("endpoints", "why"),
    [
        (["unix:/run/a"], "none of the endpoints is a TCP port, which could speak TLS"),
        (["tcp:443", "systemd:domain=INET:index=0"], "systemd: is an endpoint that can not speak TLS; TCP ports can"),
        ([TCP4ServerEndpoint(reactor, 0)], "an endpoint is a TCP4ServerEndpoint: it has to be text, as 'tcp:443'"),
    ],
)
def test_what_can_not_speak_tls_is_never_served_without_a_word(endpoints: list[Any], why: str) -> None:
    with pytest.raises(SettingError) as caught:
        endpoints_of(endpoints, ALL)
    assert str(caught.value).startswith(f"tls_cert is 'fullchain.pem': {why}")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"tls_cert": "nope.pem"}, "tls_cert is 'nope.pem': No such file or directory"),
        ({"tls_cert": "leaf.pem"}, "tls_cert is 'leaf.pem': there is no private key in it: the key is in another file"),
        ({"tls_cert": "leaf.pem", "tls_key": "nope"}, "tls_key is 'nope': No such file or directory"),
        ({"tls_cert": "leaf.pem", "tls_key": "encrypted.pem"}, "tls_key is 'encrypted.pem': the key is encrypted, and"),
        (
            {"tls_cert": "stranger.pem", "tls_key": "key.pem"},
            "tls_cert is 'stranger.pem': no certificate in it belongs to the key in 'key.pem'",
        ),
        (
            {"tls_cert": "all.pem", "tls_client_ca": "text.txt"},
            "tls_client_ca is 'text.txt': there is no certificate in it",
        ),
        (
            {"tls_cert": "leaf.pem", "tls_key": "encrypted.pem", "tls_passphrase_file": "text.txt"},
            "tls_passphrase_file is 'text.txt': it does not open the key",
        ),
        (
            {"tls_cert": "all.pem", "tls_passphrase_file": "text.txt"},
            "tls_cert is 'all.pem': the key is not encrypted, so there is no use for a passphrase",
        ),
        (
            {"tls_cert": "leaf.pem", "tls_key": "encrypted.pem", "tls_passphrase_file": "nope"},
            "tls_passphrase_file is 'nope': No such file or directory",
        ),
    ],
)
def test_a_mistake_is_told_by_its_setting(given: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingError) as caught:
        WSGIService(lambda environ, start_response: [], ["tcp:0"], Settings(**given))
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("name", ["tls_key", "tls_client_ca", "tls_passphrase_file"])
def test_nothing_of_it_goes_without_a_certificate(name: str) -> None:
    alone: Any = {name: "key.pem"}
    with pytest.raises(SettingError, match=f"{name} is 'key.pem': tls_cert has to be set, too"):
        Settings(**alone)


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match=r"tls_min is '1.1': neither 1.2 nor 1.3"):
        Settings(tls_min="1.1")


def served(endpoint: str) -> SSL.Context:
    context: SSL.Context = read_secure(endpoint.removeprefix("ssl:")).options.getContext()
    return context


def made(**given: Any) -> str:
    endpoint = endpoints_of("tcp:443", Settings(**given))[0]
    assert isinstance(endpoint, str)
    return endpoint


def test_a_passphrase_comes_from_its_file(folder: Path) -> None:
    (folder / "secret").write_bytes(b"secret\n")
    endpoint = made(tls_cert="fullchain.pem", tls_key="encrypted.pem", tls_passphrase_file="secret")
    _, there = handshake(served(endpoint))
    assert there.get_protocol_version_name() == "TLSv1.3"


def test_paths_may_have_colons_and_backslashes(folder: Path) -> None:
    os.rename(folder / "all.pem", folder / r"a:b\c=.pem")
    handshake(served(made(tls_cert=r"a:b\c=.pem")))


def test_clients_are_asked_for_certificates() -> None:
    context = served(made(tls_cert="fullchain.pem", tls_key="key.pem", tls_client_ca="root.pem"))
    with pytest.raises(SSL.Error):
        handshake(context)
    assert ROOT is family()[0]
    assert "root.pem" in FILES


@pytest.mark.parametrize(
    ("least", "most", "suites", "version"),
    [
        ("1.2", SSL.TLS1_2_VERSION, b"ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2"),
        ("1.2", SSL.TLS1_2_VERSION, b"ECDHE-ECDSA-AES256-SHA384", None),  # a suite of blocks (CBC)
        ("1.2", SSL.TLS1_1_VERSION, b"ALL:@SECLEVEL=0", None),
        ("1.3", SSL.TLS1_2_VERSION, b"ECDHE-ECDSA-AES128-GCM-SHA256", None),
        ("1.3", SSL.TLS1_3_VERSION, b"ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.3"),
    ],
)
def test_versions_and_suites_are_those_of_mozillas_profile(
    least: str, most: int, suites: bytes, version: str | None
) -> None:
    here = SSL.Connection(served(made(tls_cert="fullchain.pem", tls_key="key.pem", tls_min=least)), None)
    theirs = SSL.Context(SSL.TLS_METHOD)
    theirs.set_max_proto_version(most)
    theirs.set_cipher_list(suites)
    there = SSL.Connection(theirs, None)
    here.set_accept_state()
    there.set_connect_state()
    assert shaken(here, there) == version


def shaken(here: SSL.Connection, there: SSL.Connection) -> str | None:
    """Return the version that both ends speak after a handshake in memory; None if it failed."""
    for _ in range(10):
        for one, other in ((there, here), (here, there)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return None
            try:
                other.bio_write(one.bio_read(65536))
            except SSL.WantReadError:
                pass
    return there.get_protocol_version_name()
