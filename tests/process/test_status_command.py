"""Does the table say what the site tells, in a terminal that is as before at the end, and is each mistake one line?"""

from __future__ import annotations

import copy
import io
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from twisted_wsgiref._process.command_names import COMMANDS
from twisted_wsgiref._process.control import Refused, run
from twisted_wsgiref._process.status_client import NoStatus, Place, StatusClient, place_of
from twisted_wsgiref._process.status_command import PLACE, TOKEN, Screen, client_of, follow, once
from twisted_wsgiref._process.status_table import lines, printable, seconds

MIB = 1024 * 1024
WORKER: dict[str, Any] = {
    **{"number": 1, "pid": 8819, "state": "serving", "age": 100.0, "silent": 0.1, "memory": 39 * MIB, "busy": 1},
    **{"max": 4, "queued": 0, "connections": 2, "requests": 1000, "saturated": False, "lag": 0.0015},
}
NOW: dict[str, Any] = {
    "now": 1100.0,
    "server": {"version": "1.2", "application": "shop:app", "since": 1000.0, "ready": True, "reason": "ready"},
    "requests": {
        "total": 1500,
        "by_outcome": [
            {"method": "GET", "status": "2xx", "count": 1490},
            {"method": "GET", "status": "5xx", "count": 7},
            {"method": "POST", "status": "5xx", "count": 3},
        ],
    },
    "duration": {"buckets": [[0.01, 1000], [0.1, 1400], [1.0, 1500], [None, 1500]]},
    "refused": {"queue_full": 2, "malformed": 1},
    "threads": {"busy": 5, "max": 8},
    "queue": {"length": 3, "limit": 2048, "oldest": 2.5},
    "connections": {"idle": 10, "running": 2},
    "workers": [{**WORKER, "number": 2, "pid": 8820, "requests": 500, "saturated": True, "busy": 4}, WORKER],
}
RUNNING: list[Any] = [
    {"method": "GET", "path": "/young", "client": None, "age": 0.02, "worker": 1},
    {"method": "GET", "path": "/a\x1b[2Jb", "client": "10.0.0.1", "age": 41.2, "worker": 2},
]


def later(seconds: float, requests: int) -> dict[str, Any]:
    """Return the numbers after so many seconds and requests, all of them of the first worker, in 50 to 100 ms."""
    found = copy.deepcopy(NOW)
    found["now"] += seconds
    found["requests"]["total"] += requests
    found["workers"][1]["requests"] += requests
    for bucket in found["duration"]["buckets"][1:]:
        bucket[1] += requests
    return found


def table(now: Any, before: Any = None, running: Any = (), width: int = 80, height: int = 24) -> list[str]:
    return lines(now, before, running, width, height)


# ---- The table -----------------------------------------------------------------------------------------------------


def test_the_first_look_tells_of_the_time_since_the_start() -> None:
    assert table(NOW)[:4] == [
        "shop:app   ready   up 1m 40s   twisted_wsgiref 1.2",
        "requests 1,500   5xx 10   refused 3",
        "since the start: 15.0/s   p50 8 ms  p95 325 ms  p99 865 ms",
        "threads 5 of 8 busy   queue 3 of 2048, the oldest for 2.5 s   connections 12",
    ]


def test_a_later_look_tells_of_the_time_between() -> None:
    shown = table(later(2.0, 100), NOW)
    assert shown[2] == "in the last 2.0 s: 50.0/s   p50 55 ms  p95 96 ms  p99 99 ms"
    assert [line.split()[-3] for line in shown[6:8]] == ["50.0", "0.0"]
    assert table(later(2.0, 0), NOW)[2] == "in the last 2.0 s: 0.0/s   p50 -  p95 -  p99 -"


def test_workers_have_a_line_each_by_their_numbers() -> None:
    assert table(NOW)[5:] == [
        " NR     PID STATE         AGE   MIB THREADS QUEUE CONNS  REQUESTS   PER S    LAG",
        "  1    8819 serving    1m 40s    39     1/4     0     2      1000    10.0   2 ms",
        "  2    8820 saturated  1m 40s    39     4/4     0     2       500     5.0   2 ms",
    ]


