"""Do many processes serve as one does, and is nothing lost when they come, go, hang and die?"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import pytest

from tests.authorities import family

from . import raw_client
from .children import COMMANDS, PATIENCE, SOON, Child, Stopwatch, alive, ended, get, parent_of, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="children are looked up in /proc"),
]

DEMO = """
import os, sys, threading, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        print("in flight", flush=True)
        time.sleep(1.0)
    elif path == "/stuck":
        wait_for_ever()
    elif path == "/errors":
        environ["wsgi.errors"].write("said by the application")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {environ['wsgi.multiprocess']} {environ['wsgi.url_scheme']} {sys.path[0]}".encode()]

def wait_for_ever():
    print("in flight", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo.py").write_text(DEMO)
    return tmp_path


@contextlib.contextmanager
def house(folder: Path, *words: str, command: str = "python -m", workers: int = 2) -> Iterator[Child]:
    """A served demo with workers; none of them is left afterwards."""
    every = [*COMMANDS[command], "--workers", str(workers), *words, "demo:app"]
    if not any(word in ("--port", "--listen") for word in words):
        every += ["--port", "0"]
    with started(every, folder) as child:
        try:
            yield child
        finally:
            left = [pid for pid in pids(child) if alive(pid) and parent_of(pid) in (child.process.pid, 1)]
            if child.process.poll() is not None:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)


def pids(child: Child) -> list[int]:
    """The pids of all workers so far."""
    return [int(pid) for pid in re.findall(r"worker \d+ starts: pid (\d+)", child.look())]


def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it does not come true")
        threading.Event().wait(0.02)


def stamp(line: str) -> float:
    """The time that a line of the log begins with, in whole seconds."""
    return time.mktime(time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S"))


def ask(port: int, path: str = "/") -> list[str]:
    """What the demo says: pid, wsgi.multiprocess, scheme, directory."""
    return get(port, path)[1].decode().split(" ")


def asked(port: int, path: str, answers: list[list[str]]) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError, HTTPException):
            answers.append(ask(port, path))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("command", COMMANDS)
def test_workers_serve_and_stop_with_status_0_and_their_parent_imports_no_application(
    command: str, folder: Path
) -> None:
    (folder / "demo.py").write_text("import os\nos.write(1, b'imported by %d\\n' % os.getpid())\n" + DEMO)
    with house(folder, command=command) as child:
        port = child.port()
        pid, multiprocess, scheme, place = ask(port)
        assert int(pid) in pids(child)
        assert (multiprocess, scheme, place) == ("True", "http", str(folder))
        assert child.end() == 0, child.said
        assert not [each for each in pids(child) if alive(each)]
    assert {int(pid) for pid in re.findall(r"imported by (\d+)", child.said)} == set(pids(child))
    assert "Traceback" not in child.said
    assert "the parent is gone" not in child.said


def certificate(folder: Path) -> None:
    _, middle, leaf = family()
    (folder / "key.pem").write_bytes(leaf.key_pem())
    (folder / "cert.pem").write_bytes(leaf.pem + middle.pem)


def said_on(connection: HTTPConnection) -> list[str]:
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode().split(" ")


def said_in(answer: raw_client.Answer | None) -> list[str]:
    assert answer is not None
    assert answer.status == 200
    return answer.body.decode().split(" ")


def endpoints(folder: Path) -> dict[str, Callable[[Child], list[str]]]:
    def by_path(name: str) -> Callable[[Child], list[str]]:
        return lambda _: said_in(raw_client.ask(str(folder / name), raw_client.request("/"), timeout=PATIENCE))

    def port(child: Child, begin: str) -> int:
        return int(child.wait_for(re.compile(rf"on {begin}:(\d+), "))[1])

    def by_tls(child: Child) -> list[str]:
        # Fails unless the whole chain is sent.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=family()[0].pem.decode())
        return said_on(HTTPSConnection("localhost", port(child, r"https://\S+?"), context=context, timeout=PATIENCE))

    def by_proxy(child: Child) -> list[str]:
        octets = b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 80\r\nGET / HTTP/1.0\r\n\r\n"
        return said_in(raw_client.ask(port(child, r"http://127\.0\.0\.1"), octets, timeout=PATIENCE))

    def by_ipv6(child: Child) -> list[str]:
        return said_on(HTTPConnection("::1", port(child, r"http://\[::1\]"), timeout=PATIENCE))

    return {
        "unix:socket": by_path("socket"),
        "unix:own:mode=600:lockfile=0": by_path("own"),
        "ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=cert.pem": by_tls,
        "haproxy:tcp:0:interface=127.0.0.1": by_proxy,
        "tcp6:0:interface=\\:\\:1": by_ipv6,
    }


