"""Does each line reach a daemon of syslog as one message, and does a daemon that comes and goes cost little?"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.record import Record
from twisted_wsgiref._observe.syslog import LONGEST, SyslogSink, Target, open_syslog

RECORD = Record("127.0.0.1", "GET / HTTP/1.1", 200, 5, 1.0, 0.1, "", "", "", "GET")
LINE = '"GET / HTTP/1.1" 200 5 "-" "-"'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    with bound(tmp_path) as sock:
        yield sock


def bound(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind(str(tmp_path / "log"))
    return sock


def test_a_local_daemon_gets_what_the_c_library_writes(daemon: socket.socket, tmp_path: Path) -> None:
    log = AccessLog(f"syslog:{tmp_path}/log,facility=local3,tag=shop")
    log.observe_facts(RECORD)
    log.observe_facts(RECORD)
    assert log.close()
    for message in (daemon.recv(10_000).decode(), daemon.recv(10_000).decode()):
        # Facility 19, severity 6. RFC 3164, section 4.1: a month of three letters, a day with a blank for its zero.
        found = re.fullmatch(r"<158>(?:[A-Z][a-z]{2}) [ 123]\d \d\d:\d\d:\d\d shop\[(\d+)\]: (.*)", message)
        assert found is not None, message
        assert found[1] == str(os.getpid())
        assert found[2].endswith(LINE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_machine_gets_rfc_5424(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(("127.0.0.1", 0))
        if socket.getaddrinfo(host, 1, type=socket.SOCK_DGRAM)[0][0] != socket.AF_INET:
            pytest.skip(f"{host} is an address of IPv6 here")
        log = AccessLog(f"syslog:{host}:{sock.getsockname()[1]}")
        log.observe_facts(RECORD)
        assert log.close()
        message = sock.recv(10_000).decode()
    # Facility daemon, no message id, no structured data.
    found = re.fullmatch(r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) twisted_wsgiref (\d+) - - (.*)", message)
    assert found is not None, message
    assert found[2] == str(os.getpid())
    assert found[3].endswith(LINE)


def test_a_line_is_one_datagram_however_long_it_is(daemon: socket.socket, tmp_path: Path) -> None:
    sink = open_syslog(f"syslog:{tmp_path}/log")
    data = b"a" * 3 * LONGEST + b"\nb\n"
    assert sink.write(data) == len(data)
    first, second = daemon.recv(100_000), daemon.recv(100_000)
    sink.close()
    assert len(first) == LONGEST
    assert second.endswith(b"]: b")


def test_a_daemon_that_takes_nothing_is_waited_for(daemon: socket.socket, tmp_path: Path) -> None:
    sink = open_syslog(f"syslog:{tmp_path}/log")
    lines = b"".join(b"%d\n" % number for number in range(10_000))
    taken = 0
    while part := sink.write(lines[taken:]):  # until the daemon's queue is full
        taken += part
    assert 0 < taken < len(lines)
    assert lines[:taken].endswith(b"\n")
    sent = lines[:taken].count(b"\n")
    assert [daemon.recv(1000).rpartition(b" ")[2] for _ in range(sent)] == lines[:taken].split()
    assert sink.write(lines[taken : taken + 5])
    sink.close()


def test_a_daemon_that_was_started_anew_is_found_again(tmp_path: Path) -> None:
    first = bound(tmp_path)
    sink = open_syslog(f"syslog:{tmp_path}/log")
    assert sink.write(b"one\n") == 4
    first.close()
    with pytest.raises(OSError, match=r".*"):
        sink.write(b"two\n")
    os.unlink(tmp_path / "log")
    with bound(tmp_path) as second:
        assert sink.write(b"three\n") == 6
        assert second.recv(1000).endswith(b"three")
    sink.close()


def test_no_daemon_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AccessLog(f"syslog:{tmp_path}/log")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("syslog:", ("/dev/log", "", 514, 3, "twisted_wsgiref")),
        ("syslog:/run/log,facility=user", ("/run/log", "", 514, 1, "twisted_wsgiref")),
        ("syslog:loghost", ("loghost", "loghost", 514, 3, "twisted_wsgiref")),
        ("syslog:loghost:1514,tag=a-b.c", ("loghost:1514", "loghost", 1514, 3, "a-b.c")),
        ("syslog:[::1]:514", ("[::1]:514", "::1", 514, 3, "twisted_wsgiref")),
        ("syslog:,facility=local7", ("/dev/log", "", 514, 23, "twisted_wsgiref")),
    ],
)
def test_a_target_says_where_and_as_what(text: str, place: tuple[str, str, int, int, str]) -> None:
    target = Target(text)
    assert (target.path, target.host, target.port, target.facility, target.tag) == place


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("syslog:host:0", "no place"),
        ("syslog:host:99999", "no place"),
        ("syslog:udp://host", "no place"),
        ("syslog:,facility=kern", "there is no facility 'kern': there are user,"),
        ("syslog:,tag=a b", "no tag"),
        ("syslog:,severity=info", "no option 'severity=info'"),
    ],
)
def test_a_wrong_target_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Target(text)


def test_a_sink_that_can_not_connect_keeps_no_socket(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".*"):
        SyslogSink(Target(f"syslog:{tmp_path}/none"))
