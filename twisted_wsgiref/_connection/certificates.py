"""What an endpoint's words say of TLS: the files that they name, read and judged, as one context factory.

What lives here: ``ssl:`` descriptions, certificates and keys. What may not: connections, which are `secure`'s. All of
Twisted's own words are understood. What is different: the whole chain of the certificate's file is sent, as nginx and
gunicorn send it, in the order that RFC 5246, section 7.4.2, asks for; clients can be asked for certificates; sessions
may be resumed by tickets (RFC 8446, section 2.2; RFC 5077); and the files can be read anew. All is called in the
reactor's thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypedDict, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IAcceptableCiphers
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, DiffieHellmanParameters, TLSVersion
from twisted.python.filepath import FilePath

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# pyOpenSSL refuses other kinds with a TypeError.
_PrivateKey: TypeAlias = "RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey"

# In the order that they have in a description without names, which is that of Twisted's; the last five are ours.
_WORDS: Final = (
    *("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters"),
    *("clientCA", "clientVerify", "minimum", "passphraseFile", "tickets"),
)
# What is asked for with a `minimum`: Mozilla's "intermediate" profile, version 5.7, without those that need parameters
# of a file (DHE). Twisted alone would also take suites without forward secrecy.
_SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# The same profile's for TLS 1.3, in its order, which is that of the suites above: on most machines SHA-256 has
# instructions of its own, and a handshake takes about 15 secrets by it. OpenSSL's own order begins with AES-256 and
# SHA-384.
_SUITES_13: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_VERSIONS: Final = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}
_REQUIRED: Final = {"require": True, "optional": False}
_TICKETS: Final = {"on": True, "off": False}
# The key that encrypts tickets is its context's, and whoever gets hold of it can decrypt all sessions of TLS 1.2 whose
# tickets it has encrypted. So a context is used for so many seconds only, and sessions of before are not resumed then.
# OpenSSL would take a ticket for two hours, and keep the key for ever; nginx's sessions last for five minutes.
KEY_SECONDS: Final = 3600.0
# What OpenSSL and pyOpenSSL have against the contents of files.
_REFUSED: Final = (SSL.Error, crypto.Error, TypeError)
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class _More(TypedDict, total=False):
    """Arguments of `CertificateOptions` that a description may give."""

    method: int
    dhParameters: DiffieHellmanParameters
    verify: bool
    caCerts: list[crypto.X509]
    requireCertificate: bool
    raiseMinimumTo: object
    acceptableCiphers: IAcceptableCiphers
    enableSessionTickets: bool


class _All(_More):
    """All arguments of `CertificateOptions`."""

    privateKey: crypto.PKey
    certificate: crypto.X509
    extraCertChain: list[crypto.X509]


class Certificates(CertificateOptions):
    """The context of an endpoint, by the files that its `words` name. New connections get the one of now.

    A connection keeps the context that it began with. Raises `ValueError`, whose text is one line for people.
    """

    def __init__(self, words: dict[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self.words = words
        self._clock = clock
        self._given = _arguments(words)
        try:
            super().__init__(**self._given)
            self._take(super().getContext())  # made now: whatever OpenSSL refuses is said before anybody listens
        except _REFUSED as error:
            raise _refusal(words, error) from None

    def getContext(self) -> SSL.Context:
        """Return the context for a new connection."""
        if self._clock() >= self._until:
            try:
                self._take(CertificateOptions(**self._given).getContext())
            except (OSError, *_REFUSED):
                self._take(self._now)  # a file of parameters is away: the key of before serves on
        return self._now

    def renew(self) -> None:
        """Read the files anew. Raises `ValueError`, and all stays as it is, if they are not as they have to be."""
        given = _arguments(self.words)
        try:
            self._take(CertificateOptions(**given).getContext())
        except _REFUSED as error:
            raise _refusal(self.words, error) from None
        self._given = given

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """Return the connection of `protocol`. By ALPN its context asks that for what is spoken.

        Twisted's own also tells each connection what it would ask for as a client, which takes as long as all else.
        """
        return SSL.Connection(self.getContext())

    def _take(self, context: SSL.Context) -> None:
        choose = getattr(context, "set_tls13_ciphersuites", None)  # from pyOpenSSL 25.2 on
        if choose is not None and "minimum" in self.words:
            choose(_SUITES_13)
        self._now = context
        self._until = self._clock() + KEY_SECONDS if self.enableSessionTickets else float("inf")


class Secure(NamedTuple):
    """Where to listen, and how TLS is spoken there."""

    port: int
    interface: str
    backlog: int
    options: Certificates


def read_words(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the values of a description without its kind: those without names, and those with. A ``\\`` escapes."""
    plain: list[str] = []
    named: dict[str, str] = {}
    name, value = "", ""
    characters = iter(text)
    for each in characters:
        if each == ":":
            _put(plain, named, name, value)
            name, value = "", ""
        elif each == "=" and not name:
            name, value = value, ""
        else:
            value += next(characters, each) if each == "\\" else each
    _put(plain, named, name, value)
    return plain, named