def reloaded(child: Child) -> None:
    """Have all workers replaced, and wait until those of before are gone."""
    before = pids(child)
    child.process.send_signal(signal.SIGHUP)
    child.wait_for(re.compile("reloaded: "))
    until(lambda: not any(alive(pid) for pid in before))


def test_every_kind_of_endpoint_is_adopted_by_workers_and_by_those_that_replace_them(folder: Path) -> None:
    certificate(folder)
    reach = endpoints(folder)
    twice = ["tcp:0", "tcp:0"]
    with house(folder, *(word for each in (*reach, *twice) for word in ("--listen", each))) as child:
        until(lambda: child.look().count("serving demo:app on ") == len(reach) + len(twice))
        first = {endpoint: ask_there(child) for endpoint, ask_there in reach.items()}
        assert {int(each[0]) for each in first.values()} <= set(pids(child))
        assert [endpoint for endpoint, each in first.items() if each[2] == "https"] == [
            endpoint for endpoint in reach if endpoint.startswith("ssl")
        ]
        reloaded(child)
        # Those that drain leave the path where it is, and its mode as it was.
        again = {endpoint: ask_there(child)[0] for endpoint, ask_there in reach.items()}
        assert {*again.values()}.isdisjoint(each[0] for each in first.values())
        assert (folder / "own").stat().st_mode & 0o777 == 0o600
        # Two of the same words are two sockets.
        ports = re.findall(r"serving demo:app on http://0.0.0.0:(\d+), 2 workers of 4 threads", child.said)
        assert len(set(ports)) == 2
        for port in ports:
            assert ask(int(port))[0]
        assert child.end() == 0, child.said
    assert not (folder / "socket").exists()
    assert not (folder / "own").exists()


