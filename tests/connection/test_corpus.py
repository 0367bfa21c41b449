"""Does no hostile message ever reach an application, and every right one exactly as it is?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.answers import read_answers
from tests.corpus import HOSTILE, TRUNCATED, VALID, Hostile, Truncated, Valid
from tests.support import Client, Server, serving

SPLITS = ("whole", "octets", "random")
splits = pytest.mark.parametrize("split", SPLITS)


def pieces(octets: bytes, split: str) -> Iterator[bytes]:
    if split == "whole":
        yield octets
        return
    chance = random.Random(octets)
    while octets:
        size = 1 if split == "octets" else chance.randrange(1, 1 + max(1, len(octets)))
        yield octets[:size]
        octets = octets[size:]


def send(server: Server, octets: bytes, split: str) -> Client:
    client = server.connect("string")
    for piece in pieces(octets, split):
        client.send(piece)
        if client.ended:
            break
    server.settle()
    return client


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("a hostile message reached the application")


@splits
@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: message.name)
def test_no_hostile_message_reaches_an_application(message: Hostile, split: str) -> None:
    with serving(never) as server:
        client = send(server, message.octets, split)
        assert server.pool.done == 0
        answers = [answer for answer in read_answers(client.received) if answer.status != 100]
        assert [answer.status in message.statuses for answer in answers] == [True], client.received
        assert client.ended
        assert "Traceback" not in server.logged()


@splits
@pytest.mark.parametrize("message", TRUNCATED, ids=lambda message: message.name)
def test_half_a_message_reaches_no_application(message: Truncated, split: str) -> None:
    with serving(never) as server:
        client = send(server, message.octets, split)
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
        client = send(server, message.octets, split)
        answers = [each for each in read_answers(client.received, [message.method]) if each.status != 100]
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
