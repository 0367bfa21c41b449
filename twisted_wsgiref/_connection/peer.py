"""What a connection proves of its other end, as an application reads it: TLS and certificates, and local users.

The names are those of Apache's mod_ssl (its page of environment variables) and, for local users, of cheroot. None of
them can come from a header field, whose names all begin with ``HTTP_``. Asked once for each connection, in the
reactor's thread.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.interfaces import ISystemHandle

from twisted_wsgiref._observe.log import logger

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL

_log = logger(__name__)

# Linux: a process, a user and a group, as numbers.
_CREDENTIALS: Final = struct.Struct("iII")
_PEERCRED: Final[int | None] = getattr(socket, "SO_PEERCRED", None)
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"  # whatever the locale
# RFC 4514, section 3, and mod_ssl's own.
_ATTRIBUTES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "S",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "T",
    "2.5.4.13": "D",
    "2.5.4.42": "G",
    "2.5.4.43": "I",
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "Email",
}
_EMAIL: Final = "1.2.840.113549.1.9.1"


def local_facts(sock: socket.socket | None) -> dict[str, str]:
    """Return who connected to the UNIX socket `sock`: its process, user and group, by number, where the system tells.

    ``X_REMOTE_PID``, ``X_REMOTE_UID`` and ``X_REMOTE_GID``, as they were when it connected.
    """
    if sock is None or sock.family != getattr(socket, "AF_UNIX", None):
        return {}
    return {**user_facts(sock)}


def user_facts(sock: socket.socket) -> Mapping[str, str]:
    """As `local_facts`, of a socket that is known to be a UNIX socket. The mapping is to be copied."""
    if _PEERCRED is None:
        return {}
    try:
        return _facts_of(sock.getsockopt(socket.SOL_SOCKET, _PEERCRED, _CREDENTIALS.size))
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _facts_of(told: bytes) -> Mapping[str, str]:
    # A proxy of few processes makes a connection for each request.
    process, user, group = _CREDENTIALS.unpack(told)
    return {"X_REMOTE_PID": str(process), "X_REMOTE_UID": str(user), "X_REMOTE_GID": str(group)}


def tls_facts(transport: object) -> dict[str, str]:
    """Return how TLS is spoken on `transport`, and what the client's certificate says, if it has shown one.

    That was verified by the context of the endpoint, or the handshake would have failed.
    """
    connection = cast("SSL.Connection", cast(ISystemHandle, transport).getHandle())
    facts = {
        "SSL_PROTOCOL": connection.get_protocol_version_name(),
        "SSL_CIPHER": connection.get_cipher_name() or "",
        "SSL_CIPHER_USEKEYSIZE": str(connection.get_cipher_bits() or 0),
        "SSL_CLIENT_VERIFY": "NONE",
    }
    name = connection.get_servername()
    if name:
        facts["SSL_TLS_SNI"] = name.decode("latin-1")
    shown = connection.get_peer_certificate()
    if shown is not None:
        try:
            facts |= certificate_facts(shown.to_cryptography())
        except Exception as error:
            # OpenSSL has verified what is not well-formed to others: then nobody is named by it.
            _log.error("a client's certificate can not be read: {error}", error=error)
            facts["SSL_CLIENT_VERIFY"] = "FAILED:the certificate can not be read"
    return facts


def certificate_facts(certificate: x509.Certificate) -> dict[str, str]:
    """Return what a verified `certificate` of a client's says. Raises whatever `cryptography` has against it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    serial = f"{certificate.serial_number:X}"
    # Older releases of cryptography have them without a time zone.
    first = getattr(certificate, "not_valid_before_utc", None) or certificate.not_valid_before
    last = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after
    facts = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_M_VERSION": str(certificate.version.value + 1),
        "SSL_CLIENT_M_SERIAL": "0" * (len(serial) % 2) + serial,
        "SSL_CLIENT_V_START": _date(first),
        "SSL_CLIENT_V_END": _date(last),
        "SSL_CLIENT_CERT": certificate.public_bytes(Encoding.PEM).decode("ascii"),
    }
    for key, name in (("SSL_CLIENT_S_DN", certificate.subject), ("SSL_CLIENT_I_DN", certificate.issuer)):
        facts[key] = _native(name.rfc4514_string({x509.ObjectIdentifier(_EMAIL): "emailAddress"}))
        for attribute in name:
            part = _ATTRIBUTES.get(attribute.oid.dotted_string)
            if part is not None and isinstance(attribute.value, str):
                _put(facts, f"{key}_{part}", attribute.value)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return facts
    for kind, word in ((x509.RFC822Name, "Email"), (x509.DNSName, "DNS")):
        for number, value in enumerate(names.get_values_for_type(kind)):
            facts[f"SSL_CLIENT_SAN_{word}_{number}"] = _native(value)
    return facts


def _put(facts: dict[str, str], key: str, value: str) -> None:
    """Add `value`; of several with one name, all but the first are numbered."""
    number, free = 0, key
    while free in facts:
        number += 1
        free = f"{key}_{number}"
    facts[free] = _native(value)


def _date(when: datetime) -> str:
    month = _MONTHS[when.month * 3 - 3 : when.month * 3]
    return f"{month} {when.day:2} {when:%H:%M:%S} {when.year} GMT"


def _native(text: str) -> str:
    # PEP 3333: bytes as text. mod_ssl gives UTF-8.
    return text.encode("utf-8").decode("latin-1")