# What systemd does between fork and exec: two sockets are descriptors 3 and 4.
LIKE_SYSTEMD = """
import fcntl, os, sys
os.environ.update(LISTEN_FDS="2", LISTEN_FDNAMES="spare:web", LISTEN_PID=str(os.getpid()))
for number, descriptor in enumerate([fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]], 3):
    os.dup2(descriptor, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_sockets_of_systemds_are_handed_on_by_number_and_by_name(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [sock.getsockname()[1] for sock in (one, other)]
        descriptors = [sock.fileno() for sock in (one, other)]
        words = [sys.executable, "-c", LIKE_SYSTEMD, *map(str, descriptors), *COMMANDS["python -m"], "--workers", "2"]
        words += ["--listen", "systemd:domain=INET:index=0", "--listen", "systemd:domain=INET:name=web", "demo:app"]
        child = started(words, folder, pass_fds=descriptors)
    with child:
        first = {ask(port)[0] for port in ports}
        reloaded(child)
        assert first.isdisjoint(ask(port)[0] for port in ports)
        assert child.end() == 0, child.said


SERVING_UNIX = re.compile(r"serving demo:app on unix:")


def ask_by_path(path: Path) -> str:
    return said_in(raw_client.ask(str(path), raw_client.request("/"), timeout=PATIENCE))[0]


@pytest.mark.parametrize(
    "workers", [[], ["--workers", "2"], ["--workers", "2", "--preload"]], ids=["one process", "workers", "preload"]
)
def test_the_path_of_a_socket_of_systemds_stays_as_it_is(folder: Path, workers: list[str]) -> None:
    path = folder / "activated"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(path))
        path.chmod(0o600)
        sock.listen()
        numbers = [str(sock.fileno())] * 2
        words = [sys.executable, "-c", LIKE_SYSTEMD, *numbers, *COMMANDS["python -m"], *workers]
        child = started(
            [*words, "--listen", "systemd:domain=UNIX:index=1", "demo:app"], folder, pass_fds=[sock.fileno()]
        )
        with child:
            child.wait_for(SERVING_UNIX)
            first = ask_by_path(path)
            assert path.stat().st_mode & 0o777 == 0o600
            if workers:
                reloaded(child)
                assert ask_by_path(path) != first
            assert child.end() == 0, child.said
        # systemd listens there still, and starts the server when a client comes.
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.fspath(path))


def test_connections_are_shared(folder: Path) -> None:
    with house(folder) as child:
        port = child.port()
        held = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(32)]
        for connection in held:
            connection.connect()
        counts: dict[str, int] = {}
        for connection in held:
            connection.request("GET", "/")
            pid = connection.getresponse().read().decode().split(" ")[0]
            counts[pid] = counts.get(pid, 0) + 1
        assert len(counts) == 2
        assert min(counts.values()) >= 0.35 * 32
        for connection in held:
            connection.close()
        assert child.end() == 0


def test_a_killed_worker_is_replaced_and_nobody_is_refused(folder: Path) -> None:
    with house(folder) as child:
        port = child.port()
        first, second = pids(child)
        os.kill(first, signal.SIGKILL)
        child.wait_for(re.compile(r"worker 1 died \(SIGKILL\)"))
        for _ in range(20):
            assert int(ask(port)[0]) != first
        child.wait_for(re.compile(r"worker 3 serves"))
        assert alive(second)
        assert child.end() == 0, child.said


def test_only_its_own_children_are_waited_for(folder: Path) -> None:
    # A program that becomes twistd by exec keeps the children that it had: they are not the parent's to reap.
    code = "import os, sys, time\npid = os.fork()\nif not pid:\n    time.sleep(0.5)\n    os._exit(0)\n"
    code += "print('stranger', pid, flush=True)\nos.execv(sys.argv[1], sys.argv[1:])"
    words = [sys.executable, "-c", code, *COMMANDS["python -m"], "--workers", "2", "--port", "0", "demo:app"]
    with started(words, folder) as child:
        stranger = int(child.wait_for(re.compile(r"stranger (\d+)"))[1])
        child.port()
        until(lambda: not alive(stranger))
        assert parent_of(stranger) == child.process.pid  # dead, and still to be waited for
        assert child.end() == 0


def test_a_reload_takes_new_code_and_breaks_off_no_request(folder: Path) -> None:
    answers: list[list[str]] = []
    with house(folder) as child:
        port = child.port()
        old = pids(child)
        thread = asked(port, "/slow", answers)
        child.wait_for(re.compile("in flight"))
        (folder / "demo.py").write_text(DEMO.replace("sys.path[0]", "'new code'"))
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("reloaded: 2 workers with the new code"))
        thread.join(PATIENCE)
        assert int(answers[0][0]) in old
        until(lambda: not any(alive(pid) for pid in old))
        assert ask(port)[3:] == ["new", "code"]
        assert child.end() == 0, child.said
    assert "did not end well" not in child.said


def test_code_that_does_not_load_is_told_and_not_taken(folder: Path) -> None:
    with house(folder) as child:
        port = child.port()
        old = pids(child)
        (folder / "demo.py").write_text("def broken(:\n")
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("the reload is given up"))
        assert "SyntaxError: invalid syntax at demo.py:1" in child.said
        until(lambda: not any(alive(pid) for pid in pids(child) if pid not in old))
        assert int(ask(port)[0]) in old
        assert child.end() == 0, child.said


def test_code_that_hangs_in_import_shows_where(folder: Path) -> None:
    with house(folder, "--start-timeout", "4") as child:
        port = child.port()
        (folder / "demo.py").write_text("import time\n\n\ntime.sleep(3600)\n")
        child.process.send_signal(signal.SIGHUP)
        child.wait_for(re.compile("the reload is given up"))
        assert 'demo.py", line 4, in <module>' in child.said
        assert "it did not begin to serve within 4 s" in child.said
        assert int(ask(port)[0]) in pids(child)[:2]
        assert child.end() == 0, child.said


def test_a_mistake_in_the_words_ends_it_with_status_1(folder: Path) -> None:
    done = ended([*COMMANDS["python -m"], "--workers", "2", "--port", "0", "demon:app"], folder)
    assert done.returncode == 1
    assert "there is no module demon; did you mean demo?" in done.stderr


def test_a_busy_port_is_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["--workers", "2", "--listen", f"tcp:{port}:interface=127.0.0.1", "demo:app"]
        done = ended([*COMMANDS["python -m"], *words], folder)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(port) in done.stderr


def test_a_crash_at_start_is_tried_again_slowly(folder: Path) -> None:
    (folder / "demo.py").write_text("import os\nos._exit(7)\n")
    with house(folder) as child:
        told = child.wait_for(re.compile(".*from now on one is started a second"))
        # One more may have been asked for by then, and the first one after it need not wait.
        number = child.said[: told.start()].count(" starts: pid ") + 4
        last = child.wait_for(re.compile(f".*worker {number} starts"))
        # By the times of the lines, in whole seconds: who reads them here may come late.
        assert stamp(last[0]) - stamp(told[0]) >= 2
        assert "did not start (status 7)" in child.said
        # Who mends the code needs no second restart.
        (folder / "mended").write_text(DEMO)
        (folder / "mended").replace(folder / "demo.py")  # a worker may be reading it
        assert ask(child.port())[0]
        assert child.end() == 0, child.said


def test_one_more_and_one_fewer(folder: Path) -> None:
    with house(folder) as child:
        child.port()
        child.process.send_signal(signal.SIGTTIN)
        child.wait_for(re.compile("worker 3 serves"))
        child.process.send_signal(signal.SIGTTOU)
        until(lambda: not alive(pids(child)[2]))
        assert alive(pids(child)[0])
        assert child.end() == 0, child.said


def test_a_worker_is_replaced_after_its_requests(folder: Path) -> None:
    with house(folder, "--max-requests", "20", workers=1) as child:
        port = child.port()
        first = pids(child)[0]
        seen = set()

        def relieved() -> bool:
            seen.add(int(ask(port)[0]))
            return len(seen) > 1

        until(relieved)
        child.wait_for(re.compile(r"worker 1 is going to be replaced: it has served \d+ requests"))
        until(lambda: not alive(first))
        assert child.end() == 0, child.said
    assert "did not end well" not in child.said


def test_a_worker_is_replaced_for_its_memory(folder: Path) -> None:
    # More than the interpreter and Twisted need, less than what the application takes later.
    (folder / "demo.py").write_text(
        DEMO.replace(
            'if path == "/slow":',
            'if path == "/eat":\n        EATEN.append(bytearray(300 << 20))\n    elif path == "/slow":',
        )
        + "\nEATEN = []\n"
    )
    with house(folder, "--max-rss", "200m", workers=1) as child:
        port = child.port()
        get(port, "/eat")
        child.wait_for(re.compile(r"worker 1 is going to be replaced: it has \d{3} MiB of memory"))
        child.wait_for(re.compile("worker 2 serves"))
        until(lambda: not alive(pids(child)[0]))
        assert int(ask(port)[0]) == pids(child)[1]
        assert child.end() == 0, child.said


def test_every_stack_is_shown_with_its_request(folder: Path) -> None:
    with house(folder, "--grace", "1") as child:
        port = child.port()
        asked(port, "/stuck", [])
        child.wait_for(re.compile("in flight"))
        child.process.send_signal(signal.SIGUSR2)
        child.wait_for(re.compile(r"SIGUSR2: 1 of 4 threads busy, 0 requests waiting; the oldest runs GET /stuck HTTP"))
        child.wait_for(re.compile(r"runs GET /stuck HTTP/1.1 of 127.0.0.1 since \d.* s(?s:.)*in wait_for_ever"))
        child.wait_for(re.compile(r"\d idle threads: .*worker-\d+-\d"))
        child.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stuck_thread_can_not_keep_the_process(workers: int, folder: Path) -> None:
    with house(folder, "--grace", "2", workers=workers) as child:
        port = child.port()
        asked(port, "/stuck", [])
        child.wait_for(re.compile("in flight"))
        watch = Stopwatch()
        assert child.end(patience=SOON) == 3, child.said
        assert watch.undisturbed() <= 3.0
    assert "1 request still run at the end of the grace and are given up" in child.said
    assert re.search(r"runs GET /stuck HTTP/1.1(?s:.)*in wait_for_ever", child.said)


def test_a_request_whose_client_has_left_is_finished_too(folder: Path) -> None:
    (folder / "demo.py").write_text(DEMO.replace("time.sleep(1.0)", "time.sleep(1.0); print('finished', flush=True)"))
    with house(folder) as child:
        with raw_client.Client(child.port()) as client:
            client.send(raw_client.request("/slow"))
            child.wait_for(re.compile("in flight"))
        assert child.end() == 0
    assert "finished" in child.said


def test_a_process_that_does_not_turn_is_killed_and_replaced(folder: Path) -> None:
    with house(folder, "--watchdog", "2") as child:
        port = child.port()
        victim = pids(child)[0]
        os.kill(victim, signal.SIGSTOP)
        child.wait_for(re.compile("worker 1 is killed: its reactor has not turned for 2 s"))
        child.wait_for(re.compile("worker 3 serves"))
        for _ in range(5):
            assert int(ask(port)[0]) != victim
        assert child.end() == 0, child.said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reactor_that_does_not_turn_shows_its_stack(workers: int, folder: Path) -> None:
    late = """
