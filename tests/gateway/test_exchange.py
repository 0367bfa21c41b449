"""Does an exchange keep what it needs when its client leaves in the middle, and the reactor takes it away?"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from tests.gateway.exchanges import LIMITS, RecordingOutlet, gateway_of
from twisted_wsgiref._gateway.answer import Answer
from twisted_wsgiref._gateway.environ import ConnectionEnviron, service_environ
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._gateway.handler import WSGIHandler
from twisted_wsgiref._gateway.wsgi_exchange import WSGIExchange
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._observe.record import Facts, Record, told_facts


class Ended:
    """The connection of an exchange."""

    def __init__(self) -> None:
        self.ended = 0

    def exchange_ended(self) -> None:
        self.ended += 1

    def refuse_exchange(self, status: int) -> None:
        raise RuntimeError("nobody refuses here")


class WatchedOutlet(RecordingOutlet):
    """Calls `meanwhile` after a worker has looked whether the client is gone, and seen that it is not."""

    exchange: WSGIExchange | None = None

    @property
    def gone(self) -> bool:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.report()
        return False

    @gone.setter
    def gone(self, value: bool) -> None:
        """Keep nothing."""


def make(application: Any, outlet: Any, *observers: Any, remote_user: str = "") -> WSGIExchange:
    errors = ErrorStream(lambda line: None)
    gateway = gateway_of(
        application=application,
        handler_class=WSGIHandler,
        errors=errors,
        observers=tuple(told_facts(observer) for observer in observers),
    )
    service = service_environ(software="tests", script_name="", multiprocess=False, errors=errors, file_wrapper=None)
    base = ConnectionEnviron(service, "http", ("127.0.0.1", 8080), ("127.0.0.2", 5000))
    head = HeadParser(LIMITS).parse(b"GET / HTTP/1.1\r\nHost: h")
    environ = base.make(head, 0)
    if remote_user:
        environ["REMOTE_USER"] = remote_user
    return WSGIExchange(gateway, head, environ, None, outlet, Ended())


def test_an_exchange_begins_as_its_answer_does() -> None:
    exchange = make(None, RecordingOutlet())
    answer = Answer(exchange.head, exchange.outlet)
    for name in Answer.__slots__:
        assert getattr(exchange, name) == getattr(answer, name), name


def test_an_application_gets_its_whole_environ_or_is_not_called() -> None:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        start_response("200 OK", [])
        return []

    outlet = WatchedOutlet()
    exchange = make(application, outlet, lambda record: None)
    outlet.exchange = exchange
    exchange.run()
    assert [environ["PATH_INFO"] for environ in seen] == ["/"]


def test_a_record_has_its_peer_and_user_whoever_let_go_of_the_environ() -> None:
    records: list[Record] = []
    exchange = make(None, RecordingOutlet(), records.append, remote_user="frank")
    exchange._let_go()
    exchange._over = False  # as the reactor has seen it, a moment ago
    exchange.report()
    assert [(record.peer, record.user) for record in records] == [("127.0.0.2", "frank")]


def test_an_observer_may_do_without_the_names() -> None:
    class Plain:
        facts: list[Facts] = []

        def observe_facts(self, facts: Facts) -> None:
            self.facts.append(facts)

    records: list[Record] = []
    exchange = make(None, RecordingOutlet(), Plain(), records.append)
    exchange.report()
    assert Plain.facts == records
    assert [type(told) for told in (*Plain.facts, *records)] == [tuple, Record]


@pytest.mark.parametrize("error", [ValueError("on purpose"), SystemExit(3), KeyboardInterrupt()])
def test_no_observer_keeps_an_exchange_from_its_end(error: BaseException) -> None:
    def fails(record: Record) -> None:
        raise error

    records: list[Record] = []
    exchange = make(None, RecordingOutlet(), fails, records.append)
    exchange.report()
    exchange.gateway.tell(records[0])
    assert len(records) == 2


@pytest.mark.parametrize("where", ["flush", "close"])
def test_whatever_fails_at_its_end_an_exchange_gives_its_connection_back(where: str) -> None:
    class Fails:
        """The log, or the body, of an exchange."""

        has_begun = True

        def write(self, text: str) -> None:
            raise RuntimeError("nothing is written")

        def flush(self) -> None:
            if where == "flush":
                raise ValueError("on purpose")

        def open(self) -> Any:
            return BytesIO()

        def close(self) -> None:
            if where == "close":
                raise ValueError("on purpose")

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"whole"]

    outlet = RecordingOutlet()
    fails: Any = Fails()
    exchange = make(application, outlet)
    exchange.gateway = replace(exchange.gateway, errors=fails)
    exchange.body = fails
    with pytest.raises(ValueError, match="on purpose"):
        exchange.run()
    assert outlet.octets.endswith(b"whole")
    assert exchange.connection.ended == 1  # type: ignore[attr-defined]
