"""Does what docs/deploying.md says about HAProxy hold with the real one: HTTP, the PROXY protocol, replacements?"""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest

from .children import PATIENCE, Child, free_ports
from .proxied_app import BLOCK, BLOCKS, TAG
from .proxies import (
    CLIENT,
    ask,
    connected,
    filled,
    find_program,
    haproxy,
    instance,
    open_sockets,
    page_block,
    told,
)
from .wires import MIB, make_certificate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(find_program("haproxy") is None, reason="haproxy is not installed (apt-get install haproxy)"),
]

HTTP = "/etc/haproxy/haproxy.cfg, HTTP"
PROXY = "/etc/haproxy/haproxy.cfg, PROXY protocol"
ANSWERED_CHECK = re.compile(r"asked for its health by (\S+) (https?)")
CLIENTS = 8
# Of so many answers in turn each client has had some.
MANY = 50
# Descriptors for so many are asked for at the start, and a developer's limit may be low.
FEW = {"maxconn 10000": "maxconn 200"}


def listening(port: int) -> list[str]:
    """The words of an instance behind HAProxy."""
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    return ["--listen", endpoint, "--trusted-proxy", "127.0.0.1", "--access-log", "off"]


@dataclass
class Balanced:
    """HAProxy listening on `port` with the page's HTTP configuration, and where its three servers have to be."""

    folder: Path
    port: int
    certificate: Path
    servers: list[int]

    @property
    def log(self) -> str:
        """What HAProxy has said."""
        return (self.folder / "proxy.log").read_text()

    def wait_for(self, *children: Child) -> None:
        """Wait until HAProxy, which was there first, has found `children` to be up and sends them requests."""
        missing = {child.process.pid for child in children}
        end = time.monotonic() + PATIENCE
        while missing:
            if time.monotonic() > end:
                raise TimeoutError(f"{missing} are sent nothing\n{self.log}")
            with connected(self.port, self.certificate) as client:
                answer = ask(client, "/slow")
            if answer.status == 200:
                missing.discard(int(answer.body))


@contextlib.contextmanager
def balanced(folder: Path) -> Iterator[Balanced]:
    """The page's HTTP configuration."""
    key, certificate = make_certificate(folder)
    both = folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    port, *servers = free_ports(4)
    places = {
        **FEW,
        "bind :443 ": f"bind 127.0.0.1:{port} ",
        "/etc/ssl/shop-with-key.pem": str(both),
        **{f"10.0.0.1{number}:8000": f"127.0.0.1:{each}" for number, each in enumerate(servers, 1)},
    }
    with haproxy(folder, port, filled(page_block("haproxy", HTTP), places)):
        yield Balanced(folder, port, certificate, servers)


@contextlib.contextmanager
def passed_on(folder: Path, *, tls: bool, mode: str = "tcp") -> Iterator[tuple[int, Path | None, Child]]:
    """The page's PROXY configuration in front of one process; without TLS, as the page says how."""
    key, certificate = make_certificate(folder)
    port, server = free_ports(2)
    secure = f"ssl:{server}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    words = ["--listen", secure if tls else f"tcp:{server}:interface=127.0.0.1"]
    places = FEW | {"bind :443": f"bind 127.0.0.1:{port}", "10.0.0.11:8443": f"127.0.0.1:{server}"}
    if not tls:
        places["check-ssl verify none "] = ""
    if mode != "tcp":
        places["mode tcp"] = f"mode {mode}"
    with (
        instance(folder, *words, "--proxy-protocol", "--trusted-proxy", "127.0.0.1") as child,
        haproxy(folder, port, filled(page_block("haproxy", PROXY), places)),
    ):
        yield port, certificate if tls else None, child


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_proxy_header_names_the_client_below_tls_too(tls: bool, tmp_path: Path) -> None:
    with passed_on(tmp_path, tls=tls) as (port, certificate, _), connected(port, certificate) as client:
        seen = told(client)
        address, ours = client.sock.getsockname()[:2]
        assert (address, seen["REMOTE_ADDR"]) == (CLIENT, CLIENT)
        assert seen["REMOTE_PORT"] == str(ours)
        assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("127.0.0.1", str(port))
        assert seen["wsgi.url_scheme"] == ("https" if tls else "http")
        # The header is the connection's: every request on it has the same client.
        body = b"x" * 20 * MIB
        assert ask(client, "/digest", "POST", body=body).body.startswith(str(len(body)).encode())
        assert ask(client, "/cached", "HEAD").body == b""
        assert ask(client, "/cached", fields={"If-None-Match": TAG}).status == 304
        assert ask(client, "/blocks").body == BLOCK * BLOCKS
        again = told(client)
        assert (again["REMOTE_ADDR"], again["REMOTE_PORT"]) == (CLIENT, str(ours))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_health_checks_speak_the_proxy_protocol(tls: bool, tmp_path: Path) -> None:
    with passed_on(tmp_path, tls=tls) as (_, _, child):
        for _ in range(2):
            # HAProxy's own connections have no client but HAProxy: LOCAL.
            address, scheme = child.wait_for(ANSWERED_CHECK).groups()
            assert (address, scheme) == ("127.0.0.1", "https" if tls else "http")
            child.said = ANSWERED_CHECK.sub("", child.said, count=1)
        assert "DOWN" not in (tmp_path / "proxy.log").read_text()


