"""What every server is asked about its answers: each question is one function from a subject to a verdict.

A question is good practice by PEP 3333, RFC 9110 or RFC 9112, and its docstring is its line in the table. Hostile
messages are in the corpus of the tests, questions of endurance in `endurance`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.conformance.subject import Subject
from tests.real.raw_client import Answer, Client, NotHTTP, ask, request


class Verdict(NamedTuple):
    """Whether it is as it should be, and what was seen."""

    good: bool
    seen: str


Question = Callable[[Subject], Verdict]
CLOSE = "Connection: close\r\n"


def describe(answer: Answer | None) -> str:
    """Return an answer in a few words."""
    return "no answer" if answer is None else f"{answer.status}, {len(answer.body)} bytes, ended {answer.ended}"


def _extra(subject: Subject, method: str, path: str) -> tuple[Answer | None, bytes]:
    """Return the answer and what came behind it, which an answer without body must not have."""
    with Client(subject.port) as client:
        client.send(request(path, method, CLOSE))
        answer = client.read_answer(method)
        client.is_closed(1.0)
        return answer, client.rest()


def head_has_no_body(subject: Subject) -> Verdict:
    """HEAD is answered with the fields of GET and no body"""
    answer, rest = _extra(subject, "HEAD", "/hello")
    good = answer is not None and answer.status == 200 and not rest and answer.get("content-length") == "5"
    return Verdict(good, f"{len(rest)} bytes of body" if rest else describe(answer))


def no_content_has_no_body(subject: Subject) -> Verdict:
    """204 has neither body nor Content-Length nor coding, whatever the application gives"""
    answer, rest = _extra(subject, "GET", "/204")
    framed = answer is not None and (answer.get("content-length") or answer.get("transfer-encoding"))
    good = answer is not None and answer.status == 204 and not rest and not framed
    return Verdict(good, f"{len(rest)} bytes of body" if rest else f"says {framed}" if framed else describe(answer))


def not_modified_has_no_body(subject: Subject) -> Verdict:
    """304 has no body, whatever the application gives"""
    answer, rest = _extra(subject, "GET", "/304")
    good = answer is not None and answer.status == 304 and not rest
    return Verdict(good, f"{len(rest)} bytes of body" if rest else describe(answer))


def never_more_than_the_length(subject: Subject) -> Verdict:
    """Never more bytes than the application's Content-Length"""
    with Client(subject.port) as client:
        client.send(request("/more"))
        answer = client.read_answer()
        client.is_closed(0.5)
        rest = client.rest()
    good = answer is not None and answer.body == b"hello" and not rest
    return Verdict(good, f"{len(rest)} bytes too many" if rest else describe(answer))


def fewer_than_the_length_is_cut(subject: Subject) -> Verdict:
    """After fewer bytes than its Content-Length the connection is closed, not used again"""
    with Client(subject.port) as client:
        client.send(request("/fewer"))
        answer = client.read_answer(timeout=1.0)
        good = client.is_closed(1.0) and answer is not None and not answer.whole
    return Verdict(good, "closed" if good else f"{describe(answer)}, connection left open")


def _injected(subject: Subject, path: str) -> Verdict:
    try:
        answer, rest = _extra(subject, "GET", path)
    except NotHTTP as error:
        return Verdict(False, str(error))
    seen = answer is not None and (answer.get("x-injected") is not None or b"X-Injected" in rest)
    return Verdict(not seen, "injected" if seen else describe(answer))


def value_injection_refused(subject: Subject) -> Verdict:
    """CR LF in a header's value injects nothing"""
    return _injected(subject, "/inject-value")


def name_injection_refused(subject: Subject) -> Verdict:
    """CR LF in a header's name injects nothing"""
    return _injected(subject, "/inject-name")


def status_injection_refused(subject: Subject) -> Verdict:
    """CR LF in the status injects nothing"""
    return _injected(subject, "/inject-status")


def hop_by_hop_refused(subject: Subject) -> Verdict:
    """Hop-by-hop fields of the application are refused or dropped"""
    answer, _ = _extra(subject, "GET", "/hop-by-hop")
    sent = answer is not None and (
        answer.get("keep-alive") == "timeout=5" or "X-Secret" in (answer.get("connection") or "")
    )
    return Verdict(answer is not None and not sent, "sent to the client" if sent else describe(answer))


def late_error_is_visible(subject: Subject) -> Verdict:
    """An error after the first byte cuts the answer so that the client can see it"""
    answer = ask(subject.port, request("/late-error"))
    good = answer is not None and not answer.whole
    return Verdict(good, describe(answer))


def own_connection_error_is_an_error(subject: Subject) -> Verdict:
    """A ConnectionResetError that the application raises is a 500, not silence"""
    answer = ask(subject.port, request("/own-connection-error", lines=CLOSE))
    return Verdict(answer is not None and answer.status >= 500, describe(answer))


def close_is_called_when_the_client_leaves(subject: Subject) -> Verdict:
    """close() is called within 3 s when the client leaves in the middle"""
    with Client(subject.port) as client:
        client.send(request("/trickle?left"))
        client.read_answer(timeout=0.5)
        client.reset()
    good = subject.wait_for("closed", "left", 3.0)
    return Verdict(good, "called" if good else "not called")