def test_requests_that_run_are_told_the_oldest_first_and_can_not_move_the_cursor() -> None:
    assert table(NOW, None, RUNNING)[-3:] == [
        " NR     AGE CLIENT          REQUEST",
        "  2    41 s 10.0.0.1        GET /a?[2Jb",
        "  1   20 ms -               GET /young",
    ]


def test_a_server_that_is_not_ready_says_why() -> None:
    now = copy.deepcopy(NOW)
    now["server"] |= {"ready": False, "reason": "every thread is busy"}
    assert "   NOT READY: every thread is busy   " in table(now)[0]


def test_a_successor_begins_at_its_own_start() -> None:
    now = later(2.0, 0)
    now["workers"][1] |= {"pid": 9000, "requests": 10, "age": 1.0}
    assert table(now, NOW)[6].split()[-3] == "10.0"


def test_the_slowest_beyond_every_bucket_are_told_as_such() -> None:
    now = copy.deepcopy(NOW)
    now["duration"]["buckets"] = [[0.01, 0], [1.0, 0], [None, 5]]
    assert table(now)[2].endswith("p50 >1.0 s  p95 >1.0 s  p99 >1.0 s")


def test_no_line_is_longer_and_no_table_higher_than_the_terminal() -> None:
    shown = table(NOW, None, RUNNING, width=30, height=7)
    assert len(shown) == 7
    assert max(map(len, shown)) <= 30
    assert max(map(len, table(NOW, None, []))) <= 80


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (99.6, "1m 39s"),
        (11520, "3h 12m"),
        (90000, "1d 1h"),
    ],
)
def test_times_are_short(value: float, text: str) -> None:
    assert seconds(value) == text


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert printable("a\x1b]0;x\x07\n\x9bé") == "a?]0;x???é"


# ---- Where the site is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        (r"unix:/run/a\:b.sock:mode=600", "unix:/run/a:b.sock"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        (":9000", "http://localhost:9000"),
        ("tcp:9000:interface=127.0.0.1", "http://127.0.0.1:9000"),
        ("tcp:9000", "http://localhost:9000"),
        (r"tcp6:9000:interface=\:\:1", "http://[::1]:9000"),
        ("http://shop.example/status/", "http://shop.example:80/status"),
        ("https://shop.example", "https://shop.example:443"),
    ],
)
def test_a_place_is_as_people_write_it(text: str, shown: str) -> None:
    assert str(place_of(text)) == shown


