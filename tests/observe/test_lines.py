"""Is a line what its format says, and can no client forge one, whatever the format?"""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import request, serving
from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.atoms import NAMES, Atoms
from twisted_wsgiref._observe.json_lines import JSONLines
from twisted_wsgiref._observe.lines import COMBINED, Combined, LineFormat, format_time
from twisted_wsgiref._observe.record import Record

RECORD = Record(
    peer="127.0.0.1",
    request_line="POST /shop/caf%C3%A9?a=1&b=2 HTTP/1.1",
    status=201,
    size=2326,
    finished=971211336.75,
    seconds=1.234567,
    referer="http://www.example.com/",
    user_agent="Mozilla/4.08",
    user="frank",
    method="POST",
    waited=0.25,
    received=17,
    request_id="abc-1",
)
EVIL = 'x" 200 1\r\n127.0.0.1 - - [t] "GET /forged HTTP/1.1" 200 5 "-" "-"\\\x1b[2J\u2028\x85'


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """A sink that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def close(self) -> None:
        """Keep all."""


def made_by(line_format: LineFormat, record: Record = RECORD) -> str:
    """Return the line of a record."""
    (line,) = line_format.lines([line_format.brief(record)])
    return line


def ended_by(
    line_format: LineFormat, record: Record = RECORD, environ: Mapping[str, object] = {}, fields: str = ""
) -> str:
    """Return the line of an exchange that is as `record` says; `environ` and `fields` have more."""
    head: Any = SimpleNamespace(
        request_line=record.request_line,
        request_id=record.request_id,
        note=(None,),
        fields={"HTTP_REFERER": record.referer, "HTTP_USER_AGENT": record.user_agent},
    )
    if fields:
        head.fields["HTTP_TRACEPARENT"] = fields
    first = {"REMOTE_ADDR": record.peer, "REMOTE_USER": record.user, **environ}
    exchange: Any = SimpleNamespace(
        kept=line_format.keep(head, first), status=record.status, size=record.size, received=1.0,
        started=1.0 + record.waited, gateway=SimpleNamespace(clock=lambda: 1.0 + record.seconds),
        body=object() if record.received else None, taken=lambda: record.received,
    )  # fmt: skip
    assert line_format.keep(head, first) == exchange.kept  # by the note
    log = AccessLog(Kept(), line_format=line_format)
    log._asleep = False  # nobody writes
    log.observe_exchange(exchange)
    (line,) = line_format.lines([log._records.popleft()])
    return line


def line_of(text: str, record: Record = RECORD) -> str:
    return made_by(Atoms(text), record).removesuffix("\n")


# As gunicorn's documentation of access_log_format says, for the record above.
@pytest.mark.parametrize(
    ("atom", "text"),
    [
        ("h", "127.0.0.1"),
        ("l", "-"),
        ("u", "frank"),
        ("t", f"[{format_time(971211336)}]"),
        ("r", "POST /shop/caf%C3%A9?a=1&b=2 HTTP/1.1"),
        ("m", "POST"),
        ("U", "/shop/caf%C3%A9"),
        ("q", "a=1&b=2"),
        ("H", "HTTP/1.1"),
        ("s", "201"),
        ("B", "2326"),
        ("b", "2326"),
        ("f", "http://www.example.com/"),
        ("a", "Mozilla/4.08"),
        ("T", "1"),
        ("M", "1234"),
        ("D", "1234567"),
        ("L", "1.234567"),
        pytest.param("p", f"<{os.getpid()}>", id="p"),
        ("wait", "0.250000"),
        ("in", "17"),
        ("id", "abc-1"),
        pytest.param("pid", str(os.getpid()), id="pid"),
        ("thread", "-"),
        ("tls", "-"),
    ],
)
def test_an_atom_means_what_gunicorn_says(atom: str, text: str) -> None:
    assert atom in NAMES
    assert line_of(f"%({atom})s") == text
    assert line_of(f'"%({atom})s"') == f'"{text}"'


def test_what_is_not_there_is_a_dash_but_an_empty_query_is_empty() -> None:
    nothing = Record("", "GET / HTTP/1.1", 0, 0, 1.0, 0.0, "", "", "", "GET")
    text = "%(h)s %(u)s %(b)s %(B)s %(f)s %(a)s %(id)s %({x}i)s %({x}o)s %({x}e)s %(s)s"
    assert line_of(text, nothing) == "- - - 0 - - - - - - 499"
    assert line_of("%(U)s?%(q)s", nothing) == "/?"


def test_input_that_never_became_a_request_has_its_line_too() -> None:
    refused = Record.refused("127.0.0.1", 400, 5, 1.0)
    assert line_of('%(m)s %(U)s%(q)s %(H)s "%(r)s" %(s)s', refused) == '- - - "-" 400'


def test_a_format_may_have_percent_signs_widths_and_numbers() -> None:
    assert line_of("100%% %(s)5s|%(m)-6s|%(D)d") == "100%   201|POST  |1234567"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("%(h)s %(x)s", "there is no atom %(x)s: there are h, l, u,"),
        ("%({a}x)s", "there is no atom %({a}x)s"),
        ("%({}i)s", "there is no atom %({}i)s"),
        ("%(h)s %h", "'%h' begins no atom"),
        ("%(h)f", "'%(h)f' begins no atom"),
        ("100%", "'%' begins no atom"),
        ("%(h)s\n", "printable ASCII"),
        ("%(h)s é", "printable ASCII"),
    ],
)
def test_an_unknown_atom_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Atoms(text)


@pytest.mark.parametrize(
    "line_format",
    [
        COMBINED,
        JSONLines(),
        Atoms('%(h)s %(u)s "%(r)s" %(s)s %(f)s "%(a)s" %(id)s %({x}i)s "%({x}i)s"'),
        Atoms('{"agent": "%(a)s", "referer": "%(f)s", "x": "%({x}i)s", "line": "%(r)s", "q": "%(q)s"}'),
    ],
    ids=["combined", "json", "format", "format of JSON"],
)
def test_no_client_forges_a_line(line_format: LineFormat) -> None:
    extra = (EVIL,) * 4 if line_format.extract is not None else ()
    record = Record(EVIL, EVIL, 200, 1, 1.0, 0.1, EVIL, EVIL, EVIL, "GET", 0.0, 0, EVIL, extra)
    environ = {"wsgi.url_scheme": EVIL, "SSL_PROTOCOL": EVIL, "HTTP_TRACEPARENT": EVIL}
    lines = [made_by(line_format, record)]
    if line_format.takes_exchanges:
        lines.append(ended_by(line_format, record, environ))
    for line in lines:
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        assert line.isascii()
        if line.startswith("{"):
            read = json.loads(line)
            assert read.get("user_agent.original", read.get("agent")) == EVIL


def test_outside_of_quotes_no_value_begins_another_field() -> None:
    record = RECORD._replace(user_agent="one two", user="a b")
    assert line_of('%(u)s "%(a)s" %(a)s', record) == r'a\x20b "one two" one\x20two'


def test_a_format_that_is_json_is_json_for_every_value() -> None:
    record = RECORD._replace(user_agent='say "hi" \\ caf\xc3\xa9')
    assert json.loads(line_of('{"agent": "%(a)s", "status": %(s)s}', record)) == {
        "agent": 'say "hi" \\ café',
        "status": 201,
    }


def test_json_has_the_names_of_the_conventions(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"wsgi.url_scheme": "https", "SSL_PROTOCOL": "TLSv1.3", "HTTP_TRACEPARENT": TRACE}
    monkeypatch.setattr(time, "time", lambda: RECORD.finished)
    assert json.loads(ended_by(JSONLines(), RECORD, environ)) == {
        "timestamp": "2000-10-10T20:55:36.750Z",
        "http.request.method": "POST",
        "url.path": "/shop/caf%C3%A9",
        "url.query": "a=1&b=2",
        "url.scheme": "https",
        "network.protocol.version": "1.1",
        "http.response.status_code": 201,
        "http.response.body.size": 2326,
        "http.request.body.size": 17,
        "http.server.request.duration": pytest.approx(1.234567, abs=2e-6),
        "twisted_wsgiref.queue_wait": 0.25,
        "client.address": "127.0.0.1",
        "user.name": "frank",
        "user_agent.original": "Mozilla/4.08",
        "http.request.header.referer": ["http://www.example.com/"],
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
        "thread.name": threading.current_thread().name,
        "process.pid": os.getpid(),
        "request_id": "abc-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
    }


@pytest.mark.parametrize(
    ("line", "method", "told"),
    [
        ("-", "", {}),
        ("GET / HTTP/1.0", "GET", {"http.request.method": "GET", "url.path": "/", "network.protocol.version": "1.0"}),
        ("GET /? HTTP/1.1", "GET", {"url.path": "/", "url.query": ""}),
        ("GET http://h/p?q HTTP/1.1", "GET", {"url.path": "/p", "url.query": "q"}),
        ("GET http://h HTTP/1.1", "GET", {"url.path": "/"}),
        ("OPTIONS * HTTP/1.1", "OPTIONS", {"url.path": "*"}),
        ("BREW /pot HTTP/1.1", "BREW", {"http.request.method": "_OTHER", "http.request.method_original": "BREW"}),
        (f"GET /{'a' * 3000} HTTP/1.1", "GET", {"url.path": f"/{'a' * 3000}"}),
    ],
)
def test_json_reads_a_request_line(line: str, method: str, told: dict[str, str]) -> None:
    record = RECORD._replace(request_line=line, method=method)
    for read in (json.loads(made_by(JSONLines(), record)), json.loads(ended_by(JSONLines(), record))):
        assert {name: read[name] for name in told} == told
        assert ("http.request.method" in read) == bool(method)


def test_the_child_of_a_fork_has_a_pid_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JSONLines, "pid", "1")
    assert json.loads(made_by(JSONLines()))["process.pid"] == 1
    JSONLines.forked()
    assert json.loads(made_by(JSONLines()))["process.pid"] == os.getpid()


@pytest.mark.parametrize(
    "trace",
    ["", "x", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
)
def test_json_tells_no_trace_that_is_none(trace: str) -> None:
    read = json.loads(ended_by(JSONLines(), environ={"HTTP_TRACEPARENT": trace}))
    assert "trace_id" not in read
    assert "tls.protocol.name" not in read


@pytest.mark.parametrize(
    ("sent", "read"), [("caf\xc3\xa9", "café"), ("caf\xe9", "café"), ("\udc80", "\udc80"), ("\x00", "\x00")]
)
def test_json_reads_utf_8_and_else_latin_1(sent: str, read: str) -> None:
    record = RECORD._replace(user_agent=sent)
    assert json.loads(made_by(JSONLines(), record))["user_agent.original"] == read
    assert json.loads(ended_by(JSONLines(), record))["user_agent.original"] == read


def ask(line_format: LineFormat, application: Any, *requests: bytes, skip: Any = None) -> list[str]:
    """Return the lines of `requests`."""
    kept = Kept()
    log = AccessLog(kept, line_format=line_format, skip=skip)
    with serving(application, service={"observers": [log]}) as server:
        for each in requests:
            server.ask(each)
    assert log.close()
    return kept.data.decode("ascii").splitlines()


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["shop.basket"] = 3
    environ["shop.odd"] = Odd()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Shop", 'the "one"')])
    return [b"hello"]


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("on purpose")


def test_fields_and_variables_are_collected_if_the_format_asks() -> None:
    text = "%({X-Shop-Id}i)s %({content-type}o)s %({x-shop}o)s %({x}o)s %({shop.basket}e)s %({remote_addr}e)s"
    text += " %({wsgi.url_scheme}e)s"
    (line,) = ask(Atoms(text), application, request("/", fields="X-Shop-Id: 7"))
    assert line == r"7 text/plain the\x20\x22one\x22 - 3 127.0.0.2 http"


def test_a_value_that_can_not_be_told_is_a_dash() -> None:
    assert ask(Atoms("%({shop.odd}e)s %(thread)s"), application, request("/")) == [
        f"- {threading.current_thread().name}"
    ]


def test_a_format_that_asks_for_nothing_more_collects_nothing() -> None:
    assert COMBINED.extract is None
    assert Atoms('%(h)s %(r)s %(s)s %(wait)s "%(a)s"').extract is None

    def extract(environ: Mapping[str, object], fields: Mapping[str, str], lines: str) -> tuple[str, ...]:
        raise RuntimeError("nobody asks")

    assert Atoms("%({x}i)s").extract is not extract


def test_json_of_a_real_request_says_where_it_ran() -> None:
    (line,) = ask(JSONLines(), application, request("/a?b", fields="User-Agent: me"))
    read = json.loads(line)
    assert read["thread.name"] == threading.current_thread().name
    assert read["url.scheme"] == "http"
    assert read["client.address"] == "127.0.0.2"
    assert read["http.response.body.size"] == 5


def test_paths_that_are_skipped_have_no_line() -> None:
    paths = ["/health", "/health?x", "/healthy", "/shop?next=/health", "http://h/health"]
    lines = ask(
        Atoms("%(r)s"),
        application,
        *(request(path) for path in paths),
        b"no request\r\n\r\n",
        skip=re.compile("^/health$").search,
    )
    assert lines == ["GET /healthy HTTP/1.1", "GET /shop?next=/health HTTP/1.1", "-"]


def test_a_line_made_of_an_exchange_is_that_of_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: RECORD.finished)
    for record in (RECORD, RECORD._replace(user="", peer=None, referer="", user_agent="a" * 300, size=20_000)):
        assert ended_by(COMBINED, record) == made_by(COMBINED, record)


def test_a_trace_of_the_client_is_told_without_a_request_id() -> None:
    read = json.loads(ended_by(JSONLines(), RECORD._replace(request_id=""), fields=TRACE))
    assert (read["trace_id"], read["span_id"]) == tuple(TRACE.split("-")[1:3])
    assert "request_id" not in read


@pytest.mark.parametrize("line_format", [COMBINED, JSONLines()], ids=["combined", "json"])
def test_a_head_that_comes_again_has_its_own_outcome_and_user(line_format: LineFormat) -> None:
    outcomes = iter([("200 OK", b"one", "ann"), ("404 Not Found", b"", ""), ("200 OK", b"three", "bob")])

    def changing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        status, body, user = next(outcomes)
        environ["REMOTE_USER"] = user
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    kept = Kept()
    log = AccessLog(kept, line_format=line_format)
    with serving(changing, service={"observers": [log]}) as server:
        server.ask(request("/a?secret") * 3)
    assert log.close()
    lines = kept.data.decode("ascii").splitlines()
    if line_format is COMBINED:
        told = [(line.split()[8], line.split()[9], line.split()[2]) for line in lines]
        assert told == [("200", "3", "ann"), ("404", "-", "-"), ("200", "5", "bob")]
    else:
        read = [json.loads(line) for line in lines]
        told = [
            (each["http.response.status_code"], each["http.response.body.size"], each.get("user.name")) for each in read
        ]
        assert told == [(200, 3, "ann"), (404, 0, None), (200, 5, "bob")]


def test_a_line_that_is_known_is_that_of_no_other_outcome_second_or_user(monkeypatch: pytest.MonkeyPatch) -> None:
    log = AccessLog(Kept())
    log._asleep = False  # nobody writes
    head: Any = SimpleNamespace(request_line="GET / HTTP/1.1", target="/", request_id="", note=(None,), fields={})
    first = [RECORD._replace(status=status, size=size, user=user, received=0, finished=1e9 + seconds)
             for seconds in (0.0, 0.5, 1.0, 0.9, 2.0) for status, size in ((200, 5), (200, 6), (404, 5), (0, 0))
             for user in ("", "", "", "frank")]  # fmt: skip
    for record in [*first, *reversed(first)]:
        record = record._replace(request_line=head.request_line, referer="", user_agent="")
        environ: dict[str, Any] = {"REMOTE_ADDR": record.peer, **({"REMOTE_USER": record.user} if record.user else {})}
        note = head.note  # what follows is as an exchange does it
        known = note[0] is log.noted and "REMOTE_USER" not in environ
        kept = note[1] if known else log.keep(head, environ)
        ended: Any = SimpleNamespace(head=head, kept=kept, status=record.status, size=record.size)
        monkeypatch.setattr(time, "time", partial(float, record.finished))
        log.observe_exchange(ended)
        (line,) = log._format.lines([log._records.popleft()])
        assert line == made_by(Combined(), record)


def test_a_client_that_sends_the_same_as_another_has_a_line_of_its_own() -> None:
    calls = itertools.count()

    def behind_a_proxy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["REMOTE_ADDR"] = f"192.0.2.{next(calls) // 4}"  # as middleware does; each connection asks four times
        return application(environ, start_response)

    kept = Kept()
    log = AccessLog(kept)
    with serving(behind_a_proxy, service={"observers": [log]}) as server:
        for _ in range(6):
            server.ask(request("/a") * 4)
    assert log.close()
    clients = [line.split()[0] for line in kept.data.decode("ascii").splitlines()]
    assert clients == [f"192.0.2.{number // 4}" for number in range(24)]


def test_no_query_outlives_its_connection() -> None:
    secret = "token=5ebe2294ecd0e0f08eab7690d2a6ee69"
    made: list[LineFormat] = [Combined(), JSONLines()]
    for line_format in made:
        counts = [each.count(secret) for each in ask(line_format, application, request(f"/a?{secret}") * 2)]
        assert counts == [1, 1]
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, (tuple, dict, list)) and secret in map_text(each)]
    assert found == []


def map_text(container: Any) -> str:
    """Return all text that is in a tuple, a list or a dictionary itself."""
    values = [*container, *container.values()] if isinstance(container, dict) else container
    return "\n".join(each for each in values if type(each) is str)


@pytest.mark.parametrize("make", [Combined, JSONLines])
def test_a_request_that_saw_no_environ_hides_no_client_of_the_next(make: Callable[[], LineFormat]) -> None:
    line_format = make()
    head: Any = SimpleNamespace(request_line="GET / HTTP/1.1", request_id="", note=(None,), fields={})
    assert "192.0.2.1" not in str(line_format.keep(head, {}))
    assert "192.0.2.1" in str(line_format.keep(head, {"REMOTE_ADDR": "192.0.2.1"}))
