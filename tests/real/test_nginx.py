"""Does what docs/deploying.md says about nginx hold with the real one, over TCP and over a UNIX socket?"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
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
    instance,
    nginx,
    open_sockets,
    page_block,
    told,
)
from .wires import MIB, gate, make_certificate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(find_program("nginx") is None, reason="nginx is not installed (apt-get install nginx-light)"),
    pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open sockets are counted in /proc"),
]

PAGE = "/etc/nginx/conf.d/shop.conf"
INVENTED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=198.51.100.1;host=evil.example",
}


@dataclass
class Site:
    """nginx, listening on `port`, in front of one process; `open_gate` lets a gated answer go on."""

    port: int
    child: Child
    certificate: Path
    open_gate: Callable[[], None]

    def connect(self) -> contextlib.AbstractContextManager[HTTPConnection]:
        """Return a client's connection."""
        return connected(self.port, self.certificate)

    def origin(self) -> str:
        """What a client calls it."""
        return f"localhost:{self.port}"


def upstream(kind: str, folder: Path) -> tuple[str, list[str]]:
    """Return where nginx finds the server, and the server's words for that."""
    if kind == "unix":
        path = f"unix:{folder}/http.sock"
        return path, ["--listen", path, "--trusted-proxy", "unix"]
    (port,) = free_ports(1)
    return f"127.0.0.1:{port}", ["--listen", f"tcp:{port}:interface=127.0.0.1", "--trusted-proxy", "127.0.0.1"]


@contextlib.contextmanager
def site(folder: Path, kind: str, *words: str, change: tuple[str, str] | None = None) -> Iterator[Site]:
    """The page's configuration, with one `change`, in front of a server that is told `words` too."""
    key, certificate = make_certificate(folder)
    where, named = upstream(kind, folder)
    (port,) = free_ports(1)
    places = {
        "server 127.0.0.1:8000;": f"server {where};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/shop.pem": str(certificate),
        "/etc/ssl/shop.key": str(key),
    }
    text = filled(page_block("nginx", PAGE), places if change is None else places | dict([change]))
    with (
        gate(folder / "gate") as open_gate,
        instance(folder, *named, "--access-log", "off", *words) as child,
        nginx(folder, port, text),
    ):
        yield Site(port, child, certificate, open_gate)


@pytest.fixture(scope="module", params=["tcp", "unix"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp(request.param), request.param) as made:
        yield made


def test_the_application_sees_the_client_and_not_the_proxy(front: Site) -> None:
    with front.connect() as client:
        seen = told(client, "/some/path?query", {"Host": front.origin()})
    assert (seen["REMOTE_ADDR"], seen.get("REMOTE_PORT")) == (CLIENT, None)
    assert (seen["wsgi.url_scheme"], seen["HTTPS"]) == ("https", "on")
    assert (seen["HTTP_HOST"], seen["SERVER_NAME"]) == (front.origin(), "localhost")
    assert seen["SERVER_PORT"] == str(front.port)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/some/path")


def test_nothing_that_the_client_invents_is_believed(front: Site) -> None:
    with front.connect() as client:
        seen = told(client, "/", {"Host": front.origin(), **INVENTED})
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["SCRIPT_NAME"]) == (CLIENT, "https", "")
    assert (seen["HTTP_HOST"], seen["HTTP_X_FORWARDED_FOR"]) == (front.origin(), CLIENT)
    assert not any("evil" in str(value) or "198.51" in str(value) for value in seen.values())


def test_with_the_chain_appended_the_right_most_hop_is_the_client(tmp_path: Path) -> None:
    chain = ("X-Forwarded-For $remote_addr;", "X-Forwarded-For $proxy_add_x_forwarded_for;")
    with site(tmp_path, "tcp", change=chain) as front, front.connect() as client:
        seen = told(client, "/", {"X-Forwarded-For": "198.51.100.1, nonsense"})
        assert (seen["REMOTE_ADDR"], seen["HTTP_X_FORWARDED_FOR"]) == (CLIENT, CLIENT)


def test_a_prefix_that_is_cut_off_becomes_script_name(front: Site) -> None:
    with front.connect() as client:
        seen = told(client, "/mounted/some/path")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/mounted", "/some/path")
    assert seen["REMOTE_ADDR"] == CLIENT


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_one_connection_behind_carries_every_kind_of_exchange(kind: str, tmp_path: Path) -> None:
    with site(tmp_path, kind) as front:
        before = open_sockets(front.child.process.pid)
        for _ in range(4):
            with front.connect() as client:
                assert ask(client, "/").status == 200
                assert ask(client, "/cached", "HEAD").fields["Content-Length"] == "4"
                assert ask(client, "/cached", fields={"If-None-Match": TAG}).status == 304
                assert ask(client, "/nothing").status == 204
                assert ask(client, "/blocks").body == BLOCK * BLOCKS
                assert ask(client, "/digest", "POST", body=b"some").body.startswith(b"4 ")
                assert ask(client, "/cached").body == b"page"
        # Had one been closed after an answer, none were left; had one been made for each, there were many.
        assert open_sockets(front.child.process.pid) == before + 1


