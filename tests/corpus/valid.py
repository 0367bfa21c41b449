"""Messages that a server serves, with what its application sees; and starts of messages that never end. Data only."""

from __future__ import annotations

from typing import Any

from .parts import HOST, Truncated, Valid, chunked, get, hosted, post

_ORIGIN = "RFC 9112 3.2.1"
_ABSOLUTE = "RFC 9112 3.2.2"
_CHUNK = "RFC 9112 7.1"


def _seen(**more: str) -> dict[str, str]:
    return {"HTTP_HOST": "example.com", **more}


def _valid(name: str, octets: bytes, clause: str, **expected: Any) -> Valid:
    """Return an entry; `fields` are those besides Host."""
    return Valid(name, octets, clause, **{**expected, "fields": _seen(**expected.get("fields", {}))})


_COUNTED = {"CONTENT_LENGTH": "5"}
_CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


def _target(name: str, target: bytes, path: str, query: str = "", clause: str = _ORIGIN) -> Valid:
    return _valid("target-" + name, get(line=b"GET " + target + b" HTTP/1.1"), clause, path=path, query=query)


def _absolute(name: str, authority: bytes) -> Valid:
    octets = get(line=b"GET http://" + authority + b"/ HTTP/1.1")
    return Valid(f"target-absolute-{name}", octets, _ABSOLUTE, fields={"HTTP_HOST": authority.decode()})


def _host(name: str, value: bytes) -> Valid:
    octets = hosted(b"Host: " + value + b"\r\n")
    return Valid("host-" + name, octets, "RFC 9110 7.2", fields={"HTTP_HOST": value.decode()})


def _chunks(name: str, body: bytes, content: bytes, clause: str = _CHUNK) -> Valid:
    return _valid("chunks-" + name, chunked(body), clause, method="POST", fields=_CHUNKED, body=content)


def _field(name: str, lines: bytes, clause: str, **seen: str) -> Valid:
    return _valid("field-" + name, get(lines), clause, fields=seen)


TARGETS = (
    _target("root", b"/", "/"),
    _target("query", b"/a?b=c&d", "/a", "b=c&d"),
    _target("empty-query", b"/a?", "/a"),
    _target("two-question-marks", b"/a?b?c", "/a", "b?c"),
    _target("escaped-slash", b"/a%2Fb%2f", "/a/b/", clause="RFC 3875 4.1.5"),
    _target("escaped-utf-8", b"/caf%C3%A9", "/caf\xc3\xa9", clause="PEP 3333 (latin-1)"),
    _target("escaped-space", b"/a%20b", "/a b"),
    _target("escaped-percent", b"/%2500", "/%00"),
    _target("escaped-line-end", b"/a%0D%0AX:b", "/a\r\nX:b"),
    _target("escaped-high-octet", b"/%FF", "/\xff", clause="PEP 3333 (latin-1)"),
    _target("escapes-in-query-stay", b"/?a=%00%zz%2F", "/", "a=%00%zz%2F"),
    _target("plus-stays", b"/a+b", "/a+b"),
    _target("two-slashes", b"//a//b", "//a//b"),
    _target("looks-like-an-authority", b"//evil.example/a", "//evil.example/a"),
    _target("dot-segments-stay", b"/a/../b/./c", "/a/../b/./c"),
    _target("semicolon", b"/a;b=c", "/a;b=c"),
    _target("colon", b"/http://example.com/", "/http://example.com/"),
    _target("octets-that-browsers-send", b'/a"<>\\^`{|}', '/a"<>\\^`{|}'),
    _target("absolute", b"http://example.com/a?b", "/a", "b", _ABSOLUTE),
    _target("absolute-without-path", b"http://example.com", "/", clause=_ABSOLUTE),
    _target("absolute-query-without-path", b"http://example.com?a", "/", "a", _ABSOLUTE),
    Valid(
        "target-absolute-capitals",
        get(line=b"GET HTTP://EXAMPLE.com/A HTTP/1.1"),
        _ABSOLUTE,
        path="/A",
        fields={"HTTP_HOST": "EXAMPLE.com"},
    ),
    _target("absolute-https", b"https://example.com/", "/", clause=_ABSOLUTE),
    _absolute("other-host", b"other.example"),
    _absolute("other-port", b"example.com:81"),
    _absolute("capitals-of-host", b"Example.com"),
    _absolute("ipv6", b"[2001:db8::1]:8080"),
    Valid(
        "target-absolute-without-host-on-1.0",
        b"GET http://other.example/ HTTP/1.0\r\n\r\n",
        _ABSOLUTE,
        fields={"HTTP_HOST": "other.example"},
        persistent=False,
    ),
    _valid("target-asterisk", get(line=b"OPTIONS * HTTP/1.1"), "RFC 9112 3.2.4", method="OPTIONS", path=""),
    _valid("method-unknown", get(line=b"PURGE / HTTP/1.1"), "RFC 9110 9.1", method="PURGE"),
    _valid("method-lower-case", get(line=b"get / HTTP/1.1"), "RFC 9110 9.1 (case-sensitive)", method="get"),
    _valid(
        "method-all-marks", get(line=b"!#$%&'*+-.^_`|~09Az / HTTP/1.1"), "RFC 9110 5.6.2", method="!#$%&'*+-.^_`|~09Az"
    ),
    _valid("empty-line-first", b"\r\n" + get(), "RFC 9112 2.2"),
)

