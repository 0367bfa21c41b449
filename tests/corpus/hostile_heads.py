"""Hostile heads: request lines, targets, Host, line ends, field lines, and sizes. Data only."""

from __future__ import annotations

from .parts import HOST, NEXT, VERSION, Hostile, get, hosted, post

_LINE = "RFC 9112 3"
_TARGET = "RFC 9112 3.2"
_HOST = "RFC 9112 3.2, RFC 9110 7.2"
_FIELD = "RFC 9112 5"
_NAME = "RFC 9112 5.1"
_ENDS = "RFC 9112 2.2"
_VALUE = "RFC 9110 5.5"

REQUEST_LINES = (
    Hostile("line-two-spaces-before-target", get(line=b"GET  / HTTP/1.1"), _LINE),
    Hostile("line-two-spaces-before-version", get(line=b"GET /  HTTP/1.1"), _LINE),
    Hostile("line-trailing-space", get(line=b"GET / HTTP/1.1 "), _LINE),
    Hostile("line-leading-space", get(line=b" GET / HTTP/1.1"), _LINE),
    Hostile("line-leading-tab", get(line=b"\tGET / HTTP/1.1"), _LINE),
    Hostile("line-tab-before-target", get(line=b"GET\t/ HTTP/1.1"), _LINE),
    Hostile("line-tab-before-version", get(line=b"GET /\tHTTP/1.1"), _LINE),
    Hostile("line-vertical-tab", get(line=b"GET\x0b/ HTTP/1.1"), "RFC 9112 3 (one SP)"),
    Hostile("line-form-feed", get(line=b"GET\x0c/ HTTP/1.1"), "RFC 9112 3 (one SP)"),
    Hostile("line-carriage-return-as-space", get(line=b"GET\r/ HTTP/1.1"), _ENDS),
    Hostile("line-no-break-space", get(line=b"GET\xa0/ HTTP/1.1"), _LINE),
    Hostile("line-space-in-target", get(line=b"GET /a b HTTP/1.1"), "RFC 9112 3.2 (no whitespace in a target)"),
    Hostile("line-two-versions", get(line=b"GET / HTTP/1.1 HTTP/1.1"), _LINE),
    Hostile("line-without-target", get(line=b"GET HTTP/1.1"), _LINE, VERSION),
    Hostile("line-with-empty-target", get(line=b"GET  HTTP/1.1"), _LINE),
    Hostile("line-without-method", get(line=b"/ HTTP/1.1"), _LINE),
    Hostile("line-empty-method", get(line=b" / HTTP/1.1"), _LINE),
    Hostile("line-is-a-status-line", get(line=b"HTTP/1.1 200 OK"), "RFC 9112 2.1"),
    Hostile("line-missing", HOST + b"\r\n", "RFC 9112 2.1"),
    Hostile("line-two-empty-lines-first", b"\r\n\r\n" + get(), "RFC 9112 2.2 (one empty line is forgiven)"),
    Hostile("line-many-empty-lines-first", b"\r\n" * 50 + get(), "RFC 9112 2.2 (one empty line is forgiven)"),
    Hostile("line-bare-lf-first", b"\n" + get(), _ENDS),
    Hostile("line-bare-cr-first", b"\r" + get(), _ENDS),
    Hostile("line-byte-order-mark-first", b"\xef\xbb\xbf" + get(), "RFC 9112 2.2"),
    Hostile("line-nul-first", b"\x00" + get(), "RFC 9112 2.2"),
    Hostile("line-folded-first-field", b"GET / HTTP/1.1\r\n Host: example.com\r\n\r\n", "RFC 9112 2.2, CVE-2024-27982"),
    Hostile("line-folded-before-host", b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n", "RFC 9112 2.2, CVE-2020-7238"),
    Hostile("line-folded-target", b"GET /\r\n HTTP/1.1\r\n" + HOST + b"\r\n", "RFC 9112 2.2", VERSION),
    *(
        Hostile(f"method-{name}", get(line=method + b" / HTTP/1.1"), "RFC 9110 9.1, 5.6.2 (a token); CVE-2023-49082")
        for name, method in (
            ("parentheses", b"G(E)T"),
            ("colon", b"GET:"),
            ("slash", b"GET/POST"),
            ("quotes", b'"GET"'),
            ("at", b"G@T"),
            ("comma", b"GET,POST"),
            ("brackets", b"GE[T]"),
            ("braces", b"{GET}"),
            ("nul", b"G\x00ET"),
            ("delete", b"GET\x7f"),
            ("high-octet", b"G\xc9T"),
            ("backslash", b"GE\\T"),
        )
    ),
)

VERSIONS = (
    Hostile("version-0.9", b"GET /\r\n", "RFC 9112 appendix C.1, CVE-2017-7656", VERSION),
    Hostile("version-0.9-with-space", b"GET / \r\n", "RFC 9112 3, CVE-2017-7656", VERSION),
    Hostile("version-0.9-with-fields", get(line=b"GET /"), "RFC 9112 3, CVE-2017-7656", VERSION),
    *(
        Hostile(f"version-{text}", get(line=b"GET / " + text.encode()), clause, VERSION)
        for text, clause in (
            ("HTTP/0.9", "RFC 9110 15.6.6, CVE-2017-7656"),
            ("HTTP/2.0", "RFC 9110 15.6.6"),
            ("HTTP/3.0", "RFC 9110 15.6.6"),
            ("HTTP/9.9", "RFC 9110 15.6.6"),
            ("HTTP/2", "RFC 9112 2.3"),
            ("HTTP/1", "RFC 9112 2.3"),
            ("HTTP/1.", "RFC 9112 2.3"),
            ("HTTP/.1", "RFC 9112 2.3"),
            ("HTTP/1.10", "RFC 9112 2.3 (one digit), CVE-2024-23829"),
            ("HTTP/11.1", "RFC 9112 2.3 (one digit), CVE-2024-23829"),
            ("HTTP/01.1", "RFC 9112 2.3 (one digit)"),
            ("HTTP/1.01", "RFC 9112 2.3 (one digit)"),
            ("HTTP/1,1", "RFC 9112 2.3"),
            ("HTTP/+1.1", "RFC 9112 2.3"),
            ("HTTP/-1.1", "RFC 9112 2.3"),
            ("HTTP/1.x", "RFC 9112 2.3"),
            ("http/1.1", "RFC 9112 2.3 (case-sensitive)"),
            ("Http/1.1", "RFC 9112 2.3 (case-sensitive)"),
            ("HTTP 1.1", "RFC 9112 2.3"),
            ("HTTP/1.1.1", "RFC 9112 2.3"),
            ("HTTPS/1.1", "RFC 9112 2.3"),
            ("ICY/1.1", "RFC 9112 2.3"),
        )
    ),
    Hostile("version-not-ascii-digit", get(line=b"GET / HTTP/1.\xb9"), "RFC 9112 2.3", VERSION),
    Hostile("version-http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "RFC 9113 3.4", VERSION),
    Hostile("version-tls-to-a-plain-port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "RFC 8446 5.1"),
)

TARGETS = (
    *(
        Hostile(f"target-{name}", get(line=method + b" " + target + b" HTTP/1.1"), clause, statuses)
        for name, method, target, clause, statuses in (
            ("fragment", b"GET", b"/a#b", "RFC 9112 3.2.1, CVE-2023-45539", (400,)),
            ("fragment-in-query", b"GET", b"/a?b#c", "RFC 9112 3.2.1, CVE-2023-45539", (400,)),
            ("fragment-alone", b"GET", b"#", _TARGET, (400,)),
            ("fragment-in-absolute", b"GET", b"http://example.com/#a", _TARGET, (400,)),
            ("relative", b"GET", b"index.html", _TARGET, (400,)),
            ("query-alone", b"GET", b"?a=b", "RFC 9112 3.2.1 (starts with a slash)", (400,)),
            ("authority", b"GET", b"example.com:80", "RFC 9112 3.2.3 (CONNECT only)", (400,)),
            ("connect", b"CONNECT", b"example.com:443", "RFC 9110 9.3.6", (400, 405, 501)),
            ("connect-origin-form", b"CONNECT", b"/", "RFC 9112 3.2.3", (400, 405, 501)),
            ("asterisk-for-get", b"GET", b"*", "RFC 9112 3.2.4 (OPTIONS only)", (400,)),
            ("asterisk-and-query", b"OPTIONS", b"*?a", "RFC 9112 3.2.4", (400,)),
            ("two-asterisks", b"OPTIONS", b"**", "RFC 9112 3.2.4", (400,)),
            ("raw-high-octet", b"GET", b"/caf\xe9", "RFC 3986 2", (400,)),
            ("raw-utf-8", b"GET", b"/caf\xc3\xa9", "RFC 3986 2", (400,)),
            ("nul", b"GET", b"/a\x00b", "RFC 3986 2", (400,)),
            ("delete", b"GET", b"/a\x7f", "RFC 3986 2", (400,)),
            ("escape-nul", b"GET", b"/a%00.txt", "CWE-158 (refused, as nginx does)", (400,)),
            ("escape-not-hexadecimal", b"GET", b"/%zz", "RFC 3986 2.1", (400,)),
            ("escape-cut-short", b"GET", b"/%4", "RFC 3986 2.1", (400,)),
            ("escape-alone", b"GET", b"/%", "RFC 3986 2.1", (400,)),
            ("escape-signed", b"GET", b"/%+1", "RFC 3986 2.1", (400,)),
            ("absolute-userinfo", b"GET", b"http://example.com@evil.example/", "RFC 9110 4.2.4", (400,)),
            ("absolute-empty-host", b"GET", b"http:///a", "RFC 9110 4.2.1 (a host is needed)", (400,)),
            ("absolute-empty-port-host", b"GET", b"http://:80/", "RFC 9110 4.2.1", (400,)),
            ("absolute-one-slash", b"GET", b"http:/example.com/", _TARGET, (400,)),
            ("absolute-backslashes", b"GET", b"http:\\\\example.com\\", _TARGET, (400,)),
            ("absolute-other-scheme", b"GET", b"file:///etc/passwd", "RFC 9110 4.2", (400,)),
            ("absolute-ftp", b"GET", b"ftp://example.com/", "RFC 9110 4.2", (400,)),
            ("absolute-bad-escape", b"GET", b"http://example.com/%zz", "RFC 3986 2.1", (400,)),
        )
    ),
    Hostile("target-absolute-without-host", b"GET http://example.com/ HTTP/1.1\r\n\r\n", "RFC 9112 3.2.2, 3.2"),
)

HOSTS = (
    Hostile("host-missing", b"GET / HTTP/1.1\r\n\r\n", _HOST),
    Hostile("host-missing-with-others", hosted(b"Accept: */*\r\nHosts: example.com\r\n"), _HOST),
    Hostile("host-twice-different", get(b"Host: evil.example\r\n"), _HOST + ", CVE-2026-34525"),
    Hostile("host-twice-equal", get(b"Host: example.com\r\n"), _HOST + ", CVE-2026-34525"),
    Hostile("host-twice-first-empty", hosted(b"Host:\r\nHost: example.com\r\n"), _HOST),
    Hostile("host-twice-in-capitals", get(b"HOST: evil.example\r\n"), _HOST),
    Hostile("host-folded", hosted(b"Host: example.com\r\n .evil.example\r\n"), "RFC 9112 5.2"),
    Hostile("host-twice-on-1.0", get(b"Host: evil.example\r\n", b"GET / HTTP/1.0"), _HOST),
    *(
        Hostile(f"host-{name}", hosted(b"Host: " + value + b"\r\n"), _HOST)
        for name, value in (
            ("empty", b""),
            ("blank", b" \t "),
            ("list", b"example.com, evil.example"),
            ("list-without-spaces", b"example.com,evil.example"),
            ("leading-comma", b",example.com"),
            ("userinfo", b"user@example.com"),
            ("userinfo-and-password", b"user:secret@example.com:80"),
            ("path", b"example.com/admin"),
            ("query", b"example.com?a"),
            ("fragment", b"example.com#a"),
            ("scheme", b"http://example.com"),
            ("space", b"example.com evil.example"),
            ("tab", b"example.com\tevil.example"),
            ("backslash", b"example.com\\evil.example"),
            ("quotes", b'"example.com"'),
            ("angle-brackets", b"<script>alert(1)</script>"),
            ("high-octet", b"ex\xe4mple.com"),
            ("nul", b"example.com\x00.evil.example"),
            ("carriage-return", b"example.com\rX: a"),
            ("bad-escape", b"example%2.com"),
            ("port-not-a-number", b"example.com:http"),
            ("port-negative", b"example.com:-80"),
            ("port-plus", b"example.com:+80"),
            ("port-hexadecimal", b"example.com:0x50"),
            ("port-with-space", b"example.com: 80"),
            ("port-six-digits", b"example.com:100000"),
            ("port-twice", b"example.com:80:80"),
            ("port-then-path", b"example.com:80/"),
            ("port-alone", b":80"),
            ("port-attack", b"example.com:80@evil.example"),
            ("ipv6-without-brackets", b"::1"),
            ("ipv6-unclosed", b"[::1"),
            ("ipv6-unopened", b"::1]"),
            ("ipv6-empty", b"[]"),
            ("ipv6-zone", b"[fe80::1%25eth0]"),
            ("ipv6-zone-raw", b"[fe80::1%eth0]"),
            ("ipv6-not-hexadecimal", b"[::g]"),
            ("ipv6-name", b"[example.com]"),
            ("ipv6-then-name", b"[::1]example.com"),
            ("ipv6-bad-port", b"[::1]:a"),
            ("ipv6-without-colon", b"[::1]80"),
            ("ipv6-brackets-twice", b"[[::1]]"),
        )
    ),
)

LINE_ENDS = (
    Hostile("lf-everywhere", b"GET / HTTP/1.1\nHost: example.com\n\n", _ENDS + ", CVE-2019-16785"),
    Hostile("lf-after-request-line", b"GET / HTTP/1.1\n" + HOST + b"\r\n", _ENDS + ", CVE-2019-16785"),
    Hostile("lf-after-field", b"GET / HTTP/1.1\r\nHost: example.com\nX: a\r\n\r\n", _ENDS + ", CVE-2019-16785"),
    Hostile("lf-hides-a-field", get(b"X: a\nContent-Length: 5\r\n") + b"hello", _ENDS + ", CVE-2019-16785"),
    Hostile("lf-as-empty-line", b"GET / HTTP/1.1\r\n" + HOST + b"\n", _ENDS),
    Hostile("lf-as-empty-line-and-body", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\nhello", _ENDS),
    Hostile("lf-cr-for-cr-lf", b"GET / HTTP/1.1\n\rHost: example.com\n\r\n\r", _ENDS),
    Hostile("cr-everywhere", b"GET / HTTP/1.1\rHost: example.com\r\r", _ENDS + ", CVE-2023-30589"),
    Hostile("cr-after-request-line", b"GET / HTTP/1.1\r" + HOST + b"\r\n", _ENDS),
    Hostile("cr-hides-a-field", get(b"X: a\rTransfer-Encoding: chunked\r\n"), _ENDS + ", CVE-2023-30589"),
    Hostile("cr-cr-lf-after-request-line", b"GET / HTTP/1.1\r\r\n" + HOST + b"\r\n", _ENDS),
    Hostile("cr-cr-lf-after-field", get(b"X: a\r\r\n"), _ENDS),
    Hostile("cr-cr-lf-as-empty-line", b"GET / HTTP/1.1\r\n" + HOST + b"\r\r\n", _ENDS),
    Hostile("cr-first-in-value", get(b"X: \ra\r\n"), _ENDS),
    Hostile("cr-before-colon", get(b"X\r: a\r\n"), _ENDS),
    Hostile("cr-in-name", get(b"X\rY: a\r\n"), _ENDS),
    Hostile("cr-alone-on-a-line", b"GET / HTTP/1.1\r\n" + HOST + b"\rX: a\r\n\r\n", _ENDS + ", CVE-2022-35256"),
    Hostile("blank-line-with-space", b"GET / HTTP/1.1\r\n" + HOST + b" \r\n" + NEXT, "RFC 9112 5.2"),
    Hostile("blank-line-with-tab", b"GET / HTTP/1.1\r\n" + HOST + b"\t\r\n" + NEXT, "RFC 9112 5.2"),
    Hostile("next-line-character", get(b"X: a\x85Y: b\r\nZ \xe2\x80\xa8: a\r\n"), _NAME),
    Hostile("nul-in-value", get(b"X: a\x00b\r\n"), _VALUE),
    Hostile("nul-in-name", get(b"X\x00: a\r\n"), _NAME),
    Hostile("nul-after-value", get(b"X: a\x00\r\n"), _VALUE),
    Hostile("nul-line", get(b"\x00\r\n"), _FIELD),
    *(
        Hostile(f"control-{code:02x}-in-value", get(b"X: a" + bytes([code]) + b"b\r\n"), _VALUE)
        for code in (0x01, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F)
    ),
    Hostile("control-after-a-run-of-spaces", get(b"X:" + b" " * 4000 + b"\x01\r\n"), _VALUE + ", CVE-2020-5236"),
)

FIELDS = (
    Hostile("field-space-before-colon", get(b"X : a\r\n"), _NAME + ", CVE-2019-16276, CVE-2021-22959"),
    Hostile("field-tab-before-colon", get(b"X\t: a\r\n"), _NAME + ", CVE-2019-16869"),
    Hostile("field-space-before-colon-of-host", hosted(b"Host : example.com\r\n"), _NAME + ", CVE-2019-16276"),
    Hostile("field-without-colon", get(b"X\r\n"), _FIELD + ", CVE-2019-20444"),
    Hostile("field-without-colon-with-value", get(b"X a\r\n"), _FIELD + ", CVE-2019-20444"),
    Hostile("field-empty-name", get(b": a\r\n"), _FIELD + ", CVE-2023-25725"),
    Hostile("field-empty-name-first", hosted(b":\r\n" + HOST), _FIELD + ", CVE-2023-25725"),
    Hostile("field-colon-alone", get(b":\r\n"), _FIELD + ", CVE-2023-25725"),
    Hostile("field-space-in-name", get(b"X Y: a\r\n"), _NAME),
    Hostile("field-folded-by-space", get(b"X: a\r\n b\r\n"), "RFC 9112 5.2"),
    Hostile("field-folded-by-tab", get(b"X: a\r\n\tb\r\n"), "RFC 9112 5.2"),
    Hostile("field-folded-twice", get(b"X: a\r\n b\r\n c\r\n"), "RFC 9112 5.2"),
    Hostile("field-folded-empty", get(b"X:\r\n \r\n"), "RFC 9112 5.2"),
    Hostile("field-folded-field", get(b"X: a\r\n Content-Length: 5\r\n") + b"hello", "RFC 9112 5.2, CVE-2024-27982"),
    Hostile("field-request-line-again", get(b"GET /b HTTP/1.1\r\n"), _FIELD),
    *(
        Hostile(f"field-name-with-{name}", get(b"X" + octet + b"Y: a\r\n"), "RFC 9110 5.1, 5.6.2; CVE-2023-47627")
        for name, octet in (
            ("parenthesis", b"("),
            ("slash", b"/"),
            ("at", b"@"),
            ("bracket", b"["),
            ("brace", b"{"),
            ("quote", b'"'),
            ("equals", b"="),
            ("semicolon", b";"),
            ("question-mark", b"?"),
            ("comma", b","),
            ("backslash", b"\\"),
            ("high-octet", b"\xe9"),
            ("no-break-space", b"\xa0"),
            ("vertical-tab", b"\x0b"),
        )
    ),
    Hostile(
        "expect-unknown", post(b"Expect: 200-ok\r\nContent-Length: 5\r\n", b"hello"), "RFC 9110 10.1.1", (400, 417)
    ),
    Hostile(
        "expect-obfuscated", post(b"Expect: y 100-continue\r\nContent-Length: 5\r\n"), "RFC 9110 10.1.1", (400, 417)
    ),
    Hostile("expect-list", post(b"Expect: 100-continue, x\r\nContent-Length: 5\r\n"), "RFC 9110 10.1.1", (400, 417)),
    Hostile("expect-empty", post(b"Expect:\r\nContent-Length: 5\r\n"), "RFC 9110 10.1.1", (400, 417)),
    Hostile(
        "expect-twice", post(b"Expect: 100-continue\r\n" * 2 + b"Content-Length: 5\r\n"), "RFC 9110 5.3", (400, 417)
    ),
    Hostile("content-type-twice", post(b"Content-Type: a/b\r\nContent-Type: c/d\r\n"), "RFC 9110 8.3, 5.3"),
    Hostile("authorization-twice", get(b"Authorization: Basic YQ==\r\nAuthorization: Basic Yg==\r\n"), "RFC 9110 5.3"),
)

SIZES = (
    Hostile("size-target", get(line=b"GET /" + b"a" * 70000 + b" HTTP/1.1"), "RFC 9110 15.5.15", (400, 414, 431)),
    Hostile("size-target-unfinished", b"GET /" + b"a" * 70000, "RFC 9110 15.5.15", (400, 414, 431)),
    Hostile("size-method", get(line=b"A" * 70000 + b" / HTTP/1.1"), "RFC 9112 3", (400, 414, 431, 501)),
    Hostile("size-field", get(b"X: " + b"a" * 70000 + b"\r\n"), "RFC 6585 5", (400, 431)),
    Hostile("size-field-unfinished", b"GET / HTTP/1.1\r\nX: " + b"a" * 70000, "RFC 6585 5", (400, 431)),
    Hostile("size-field-name", get(b"X" * 70000 + b": a\r\n"), "RFC 6585 5", (400, 431)),
    Hostile("size-field-of-spaces", get(b"X:" + b" " * 70000 + b"a\r\n"), "RFC 6585 5", (400, 431)),
    Hostile("size-number-of-fields", get(b"X: a\r\n" * 5000), "RFC 6585 5", (400, 431)),
    Hostile("size-fields-unfinished", b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 12000, "RFC 6585 5", (400, 431)),
    Hostile(
        "size-head", get(b"".join(b"X-%d: %b\r\n" % (n, b"a" * 3000) for n in range(40))), "RFC 6585 5", (400, 431)
    ),
)

HEADS = REQUEST_LINES + VERSIONS + TARGETS + HOSTS + LINE_ENDS + FIELDS + SIZES