def test_head_and_304_and_204_have_no_body_and_keep_their_fields(front: Site) -> None:
    with front.connect() as client:
        head = ask(client, "/cached", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert (head.fields["Content-Length"], head.fields["ETag"]) == ("4", TAG)
        known = ask(client, "/cached", fields={"If-None-Match": TAG})
        assert (known.status, known.body, known.fields["ETag"]) == (304, b"", TAG)
        assert (ask(client, "/nothing").status, ask(client, "/cached").body) == (204, b"page")


def test_chunked_both_ways(front: Site) -> None:
    body = [b"one", b"two" * 10000, b"three"]
    with front.connect() as client:
        answer = ask(client, "/blocks")
        assert (answer.fields["Transfer-Encoding"], answer.body) == ("chunked", BLOCK * BLOCKS)
        # nginx buffers it and tells its length; where it does not, it passes the chunks on.
        for path in ("/digest", "/uploads/digest"):
            sent = ask(client, path, "POST", body=iter(body))
            assert sent.body.decode() == described(b"".join(body))


def described(body: bytes) -> str:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("path", ["/digest", "/uploads/digest"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("told_before", [True, False], ids=["length", "chunked"])
def test_20_mb_arrive_whole(path: str, told_before: bool, front: Site) -> None:
    body = os.urandom(MIB) * 20
    with front.connect() as client:
        sent = body if told_before else (body[start : start + MIB] for start in range(0, len(body), MIB))
        assert ask(client, path, "POST", body=sent).body.decode() == described(body)
        # The connection is none the worse for it.
        assert ask(client, "/cached").body == b"page"


def test_unbuffered_uploads_are_read_as_they_come_with_stream_input(tmp_path: Path) -> None:
    with site(tmp_path, "unix", "--stream-input") as front, front.connect() as client:

        def body() -> Iterator[bytes]:
            yield b"x" * 70000
            # The rest is not sent before the application has read from the first part.
            front.child.wait_for(re.compile("the body begins"))
            yield b"y" * 70000

        answer = ask(client, "/uploads/digest", "POST", {"Content-Length": "140000"}, body())
        assert answer.body.decode() == described(b"x" * 70000 + b"y" * 70000)


def test_a_streamed_answer_arrives_as_it_is_made(front: Site) -> None:
    with front.connect() as client:
        client.request("GET", "/events/gated")
        answer = client.getresponse()
        assert answer.read(5) == b"first"
        front.open_gate()
        assert answer.read() == b" and last"


def test_a_client_that_leaves_ends_the_answer(front: Site) -> None:
    before = front.child.said.count("the answer is closed")
    with front.connect() as client:
        client.request("GET", "/events/endless")
        assert client.getresponse().read(len(BLOCK)) == BLOCK
    front.child.wait_for(re.compile("(?s)" + "the answer is closed.*" * (before + 1)))
    assert "nobody left" not in front.child.said


@pytest.mark.parametrize("path", ["/digest", "/uploads/digest"], ids=["buffered", "unbuffered"])
def test_a_client_that_leaves_within_its_upload_costs_nothing(path: str, front: Site) -> None:
    before, asked = open_sockets(front.child.process.pid), front.child.said.count("the body begins")
    for _ in range(5):
        with front.connect() as client:
            client.putrequest("POST", path)
            client.putheader("Content-Length", str(20 * MIB))
            client.endheaders()
            client.send(bytes(MIB))
    with front.connect() as client:
        # One at a time: once this is answered, what came before has been seen.
        assert ask(client, path, "POST", body=b"whole").body.decode() == described(b"whole")
    # nginx may keep one more than before for its clients to come, and closes the others.
    until(lambda: open_sockets(front.child.process.pid) <= before + 1)
    front.child.wait_for(re.compile("(?s)" + "the body begins.*" * (asked + 1)))
    assert front.child.said.count("the body begins") == asked + 1


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it does not come true")
        threading.Event().wait(0.02)


def test_clients_by_the_dozen_share_few_connections(front: Site) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(front.connect()) for _ in range(24)]
        for _ in range(3):
            for each in clients:
                each.request("GET", "/cached")
            assert [each.getresponse().read() for each in clients] == [b"page"] * len(clients)
