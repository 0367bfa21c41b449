"""Certificates for tests: an authority, one below it, and whoever they sign."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

BEGINS = datetime(2026, 1, 5, 6, 7, 8, tzinfo=timezone.utc)


class Owner(NamedTuple):
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes = b"") -> bytes:
        how = BestAvailableEncryption(password) if password else NoEncryption()
        made: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        return made


def make(
    name: str, by: Owner | None = None, *, authority: bool = False, more: tuple[tuple[Any, str], ...] = (), **how: Any
) -> Owner:
    """Return a new owner called `name`, whose certificate is signed by `by`, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [*(x509.NameAttribute(oid, text) for oid, text in more), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    names = [x509.DNSName("localhost"), *how.get("names", ())]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(how.get("serial", x509.random_serial_number()))
        .not_valid_before(BEGINS)
        .not_valid_after(BEGINS + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key if by is None else by.key, hashes.SHA256())
    )
    return Owner(key, certificate)


@cache
def family() -> tuple[Owner, Owner, Owner]:
    """Return the root, the authority below it, and a server that this has signed."""
    root = make("root", authority=True)
    middle = make("middle", root, authority=True)
    return root, middle, make("localhost", middle)