def _put(plain: list[str], named: dict[str, str], name: str, value: str) -> None:
    if name:
        named[name] = value
    else:
        plain.append(value)


def read_secure(text: str) -> Secure:
    """Return what ``ssl:TEXT`` says. Raises `ValueError`, whose text is one line for people."""
    plain, named = read_words(text)
    if len(plain) > len(_WORDS):
        raise ValueError(f"there are {len(plain)} values, and {len(_WORDS)} words: {', '.join(_WORDS)}")
    words = dict(zip(_WORDS, plain, strict=False))
    for name, value in named.items():
        if name not in _WORDS:
            raise ValueError(f"{name!r} is no word of it: these are {', '.join(_WORDS)}")
        if name in words:
            raise ValueError(f"{name} is said twice")
        words[name] = value
    port, backlog = (_number(words, name) for name in ("port", "backlog"))
    return Secure(port, words.get("interface", ""), backlog, Certificates(words))


def _number(words: dict[str, str], name: str) -> int:
    text = words.get(name) or {"backlog": "50"}.get(name, "")
    if not (text.isascii() and text.isdigit()) or (name == "port" and int(text) > 65535):
        raise ValueError(f"{name} is {text!r}: it has to be a number" if text else f"{name} is missing")
    return int(text)


def _refusal(words: dict[str, str], error: Exception) -> ValueError:
    return ValueError(f"{_key_word(words)}, or what belongs to it, is nothing for TLS: {_reasons(error)}")


def _key_word(words: dict[str, str]) -> str:
    return "privateKey" if "privateKey" in words or "certKey" not in words else "certKey"


def _arguments(words: dict[str, str]) -> _All:
    """Return what `CertificateOptions` is to be told, by the files as they are now."""
    key, chain = _identity(words)
    more: _More = {}
    if "sslmethod" in words:
        method = getattr(SSL, words["sslmethod"], None)
        if not isinstance(method, int):
            raise ValueError(f"sslmethod is {words['sslmethod']!r}: pyOpenSSL has no such method")
        more["method"] = method
    if "dhParameters" in words:
        _read(words, "dhParameters")
        more["dhParameters"] = DiffieHellmanParameters.fromFile(FilePath(words["dhParameters"]))
    if "minimum" in words:
        if words["minimum"] not in _VERSIONS:
            raise ValueError(f"minimum is {words['minimum']!r}: it has to be {' or '.join(_VERSIONS)}")
        more["raiseMinimumTo"] = _VERSIONS[words["minimum"]]
        more["acceptableCiphers"] = AcceptableCiphers.fromOpenSSLCipherString(_SUITES)
    more |= _clients(words)
    more["enableSessionTickets"] = _gives_tickets(words)
    leaf, *above = map(crypto.X509.from_cryptography, chain)
    try:
        private = crypto.PKey.from_cryptography_key(key)
    except _REFUSED as error:
        raise _refusal(words, error) from None
    return {"privateKey": private, "certificate": leaf, "extraCertChain": above, **more}


def _gives_tickets(words: dict[str, str]) -> bool:
    """Return whether sessions may be resumed. Where clients show certificates only if the words ask for it."""
    said = words.get("tickets", "on" if "minimum" in words and "clientCA" not in words else "off")
    if said not in _TICKETS:
        raise ValueError(f"tickets is {said!r}: it has to be on or off")
    return _TICKETS[said]