@pytest.mark.parametrize("text", ["shop", "unix:", "shop.example", "ftp://a:1", "a:b", "http://", "tcp:x", "/run/a"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(NoStatus, match="is no place of a status site"):
        place_of(text)


# ---- Asking --------------------------------------------------------------------------------------------------------


class Site:
    """A site whose answers are given: of each path a status and a body."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    def connect(self, place: Place) -> HTTPConnection:
        site, made = self, HTTPConnection("nowhere")

        class Answer(io.BytesIO):
            status = 0

        def request(method: str, path: str, headers: dict[str, str]) -> None:
            site.asked.append((path, headers))

        def getresponse() -> Any:
            status, body = site.answers[site.asked[-1][0]]
            answer = Answer(body)
            answer.status = status
            return answer

        made.request = request  # type: ignore[method-assign,assignment]
        made.getresponse = getresponse  # type: ignore[method-assign]
        return made


def site(numbers: Any = NOW, running: Any = RUNNING) -> Site:
    body = json.dumps({"requests": running, "silent": []}).encode()
    return Site({"/s/status.json": (200, json.dumps(numbers).encode()), "/s/requests": (200, body)})


def client(of: Site, token: str = "") -> StatusClient:
    return StatusClient(place_of("http://shop.example/s"), token, of.connect)


def test_the_table_is_printed_once_whole() -> None:
    its = site()
    assert once(client(its, "secret")).splitlines() == table(NOW, None, RUNNING)
    assert [path for path, _ in its.asked] == ["/s/status.json", "/s/requests"]
    assert {headers["Authorization"] for _, headers in its.asked} == {"Bearer secret"}
    assert "Authorization" not in [client(its).numbers(), its.asked[-1][1]][1]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((401, b""), "http://shop.example:80/s asks for a token: --status-token TOKEN, or file:PATH"),
        ((404, b"no"), "http://shop.example:80/s is no status site: /status.json was answered with 404"),
        ((200, b"<html>"), "http://shop.example:80/s is no status site: /status.json was answered with 200"),
        ((200, b"{}"), "the status site tells other numbers, as one of another version does: KeyError('server')"),
        ((200, b"[]"), "the status site tells other numbers, as one of another version does: "),
    ],
)
def test_an_answer_of_another_kind_is_one_line(answer: tuple[int, bytes], line: str) -> None:
    its = site()
    its.answers["/s/status.json"] = answer
    with pytest.raises(NoStatus) as caught:
        once(client(its))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_variables_of_the_server_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    environ = {PLACE: "unix:/run/a.sock", TOKEN: f"file:{tmp_path}/token"}
    found = client_of(None, None, environ)
    assert (str(found._place), found._token) == ("unix:/run/a.sock", "secret")
    found = client_of(":9000", "other", environ)
    assert (str(found._place), found._token) == ("http://localhost:9000", "other")
    with pytest.raises(NoStatus, match="where is the status site"):
        client_of(None, None, {})
    with pytest.raises(NoStatus, match="/nowhere: No such file or directory"):
        client_of(":9000", "file:/nowhere", {})


def test_the_command_says_why_it_can_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PLACE, raising=False)
    with pytest.raises(Refused, match=r"^unix:.* can not be asked: No such file or directory$"):
        run(["status", "--status", f"unix:{tmp_path}/a.sock"])
    with pytest.raises(Refused, match="where is the status site"):
        run(["status"])
    with pytest.raises(Refused, match="argument --interval: invalid float value"):
        run(["status", "--interval", "x"])
    assert "status" in COMMANDS


# ---- The terminal --------------------------------------------------------------------------------------------------


class Terminal(Screen):
    """A terminal of 100 columns that somebody leaves after so many looks; `meanwhile` happens before each."""

    def __init__(self, looks: int, meanwhile: Any = lambda: None) -> None:
        self.looks = looks
        self.shown: list[str] = []
        self._meanwhile = meanwhile

    def size(self) -> tuple[int, int]:
        return 100, 24

    def show(self, text: str) -> None:
        self.shown.append(text)

    def is_left(self, within: float) -> bool:
        self.looks -= 1
        self._meanwhile()
        return self.looks <= 0


def test_the_table_moves_and_the_terminal_is_as_before_at_the_end() -> None:
    its = site()

    def grow() -> None:
        its.answers["/s/status.json"] = (200, json.dumps(later(2.0, 100)).encode())

    screen = Terminal(2, grow)
    follow(client(its), screen, 2.0)
    assert screen.shown[0] == "\x1b[?1049h\x1b[?25l"
    assert "since the start: 15.0/s" in screen.shown[1]
    assert "in the last 2.0 s: 50.0/s" in screen.shown[2]
    assert screen.shown[1].startswith("\x1b[H")
    assert screen.shown[1].endswith("\x1b[J")
    assert screen.shown[3:] == ["\x1b[?25h\x1b[?1049l"]


def test_a_server_that_restarts_is_waited_for() -> None:
    its, states = site(), iter([503, 200])

    def restart() -> None:
        its.answers["/s/status.json"] = (next(states, 200), json.dumps(later(4.0, 0)).encode())

    screen = Terminal(3, restart)
    follow(client(its), screen, 2.0)
    assert "is no status site: /status.json was answered with 503" in screen.shown[2].splitlines()[0]
    assert "in the last 4.0 s" in screen.shown[3]


def test_a_terminal_is_as_before_when_somebody_interrupts() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    screen = Terminal(2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        follow(client(site()), screen, 2.0)
    assert screen.shown[-1] == "\x1b[?25h\x1b[?1049l"
