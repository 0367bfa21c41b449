"""Does no hostile message ever reach an application, and every right one exactly as it is?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.answers import read_answers
from tests.corpus import HOSTILE, TRUNCATED, VALID, Hostile, Truncated, Valid
from tests.support import serving

SPLITS = ("whole", "octets", "random")
splits = pytest.mark.parametrize("split", SPLITS)


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("a hostile message reached the application")


@splits
@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: message.name)
def test_no_hostile_message_reaches_an_application(message: Hostile, split: str) -> None:
    with serving(never) as server:
        client = server.ask_in_pieces(message.octets, split)
        assert server.pool.done == 0
        answers = read_answers(client.received)
        assert [answer.status in message.statuses for answer in answers] == [True], client.received
        assert client.ended
        assert "Traceback" not in server.logged()


@splits
@pytest.mark.parametrize("message", TRUNCATED, ids=lambda message: message.name)
def test_half_a_message_reaches_no_application(message: Truncated, split: str) -> None:
    with serving(never) as server:
        client = server.ask_in_pieces(message.octets, split)
        client.half_close()
        server.settle()
        client.leave()
        server.settle()
        assert server.pool.done == 0
        assert server.factory.connections == set()


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@splits
@pytest.mark.parametrize("message", VALID, ids=lambda message: message.name)
def test_a_right_message_reaches_the_application_as_it_is(message: Valid, split: str) -> None:
    seen: list[dict[str, Any]] = []
    bodies: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append({**environ})
        bodies.append(environ["wsgi.input"].read(-1))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    with serving(app) as server:
        client = server.ask_in_pieces(message.octets, split)
        answers = read_answers(client.received, [message.method])
        assert [answer.status for answer in answers] == [200], client.received
        (environ,) = seen
        assert (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
            message.method,
            message.path,
            message.query,
        )
        expected = {**message.fields}
        if expected.pop("HTTP_TRANSFER_ENCODING", None) is not None:  # undone on the way
            expected["CONTENT_LENGTH"] = str(len(message.body))
        assert {name: environ.get(name) for name in expected} == expected
        assert bodies == [message.body]
        assert client.ended is not message.persistent