def test_http_mode_keeps_a_connection_for_each_client(tmp_path: Path) -> None:
    with (
        passed_on(tmp_path, tls=False, mode="http") as (port, _, child),
        connected(port) as one,
        connected(port) as two,
    ):
        # HAProxy's connection for its checks comes and goes: so some are counted, not all.
        before = open_sockets(child.process.pid)
        ports = set()
        for each in (one, two) * 10:
            seen = told(each)
            assert seen["REMOTE_ADDR"] == CLIENT
            assert seen["REMOTE_PORT"] == str(each.sock.getsockname()[1])
            ports.add(seen["REMOTE_PORT"])
        assert len(ports) == 2
        assert open_sockets(child.process.pid) <= before + 3


def test_the_application_sees_the_client_and_nothing_that_it_invents(tmp_path: Path) -> None:
    with balanced(tmp_path) as front, instance(tmp_path, *listening(front.servers[0])) as child:
        front.wait_for(child)
        invented = {
            "X-Forwarded-For": "198.51.100.1",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Prefix": "/evil",
            "Forwarded": "for=198.51.100.1;host=evil.example",
        }
        with connected(front.port, front.certificate) as client:
            seen = told(client, "/", {"Host": "shop.example", **invented})
        assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["HTTP_HOST"]) == (CLIENT, "https", "shop.example")
        assert (seen["SCRIPT_NAME"], seen["SERVER_PORT"]) == ("", "443")
        assert not any("evil" in str(value) or "198.51" in str(value) for value in seen.values())


def test_one_connection_behind_serves_many_in_front(tmp_path: Path) -> None:
    with balanced(tmp_path) as front, instance(tmp_path, *listening(front.servers[0])) as child:
        front.wait_for(child)
        before = open_sockets(child.process.pid)
        for _ in range(20):
            with connected(front.port, front.certificate) as client:
                assert ask(client, "/cached", "HEAD").status == 200
                assert ask(client, "/cached", fields={"If-None-Match": TAG}).status == 304
                assert ask(client, "/digest", "POST", body=iter([b"in ", b"chunks"])).body.startswith(b"9 ")
                assert ask(client, "/blocks").body == BLOCK * BLOCKS
                assert ask(client, "/cached").body == b"page"
        # One for a thread of HAProxy's and one for a check that may be under way, not one for each of the twenty.
        assert open_sockets(child.process.pid) <= before + 4


@dataclass
class Load:
    """Clients that ask without a pause, over kept connections and over new ones, and what they got."""

    front: Balanced
    failures: list[str] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, kept: int) -> None:
        """Ask until `over`, `kept` requests over each connection; every third is a POST, which nobody may repeat."""
        numbers = itertools.count()
        while not self.over:
            with connected(self.front.port, self.front.certificate) as client:
                for _ in range(kept):
                    post = next(numbers) % 3 == 0
                    try:
                        answer = ask(client, "/slow", "POST" if post else "GET", body=b"b" if post else None)
                    except (OSError, HTTPException) as error:
                        with self._lock:
                            self.failures.append(repr(error))
                        break
                    with self._lock:
                        self._note(answer.status, answer.body)
                    if self.over:
                        break

    def _note(self, status: int, body: bytes) -> None:
        if status == 200:
            self.last[int(body)] = self.last.get(int(body), 0) + 1
        else:
            self.failures.append(f"{status} {body[:80]!r}")


@contextlib.contextmanager
def under_load(front: Balanced) -> Iterator[Load]:
    """Run `CLIENTS` clients, half of which make a new connection for each request."""
    load = Load(front)
    threads = [threading.Thread(target=load.run, args=(1 if each % 2 else 50,), daemon=True) for each in range(CLIENTS)]
    for each in threads:
        each.start()
    try:
        yield load
    finally:
        load.over = True
        for each in threads:
            each.join(PATIENCE)


def wait_until_it_answers(pid: int, load: Load, times: int = 1) -> None:
    end = time.monotonic() + PATIENCE
    while load.last.get(pid, 0) < times:
        if time.monotonic() > end:
            raise TimeoutError(f"{pid} is not sent {times} requests; {load.last}\n{load.front.log}")
        threading.Event().wait(0.05)


def test_three_instances_are_replaced_one_after_another_and_nothing_fails(tmp_path: Path) -> None:
    with balanced(tmp_path) as front, contextlib.ExitStack() as stack:
        old = [stack.enter_context(instance(tmp_path, *listening(port))) for port in front.servers]
        front.wait_for(*old)
        with under_load(front) as load:
            for child in old:
                wait_until_it_answers(child.process.pid, load, MANY)
            for child, port in zip(old, front.servers, strict=True):
                assert child.end() == 0, child.said
                new = stack.enter_context(instance(tmp_path, *listening(port)))
                wait_until_it_answers(new.process.pid, load, MANY)
        assert load.failures == []
        assert len(load.last) == 6, load.last


def test_an_instance_that_is_killed_is_left_out_and_taken_back(tmp_path: Path) -> None:
    with balanced(tmp_path) as front, contextlib.ExitStack() as stack:
        one = stack.enter_context(instance(tmp_path, *listening(front.servers[0])))
        two = stack.enter_context(instance(tmp_path, *listening(front.servers[1]), ends_with=-signal.SIGKILL))
        front.wait_for(one, two)
        with under_load(front) as load:
            wait_until_it_answers(one.process.pid, load)
            wait_until_it_answers(two.process.pid, load)
            two.process.kill()
            two.wait()
            again = stack.enter_context(instance(tmp_path, *listening(front.servers[1])))
            wait_until_it_answers(again.process.pid, load)
        # What was in flight there is lost where it was a POST, once for each client at most; GETs are repeated.
        assert len(load.failures) <= CLIENTS, load.failures