def continue_is_right(subject: Subject) -> Verdict:
    """100 is sent before the body to a client that waits for it, and not to HTTP/1.0"""
    head = "POST /read HTTP/1.{}\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with Client(subject.port) as client:
        client.send(head.format(1).encode())
        early = client.read_answer(timeout=0.7)
        if early is not None:
            return Verdict(False, f"{early.status} before the body")
        client.send(b"hello")
        answer = client.read_answer()
    if answer is None or answer.status != 200 or not answer.body.startswith(b"5 "):
        return Verdict(False, describe(answer))
    if answer.interim != [100]:
        return Verdict(False, f"interim answers: {answer.interim or 'none'}")
    old = ask(subject.port, head.format(0).encode() + b"hello")
    good = old is not None and old.status == 200 and not old.interim
    return Verdict(good, "100, then 200" if good else f"to HTTP/1.0: {old.interim if old else None} {describe(old)}")


def other_expectations_are_417(subject: Subject) -> Verdict:
    """An expectation other than 100-continue is answered 417"""
    answer = ask(subject.port, request("/hello", lines=CLOSE + "Expect: 200-maybe\r\n"))
    return Verdict(answer is not None and answer.status == 417, describe(answer))


def chunked_request_is_readable(subject: Subject) -> Verdict:
    """A chunked request's body is whole in wsgi.input.read(), which ends by itself"""
    body = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    lines = CLOSE + "Transfer-Encoding: chunked\r\n"
    answer = ask(subject.port, request("/read", "POST", lines) + body)
    good = answer is not None and answer.status == 200 and answer.body.startswith(b"11 ")
    read = answer.body.split()[0].decode() if answer is not None and answer.body[:1].isdigit() else ""
    return Verdict(good, f"{read} bytes" if read else describe(answer))


def pipelining_is_in_order(subject: Subject) -> Verdict:
    """Eight requests sent at once are answered in their order"""
    with Client(subject.port) as client:
        client.send(b"".join(request(f"/echo?{number}") for number in range(8)))
        seen = []
        for _ in range(8):
            answer = client.read_answer()
            if answer is None:
                break
            seen.append(json.loads(answer.body)["QUERY_STRING"])
    return Verdict(seen == [str(number) for number in range(8)], f"{len(seen)} answers")


def absolute_form_is_understood(subject: Subject) -> Verdict:
    """A target in absolute form gives the application the path alone"""
    answer = ask(subject.port, request("http://localhost/some/path?a=b", lines=CLOSE))
    if answer is None or answer.status != 200:
        return Verdict(False, describe(answer))
    environ = json.loads(answer.body)
    path = environ.get("PATH_INFO")
    return Verdict(path == "/some/path" and environ.get("QUERY_STRING") == "a=b", f"PATH_INFO {path!r}")


def absolute_form_names_the_host(subject: Subject) -> Verdict:
    """The host of a target in absolute form takes the place of Host"""
    answer = ask(subject.port, request("http://target.example/", lines=CLOSE))
    if answer is None or answer.status != 200:
        return Verdict(False, describe(answer))
    host = json.loads(answer.body).get("HTTP_HOST")
    return Verdict(host == "target.example", f"HTTP_HOST {host!r}")


def underscores_shadow_nothing(subject: Subject) -> Verdict:
    """X_Forwarded_For never passes for X-Forwarded-For"""
    lines = CLOSE + "X-Forwarded-For: 192.0.2.1\r\nX_Forwarded_For: 203.0.113.9\r\n"
    answer = ask(subject.port, request("/echo", lines=lines))
    if answer is None:
        return Verdict(False, "no answer")
    if answer.status != 200:
        return Verdict(400 <= answer.status < 500, describe(answer))
    value = json.loads(answer.body).get("HTTP_X_FORWARDED_FOR")
    return Verdict("203.0.113.9" not in (value or ""), f"HTTP_X_FORWARDED_FOR {value!r}")


def proxy_is_not_passed(subject: Subject) -> Verdict:
    """The field Proxy does not become HTTP_PROXY (CVE-2016-5385)"""
    answer = ask(subject.port, request("/echo", lines=CLOSE + "Proxy: http://203.0.113.9/\r\n"))
    if answer is None:
        return Verdict(False, "no answer")
    if answer.status != 200:
        return Verdict(400 <= answer.status < 500, describe(answer))
    passed = "HTTP_PROXY" in json.loads(answer.body)
    return Verdict(not passed, "passed" if passed else "dropped")


def half_closed_is_answered(subject: Subject) -> Verdict:
    """A client that has closed its sending half is answered"""
    with Client(subject.port) as client:
        client.send(request("/slow"))
        client.half_close()
        answer = client.read_answer(timeout=4.0)
    return Verdict(answer is not None and answer.body == b"hello", describe(answer))


QUESTIONS: tuple[Question, ...] = (
    head_has_no_body,
    no_content_has_no_body,
    not_modified_has_no_body,
    never_more_than_the_length,
    fewer_than_the_length_is_cut,
    value_injection_refused,
    name_injection_refused,
    status_injection_refused,
    hop_by_hop_refused,
    late_error_is_visible,
    own_connection_error_is_an_error,
    close_is_called_when_the_client_leaves,
    continue_is_right,
    other_expectations_are_417,
    chunked_request_is_readable,
    pipelining_is_in_order,
    absolute_form_is_understood,
    absolute_form_names_the_host,
    underscores_shadow_nothing,
    proxy_is_not_passed,
    half_closed_is_answered,
)
