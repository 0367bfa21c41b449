"""Do the benchmarks say what is wrong, instead of giving wrong figures or none?"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import importlib.util
import random
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import handshakes
from benchmarks.harness.peers import OURS, SERVERS
from benchmarks.harness.peers import Variant as Wanted
from benchmarks.harness.serving import ServerFailed
from benchmarks.harness.workloads import WORKLOADS
from benchmarks.speed import calls, goals, report, variants
from benchmarks.stress import cross_talk, cross_talk_app, cross_talk_clients, slow_readers

from .real.children import Process, alive


def test_two_versions_with_one_label_are_refused() -> None:
    with pytest.raises(SystemExit, match="'now' is the label of 2 variants"):
        variants.main(["now=.", "before=HEAD", "now=. --threads 8"])


def test_a_version_that_gives_no_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Silent:
        port = 0

        def wait_until_ready(self, *_: Any) -> None:
            """Be ready."""

    def drive(*_: Any) -> None:
        raise variants.ServerFailed("no answer in 1 s, 3 errors")

    monkeypatch.setattr(variants, "_start", lambda *_: contextlib.nullcontext(Silent()))
    monkeypatch.setattr(variants, "drive", drive)
    (workload,) = variants.named(variants.WORKLOADS, "hello")
    options = argparse.Namespace(rounds=1, duration=1)
    with pytest.raises(SystemExit, match="now: no answer in 1 s, 3 errors"):
        variants._measure(None, workload, [variants.Variant("now", tmp_path, "")], options, tmp_path)


def test_what_can_not_be_compared_has_no_ratio() -> None:
    (workload,) = variants.named(variants.WORKLOADS, "hello")
    starts = {label: [variants.Start([rate], round(rate), 0.0)] for label, rate in (("first", 0.0), ("second", 5.0))}
    rows = variants._table(workload, starts).splitlines()[-2:]
    assert rows == ["| first | 0 | nan | nan | nan | 0 |", "| second | 5 | 0.00 | nan | nan | 0 |"]


# ---- Peers, and clients that are not wrk ----------------------------------------------------------------------------

PLACES = {name: Path("/there", name) for name in ("bin", "cert", "key", "path")}


@pytest.mark.parametrize("workload", [each.name for each in WORKLOADS])
def test_no_command_has_a_place_that_nobody_fills(workload: str) -> None:
    (wanted,) = variants.named(WORKLOADS, workload)
    able = [server for server in SERVERS if server.can(wanted.variant)]
    assert OURS in [server.name for server in able]
    for server in able:
        words = server.words(wanted.variant, "app:app", 8000, PLACES)
        assert not [word for word in words if "{" in word]
        place = "/there/path" if wanted.variant.unix else "8000"
        assert any(place in word for word in words), words


def test_a_server_listens_as_its_workload_wants_it() -> None:
    (uwsgi,) = variants.named(SERVERS, "uwsgi")
    kinds = {"plain": Wanted(), "closing": Wanted(closing=True), "unix": Wanted(closing=True, unix=True)}
    said = {kind: uwsgi.words(wanted, "app:app", 8000, PLACES)[1:3] for kind, wanted in kinds.items()}
    assert said == {
        "plain": ["--http11-socket", "127.0.0.1:8000"],
        "closing": ["--http-socket", "127.0.0.1:8000"],
        "unix": ["--http-socket", "/there/path"],
    }
    assert not uwsgi.can(Wanted(tls=True))


def shaken(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str, said: str, status: int = 0) -> float:
    """Return the requests that `shake` counts if each of two clients says this, and ends with this status."""

    class Client:
        returncode = status

        def wait(self, seconds: float) -> int:
            return status

    def client(words: list[str], output: Path) -> Client:
        assert words[-1] == f"-{kind}"
        output.write_text(said)
        return Client()

    monkeypatch.setattr(handshakes, "_client", client)
    monkeypatch.setattr(handshakes.shutil, "which", lambda _: "/there/openssl")
    (workload,) = variants.named(WORKLOADS, "tls-resumed" if kind == "reuse" else "tls-full")
    workload = dataclasses.replace(workload, connections=2)
    return handshakes.shake(workload, 8000, 1, None, folder).requests


NEW = "Collecting\n***\n\n3 connections in 0.09s\n3 connections in 2 real seconds, 3"


def test_full_handshakes_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert shaken(monkeypatch, tmp_path, "new", NEW) == 6


def test_a_session_that_does_not_go_on_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert shaken(monkeypatch, tmp_path, "reuse", NEW.replace("***", "rrr")) == 6
    with pytest.raises(ServerFailed, match="6 handshakes were not as asked for"):
        shaken(monkeypatch, tmp_path, "reuse", NEW)


def test_a_client_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="s_time said: connect: refused"):
        shaken(monkeypatch, tmp_path, "new", "connect: refused", status=1)


# ---- Goals ----------------------------------------------------------------------------------------------------------


def measured(name: str, **rates: float) -> report.WorkloadResult:
    """Return the result of the workload `name` in which each server had this rate, and as many microseconds."""
    (workload,) = variants.named(WORKLOADS, name)
    servers = [
        report.ServerResult(server, "", [report.Run(rate, rate, rate, 0, 0, 0, 1.0, 0.5)])
        for server, rate in rates.items()
    ]
    return report.WorkloadResult(workload.name, workload.text, workload.figure, servers)


def test_a_goal_is_a_ratio_to_whichever_is_the_best() -> None:
    (row,) = goals.rows(measured("front", **{OURS: 50.0}, granian=40.0, bjoern=100.0))
    assert row[1:4] == ("the best, bjoern", "1.00", "0.50")
    assert row[-1] == "NO"


def test_a_goal_of_a_time_is_held_by_less() -> None:
    (row,) = goals.rows(measured("one", **{OURS: 50.0}, granian=100.0))
    assert row[1:4] == ("granian", "at most 1.00", "0.50")
    assert row[-1] == "yes"


def test_a_goal_that_could_not_be_measured_does_not_hold() -> None:
    found = list(goals.rows(measured("tls", **{OURS: 50.0}, granian=25.0)))
    assert [(row[1], row[3], row[-1]) for row in found] == [
        ("granian", "2.00", "yes"),
        ("gunicorn", "not measured", "no"),
    ]


@pytest.mark.parametrize("goal", goals.GOALS, ids=lambda goal: f"{goal.workload}, {goal.peer}")
def test_whoever_has_a_goal_can_be_measured(goal: goals.Goal) -> None:
    (workload,) = variants.named(WORKLOADS, goal.workload)
    peers = [server for server in SERVERS if server.name in goals.peers_of(goal.workload)]
    able = [server.name for server in peers if server.can(workload.variant)]
    assert OURS in able
    assert goal.peer in (*able, goals.BEST)


# ---- The package ---------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    (page.name, module)
    for page in (ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md"))
    for module in re.findall(r"-m\s+(benchmarks[\w.]*)", page.read_text("utf-8"))
}


@pytest.mark.parametrize(("page", "module"), sorted(COMMANDS))
def test_every_script_that_a_page_names_can_be_run(page: str, module: str) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None
    if found.submodule_search_locations is not None:
        found = importlib.util.find_spec(f"{module}.__main__")
    assert "if __name__" in Path(str(found and found.origin)).read_text("utf-8")


def test_no_script_looks_for_modules_anywhere_else() -> None:
    scripts = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    guilty = [
        f"{script}:{node.lineno}"
        for script in scripts
        if "sys.path" in (text := script.read_text("utf-8"))  # few: to parse all takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.path.insert", "sys.path.append")
    ]
    assert guilty == []


# Servers, which the scripts start and end.
_OF_SERVERS = {"bare_server.py", "bjoern_server.py", "stdlib_server.py"}


def test_every_script_ends_its_servers_if_it_is_ended() -> None:
    guilty = []  # servers themselves are started and ended by scripts
    for script in (ROOT / "benchmarks").rglob("*.py"):
        _, begins, end = script.read_text("utf-8").partition('if __name__ == "__main__":\n')
        if begins and end != "    run(main)\n" and not script.name.endswith("_server.py"):
            guilty.append(script.name)
    assert guilty == []


_SCRIPT = """
import signal, sys, time
from pathlib import Path
from benchmarks.harness.script import run
from tests.real.children import Process

