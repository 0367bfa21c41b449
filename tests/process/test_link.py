"""Does what a child says reach its parent, whatever it is?"""

from __future__ import annotations

import pytest
from twisted.internet.testing import StringTransport

from twisted_wsgiref._process.link import LONGEST_MESSAGE, Line, message

LONG = ["x" * 70_000, "é" * 70_000, "\N{SNAKE}" * 200_000, "\n" * 70_000, "\udc80" * 70_000]


@pytest.mark.parametrize("text", LONG)
def test_a_message_of_any_length_arrives_and_the_line_stays(text: str) -> None:
    heard: list[str] = []
    ends: list[bool] = []
    child, parent = Line(heard.append, lambda: None), Line(heard.append, lambda: ends.append(True))
    ours, theirs = StringTransport(), StringTransport()
    child.makeConnection(ours)
    parent.makeConnection(theirs)
    child.say("failed", text)
    child.say("beat")
    parent.dataReceived(ours.value())
    assert not theirs.disconnecting
    assert [line.partition(" ")[0] for line in heard] == ["failed", "beat"]


@pytest.mark.parametrize("text", LONG)
def test_a_long_message_is_shortened_and_says_so(text: str) -> None:
    sent = message("hopeless", text)
    assert len(sent) <= LONGEST_MESSAGE
    assert sent.endswith(b" bytes more)\n")
    assert sent.startswith(b"hopeless ")
    assert sent.count(b"\n") == 1
    assert "\ufffd" not in sent.decode()  # no character is cut in two


def test_a_short_message_is_sent_as_it_is() -> None:
    assert message("asks", "it has served 12 requests") == b"asks it has served 12 requests\n"
    assert message("failed", "two\nlines") == b"failed two lines\n"
