"""The environment that the comparison makes for itself: a venv with the servers, a file to send, a certificate.

All of it lies in one folder that may be thrown away at any time. Packages come by the ordinary `pip`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.applications import FILE_SIZE
from benchmarks.harness.peers import SERVERS

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# pip may have to build something; it may not hang for ever.
_PIP_SECONDS = 600

_CERTIFICATE = """
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
now = datetime.datetime(2020, 1, 1)
made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=36500))
    .sign(key, hashes.SHA256()))
encoding = serialization.Encoding.PEM
open(sys.argv[1], "wb").write(made.public_bytes(encoding))
open(sys.argv[2], "wb").write(key.private_bytes(
    encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
"""

_INTERPRETER = """
import platform
print(platform.python_implementation(), platform.python_version(), "by", platform.python_compiler())
"""


@dataclass(frozen=True)
class Environment:
    """Where everything is, and which requirements could not be installed."""

    folder: Path
    bin: Path
    missing: frozenset[str]

    @property
    def places(self) -> dict[str, Path]:
        """The placeholders that a server's command may use."""
        return {
            "bin": self.bin,
            "cert": self.folder / "cert.pem",
            "key": self.folder / "key.pem",
        }

    @property
    def file(self) -> Path:
        """The file that the workload "file" sends."""
        return self.folder / "file.bin"


def prepare(folder: Path, python: str = sys.executable, renew: bool = False) -> Environment:
    """Return an environment of `python` in `folder`, made and filled if it is not there yet. Raises `SystemExit`."""
    folder = folder.resolve()  # servers are started in another directory
    version = _output(
        [python, "-c", "import sys; print('%s-%d.%d' % (sys.implementation.name, *sys.version_info[:2]))"]
    )
    venv = folder / version.strip()
    bin_ = venv / "bin"
    done = venv / "installed.txt"
    if renew or not done.exists():
        missing = _install(python, venv)
        done.write_text("".join(f"{name}\n" for name in missing))
    environment = Environment(folder, bin_, frozenset(done.read_text().split()))
    if not environment.file.exists():
        environment.file.write_bytes(bytes(FILE_SIZE))
    if not environment.places["key"].exists():
        _output(
            [str(bin_ / "python"), "-c", _CERTIFICATE, str(environment.places["cert"]), str(environment.places["key"])]
        )
    return environment


def interpreter(environment: Environment) -> str:
    """Return the interpreter's name and version, and what compiled it."""
    return _output([str(environment.bin / "python"), "-c", _INTERPRETER]).strip()


def versions(environment: Environment) -> dict[str, str]:
    """Return what is installed, by name."""
    lines = _output([str(environment.bin / "python"), "-m", "pip", "freeze"]).splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def _install(python: str, venv: Path) -> list[str]:
    """Fill `venv`; return the requirements of servers that are not to be had here. The checkout itself must be."""
    print(f"installing the servers into {venv}", file=sys.stderr)
    _output([python, "-m", "venv", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    _output([*pip, "--editable", str(CHECKOUT), "flask", "django"])
    missing = []
    for requirement in sorted({server.requirement for server in SERVERS} - {""}):
        try:
            _output([*pip, requirement])
        except SystemExit as error:
            print(f"left out, since it can not be installed: {requirement}\n{error}", file=sys.stderr)
            missing.append(requirement)
    return missing


def _output(words: list[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"{' '.join(words[:4])} ...: {error}") from None
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ... failed:\n{done.stderr[-2000:]}")
    return done.stdout
