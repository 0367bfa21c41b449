"""Does statsd get gunicorn's names, once a second, whatever becomes of the datagrams?"""

from __future__ import annotations

import socket

import pytest

from tests.support import GET, hello, serving
from twisted_wsgiref._observe.record import Facts
from twisted_wsgiref._observe.statsd import Sender, Statsd
from twisted_wsgiref.settings import SettingError, Settings


def facts(status: int = 200, seconds: float = 0.25) -> Facts:
    return (None, "GET / HTTP/1.1", status, 0, 0.0, seconds, "", "", "", "GET", 0.0, 0, "", ())


def sent(statsd_prefix: str = "", *each: Facts) -> list[bytes]:
    datagrams: list[bytes] = []
    statsd = Statsd(statsd_prefix, datagrams.append)
    for one in each:
        statsd.observe_facts(one)
    statsd.flush()
    return datagrams


def test_requests_are_sent_by_gunicorns_names() -> None:
    (datagram,) = sent("", facts(), facts(), facts(503))
    assert datagram.split(b"\n") == [
        b"gunicorn.request.status.200:2|c",
        b"gunicorn.request.status.503:1|c",
        b"gunicorn.requests:3|c",
        *[b"gunicorn.request.duration:250.000|ms"] * 3,
    ]


@pytest.mark.parametrize("prefix", ["shop", "shop."])
def test_a_prefix_is_parted_by_one_dot(prefix: str) -> None:
    (datagram,) = sent(prefix, facts())
    assert datagram.startswith(b"shop.gunicorn.request.status.200:1|c\n")


def test_without_requests_nothing_is_sent() -> None:
    assert sent() == []


def test_each_count_is_sent_once() -> None:
    datagrams: list[bytes] = []
    statsd = Statsd("", datagrams.append)
    statsd.observe_facts(facts())
    statsd.flush()
    statsd.flush()
    assert len(datagrams) == 1


def test_of_many_durations_some_are_sent_and_told_to_be_a_part() -> None:
    datagrams = sent("", *[facts()] * 1000)
    lines = b"\n".join(datagrams).split(b"\n")
    assert b"gunicorn.requests:1000|c" in lines
    assert lines.count(b"gunicorn.request.duration:250.000|ms|@0.05") == 50
    assert max(map(len, datagrams)) <= 1432


def test_a_client_that_left_has_a_status_of_three_digits() -> None:
    assert sent("", facts(0))[0].startswith(b"gunicorn.request.status.499:1|c")


def test_nobody_waits_for_whoever_does_not_listen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    send = Sender("127.0.0.1", port)
    for _ in range(3):
        send(b"x")
    send.close()


def test_a_service_sends_once_a_second() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with serving(hello, statsd=address, statsd_prefix="shop") as server:
            server.ask(GET)
            server.advance(1)
            assert listener.recv(2000).startswith(b"shop.gunicorn.request.status.200:1|c\nshop.gunicorn.requests:1|c")


@pytest.mark.parametrize("address", ["localhost", "localhost:0", ":8125", "a:b", "::1:8125", "h:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match="HOST:PORT"):
        Settings(statsd=address)


def test_an_ipv6_address_is_in_brackets() -> None:
    assert Settings(statsd="[::1]:8125").statsd
