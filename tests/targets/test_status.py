"""Does the status site answer without a thread, tell the truth, and tell it to nobody else?"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.answers import Answer
from tests.support import GET, KINDS, Server, hello, serving
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._targets.status import Requests
from twisted_wsgiref.settings import SettingError

SITE = {"status": "unix:/run/none.sock"}


def ask(path: str, method: str = "GET", **fields: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {"Host": "x", **fields}.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Site:
    """A service, and its site as a client of the same machine sees it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.door: Any = server.service._reports.door
        # No socket is listened on: the clients of a test come by themselves.
        self.door.serve()

    def get(self, path: str, method: str = "GET", kind: str = "socket", **fields: str) -> Answer:
        main, self.server.factory = self.server.factory, self.door._factory
        try:
            client = self.server.connect(kind)
        finally:
            self.server.factory = main
        client.send(ask(path, method, **{"Host": "127.0.0.1", **fields}))
        self.server.settle(work=False)
        (answer,) = client.answers(method)
        return answer

    def json(self, path: str) -> Any:
        return json.loads(self.get(path).body)

    def metrics(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.get("/metrics").body.decode())
        return {
            sample.name + "".join(f",{value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture(autouse=True)
def _no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_wsgiref._connection.status_port.StatusDoor.open", lambda self: [])


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(hello, threads=2, queue=3, **SITE) as made:
        yield made
        made.held = False
        made.settle()


@pytest.fixture
def site(server: Server) -> Site:
    return Site(server)


# The site reads by Twisted's own transports: what holds up the service's reading is not to hold up the site.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ours"])
def test_a_site_answers_while_no_thread_runs_anything(server: Server, site: Site, kind: str) -> None:
    server.held = True
    server.ask(GET)
    assert site.get("/health/live", kind=kind).body == b"alive\n"
    assert site.get("/metrics", kind=kind).status == 200
    assert site.get("/status.json", kind=kind).status == 200


def test_requests_are_counted_once_and_those_of_the_site_are_not(server: Server, site: Site) -> None:
    for _ in range(3):
        server.ask(GET)
    server.ask(ask("/", "DELETE"))
    site.get("/metrics")
    found = site.metrics()
    assert found["wsgi_requests_total,GET,2xx"] == 3
    assert found["wsgi_requests_total,DELETE,2xx"] == 1
    assert found["wsgi_request_duration_seconds_count"] == 4
    assert len(server.records) == 4


def test_what_is_no_request_counts_as_refused(server: Server, site: Site) -> None:
    server.ask(b"nonsense\r\n\r\n")
    server.ask(ask("/" + "x" * 9000))
    found = site.metrics()
    assert found["wsgi_refused_total,malformed"] == 1
    assert found["wsgi_refused_total,too_large"] == 1
    assert found["wsgi_requests_total,other,4xx"] == 2


def test_a_full_queue_is_not_ready_and_counts_what_it_refuses(server: Server, site: Site) -> None:
    server.held = True
    for _ in range(8):
        server.ask(GET)
        server.advance(0.01)
    found = site.metrics()
    assert found["wsgi_refused_total,queue_full"] > 0
    assert found["wsgi_ready"] == 0
    answer = site.get("/health/ready")
    assert answer.status == 503
    assert answer.body.startswith(b"saturated")
    assert site.get("/health/live").status == 200
    server.held = False
    server.settle()
    assert site.get("/health/ready").body == b"ready\n"


def test_a_request_that_waits_too_long_counts_by_its_cause(server: Server, site: Site) -> None:
    server.held = True
    server.ask(GET)
    server.advance(40)
    assert site.metrics()["wsgi_refused_total,queue_age"] == 1


def test_a_service_that_stops_is_not_ready(server: Server, site: Site) -> None:
    server.held = True
    server.ask(GET)
    server.service.stopService()
    server.turn()
    answer = site.get("/health/ready")
    assert (answer.status, answer.body) == (503, b"draining\n")
    assert answer.field("Connection") == "close"


def test_a_service_that_is_started_again_is_ready_again(server: Server, site: Site) -> None:
    server.service.stopService()
    server.settle()
    server.service.startService()
    server.settle()
    assert site.get("/health/ready").body == b"ready\n"


def test_what_runs_is_listed_with_its_stack_and_the_oldest_first(server: Server, site: Site) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait_here(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        go_on.wait(20)
        return hello(environ, start_response)

    server.service.serve(wait_here)
    server.held = True
    client = server.ask(ask("/caf%C3%A9?secret=1"))
    thread = server.step_in_thread()
    begun.wait(20)
    try:
        server.reactor.clock.now += 3
        (request,) = site.json("/requests")["requests"]
        assert (request["method"], request["path"], request["client"]) == ("GET", "/café", "127.0.0.2")
        assert request["age"] == 3.0
        assert request["stack"]
        assert "secret" not in json.dumps(request)
        (slowest,) = site.json("/status.json")["slowest"]
        assert (slowest["path"], slowest["age"], slowest["worker"]) == ("/café", 3.0, 1)
    finally:
        go_on.set()
        server.settle_while(thread)
    assert client.answers()[0].status == 200


def test_other_processes_are_asked_what_they_run(server: Server, site: Site) -> None:
    class Others:
        def ask(self, told: Any, seconds: float) -> None:
            told(Requests([{"method": "GET", "path": "/there", "age": 1.0}], [{"worker": 2, "why": "no answer"}]))

    server.service._reports._site.others = Others()
    found = site.json("/requests")
    assert [each["path"] for each in found["requests"]] == ["/there"]
    assert found["silent"] == [{"worker": 2, "why": "no answer"}]


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed_by_the_site(site: Site, method: str) -> None:
    answer = site.get("/metrics", method)
    assert (answer.status, answer.field("Allow")) == (405, "GET, HEAD")


def test_head_tells_as_much_as_get_but_for_the_body(site: Site) -> None:
    answer = site.get("/health/live", "HEAD")
    assert (answer.status, answer.body, answer.field("Content-Length")) == (200, b"", "6")


def test_a_page_that_is_not_there_names_those_that_are(site: Site) -> None:
    answer = site.get("/metric")
    assert answer.status == 404
    assert b"/metrics" in answer.body


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:9", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("a.localhost", 200), ("evil.example", 403)],
)
def test_a_web_site_that_leads_its_name_to_this_machine_reads_nothing(site: Site, host: str, status: int) -> None:
    assert site.get("/metrics", Host=host).status == status


@pytest.mark.parametrize(
    ("given", "status"),
    [("Bearer s3cret", 200), ("bearer s3cret", 200), ("Bearer other", 401), ("Basic s3cret", 401), ("", 401)],
)
def test_with_a_token_only_who_has_it_may_read(given: str, status: int) -> None:
    with serving(hello, status="tcp:1", status_token="s3cret") as server:
        site = Site(server)
        fields = {"Authorization": given} if given else {}
        answer = site.get("/metrics", Host="a.name.example", **fields)
        assert answer.status == status
        assert ("www-authenticate" in answer.fields) == (status == 401)
        assert site.get("/health/live").status == 200


def test_a_token_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    with serving(hello, status="tcp:1", status_token=f"file:{path}") as server:
        assert Site(server).get("/metrics", Authorization="Bearer s3cret").status == 200


@pytest.mark.parametrize("content", [None, "  \n"])
def test_a_token_that_is_not_there_ends_the_start(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match="status_token"), serving(hello, status="tcp:1", status_token=f"file:{path}"):
        pass


def test_a_path_for_health_checks_needs_no_thread_and_no_line_in_the_log() -> None:
    with serving(hello, health_path="/healthz") as server:
        server.service._reports.door.serve()
        server.held = True
        client = server.ask(ask("/healthz"))
        assert client.answers()[0].body == b"ready\n"
        assert server.records == []
        server.held = False
        assert server.ask(GET).answers()[0].status == 200
        assert len(server.records) == 1
        assert server.service._reports.door.standing.read().requests == {("GET", "2xx"): 1}


def test_a_site_may_be_mounted_if_it_has_a_token() -> None:
    with serving(hello, service={"mounts": {"/status": "status:"}}, status_token="s3cret") as server:
        assert server.ask(ask("/status/metrics")).answers()[0].status == 401
        answer = server.ask(ask("/status/metrics", Authorization="Bearer s3cret")).answers()[0]
        assert b"wsgi_requests_total" in answer.body
        assert server.ask(ask("/status/health/live")).answers()[0].body == b"alive\n"
        assert len(server.records) == 3


def test_a_site_is_not_mounted_without_a_token() -> None:
    with (
        pytest.raises(SettingError, match="status_token has to be set"),
        serving(hello, service={"mounts": {"/status": "status:"}}),
    ):
        pass


def test_nobody_mounts_something_at_the_path_of_health_checks() -> None:
    with (
        pytest.raises(SettingError, match="health_path"),
        serving(hello, service={"mounts": {"/up": "redirect:/"}}, health_path="/up"),
    ):
        pass


def test_the_applications_own_metrics_are_told_apart(server: Server, site: Site) -> None:
    main, server.factory = server.factory, site.door._factory
    client = server.connect().send(ask("/metrics/application", Host="localhost"))
    server.factory = main
    server.wait_until(lambda: bool(client.received))
    (answer,) = client.answers()
    assert answer.status == 200
    assert b"python_info" in answer.body


def test_without_its_library_an_application_has_no_metrics(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prometheus_client")
    assert site.get("/metrics/application").status == 404


def test_a_collector_that_fails_is_told_in_one_line(
    server: Server, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise ZeroDivisionError("of the application")

    monkeypatch.setitem(
        sys.modules, "twisted_wsgiref._targets.application_metrics", SimpleNamespace(application_metrics=fail)
    )
    main, server.factory = server.factory, site.door._factory
    client = server.connect().send(ask("/metrics/application", Host="localhost"))
    server.factory = main
    server.wait_until(lambda: bool(client.received))
    (answer,) = client.answers()
    assert answer.status == 500
    assert answer.body == b"the application's metrics can not be made: ZeroDivisionError: of the application\n"


def test_lost_lines_of_the_access_log_are_counted() -> None:
    log = AccessLog(os.devnull)
    with serving(hello, service={"observers": [log]}, **SITE) as server:
        site = Site(server)
        log.lost = 7
        assert site.metrics()["wsgi_access_log_dropped_total"] == 7
    log.close()


def test_a_service_that_nobody_watches_counts_nothing() -> None:
    with serving(hello) as server:
        assert server.service._reports.door is None
        assert server.service._common.meter is None
