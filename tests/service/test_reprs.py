"""Do service, exchange and connection say what they are, and what they do, to whoever prints them?"""

from __future__ import annotations

import inspect
import threading
from functools import partial
from typing import Any

import pytest
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock

import twisted_wsgiref
from tests.support import GET, TEXT, Server, hello, request, serving
from twisted_wsgiref import Settings, Work, WSGIService
from twisted_wsgiref._connection.endpoints import endpoint_name


class Shop:
    """An application that is an object, and says nothing of itself but its class."""

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        return []

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name}: nobody may ask")


def looking(server: list[Server], seen: list[Any], what: Any) -> Any:
    """Return an application that puts into `seen` what `what` finds in `server` while it runs, time having passed."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        server[0].reactor.clock.now += 1.25
        seen.append(what(server[0]))
        start_response("200 OK", [*TEXT])
        return [b"seen"]

    return application


def seen_within(what: Any, octets: bytes = GET, kind: str = "socket", **how: Any) -> Any:
    """Return what `what` finds while a request runs."""
    servers: list[Server] = []
    seen: list[Any] = []
    with serving(looking(servers, seen, what), **how) as server:
        servers.append(server)
        server.ask(octets, kind)
    assert len(seen) == 1
    return seen[0]


# ---- A service -------------------------------------------------------------------------------------------------


def test_a_service_says_which_application_it_serves_where_and_how_busy_it_is() -> None:
    with serving(hello, validated=False, service={"endpoints": []}, threads=4) as server:
        assert repr(server.service) == (
            "<SteppedService tests.support:hello on no endpoint: 0 connections, 0 of 4 threads busy, 0 waiting>"
        )
        server.held = True
        server.ask(GET)
        server.ask(GET)
        assert ": 2 connections, 0 of 4 threads busy, 2 waiting>" in repr(server.service)
        server.held = False


def test_a_service_counts_the_thread_that_asks() -> None:
    text = seen_within(lambda server: repr(server.service), threads=3, threads_max=5)
    assert text.endswith(": 1 connection, 1 of 5 threads busy, 0 waiting>")


def test_a_service_that_does_not_run_says_so() -> None:
    service = WSGIService(hello, ["tcp:8080", "unix:/run/shop.sock:mode=660"])
    assert repr(service) == "<WSGIService tests.support:hello on tcp:8080, unix:/run/shop.sock: not running>"


def test_a_service_whose_making_failed_has_a_repr() -> None:
    assert repr(WSGIService.__new__(WSGIService)).startswith("<twisted_wsgiref.WSGIService object at ")


@pytest.mark.parametrize(
    ("application", "name"),
    [
        (hello, "tests.support:hello"),
        (Shop(), "tests.service.test_reprs:Shop object"),
        (Shop().__call__, "tests.service.test_reprs:Shop.__call__"),
        (Shop, "tests.service.test_reprs:Shop"),
        (partial(hello), "functools:partial object"),
    ],
    ids=["function", "object", "method", "class", "partial"],
)
def test_an_application_is_named_without_a_call_of_its_code(application: Any, name: str) -> None:
    for validate in (False, True):
        service = WSGIService(application, "tcp:1", Settings(validate=validate))
        assert repr(service) == f"<WSGIService {name} on tcp:1: not running>"


def test_another_application_is_named_once_it_serves() -> None:
    service = WSGIService(hello, "tcp:1")
    service.serve(Shop())
    assert "tests.service.test_reprs:Shop object" in repr(service)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("tcp:8080", "tcp:8080"),
        ("tcp:8080:interface=127.0.0.1:backlog=9", "tcp:8080:interface=127.0.0.1"),
        (r"tcp6:80:interface=\:\:1", r"tcp6:80:interface=\:\:1"),
        ("tcp:port=80", "tcp:port=80"),
        ("ssl:443:privateKey=/etc/key.pem:certKey=/etc/cert.pem", "ssl:443"),
        (r"haproxy:tcp:8080:backlog=9:interface=\:\:", r"haproxy:tcp:8080:interface=\:\:"),
        ("onion:80:controlPort=9051:privateKey=secret", "onion:80"),
        ("onion:privateKey=secret", "onion"),
        ("systemd:domain=INET:name=shop", "systemd:domain=INET:name=shop"),
        ("", ""),
    ],
)
def test_an_endpoint_is_named_by_where_it_listens_and_by_no_secret(given: str, name: str) -> None:
    assert endpoint_name(given) == name


def test_an_endpoint_that_is_an_object_is_named_by_its_class() -> None:
    assert endpoint_name(TCP4ServerEndpoint(MemoryReactorClock(), 80)) == "TCP4ServerEndpoint"


# ---- An exchange -----------------------------------------------------------------------------------------------


def exchange_of(server: Server) -> Any:
    return server.clients[0].protocol._exchange


def test_an_exchange_says_which_request_it_is_and_for_how_long_it_runs_but_no_query() -> None:
    text = seen_within(lambda server: repr(exchange_of(server)), request("/path?token=secret"))
    assert text == "<WSGIExchange GET /path running for 1.2 s>"


def test_an_exchange_that_waits_or_is_over_says_so() -> None:
    with serving() as server:
        server.held = True
        server.ask(request("http://h/%0Aa%C3%A9?b", method="PUT", body=b"c"))
        exchange = exchange_of(server)
        assert repr(exchange) == r"<WSGIExchange PUT /\na\xc3\xa9 waiting for 0.0 s>"
        server.held = False
        server.settle()
        assert repr(exchange) == r"<WSGIExchange PUT /\na\xc3\xa9 over>"


# ---- A connection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["socket", "ours", "opaque"])
def test_a_connection_says_whose_it_is_and_what_it_waits_for(kind: str) -> None:
    with serving() as server:
        connection = server.connect(kind).protocol
        server.settle()
        assert repr(connection) == "<WSGIProtocol 127.0.0.2:50000 FRESH since 0 s>"
        server.clients[0].send(GET)
        server.settle()
        server.service._factory.sweep()
        server.reactor.clock.now += 3
        assert repr(connection) == "<WSGIProtocol 127.0.0.2:50000 IDLE since 3 s>"
        server.clients[0].leave()
        server.settle()
        assert repr(connection) == "<WSGIProtocol 127.0.0.2:50000 lost>"


def test_a_connection_whose_phase_nobody_has_looked_at_yet_does_not_guess_since_when() -> None:
    text = seen_within(lambda server: repr(server.clients[0].protocol))
    assert text == "<WSGIProtocol 127.0.0.2:50000 RUNNING>"


def test_a_connection_without_a_transport_has_a_repr() -> None:
    with serving() as server:
        assert repr(server.factory.buildProtocol(None)) == "<WSGIProtocol not connected>"


# ---- Threads at work -------------------------------------------------------------------------------------------


def test_work_is_a_public_value() -> None:
    assert Work.__module__ == "twisted_wsgiref"
    assert "Work" in twisted_wsgiref.__all__


def test_threads_at_work_tells_which_thread_runs_which_request_for_whom_and_for_how_long() -> None:
    (work,) = seen_within(lambda server: server.service.threads_at_work(), request("/a?b"))
    assert work == Work(threading.current_thread(), "GET /a?b HTTP/1.1", 1.25, "127.0.0.2", False, False)


def test_threads_at_work_tells_that_a_client_has_left() -> None:
    def what(server: Server) -> Any:
        server.clients[0].leave()
        server.turn()
        return server.service.threads_at_work()

    (work,) = seen_within(what)
    assert work.client_gone
    assert not work.expired


def test_threads_at_work_tells_whose_time_is_over() -> None:
    def what(server: Server) -> Any:
        server.factory.sweep()
        server.reactor.clock.now += 2
        server.factory.sweep()
        return server.service.threads_at_work()

    (work,) = seen_within(what, request_timeout=1.0)
    assert work.expired


def test_nobody_is_at_work_when_all_is_answered() -> None:
    with serving() as server:
        server.ask(GET)
        assert server.service.threads_at_work() == []


def test_what_an_application_makes_of_remote_addr_is_not_told_if_it_is_no_text() -> None:
    servers: list[Server] = []
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["REMOTE_ADDR"] = object()
        seen.extend(servers[0].service.threads_at_work())
        start_response("200 OK", [*TEXT])
        return []

    with serving(application, validated=False) as server:
        servers.append(server)
        server.ask(GET)
    assert [work.client for work in seen] == [None]


def test_the_docstring_of_the_constructor_tells_of_each_argument_and_each_error() -> None:
    text = inspect.getdoc(WSGIService) or ""
    arguments = [name for name in inspect.signature(WSGIService).parameters if name != "self"]
    assert [name for name in arguments if f"`{name}`" not in text] == []
    assert "TypeError" in text
    assert "SettingError" in text