def main():
    with Process([sys.executable, "-c", "import time; time.sleep(60)"], Path(), own_session=True) as server:
        print("started", server.pid, flush=True)
        time.sleep(60)

run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_script_that_is_ended_leaves_no_server_behind(number: signal.Signals, tmp_path: Path) -> None:
    with Process([sys.executable, "-c", _SCRIPT], tmp_path) as script:
        server = int(script.wait_for(re.compile(r"started (\d+)\n"))[1])
        assert alive(server)
        script.process.send_signal(number)
        script.process.send_signal(number)  # as `timeout` does, to the process and to its group
        assert script.wait(20) == 128 + number
        assert not alive(server)
        assert "Traceback" not in script.said


# ---- Cross-talk ----------------------------------------------------------------------------------------------------


def heard(octets: bytes, how: str, size: int) -> Counter[str]:
    """Return what a client counts whose request has the nonce "mine", and whose server sends `octets` and closes."""
    tally = cross_talk_clients.Tally()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        cross_talk_clients.Client(listener.getsockname()[1]) as client,
    ):
        server, _ = listener.accept()
        with server:
            server.sendall(octets)
        talk = cross_talk_clients.Talk(client, random.Random(1), str, tally, "test")
        talk.check([cross_talk_clients.Ask("mine", how, "GET", "1.1", b"GET /mine HTTP/1.1\r\n\r\n", b"", size, False)])
        talk.end("its answer")
    counts: Counter[str] = tally.counts
    return counts


