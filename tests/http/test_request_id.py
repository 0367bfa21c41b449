"""Is a request identified by whoever may, and by us otherwise, and can no client choose?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from twisted_wsgiref._http.request_id import ID, KEY, PARENT, STATE, Identifier, id_line, is_identified

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b7ad6b7169203331-01"
MADE = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-00")


def identified(trusted: bool, **fields: str) -> dict[str, Any]:
    environ: dict[str, Any] = dict(fields)
    number = iter(range(1 << 191, 1 << 192, (1 << 150) + 1))
    assert Identifier(lambda bits: next(number)).identify(environ, trusted) == environ[KEY] == environ[ID]
    return environ


@pytest.mark.parametrize("trusted", [False, True])
def test_without_a_word_an_id_is_made_which_is_the_trace(trusted: bool) -> None:
    environ = identified(trusted)
    found = MADE.fullmatch(environ[PARENT])
    assert found is not None
    assert environ[ID] == found[1]


def test_a_client_is_not_believed() -> None:
    environ = identified(False, HTTP_X_REQUEST_ID="mine", HTTP_TRACEPARENT=SENT, HTTP_TRACESTATE="a=b")
    assert environ[ID] != "mine"
    assert MADE.fullmatch(environ[PARENT])
    assert STATE not in environ


def test_a_trusted_proxy_is_believed() -> None:
    environ = identified(True, HTTP_X_REQUEST_ID="mine", HTTP_TRACEPARENT=SENT, HTTP_TRACESTATE="a=b")
    assert (environ[ID], environ[PARENT], environ[STATE]) == ("mine", SENT, "a=b")


def test_a_trace_without_an_id_is_the_id() -> None:
    environ = identified(True, HTTP_TRACEPARENT=SENT)
    assert (environ[ID], environ[PARENT]) == (TRACE, SENT)


def test_an_id_without_a_trace_gets_a_trace_of_its_own() -> None:
    environ = identified(True, HTTP_X_REQUEST_ID="mine", HTTP_TRACESTATE="a=b")
    assert environ[ID] == "mine"
    assert MADE.fullmatch(environ[PARENT])
    assert STATE not in environ


@pytest.mark.parametrize(
    "ident",
    [
        "7f1c5a1e-9d0a-4f7b-8a53-0f1b4a8f2f10",
        "Root=1-67891233-abcdef012345678912345678",
        "a" * 128,
        "req_2.x~y:z/1+2@h",
    ],
)
def test_what_proxies_send_is_an_id(ident: str) -> None:
    assert identified(True, HTTP_X_REQUEST_ID=ident)[ID] == ident


@pytest.mark.parametrize("ident", ["a" * 129, "a b", 'a"b', "a,b", "a\r\nb", "é", "a\n", "{a}"])
def test_what_is_no_id_is_replaced(ident: str) -> None:
    assert identified(True, HTTP_X_REQUEST_ID=ident)[ID] != ident


# W3C Trace Context, section 3.2.2: what is malformed is taken for nothing.
@pytest.mark.parametrize(
    "parent",
    [
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"{SENT}-more",
        f"{SENT}\n",
        SENT[:-1],
        f"{SENT}, {SENT}",
        "x",
    ],
)
def test_a_malformed_trace_is_replaced(parent: str) -> None:
    environ = identified(True, HTTP_TRACEPARENT=parent, HTTP_TRACESTATE="a=b")
    assert MADE.fullmatch(environ[PARENT])
    assert STATE not in environ


@pytest.mark.parametrize("parent", [f"01-{TRACE}-b7ad6b7169203331-01", f"01-{TRACE}-b7ad6b7169203331-01-more"])
def test_a_later_version_may_say_more(parent: str) -> None:
    assert identified(True, HTTP_TRACEPARENT=parent)[PARENT] == parent


def test_an_answer_may_have_an_id_of_its_own() -> None:
    assert is_identified("A: b\r\nx-request-ID: 1\r\n")
    assert is_identified("X-Request-Id: 1\r\n")
    assert not is_identified("")
    assert not is_identified("A: X-Request-ID: 1\r\nNot-X-Request-ID: 2\r\n")
    assert (id_line("abc"), id_line("")) == ("X-Request-ID: abc\r\n", "")
