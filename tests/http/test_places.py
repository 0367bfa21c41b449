"""Is an endpoint for this machine alone only if its words say so?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.places import is_of_this_machine, read_host_and_port


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("unix:/run/app.sock", True),
        ("unix:/run/app.sock:mode=660", True),
        ("tcp:9100:interface=127.0.0.1", True),
        ("tcp:9100:interface=127.8.9.1", True),
        (r"tcp6:9100:interface=\:\:1", True),
        ("tcp:9100:interface=localhost", True),
        ("ssl:9100:interface=127.0.0.1:privateKey=k.pem", True),
        ("haproxy:tcp:9100:interface=127.0.0.1", True),
        ("systemd:domain=UNIX:index=0", True),
        ("tcp:9100", False),
        ("tcp:port=9100", False),
        ("tcp:9100:interface=0.0.0.0", False),
        ("tcp:9100:interface=10.0.0.1", False),
        (r"tcp6:9100:interface=\:\:", False),
        ("tcp:9100:interface=", False),
        ("ssl:9100:privateKey=k.pem", False),
        ("systemd:domain=INET:index=0", False),
        ("fd:3", False),
        ("", False),
    ],
)
def test_an_endpoint_is_of_this_machine_if_it_says_so(endpoint: str, local: bool) -> None:
    assert is_of_this_machine(endpoint) is local


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8125", ("127.0.0.1", 8125)),
        ("[::1]:8125", ("::1", 8125)),
        ("statsd.example:1", ("statsd.example", 1)),
        ("::1:8125", None),
        ("host", None),
        ("host:", None),
        ("host:0", None),
        ("host:65536", None),
        (":8125", None),
        ("", None),
    ],
)
def test_a_host_and_a_port_are_read(text: str, place: tuple[str, int] | None) -> None:
    assert read_host_and_port(text) == place