def answer_of(nonce: str, size: int, body: bytes | None = None) -> bytes:
    """Return what the application answers to the request with this nonce; with another `body` if one is given."""
    made = cross_talk_app.Asked({}, nonce, 0, size, "all")
    lines = [f"{name}: {value}" for name, value in made.headers]
    body = made.body if body is None else body
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </%b>\r\n\r\n"


def test_an_answer_with_all_that_is_its_own_is_right() -> None:
    assert heard(HINT % b"mine" + answer_of("mine", 50), "whole", 50) == {"requests": 1, "right answers": 1}
    late = answer_of("mine", 4, random.Random("mine").randbytes(4) + b"<late mine>")
    assert heard(late, "late-write", 4) == {"requests": 1, "right answers": 1}


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        pytest.param(lambda: answer_of("yours", 50), "wrong answers", id="another's answer"),
        pytest.param(lambda: HINT % b"yours" + answer_of("mine", 50), "wrong answers", id="another's hint"),
        pytest.param(lambda: answer_of("mine", 50, b"?" * 50), "wrong answers", id="another's body"),
        pytest.param(lambda: answer_of("mine", 50)[:-1], "wrong answers", id="cut short"),
        pytest.param(lambda: answer_of("mine", 50) + b"<late yours>", "wrong answers", id="more behind it"),
        pytest.param(lambda: HINT % b"mine", "unanswered", id="a hint alone"),
        pytest.param(lambda: b"", "unanswered", id="nothing"),
    ],
)
def test_what_is_not_its_own_is_a_fault(octets: Callable[[], bytes], fault: str) -> None:
    assert heard(octets(), "whole", 50)[fault] == 1


def test_faults_of_one_server_end_the_check_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server:
        port = 0

        def __init__(self, folder: Path, *options: str, application: str, tls: bool) -> None:
            self.options = options

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            """Be gone."""

        def news(self) -> list[dict[str, object]]:
            return []

        def log_lines(self) -> list[str]:
            return []

        def wait_until_well(self, seconds: float) -> float:
            return 0.0

    class Crowd:
        def __init__(self, port: int, seed: str, seconds: float) -> None:
            self.seed = seed

        def read(self) -> tuple[Counter[str], list[str]]:
            return Counter({"right answers": 9, "unanswered": int(self.seed == "workers-7")}), []

    monkeypatch.setattr(cross_talk, "HostileServer", Server)
    monkeypatch.setattr(cross_talk, "Crowd", Crowd)
    assert cross_talk.main(["--seed", "7", "--servers", "streamed,plain"]) == 0
    assert cross_talk.main(["--seed", "7"]) == 1
    streamed, workers = capsys.readouterr().out.splitlines()[-2:]
    assert streamed.startswith("streamed: ")
    assert " 0 unanswered" in streamed
    assert " 1 unanswered" in workers


@pytest.mark.slow
def test_a_server_is_checked_for_a_second(capfd: pytest.CaptureFixture[str]) -> None:
    assert cross_talk.main(["--minutes", "0.02", "--servers", "streamed"]) == 0
    assert " 0 wrong answers, 0 unanswered, 0 wrong requests" in capfd.readouterr().out


# ---- Calls ---------------------------------------------------------------------------------------------------------

# Calls, changes of module and modules of one kept-alive GET: no change of the code may make them more.
MOST = (29, 18, 12)


def test_the_path_of_a_request_grows_no_longer(capsys: pytest.CaptureFixture[str]) -> None:
    assert calls.main([]) == 0
    plain, fields, *_ = capsys.readouterr().out.splitlines()[2:]
    assert all(int(cell) <= most for cell, most in zip(plain.split("|")[3:6], MOST, strict=True))
    assert plain.split("|")[3:6] == fields.split("|")[3:6]  # what was sent before is not judged again


def test_changes_of_module_are_told_from_calls() -> None:
    assert calls.changes([("a", "f"), ("a", "g"), ("b", "f"), ("a", "f")]) == 3
    assert calls.changes([]) == 0


def test_a_folder_without_the_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no twisted_wsgiref in this folder"):
        calls.main([str(tmp_path)])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_clients_that_read_nothing_hold_no_thread_of_a_real_server(capsys: pytest.CaptureFixture[str]) -> None:
    status = slow_readers.main(["--readers", "100"])
    assert status == 0, capsys.readouterr().out
