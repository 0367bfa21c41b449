"""Is what ``ssl:`` endpoints are told served whole, and each mistake in it one clear line?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from OpenSSL import SSL, crypto
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from tests.authorities import Owner, family, make
from twisted_wsgiref._connection.certificates import read_secure, read_words
from twisted_wsgiref._connection.endpoints import ListenError, parse_endpoint
from twisted_wsgiref._twisted.private_tls import make_tls

# Twisted's own TLS uses what pyOpenSSL deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT, MIDDLE, LEAF = family()
FILES: dict[str, bytes] = {
    "key.pem": LEAF.key_pem(),
    "leaf.pem": LEAF.pem,
    "middle.pem": MIDDLE.pem,
    "fullchain.pem": LEAF.pem + MIDDLE.pem,
    "with-root.pem": LEAF.pem + MIDDLE.pem + ROOT.pem,
    "backwards.pem": ROOT.pem + MIDDLE.pem + LEAF.pem,
    "all.pem": LEAF.key_pem() + LEAF.pem + MIDDLE.pem,
    "windows.pem": (LEAF.pem + MIDDLE.pem).replace(b"\n", b"\r\n"),
    "stranger.pem": make("stranger").pem,
    "strangers-key.pem": make("stranger").key_pem(),
    "encrypted.pem": LEAF.key_pem(b"secret"),
    "broken.pem": LEAF.pem + MIDDLE.pem.replace(b"MII", b"@@@"),
    "broken-key.pem": LEAF.key_pem().replace(b"MIG", b"@@@"),
    "text.txt": b"nothing of the kind\n",
    "root.pem": ROOT.pem,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def handshake(context: SSL.Context, client: Owner | None = None) -> tuple[SSL.Connection, SSL.Connection]:
    """Return the server's and the client's connection, after a handshake in memory. Raises `SSL.Error`."""
    theirs = SSL.Context(SSL.TLS_METHOD)
    theirs.set_verify(SSL.VERIFY_PEER)
    store: Any = theirs.get_cert_store()
    store.add_cert(crypto.X509.from_cryptography(ROOT.certificate))
    if client is not None:
        theirs.use_certificate(crypto.X509.from_cryptography(client.certificate))
        theirs.use_privatekey(crypto.PKey.from_cryptography_key(client.key))
    here, there = SSL.Connection(context, None), SSL.Connection(theirs, None)
    here.set_accept_state()
    return shaken(here, there)


def shaken(here: SSL.Connection, there: SSL.Connection) -> tuple[SSL.Connection, SSL.Connection]:
    """Return both, after a handshake in memory. Raises `SSL.Error`."""
    there.set_connect_state()
    for _ in range(6):
        for one, other in ((there, here), (here, there)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                other.bio_write(one.bio_read(1 << 16))
            except SSL.WantReadError:
                pass
    return here, there


def sent(text: str) -> list[str]:
    """Return whose certificates a client gets, which trusts the root alone."""
    _, there = handshake(read_secure(text).options.getContext())
    chain = there.get_peer_cert_chain() or []
    return [str(each.to_cryptography().subject.rfc4514_string()).removeprefix("CN=") for each in chain]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "text",
    [
        "443:privateKey=key.pem:certKey=fullchain.pem",
        "443:key.pem:fullchain.pem",
        "443:privateKey=key.pem:certKey=leaf.pem:extraCertChain=middle.pem",
        "443:privateKey=key.pem:certKey=fullchain.pem:extraCertChain=middle.pem",
        "443:privateKey=key.pem:certKey=fullchain.pem:extraCertChain=fullchain.pem",
        "443:privateKey=key.pem:certKey=windows.pem",
        "443:privateKey=all.pem",
        "443:certKey=all.pem",
    ],
)
def test_the_whole_chain_is_sent(text: str) -> None:
    assert sent(text) == ["localhost", "middle"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["with-root.pem", "backwards.pem"])
def test_a_chain_is_sent_in_its_order_whatever_that_of_the_file(name: str) -> None:
    assert sent(f"443:privateKey=key.pem:certKey={name}") == ["localhost", "middle", "root"]


def test_what_leads_nowhere_is_sent_last(folder: Path) -> None:
    (folder / "more.pem").write_bytes(FILES["stranger.pem"] + FILES["fullchain.pem"])
    assert sent("443:privateKey=key.pem:certKey=more.pem") == ["localhost", "middle", "stranger"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "port is missing"),
        ("https", "port is 'https': it has to be a number"),
        ("70000", "port is '70000': it has to be a number"),
        ("443:backlog=many", "backlog is 'many': it has to be a number"),
        ("443", "privateKey is 'server.pem': No such file or directory"),
        ("443:privateKey=none.pem", "privateKey is 'none.pem': No such file or directory"),
        ("443:privateKey=key.pem:certKey=none.pem", "certKey is 'none.pem': No such file or directory"),
        ("443:privateKey=key.pem", "privateKey is 'key.pem': there is no certificate in it"),
        ("443:privateKey=leaf.pem", "privateKey is 'leaf.pem': there is no private key in it"),
        ("443:certKey=leaf.pem", "certKey is 'leaf.pem': there is no private key in it: say privateKey=PATH"),
        ("443:privateKey=key.pem:certKey=text.txt", "certKey is 'text.txt': there is no certificate in it"),
        (
            "443:privateKey=key.pem:certKey=leaf.pem:extraCertChain=text.txt",
            "extraCertChain is 'text.txt': there is no certificate in it",
        ),
        ("443:privateKey=key.pem:certKey=broken.pem", "certKey is 'broken.pem': certificate 2 in it can not be read"),
        (
            "443:privateKey=encrypted.pem:certKey=leaf.pem",
            "privateKey is 'encrypted.pem': the key is encrypted, and nobody can be asked",
        ),
        ("443:privateKey=broken-key.pem:certKey=leaf.pem", "privateKey is 'broken-key.pem': the key can not be read"),
        (
            "443:privateKey=strangers-key.pem:certKey=fullchain.pem",
            "certKey is 'fullchain.pem': no certificate in it belongs to the key in 'strangers-key.pem'",
        ),
        ("443:privateKey=all.pem:cert=all.pem", "'cert' is no word of it: these are port, privateKey, certKey, "),
        ("443:key.pem:privateKey=key.pem", "privateKey is said twice"),
        ("443:privateKey=all.pem:sslmethod=NOTHING", "sslmethod is 'NOTHING': pyOpenSSL has no such method"),
        ("443:privateKey=all.pem:dhParameters=none.pem", "dhParameters is 'none.pem': No such file or directory"),
        ("443:privateKey=all.pem:dhParameters=text.txt", "privateKey, or what belongs to it, is nothing for TLS: "),
        ("443:privateKey=all.pem:clientCA=none.pem", "clientCA is 'none.pem': No such file or directory"),
        ("443:privateKey=all.pem:clientVerify=optional", "clientVerify needs clientCA, "),
        (
            "443:privateKey=all.pem:clientCA=root.pem:clientVerify=yes",
            "clientVerify is 'yes': it has to be require or optional",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["ssl", "tls", "haproxy:ssl"])
def test_each_mistake_is_one_clear_line(kind: str, text: str, line: str) -> None:
    with pytest.raises(ListenError) as caught:
        parse_endpoint(reactor, f"{kind}:{text}")
    said = str(caught.value)
    assert said.startswith(f"can not listen on '{kind.removeprefix('haproxy:')}:{text}': {line}")
    assert "\n" not in said


@pytest.mark.usefixtures("folder")
def test_twisteds_other_words_mean_what_they_mean_there() -> None:
    secure = read_secure(r"8443:all.pem:interface=\:\:1:backlog=7:sslmethod=TLSv1_2_METHOD")
    assert (secure.port, secure.interface, secure.backlog) == (8443, "::1", 7)
    here, _ = handshake(secure.options.getContext())
    assert here.get_protocol_version_name() == "TLSv1.2"
    assert read_secure("8443:all.pem").backlog == 50
    endpoint: Any = parse_endpoint(reactor, r"tls:8443:all.pem:interface=127.0.0.1")
    assert isinstance(endpoint, SSL4ServerEndpoint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("443", (["443"], {})),
        ("443:key.pem:certKey=c.pem", (["443", "key.pem"], {"certKey": "c.pem"})),
        ("443::c.pem", (["443", "", "c.pem"], {})),
        (r"443:privateKey=C\:\\k.pem:interface=\:\:", (["443"], {"privateKey": "C:\\k.pem", "interface": "::"})),
        ("443:privateKey=a=b", (["443"], {"privateKey": "a=b"})),
        (r"443:a\=b", (["443", "a=b"], {})),
        ("443:", (["443", ""], {})),
        ("443:a\\", (["443", "a\\"], {})),
    ],
)
def test_words_are_read_as_twisted_reads_them(text: str, expected: Any) -> None:
    assert read_words(text) == expected


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("how", "client", "fits"),
    [
        ("", None, False),
        ("", "known", True),
        ("", "stranger", False),
        (":clientVerify=require", None, False),
        (":clientVerify=optional", None, True),
        (":clientVerify=optional", "known", True),
        (":clientVerify=optional", "stranger", False),
    ],
)
def test_clients_are_asked_for_certificates(how: str, client: str | None, fits: bool) -> None:
    people: dict[str | None, Callable[[], Owner | None]] = {
        None: lambda: None,
        "known": lambda: make("known", ROOT),
        "stranger": lambda: make("stranger"),
    }
    context = read_secure(f"443:all.pem:clientCA=root.pem{how}").options.getContext()
    if not fits:
        with pytest.raises(SSL.Error):
            handshake(context, people[client]())
    else:
        here, _ = handshake(context, people[client]())
        assert (here.get_peer_certificate() is None) == (client is None)


# ---- How TLS is spoken ---------------------------------------------------------------------------------------------

IDENTITY = "443:privateKey=key.pem:certKey=fullchain.pem"


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(not hasattr(SSL.Context, "set_tls13_ciphersuites"), reason="pyOpenSSL can not choose them")
@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
def test_with_a_minimum_the_suites_of_tls_1_3_are_in_the_order_of_its_profile(minimum: str) -> None:
    options = read_secure(f"{IDENTITY}:minimum={minimum}").options
    here, _ = handshake(options.getContext())
    assert here.get_cipher_name() == "TLS_AES_128_GCM_SHA256"
    options.renew()
    here, _ = handshake(options.getContext())
    assert here.get_cipher_name() == "TLS_AES_128_GCM_SHA256"


@pytest.mark.usefixtures("folder")
def test_without_a_minimum_the_suites_are_openssl_s_own() -> None:
    own = SSL.Context(SSL.TLS_METHOD)
    own.use_certificate(crypto.X509.from_cryptography(LEAF.certificate))
    own.use_privatekey(crypto.PKey.from_cryptography_key(LEAF.key))
    own.add_extra_chain_cert(crypto.X509.from_cryptography(MIDDLE.certificate))
    expected, _ = handshake(own)
    here, _ = handshake(read_secure(IDENTITY).options.getContext())
    assert here.get_cipher_name() == expected.get_cipher_name()


@implementer(IProtocolNegotiationFactory)
class Speaking(Factory):
    """What speaks two protocols."""

    protocol = Protocol

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1", b"http/1.0"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("offered", "found"), [([b"h2", b"http/1.1"], b"http/1.1"), ([b"http/1.0"], b"http/1.0"), ([], b"")]
)
def test_a_connection_finds_the_protocol_that_both_speak(offered: list[bytes], found: bytes) -> None:
    factory = TLSMemoryBIOFactory(read_secure(IDENTITY).options, False, Speaking())
    context = SSL.Context(SSL.TLS_METHOD)
    if offered:
        context.set_alpn_protos(offered)
    here, _ = shaken(make_tls(factory, SimpleNamespace(factory=factory), None), SSL.Connection(context, None))
    assert here.get_alpn_proto_negotiated() == found
