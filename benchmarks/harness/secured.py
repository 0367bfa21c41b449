"""A port for a server of ours: plain, or by TLS with a certificate that is made for it."""

from __future__ import annotations

from pathlib import Path

from tests.authorities import make
from tests.real.children import free_port
from tests.real.secure_client import SecurePort


def listening(folder: Path, *, tls: bool) -> tuple[int, str]:
    """Return a free port of the loopback interface and the endpoint's words; the files for `tls` go into `folder`."""
    port = free_port()
    if not tls:
        return port, f"tcp:{port}:interface=127.0.0.1"
    owner = make("localhost")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    key.write_bytes(owner.key_pem())
    certificate.write_bytes(owner.pem)
    return SecurePort(port), f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
