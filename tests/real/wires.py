"""The same server by three ways: TCP, a UNIX socket and TLS; and a client with a cookie jar that speaks each of them.

What lives here: endpoints, certificates, connections. What may not: what is asked, and what the answers have to be.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .children import PATIENCE, Child, started

WIRES = ("tcp", "unix", "tls")
# The same as parameters: on other Pythons TCP is enough, since TLS is a library's and a UNIX socket the system's.
ON_WIRES = ["tcp", *[pytest.param(name, marks=pytest.mark.libraries) for name in WIRES[1:]]]
ALL_SERVING = re.compile(
    r"serving \S+ on http://\S+?:(?P<tcp>\d+), .*serving \S+ on unix:(?P<unix>[^,]+), .*"
    r"serving \S+ on https://\S+?:(?P<tls>\d+), ",
    re.DOTALL,
)
MIB = 1024 * 1024


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a key and a certificate that it signed itself, for this machine and one hour; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key_path, certificate_path


class UNIXConnection(HTTPConnection):
    """HTTP over the UNIX socket at `path`."""

    def __init__(self, path: str, timeout: float = PATIENCE) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Wire:
    """One way to a server: the name of the way, and where it is (a port or a path)."""

    name: str
    where: str
    certificate: Path | None = None

    @property
    def origin(self) -> str:
        """What URLs on this wire begin with."""
        if self.name == "unix":
            return "http://localhost"
        return f"{'https' if self.name == 'tls' else 'http'}://localhost:{self.where}"

    def connect(self) -> HTTPConnection:
        """Return a new connection, which is made at the first request."""
        if self.name == "unix":
            return UNIXConnection(self.where)
        # The name is for certificate and Host; IPv4 is tried where the machine has no IPv6.
        if self.name == "tls":
            context = ssl.create_default_context(cafile=self.certificate)
            # As every browser does; a server that knows of none of them would have to end the handshake.
            context.set_alpn_protocols(["h2", "http/1.1"])
            return HTTPSConnection("localhost", int(self.where), timeout=PATIENCE, context=context)
        return HTTPConnection("localhost", int(self.where), timeout=PATIENCE)


def endpoints(folder: Path) -> list[str]:
    """Return the words that make a server listen on every wire; key, certificate and socket go into `folder`."""
    key, certificate = make_certificate(folder)
    return [
        *("--listen", "tcp:0:interface=127.0.0.1"),
        *("--listen", f"unix:{folder / 'socket'}"),
        *("--listen", f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"),
    ]


@dataclass(frozen=True)
class Served:
    """A server on every wire."""

    child: Child
    wires: dict[str, Wire]


@contextlib.contextmanager
def served(
    words: Sequence[str], cwd: Path, env: dict[str, str], folder: Path, expected: Sequence[str] = ()
) -> Iterator[Served]:
    """Run the command on every wire; where the test has not ended it, it has to end with status 0 in the end.

    The log may tell of no errors but those with one of the `expected` words. What an endpoint needs goes into `folder`.
    """
    with started([*words, *endpoints(folder)], cwd, env) as child:
        found = child.wait_for(ALL_SERVING)
        yield Served(child, {name: Wire(name, found[name], folder / "certificate.pem") for name in WIRES})
        status = child.end() if child.process.returncode is None else 0
    if status or (errors := complaints(child, expected)):
        raise RuntimeError(f"status {status}, {errors}\n{child.said}")


@dataclass
class Answer:
    """What came back."""

    status: int
    fields: HTTPMessage
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return what the body says."""
        return json.loads(self.body)


class Client:
    """A browser's essentials: one connection, kept alive, and the cookies that it was given."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.cookies: dict[str, str] = {}
        self.connection = wire.connect()

    def open(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        """Send a request; return the answer, its body yet to be read."""
        sent = {"Accept": "*/*", **(fields or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.coded_value
        return answer

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, and read its answer to the end."""
        answer = self.open(method, path, body, fields)
        return Answer(answer.status, answer.headers, answer.read())

    def get(self, path: str) -> Answer:
        """Ask for `path`."""
        return self.ask("GET", path)

    def post(self, path: str, form: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Answer:
        """Send a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(form).encode(), {**kind, **(fields or {})})


@contextlib.contextmanager
def client(wire: Wire) -> Iterator[Client]:
    """Return a `Client`, whose connection is closed in the end."""
    made = Client(wire)
    try:
        yield made
    finally:
        made.connection.close()


class Upload:
    """A form with one file, `file`, of `mebibytes` MiB: made as it is sent, and its digest known before.

    `more` are further fields of the form, which come first.
    """

    def __init__(self, mebibytes: int, more: Mapping[str, str] | None = None) -> None:
        self._block = os.urandom(MIB)
        self._times = mebibytes
        boundary = "a-boundary-that-random-octets-do-not-have"
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (more or {}).items()
        )
        self._head = (
            f'{head}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.octets = MIB * mebibytes
        self.fields = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + self.octets + len(self._tail)),
        }
        digest = sha256()
        for _ in range(mebibytes):
            digest.update(self._block)
        self.digest = digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        for _ in range(self._times):
            yield self._block
        yield self._tail


def read_digest(answer: HTTPResponse) -> tuple[int, str]:
    """Read the body of `answer` block by block; return how long it was, and its SHA-256."""
    digest, octets = sha256(), 0
    while block := answer.read(MIB):
        octets += len(block)
        digest.update(block)
    return octets, digest.hexdigest()


@contextlib.contextmanager
def gate(path: Path) -> Iterator[Callable[[], None]]:
    """Make a named pipe at `path`; yields what lets one of those go on who wait for an octet from it."""
    os.mkfifo(path)
    # For both ways: an octet stays in it whether or not somebody reads already.
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield lambda: os.write(descriptor, b"x") and None
    finally:
        os.close(descriptor)


def complaints(child: Child, expected: Sequence[str] = ()) -> list[str]:
    """Return the lines of the log that tell of an exception, but for those with one of the `expected` words."""
    raised = re.compile(r"^\s*[\w.]*(?:Error|Exception|Warning)\b.*|^.*this is a bug.*", re.MULTILINE)
    return [line for line in raised.findall(child.said) if not any(word in line for word in expected)]