def _identity(words: dict[str, str]) -> tuple[_PrivateKey, list[x509.Certificate]]:
    """Return the private key, and the certificates to send, that of the key first."""
    key_word = _key_word(words)
    certificate_word = "certKey" if "certKey" in words else "privateKey"
    words = {"privateKey": "server.pem", **words}  # as Twisted has it
    found = _KEY.search(_read(words, key_word))
    if found is None:
        hint = ": say privateKey=PATH" if key_word == "certKey" else ""
        raise ValueError(f"{key_word} is {words[key_word]!r}: there is no private key in it{hint}")
    key = _private(found[0], words, f"{key_word} is {words[key_word]!r}")
    given = _certificates(words, certificate_word)
    if "extraCertChain" in words:
        given += _certificates(words, "extraCertChain")
    owned = _public(key)
    leaf = next((each for each in given if _public(each) == owned != b""), None)
    if leaf is None:
        names = f"{certificate_word} is {words[certificate_word]!r}"
        raise ValueError(f"{names}: no certificate in it belongs to the key in {words[key_word]!r}")
    return key, _in_order(leaf, given)


def _private(pem: bytes, words: dict[str, str], named: str) -> _PrivateKey:
    passphrase = _read(words, "passphraseFile").rstrip(b"\r\n") if "passphraseFile" in words else None
    try:
        return cast(_PrivateKey, load_pem_private_key(pem, passphrase))
    except TypeError:
        wrong = "the key is encrypted, and nobody can be asked: give the file of its passphrase"
        if passphrase is not None:
            wrong = "the key is not encrypted, so there is no use for a passphrase"
        raise ValueError(f"{named}: {wrong}") from None
    except Exception as error:
        if passphrase is not None:
            raise ValueError(f"passphraseFile is {words['passphraseFile']!r}: it does not open the key") from None
        raise ValueError(f"{named}: the key can not be read: {error}") from None


def _in_order(leaf: x509.Certificate, given: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return `leaf`, then whoever issued each, and at last what leads nowhere, as some clients have use for it."""
    left = [each for i, each in enumerate(given) if each != leaf and each not in given[:i]]
    chain = [leaf]
    while (above := next((each for each in left if each.subject == chain[-1].issuer), None)) is not None:
        left.remove(above)
        chain.append(above)
    return chain + left


def _clients(words: dict[str, str]) -> _More:
    """Return how clients are asked for certificates."""
    how = words.get("clientVerify", "require")
    if "clientCA" not in words:
        if "clientVerify" in words:
            raise ValueError("clientVerify needs clientCA, the file of the authorities that sign clients' certificates")
        return {}
    if how not in _REQUIRED:
        raise ValueError(f"clientVerify is {how!r}: it has to be require or optional")
    authorities = [crypto.X509.from_cryptography(each) for each in _certificates(words, "clientCA")]
    return {"verify": True, "caCerts": authorities, "requireCertificate": _REQUIRED[how]}


def _certificates(words: dict[str, str], word: str) -> list[x509.Certificate]:
    found = _CERTIFICATE.findall(_read(words, word))
    if not found:
        raise ValueError(f"{word} is {words[word]!r}: there is no certificate in it")
    certificates = []
    for number, each in enumerate(found, 1):
        try:
            certificates.append(x509.load_pem_x509_certificate(each))
        except ValueError:
            raise ValueError(f"{word} is {words[word]!r}: certificate {number} in it can not be read") from None
    return certificates


def _read(words: dict[str, str], word: str) -> bytes:
    try:
        with open(words[word], "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{word} is {words[word]!r}: {error.strerror or error}") from None


def _public(owner: _PrivateKey | x509.Certificate) -> bytes:
    """Return the public key of a private one, or of a certificate; nothing for a kind that is not known."""
    try:
        made: bytes = owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:
        return b""
    return made


def _reasons(error: Exception) -> str:
    reasons = error.args[0] if error.args else ()
    return reasons if isinstance(reasons, str) else ", ".join(each[-1] for each in reasons) or type(error).__name__