HOSTS = (
    _host("port", b"example.com:8080"),
    _host("empty-port", b"example.com:"),
    _host("address", b"192.0.2.1:80"),
    _host("ipv6", b"[2001:db8::1]"),
    _host("ipv6-port", b"[2001:db8::1]:8080"),
    _host("ipv6-mapped", b"[::ffff:192.0.2.1]"),
    _host("ipv-future", b"[v1.a:b]"),
    _host("underscore", b"my_service"),
    _host("escape", b"%65xample.com"),
    _host("final-dot", b"example.com."),
    Valid("host-missing-on-1.0", b"GET / HTTP/1.0\r\n\r\n", "RFC 9112 3.2", fields={}, persistent=False),
)

FIELDS = (
    _field("no-space", b"Accept:*/*\r\n", "RFC 9112 5", HTTP_ACCEPT="*/*"),
    _field("padding", b"Accept: \t */* \t\r\n", "RFC 9112 5.1", HTTP_ACCEPT="*/*"),
    _field("tab-inside", b"X: a\tb\r\n", "RFC 9110 5.5", HTTP_X="a\tb"),
    _field("empty", b"X:\r\nY: \r\n", "RFC 9110 5.5", HTTP_X="", HTTP_Y=""),
    _field("high-octets", b"X: caf\xe9\r\n", "RFC 9110 5.5 (obs-text)", HTTP_X="caf\xe9"),
    _field("colons", b"X: a:b: c\r\n", "RFC 9112 5", HTTP_X="a:b: c"),
    _field("joined", b"X: a\r\nY: b\r\nx: c\r\n", "RFC 9110 5.3", HTTP_X="a, c", HTTP_Y="b"),
    _field("joined-empty", b"X:\r\nX: a\r\n", "RFC 9110 5.3", HTTP_X=", a"),
    _field("cookies", b"Cookie: a=b\r\nCookie: c=d\r\n", "RFC 9113 8.2.3", HTTP_COOKIE="a=b; c=d"),
    _field("underscore", b"X_Forwarded_For: 1\r\nX-Forwarded-For: 2\r\n", "CVE-2025-64459", HTTP_X_FORWARDED_FOR="2"),
    _field("underscore-coding", b"Transfer_Encoding: chunked\r\n", "RFC 9110 5.1"),
    _field("underscore-length", b"Content_Length: 5\r\n", "RFC 9110 5.1"),
    _field("proxy", b"Proxy: http://evil.example\r\nPROXY: b\r\n", "CVE-2016-5385"),
    _field("content-type", b"Content-Type: text/plain\r\n", "RFC 3875 4.1.3", CONTENT_TYPE="text/plain"),
    _field(
        "capitals", b"ACCEPT: a\r\naccept-language: b\r\n", "RFC 9110 5.1", HTTP_ACCEPT="a", HTTP_ACCEPT_LANGUAGE="b"
    ),
    _field("token-marks", b"!#$%&'*+-.^`|~1: a\r\n", "RFC 9110 5.6.2", **{"HTTP_!#$%&'*+_.^`|~1": "a"}),
    _valid(
        "connection-close",
        get(b"Connection: Close\r\n"),
        "RFC 9112 9.3",
        fields={"HTTP_CONNECTION": "Close"},
        persistent=False,
    ),
    _valid("version-1.2", get(line=b"GET / HTTP/1.2"), "RFC 9110 2.5"),
    _valid("version-1.9", get(line=b"GET / HTTP/1.9"), "RFC 9110 2.5"),
    _valid("version-1.0", get(line=b"GET / HTTP/1.0"), "RFC 9112 9.3", persistent=False),
    _valid(
        "version-1.0-kept",
        get(b"Connection: Keep-Alive\r\n", b"GET / HTTP/1.0"),
        "RFC 9112 C.2.2",
        fields={"HTTP_CONNECTION": "Keep-Alive"},
    ),
    _valid(
        "expect-on-1.0",
        get(b"Expect: nonsense\r\n", b"GET / HTTP/1.0"),
        "RFC 9110 10.1.1",
        fields={"HTTP_EXPECT": "nonsense"},
        persistent=False,
    ),
)