from twisted.internet import reactor

def block():
    time.sleep(2.5)

reactor.callLater(0.5, block)
"""
    (folder / "demo.py").write_text(DEMO + late)
    with house(folder, workers=workers) as child:
        # Both workers hang at the same moment, and write without regard for each other: the words may be interleaved.
        child.wait_for(re.compile(r"has not turned for 1 s: every thread(?s:.)*demo\.py(?s:.)*in block"))
        child.wait_for(re.compile(r"the reactor did not turn for \d\.\d s"))
        assert child.end() == 0, child.said


def test_the_parents_death_is_the_end_of_its_workers(folder: Path) -> None:
    answers: list[list[str]] = []
    with house(folder) as child:
        port = child.port()
        thread = asked(port, "/slow", answers)
        child.wait_for(re.compile("in flight"))
        child.process.kill()
        until(lambda: not any(alive(pid) for pid in pids(child)), SOON)
        thread.join(PATIENCE)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", port))
            sock.listen()
    assert len(answers) == 1


# What keeps a worker: a thread with a request, its reactor's own thread, or what comes after the reactor.
KEPT = {
    "/stuck": "wait()",
    "/reactor": "from twisted.internet import reactor; reactor.callFromThread(wait)",
    "/after": "threading.Thread(target=wait).start()",
}


@pytest.mark.parametrize("path", KEPT)
def test_a_worker_that_drains_does_not_outlive_its_parent(path: str, folder: Path) -> None:
    (folder / "demo.py").write_text(
        f"""
