"""Does no hostile message ever reach an application, and every right one exactly as it is?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.answers import read_answers
from tests.corpus import HOSTILE, TRUNCATED, VALID, Hostile, Truncated, Valid
from tests.support import serving

SPLITS = ("whole", "octets", "random")


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("a hostile message reached the application")


@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: message.name)
def test_no_hostile_message_reaches_an_application(message: Hostile) -> None:
    for split in SPLITS:
        with serving(never) as server:
            client = server.ask_in_pieces(message.octets, split)
            assert server.pool.done == 0, split
            answers = read_answers(client.received)
            assert [answer.status in message.statuses for answer in answers] == [True], (split, client.received)
            assert client.ended, split
            assert "Traceback" not in server.logged(), (split, server.logged())


@pytest.mark.parametrize("message", TRUNCATED, ids=lambda message: message.name)
def test_half_a_message_reaches_no_application(message: Truncated) -> None:
    for split in SPLITS:
        with serving(never) as server:
            client = server.ask_in_pieces(message.octets, split)
            client.half_close()
            server.settle()
            client.leave()
            server.settle()
            assert server.pool.done == 0, split
            assert server.factory.connections == set(), split


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("message", VALID, ids=lambda message: message.name)
def test_a_right_message_reaches_the_application_as_it_is(message: Valid) -> None:
    seen: list[dict[str, Any]] = []
    bodies: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append({**environ})
        bodies.append(environ["wsgi.input"].read(-1))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    for split in SPLITS:
        seen.clear()
        bodies.clear()
        with serving(app) as server:
            client = server.ask_in_pieces(message.octets, split)
            answers = read_answers(client.received, [message.method])
            assert [answer.status for answer in answers] == [200], (split, client.received)
            (environ,) = seen
            assert (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
                message.method,
                message.path,
                message.query,
            )
            expected = {**message.fields}
            if expected.pop("HTTP_TRANSFER_ENCODING", None) is not None:  # undone on the way
                expected["CONTENT_LENGTH"] = str(len(message.body))
            assert {name: environ.get(name) for name in expected} == expected, split
            assert bodies == [message.body], split
            assert client.ended is not message.persistent, split