BODIES = (
    _valid(
        "length-zero", post(b"Content-Length: 0\r\n"), "RFC 9112 6.2", method="POST", fields={"CONTENT_LENGTH": "0"}
    ),
    _valid("length-none", post(b""), "RFC 9112 6.3", method="POST"),
    _valid(
        "length-five",
        post(b"Content-Length: 5\r\n", b"hello"),
        "RFC 9112 6.2",
        method="POST",
        fields=_COUNTED,
        body=b"hello",
    ),
    _valid("length-on-get", get(b"Content-Length: 5\r\n") + b"hello", "RFC 9110 9.3.1", fields=_COUNTED, body=b"hello"),
    _valid(
        "length-leading-zeros",
        post(b"Content-Length: 0005\r\n", b"hello"),
        "RFC 9110 8.6",
        method="POST",
        fields={"CONTENT_LENGTH": "0005"},
        body=b"hello",
    ),
    _valid(
        "length-padded",
        post(b"Content-Length:\t5 \r\n", b"hello"),
        "RFC 9112 5.1",
        method="POST",
        fields=_COUNTED,
        body=b"hello",
    ),
    _valid(
        "length-body-like-a-head",
        post(b"Content-Length: 5\r\n", b"\r\n\r\n\n"),
        "RFC 9112 6",
        method="POST",
        fields=_COUNTED,
        body=b"\r\n\r\n\n",
    ),
    _valid(
        "length-and-expect",
        post(b"Content-Length: 5\r\nExpect: 100-Continue\r\n", b"hello"),
        "RFC 9110 10.1.1",
        method="POST",
        fields={**_COUNTED, "HTTP_EXPECT": "100-Continue"},
        body=b"hello",
    ),
    _valid(
        "coding-odd-case",
        post(b"tRANSFER-eNCODING: \tcHUNKED\t\r\n", b"1\r\na\r\n0\r\n\r\n"),
        "RFC 9112 7",
        method="POST",
        fields={"HTTP_TRANSFER_ENCODING": "cHUNKED"},
        body=b"a",
    ),
    _chunks("none", b"0\r\n\r\n", b""),
    _chunks("many-zeros", b"000\r\n\r\n", b""),
    _chunks("one", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    _chunks("several", b"5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n", b"hello, world"),
    _chunks("hexadecimal", b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", b"01234567890123456789a"),
    _chunks("leading-zeros", b"005\r\nhello\r\n0\r\n\r\n", b"hello"),
    _chunks("content-like-chunks", b"b\r\n\r\n0\r\n\r\n5\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r\n5\r\n\r"),
    _chunks("extension", b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello", "RFC 9112 7.1.1"),
    _chunks("extensions", b'5;a=b;c;d="e f;\\"\xe9\t"\r\nhello\r\n0\r\n\r\n', b"hello", "RFC 9112 7.1.1"),
    _chunks("extension-space-before", b"5 ;a\r\nhello\r\n0\t; a\r\n\r\n", b"hello", "RFC 9110 5.6.3"),
    _chunks("extension-space-after", b"5; a\r\nhello\r\n0;\ta = b\r\n\r\n", b"hello", "RFC 9110 5.6.3"),
    _chunks("extension-space-all", b'5 ; a = "b" ;\tc\t=\td ; e\r\nhello\r\n0\r\n\r\n', b"hello", "RFC 9110 5.6.3"),
    _chunks("trailer", b"5\r\nhello\r\n0\r\nX: a\r\n\r\n", b"hello", "RFC 9112 7.1.2"),
    _chunks(
        "trailers-never-seen",
        b"0\r\nHost: b\r\nContent-Length: 5\r\nX:\r\nConnection: close\r\n\r\n",
        b"",
        "RFC 9110 6.5.1",
    ),
)

VALID = TARGETS + HOSTS + FIELDS + BODIES

TRUNCATED = (
    Truncated("request-line", b"GET / HTT", "RFC 9112 8"),
    Truncated("request-line-without-lf", b"GET / HTTP/1.1\r", "RFC 9112 8"),
    Truncated("fields", b"GET / HTTP/1.1\r\n" + HOST, "RFC 9112 8"),
    Truncated("head-without-last-lf", b"GET / HTTP/1.1\r\n" + HOST + b"\r", "RFC 9112 8"),
    Truncated("body-missing", post(b"Content-Length: 5\r\n"), "RFC 9112 8"),
    Truncated("body-one-short", post(b"Content-Length: 5\r\n", b"hell"), "RFC 9112 8"),
    Truncated("body-nineteen-digits", post(b"Content-Length: 9999999999999999999\r\n", b"hello"), "RFC 9112 8"),
    Truncated("chunks-missing", chunked(b""), "RFC 9112 8"),
    Truncated("chunk-size", chunked(b"5"), "RFC 9112 8"),
    Truncated("chunk-size-zero", chunked(b"0"), "RFC 9112 8"),
    Truncated("chunk-size-without-lf", chunked(b"5\r"), "RFC 9112 8"),
    Truncated("chunk-data", chunked(b"5\r\nhell"), "RFC 9112 8"),
    Truncated("chunk-data-without-line-end", chunked(b"5\r\nhello"), "RFC 9112 8"),
    Truncated("chunk-data-without-lf", chunked(b"5\r\nhello\r"), "RFC 9112 8"),
    Truncated("chunks-without-last", chunked(b"5\r\nhello\r\n"), "RFC 9112 8"),
    Truncated("last-chunk-without-empty-line", chunked(b"5\r\nhello\r\n0\r\n"), "RFC 9112 8"),
    Truncated("last-chunk-without-last-lf", chunked(b"5\r\nhello\r\n0\r\n\r"), "RFC 9112 8"),
    Truncated("trailer", chunked(b"5\r\nhello\r\n0\r\nX: a"), "RFC 9112 8"),
    Truncated("trailers-without-empty-line", chunked(b"5\r\nhello\r\n0\r\nX: a\r\n"), "RFC 9112 8"),
    Truncated("chunk-of-fifteen-digits", chunked(b"fffffffffffffff\r\nhello"), "RFC 9112 8"),
)