import threading
wait = threading.Event().wait

def app(environ, start_response):
    start_response("200 OK", [])
    print("in flight", flush=True)
    {KEPT[path]}
    return []
"""
    )
    with house(folder) as child:
        port = child.port()
        asked(port, path, [])
        child.wait_for(re.compile("in flight"))
        child.process.terminate()
        child.wait_for(re.compile(r"SIGTERM: answering the requests in flight, for 25 s at most, then stopping\n"))
        child.wait_for(re.compile(r"worker \d: .*SIGTERM|did not turn|Main loop terminated"))
        child.process.kill()
        watch = Stopwatch()
        until(lambda: not any(alive(pid) for pid in pids(child)), SOON)
        assert watch.undisturbed() < 6


def test_a_second_ctrl_c_is_the_end_of_all_at_once(folder: Path) -> None:
    with house(folder) as child:
        port = child.port()
        asked(port, "/stuck", [])
        child.wait_for(re.compile("in flight"))
        child.process.send_signal(signal.SIGINT)
        child.wait_for(re.compile("for 25 s at most, then stopping; a second Ctrl-C ends it at once"))
        threading.Event().wait(1.1)  # what comes sooner is the same key press
        watch = Stopwatch()
        assert child.end(signal.SIGINT, SOON) == -signal.SIGINT
        until(lambda: not any(alive(pid) for pid in pids(child)), SOON)
        assert watch.undisturbed() < 2


def test_a_parent_that_dies_during_the_import_leaves_no_orphan(folder: Path) -> None:
    (folder / "demo.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(3600)\n")
    with house(folder) as child:
        child.wait_for(re.compile("importing"))
        child.wait_for(re.compile("worker 2 starts"))
        child.process.kill()
        until(lambda: not any(alive(pid) for pid in pids(child)), SOON)


def test_ctrl_c_in_a_terminal_reaches_all_and_is_the_parents_business(folder: Path) -> None:
    answers: list[list[str]] = []
    with house(folder) as child:
        port = child.port()
        thread = asked(port, "/slow", answers)
        child.wait_for(re.compile("in flight"))
        for pid in pids(child):
            os.kill(pid, signal.SIGINT)
        assert child.end(signal.SIGINT) == 0, child.said
        thread.join(PATIENCE)
    assert len(answers) == 1
    assert "Traceback" not in child.said


def lines_of(path: Path) -> Sequence[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_the_access_log_is_written_by_all_and_rotated(folder: Path) -> None:
    log, old = folder / "access.log", folder / "access.log.1"
    with house(folder, "--access-log", "access.log") as child:
        port = child.port()
        for number in range(20):
            get(port, f"/before{number}")
        until(lambda: len(lines_of(log)) == 20)
        log.rename(old)
        child.process.send_signal(signal.SIGUSR1)
        until(lambda: get(port, "/after") and len(lines_of(log)) >= 1)
        assert child.end() == 0, child.said
    assert sum("/before" in line for line in lines_of(old)) == 20


def test_a_daemon_has_what_its_workers_say_in_its_log(folder: Path) -> None:
    words = [word for word in COMMANDS["twistd"] if word != "-n"]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    log, pid_file = folder / "twistd.log", folder / "twistd.pid"
    done = ended([*words, "--workers", "2", "--listen", f"tcp:{port}:interface=127.0.0.1", "demo:app"], folder)
    assert done.returncode == 0, done.stderr
    until(pid_file.exists)
    pid = int(pid_file.read_text())
    try:
        until(lambda: "serving demo:app on " in log.read_text())
        get(port, "/errors")
        until(lambda: re.search(r"worker \d: .*said by the application", log.read_text()))
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists())
    until(lambda: not alive(pid))
