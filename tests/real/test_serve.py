"""Does a script's one call serve, stop in order, and let the script go on?"""

from __future__ import annotations

import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from .children import PATIENCE, ended, get, started

pytestmark = pytest.mark.slow

SCRIPT = """
import signal, sys
from twisted_wsgiref import ListenError, serve

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

if __name__ == "__main__":
"""


def script(folder: Path, *lines: str) -> list[str]:
    """Return the command that runs a script of these `lines`."""
    path = folder / "script.py"
    path.write_text(SCRIPT + "".join(f"    {line}\n" for line in lines))
    return [sys.executable, "-u", str(path)]


GOES_ON = "print('went on', signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


def test_it_serves_logs_stops_and_lets_the_script_go_on(tmp_path: Path) -> None:
    with started(script(tmp_path, "serve(app, 0, threads=2)", GOES_ON), tmp_path) as child:
        port = child.port()
        assert get(port)[1] == b"hello"
        assert get(port, "/fails")[0].status == 500
        assert child.end(signal.SIGINT) == 0
        assert "serving __main__:app on http://127.0.0.1:" in child.said
        assert ", 2 threads" in child.said
        assert '"GET / HTTP/1.1" 200 5' in child.said
        assert child.said.count("ValueError: on purpose") == 1
        assert "SIGINT: answering the requests in flight" in child.said
        assert child.said.endswith("went on True\n")


def test_an_application_given_as_text_is_served_by_workers(tmp_path: Path) -> None:
    with started(script(tmp_path, "serve('script:app', 0, workers=2)", GOES_ON), tmp_path) as child:
        assert get(child.port())[1] == b"hello"
        assert child.end() == 0
        assert "2 workers of 4 threads" in child.said
        assert child.said.endswith("went on True\n")


def test_a_program_s_own_log_is_its_own(tmp_path: Path) -> None:
    lines = [
        "from twisted.logger import globalLogBeginner, formatEvent",
        "mine = lambda event: print('mine:', formatEvent(event))",
        "globalLogBeginner.beginLoggingTo([mine], redirectStandardIO=False)",
        "serve(app, 0)",
    ]
    with started(script(tmp_path, *lines), tmp_path) as child:
        get(int(child.wait_for(re.compile(r"mine: serving __main__:app on http://\S+:(\d+),"))[1]))
        assert child.end() == 0
        assert "Warning" not in child.said
        assert "_process" not in child.said


def test_a_port_in_use_is_one_line_or_an_exception(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ended(script(tmp_path, f"serve(app, {port})"), tmp_path)
        assert done.returncode == 1
        (line,) = [each for each in done.stderr.splitlines() if "can not listen" in each]
        assert line == f"script.py: can not listen on tcp:{port}:interface=127.0.0.1: Address already in use"
        assert "Traceback" not in done.stderr
        lines = ["try:", f"    serve(app, {port})", "except ListenError as error:", "    print('taken', error)"]
        with started(script(tmp_path, *lines, "serve(app, 0)", GOES_ON), tmp_path) as child:
            assert get(child.port())[1] == b"hello"
            assert child.end() == 0
            assert f"taken can not listen on tcp:{port}" in child.said
            assert "script.py: " not in child.said
            assert child.said.endswith("went on True\n")


def test_a_second_call_says_that_a_reactor_runs_once(tmp_path: Path) -> None:
    with started(script(tmp_path, "serve(app, 0)", "serve(app, 0)"), tmp_path) as child:
        get(child.port())  # by then signals do what they should
        assert child.end() == 1
        assert "RuntimeError: serve() runs the reactor, which has run and ended" in child.said


def test_what_does_not_end_within_the_grace_is_cut_and_told(tmp_path: Path) -> None:
    lines = [
        "import threading",
        "never = threading.Event()",
        "def slow(environ, start_response):",
        "    if environ['PATH_INFO'] == '/slow':",
        "        print('in flight')",
        "        never.wait(60)",
        "    return app(environ, start_response)",
        "serve(slow, 0, grace=0.3)",
        "print('not reached')",
    ]
    with started(script(tmp_path, *lines), tmp_path) as child:
        port = child.port()
        get(port)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
            child.wait_for(re.compile("in flight"))
            status = child.end()
        assert status == 3
        assert "not reached" not in child.said
