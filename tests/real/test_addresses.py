"""Does the environ say who is at both ends, on each kind of endpoint; or nothing, where there is nobody to name?"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
from pathlib import Path

import pytest

from .children import COMMANDS, PATIENCE, Child, started
from .raw_client import Client as RawClient
from .wires import Wire, client, endpoints, make_certificate

pytestmark = [pytest.mark.slow, pytest.mark.libraries]

APP = ["--app", "tests.real.plain_apps:tell"]
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
PROXY = b"PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n"
PROXIED = {
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "56324",
    "SERVER_NAME": "198.51.100.9",
    "SERVER_PORT": "443",
}
# What systemd does before it starts a unit: the socket is descriptor 3, and the environment says so to this process.
LIKE_SYSTEMD = """
import os, socket, sys
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
os.dup2(sock.fileno(), 3)
if sock.fileno() != 3:
    sock.close()
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="shop", LISTEN_PID=str(os.getpid()))
print("listening on", socket.socket(fileno=os.dup(3)).getsockname()[1], flush=True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def exchange(port: int, *octets: bytes, context: ssl.SSLContext | None = None) -> dict[str, str]:
    """Send `octets`, the first before TLS if that has a `context`; return the environ that the answer tells."""
    first, *rest = octets
    with RawClient(port, PATIENCE) as raw:
        raw.send(first)
        if context is not None:
            raw.start_tls(context)
        raw.send(b"".join(rest))
        return told_on(raw)


def told_on(raw: RawClient) -> dict[str, str]:
    """Return the environ that the next answer tells."""
    answer = raw.read_answer()
    assert answer is not None
    return json.loads(answer.body)


def finish(child: Child) -> None:
    assert child.end() == 0, child.said
    assert "Traceback" not in child.said


@pytest.mark.parametrize("name", ["tcp", "tcp6", "tls", "unix"])
def test_the_ends_are_named_where_they_have_names(name: str, tmp_path: Path) -> None:
    if name == "tcp6" and not has_ipv6():
        pytest.skip("no IPv6 here")
    key, certificate = make_certificate(tmp_path)
    endpoint, at = {
        "tcp": ("tcp:0:interface=127.0.0.1", "127.0.0.1"),
        "tcp6": ("tcp6:0:interface=\\:\\:1", "::1"),
        "tls": (f"tls:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}", "127.0.0.1"),
        "unix": (f"unix:{tmp_path / 'socket'}", ""),
    }[name]
    with started([*COMMANDS["twistd"], *APP, "--listen", endpoint], tmp_path) as child:
        found = child.wait_for(re.compile(r"serving \S+ on (?:unix:(?P<path>[^,]+)|\S+:(?P<port>\d+)), "))
        wire = Wire(name.removesuffix("6"), found["path"] or found["port"], certificate)
        with client(wire) as made:
            if name == "tcp6":
                made.connection.host = "::1"
            told = made.get("/").json()
            port = made.connection.sock.getsockname()[1] if name != "unix" else 0
        finish(child)
    expected = {"wsgi.url_scheme": "https" if name == "tls" else "http", "SCRIPT_NAME": ""}
    if name == "unix":
        expected |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}  # the client's Host: PEP 3333 wants some name
    else:
        expected |= {
            "REMOTE_ADDR": at,
            "REMOTE_PORT": str(port),
            "SERVER_NAME": f"[{at}]" if ":" in at else at,
            "SERVER_PORT": found["port"],
        }
    if name == "tls":
        expected["HTTPS"] = "on"
    assert told == expected


def test_the_haproxy_endpoint_names_the_far_client(tmp_path: Path) -> None:
    words = [*COMMANDS["twistd"], *APP, "--listen", "haproxy:tcp:0:interface=127.0.0.1"]
    with started(words, tmp_path) as child:
        assert exchange(child.port(), PROXY, REQUEST) == {**PROXIED, "wsgi.url_scheme": "http", "SCRIPT_NAME": ""}
        finish(child)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_the_proxy_protocol_names_the_far_client_below_tls_too(kind: str, tmp_path: Path) -> None:
    endpoint = endpoints(tmp_path)[1 if kind == "tcp" else 5]
    words = [*COMMANDS["twistd"], *APP, "--listen", endpoint, "--proxy-protocol", "--trusted-proxy", "127.0.0.1"]
    context = ssl.create_default_context(cafile=tmp_path / "certificate.pem") if kind == "tls" else None
    with started(words, tmp_path) as child:
        told = exchange(child.port(), PROXY, REQUEST, context=context)
        finish(child)
    scheme = {"wsgi.url_scheme": "https", "HTTPS": "on"} if context else {"wsgi.url_scheme": "http"}
    assert told == {**PROXIED, **scheme, "SCRIPT_NAME": ""}


def test_a_tls_client_may_offer_protocols_or_none(tmp_path: Path) -> None:
    with started([*COMMANDS["twistd"], *APP, "--listen", endpoints(tmp_path)[5]], tmp_path) as child:
        port = child.port()
        for offered, chosen in (([], None), (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1")):
            context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
            if offered:
                context.set_alpn_protocols(offered)
            with RawClient(port, PATIENCE) as raw:
                assert raw.start_tls(context) == chosen
                raw.send(REQUEST)
                assert told_on(raw)["wsgi.url_scheme"] == "https"
        finish(child)


def test_a_socket_that_systemd_has_opened_is_served(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LIKE_SYSTEMD, *COMMANDS["twistd"], *APP, "--listen", "systemd:domain=INET:index=0"]
    with started(words, tmp_path) as child:
        port = int(child.wait_for(re.compile(r"listening on (\d+)"))[1])
        # Asked before it serves: the connection waits in the socket, and nobody is refused.
        told = exchange(port, REQUEST)
        finish(child)
    assert (told["REMOTE_ADDR"], told["SERVER_NAME"], told["SERVER_PORT"]) == ("127.0.0.1", "127.0.0.1", str(port))


def test_a_socket_file_that_a_killed_server_left_is_no_obstacle_and_goes_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    words = [*COMMANDS["twistd"], *APP, "--listen", f"unix:{path}"]
    with started(words, tmp_path) as child:
        child.wait_for(re.compile("serving"))
        child.process.kill()
    assert path.exists()
    with started(words, tmp_path) as child:
        child.wait_for(re.compile("serving"))
        with client(Wire("unix", str(path))) as made:
            assert made.get("/").status == 200
        finish(child)
    assert not path.exists()
