"""Hostile bodies: how long they claim to be (Content-Length, Transfer-Encoding), chunks and trailers. Data only."""

from __future__ import annotations

from .parts import CODING, HOST, NEXT, Hostile, chunked, coded, counted, get, post

_LENGTH = "RFC 9112 6.3, RFC 9110 8.6"
_CODING = "RFC 9112 6.1, 6.3"
_CHUNK = "RFC 9112 7.1"
_EXTENSION = "RFC 9112 7.1.1"
_TRAILER = "RFC 9112 7.1.2"

_TE = b"Transfer-Encoding: chunked\r\n"
_CL = b"Content-Length: 5\r\n"
_END = b"0\r\n\r\n"

LENGTHS = (
    *(
        Hostile(f"length-{name}", counted(value), clause)
        for name, value, clause in (
            ("plus", b" +10", _LENGTH + ", CVE-2021-32715, CVE-2022-24761, CVE-2023-40167"),
            ("minus", b" -10", _LENGTH),
            ("minus-zero", b" -0", _LENGTH),
            ("hexadecimal", b" 0xa", _LENGTH + ", CVE-2022-24801"),
            ("octal", b" 0o12", _LENGTH),
            ("underscore", b" 1_0", _LENGTH + ", CVE-2023-47627"),
            ("decimal-point", b" 10.0", _LENGTH),
            ("exponent", b" 1e1", _LENGTH),
            ("empty", b"", _LENGTH + ", CVE-2023-40225"),
            ("blank", b" \t", _LENGTH + ", CVE-2023-40225"),
            ("letters", b" ten", _LENGTH),
            ("letters-after", b" 10a", _LENGTH),
            ("space-inside", b" 1 0", _LENGTH),
            ("tab-inside", b" 1\t0", _LENGTH),
            ("vertical-tab-first", b" \x0b10", _LENGTH + ", CVE-2019-16789"),
            ("form-feed-last", b" 10\x0c", _LENGTH),
            ("no-break-space-first", b" \xa010", _LENGTH),
            ("superscript-digit", b" 1\xb2", _LENGTH + ", CVE-2023-47627"),
            ("nul-last", b" 10\x00", _LENGTH),
            ("quoted", b' "10"', _LENGTH),
            ("list-equal", b" 10, 10", _LENGTH + " (could be merged; refused)"),
            ("list-equal-without-space", b" 10,10", _LENGTH + " (could be merged; refused)"),
            ("list-different", b" 10, 20", _LENGTH),
            ("list-trailing-comma", b" 10,", _LENGTH),
            ("list-leading-comma", b" ,10", _LENGTH),
            ("semicolon", b" 10;", _LENGTH),
            ("twenty-digits", b" 18446744073709551626", _LENGTH + ", CVE-2017-7657"),
            ("twenty-digits-padded", b" 00000000000000000010", _LENGTH),
            ("five-thousand-digits", b" " + b"9" * 5000, _LENGTH + ", CVE-2020-10735"),
        )
    ),
    Hostile(
        "length-twice-different",
        post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"),
        _LENGTH + ", CVE-2020-10108",
    ),
    Hostile("length-twice-equal", post(_CL * 2, b"hello"), _LENGTH + ", CVE-2019-16792"),
    Hostile("length-twice-zero-first", post(b"Content-Length: 0\r\n" + _CL, NEXT), _LENGTH + ", CVE-2020-10108"),
    Hostile("length-twice-other-case", post(_CL + b"content-length: 6\r\n", b"hello!"), _LENGTH + ", CVE-2017-7658"),
    Hostile("length-thrice", post(_CL * 3, b"hello"), _LENGTH),
    Hostile("length-folded", post(b"Content-Length:\r\n 5\r\n", b"hello"), "RFC 9112 5.2"),
    Hostile("length-folded-digits", post(b"Content-Length: 1\r\n 0\r\n", b"0123456789"), "RFC 9112 5.2"),
    Hostile("length-space-before-colon", post(b"Content-Length : 5\r\n", b"hello"), "RFC 9112 5.1, CVE-2021-22959"),
    Hostile("length-after-bare-lf", post(b"X: a\nContent-Length: 5\r\n", b"hello"), "RFC 9112 2.2, CVE-2019-16785"),
    Hostile("length-leading-space", post(b"X: a\r\n Content-Length: 5\r\n", b"hello"), "RFC 9112 5.2, CVE-2024-27982"),
    Hostile("length-on-get-malformed", get(b"Content-Length: abc\r\n"), _LENGTH),
    Hostile("length-on-1.0-malformed", get(b"Content-Length: +5\r\n", b"POST / HTTP/1.0") + b"hello", _LENGTH),
)

CODINGS = (
    *(
        Hostile(f"coding-{name}", coded(line), clause, CODING)
        for name, line, clause in (
            ("space-before-colon", b"Transfer-Encoding : chunked", "RFC 9112 5.1, CVE-2019-16276"),
            ("tab-before-colon", b"Transfer-Encoding\t: chunked", "RFC 9112 5.1, CVE-2019-16869"),
            ("leading-space", b" Transfer-Encoding: chunked", "RFC 9112 5.2, CVE-2020-7238"),
            ("vertical-tab-first", b"Transfer-Encoding: \x0bchunked", _CODING + ", CVE-2019-16789"),
            ("vertical-tab-last", b"Transfer-Encoding: chunked\x0b", _CODING + ", CVE-2019-16789"),
            ("form-feed-first", b"Transfer-Encoding:\x0cchunked", _CODING + ", CVE-2019-16789"),
            ("no-break-space-first", b"Transfer-Encoding: \xa0chunked", _CODING + ", CVE-2019-16789"),
            ("next-line-last", b"Transfer-Encoding: chunked\x85", _CODING + ", CVE-2019-16789"),
            ("nul-last", b"Transfer-Encoding: chunked\x00", _CODING),
            ("carriage-return-first", b"Transfer-Encoding: \rchunked", "RFC 9112 2.2"),
            ("bare-lf-first", b"Transfer-Encoding:\nchunked", "RFC 9112 2.2, CVE-2019-16785"),
            ("folded", b"Transfer-Encoding:\r\n chunked", "RFC 9112 5.2, CVE-2022-32215"),
            ("folded-by-tab", b"Transfer-Encoding:\r\n\tchunked", "RFC 9112 5.2, CVE-2022-32215"),
            ("folded-after", b"Transfer-Encoding: chunked\r\n , identity", "RFC 9112 5.2, CVE-2022-32215"),
            ("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", _CODING + " (chunked once)"),
            ("twice-identity-last", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", _CODING),
            ("twice-identity-first", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", _CODING),
            (
                "twice-nonsense-last",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
                _CODING + ", CVE-2020-25613",
            ),
            ("list-chunked-twice", b"Transfer-Encoding: chunked, chunked", _CODING + " (chunked once)"),
            ("list-identity-last", b"Transfer-Encoding: chunked, identity", _CODING + ", CVE-2021-33037"),
            ("list-identity-first", b"Transfer-Encoding: identity, chunked", _CODING + ", CVE-2021-33037"),
            ("list-gzip-first", b"Transfer-Encoding: gzip, chunked", _CODING + ", CVE-2019-16786"),
            ("list-gzip-last", b"Transfer-Encoding: chunked, gzip", _CODING + " (chunked is last)"),
            ("list-leading-comma", b"Transfer-Encoding: ,chunked", _CODING + ", CVE-2022-32213"),
            ("list-trailing-comma", b"Transfer-Encoding: chunked,", _CODING + ", CVE-2022-32213"),
            ("list-by-semicolon", b"Transfer-Encoding: chunked;", _CODING),
            ("list-by-space", b"Transfer-Encoding: chunked identity", _CODING),
            ("parameter", b"Transfer-Encoding: chunked;q=1", _CODING),
            ("gzip", b"Transfer-Encoding: gzip", _CODING),
            ("identity", b"Transfer-Encoding: identity", _CODING + ", CVE-2021-33037"),
            ("empty", b"Transfer-Encoding:", _CODING),
            ("blank", b"Transfer-Encoding: \t", _CODING),
            ("quoted", b'Transfer-Encoding: "chunked"', _CODING),
            ("single-quoted", b"Transfer-Encoding: 'chunked'", _CODING),
            ("prefixed", b"Transfer-Encoding: xchunked", _CODING + ", CVE-2020-11076"),
            ("suffixed", b"Transfer-Encoding: chunkedx", _CODING + ", CVE-2022-32213"),
            ("cut-short", b"Transfer-Encoding: chunke", _CODING),
            ("two-colons", b"Transfer-Encoding:: chunked", _CODING),
            ("is-field", b"Transfer-Encoding: Transfer-Encoding: chunked", _CODING),
            ("equals-for-colon", b"Transfer-Encoding= chunked", "RFC 9112 5, CVE-2019-20444"),
            ("without-colon", b"Transfer-Encoding chunked", "RFC 9112 5, CVE-2019-20444"),
            ("no-break-space-in-name", b"Transfer-Encoding\xa0: chunked", "RFC 9112 5.1"),
            ("carriage-return-before-name", b"X: a\r\n\rTransfer-Encoding: chunked", "RFC 9112 2.2"),
        )
    ),
    *(
        Hostile(f"coding-and-length-{name}", post(fields, _END + NEXT), clause, CODING)
        for name, fields, clause in (
            ("cl-te", _CL + _TE, "RFC 9112 6.1, CVE-2020-10109"),
            ("te-cl", _TE + _CL, "RFC 9112 6.1, CVE-2020-10109"),
            ("zero", b"Content-Length: 0\r\n" + _TE, "RFC 9112 6.1, CVE-2017-7658"),
            ("exact", _TE + b"Content-Length: 10\r\n", "RFC 9112 6.1"),
            ("capitals", _CL + b"TRANSFER-ENCODING: CHUNKED\r\n", "RFC 9112 6.1"),
            ("odd-case", _CL + b"tRANSFER-ENCODING: cHuNkEd\r\n", "RFC 9112 6.1"),
            ("no-space", _CL + b"Transfer-Encoding:chunked\r\n", "RFC 9112 6.1"),
            ("tabs", _CL + b"Transfer-Encoding:\t\tchunked\t\r\n", "RFC 9112 6.1"),
            ("identity", _CL + b"Transfer-Encoding: identity\r\n", "RFC 9112 6.1, CVE-2021-33037"),
            ("nonsense", _CL + b"Transfer-Encoding: x\r\n", "RFC 9112 6.1, CVE-2024-1135"),
            ("empty-coding", _CL + b"Transfer-Encoding:\r\n", "RFC 9112 6.1, CVE-2024-6827"),
            ("empty-length", _TE + b"Content-Length:\r\n", "RFC 9112 6.1, CVE-2023-40225"),
            ("malformed-length", _TE + b"Content-Length: x\r\n", "RFC 9112 6.1, CVE-2022-42252"),
            ("list", _CL + b"Transfer-Encoding: gzip, chunked\r\n", "RFC 9112 6.1"),
            ("twice", _CL + _TE + b"Transfer-Encoding: x\r\n", "RFC 9112 6.1, CVE-2020-25613"),
            ("connection-names-it", _CL + _TE + b"Connection: Transfer-Encoding\r\n", "RFC 9112 6.1, RFC 9110 7.6.1"),
        )
    ),
    Hostile("coding-on-1.0", get(_TE, b"POST / HTTP/1.0") + _END, "RFC 9112 6.1, CVE-2021-33037", CODING),
    Hostile(
        "coding-on-1.0-kept-alive",
        get(_TE + b"Connection: keep-alive\r\n", b"POST / HTTP/1.0") + _END + NEXT,
        "RFC 9112 6.1",
        CODING,
    ),
    Hostile("coding-on-1.0-and-length", get(_CL + _TE, b"POST / HTTP/1.0") + _END, "RFC 9112 6.1", CODING),
    Hostile("coding-on-get-gzip", get(b"Transfer-Encoding: gzip\r\n") + NEXT, _CODING, CODING),
    Hostile(
        "coding-before-host",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n" + HOST + b"\r\n" + _END,
        "RFC 9112 5.1",
        CODING,
    ),
)

CHUNKS = (
    *(
        Hostile(f"chunk-size-{name}", chunked(size + b"\r\na\r\n0\r\n\r\n" + NEXT), clause)
        for name, size, clause in (
            ("plus", b"+1", _CHUNK + ", CVE-2022-24761, CVE-2022-24801"),
            ("minus", b"-1", _CHUNK),
            ("minus-zero", b"-0", _CHUNK),
            ("prefix", b"0x1", _CHUNK + ", CVE-2022-24761, CVE-2022-24801"),
            ("prefix-capital", b"0X1", _CHUNK),
            ("letter-after", b"1h", _CHUNK),
            ("underscore", b"0_1", _CHUNK + ", CVE-2023-47627"),
            ("leading-space", b" 1", _CHUNK),
            ("leading-tab", b"\t1", _CHUNK),
            ("trailing-space", b"1 ", _CHUNK + " (white space is the extensions' alone)"),
            ("trailing-tab", b"1\t", _CHUNK),
            ("space-inside", b"0 1", _CHUNK),
            ("vertical-tab", b"1\x0b", _CHUNK),
            ("nul", b"1\x00", _CHUNK),
            ("empty", b"", _CHUNK),
            ("not-a-number", b"x", _CHUNK),
            ("decimal-point", b"1.0", _CHUNK),
            ("quoted", b'"1"', _CHUNK),
            ("comma", b"1,1", _CHUNK),
            ("overflow-32", b"100000001" + b"0" * 8, _CHUNK + ", CVE-2017-7657"),
            ("overflow-64", b"10000000000000001", _CHUNK + ", CVE-2021-32714, CVE-2017-7657"),
            ("all-bits-of-64", b"ffffffffffffffff", _CHUNK + ", CVE-2021-32714"),
            ("sign-bit-of-64", b"8000000000000001", _CHUNK + ", CVE-2021-32714"),
            ("three-hundred-digits", b"f" * 300, _CHUNK),
            ("three-hundred-zeros", b"0" * 300 + b"1", _CHUNK),
            ("no-break-space", b"1\xa0", _CHUNK),
            ("full-width-digit", b"\xef\xbc\x91", _CHUNK + ", CVE-2023-47627"),
            ("superscript-digit", b"\xb9", _CHUNK),
        )
    ),
    *(
        Hostile(f"chunk-{name}", chunked(body + NEXT), clause)
        for name, body, clause in (
            ("size-ends-with-lf", b"1\na\r\n0\r\n\r\n", _CHUNK + ", CVE-2025-22871"),
            ("size-ends-with-cr", b"1\ra\r\n0\r\n\r\n", _CHUNK),
            ("size-ends-with-cr-cr-lf", b"1\r\r\na\r\n0\r\n\r\n", _CHUNK),
            ("size-ends-with-lf-cr", b"1\n\ra\r\n0\r\n\r\n", _CHUNK),
            ("data-ends-with-lf", b"1\r\na\n0\r\n\r\n", _CHUNK + ", CVE-2025-43859"),
            ("data-ends-with-cr", b"1\r\na\r0\r\n\r\n", _CHUNK + ", CVE-2025-43859"),
            ("data-ends-with-two-letters", b"1\r\naXX0\r\n\r\n", _CHUNK + ", CVE-2025-43859"),
            ("data-ends-with-cr-and-letter", b"1\r\na\rX0\r\n\r\n", _CHUNK + ", CVE-2025-43859"),
            ("data-without-end", b"1\r\na0\r\n\r\n", _CHUNK),
            ("data-longer-than-size", b"3\r\nhello\r\n0\r\n\r\n", _CHUNK),
            ("data-shorter-than-size", b"7\r\nhello\r\n0\r\n\r\n", _CHUNK),
            ("data-missing", b"5\r\n\r\n0\r\n\r\n", _CHUNK),
            ("empty-line-before-size", b"\r\n1\r\na\r\n0\r\n\r\n", _CHUNK),
            ("empty-line-between", b"1\r\na\r\n\r\n0\r\n\r\n", _CHUNK),
            ("last-ends-with-lf", b"0\n\r\n", _CHUNK + ", CVE-2025-22871"),
            ("last-ends-with-lf-lf", b"0\n\n", _CHUNK),
            ("last-then-lf", b"0\r\n\n", _CHUNK),
            ("last-then-cr-cr-lf", b"0\r\n\r\r\n\r\n", _CHUNK),
            ("last-then-letters", b"0\r\nXX\r\n\r\n", _CHUNK),
            ("last-signed", b"+0\r\n\r\n", _CHUNK),
        )
    ),
    Hostile("chunk-body-is-a-request", chunked(NEXT), _CHUNK),
    Hostile("chunk-body-is-octets", chunked(b"\x00\x01\x02\x03\r\n"), _CHUNK),
    Hostile("chunk-line-without-end", chunked(b"1;" + b"a" * 70000), _CHUNK + ", CVE-2024-21647", (400, 413, 431)),
    Hostile("chunk-size-without-end", chunked(b"0" * 70000), _CHUNK, (400, 413, 431)),
    Hostile(
        "chunk-extension-too-long",
        chunked(b"1;a=" + b"b" * 70000 + b"\r\na\r\n" + _END),
        _EXTENSION + ", CVE-2023-39326",
        (400, 413, 431),
    ),
)

EXTENSIONS = (
    *(
        Hostile(f"extension-{name}", chunked(b"1" + extension + b"\r\na\r\n0\r\n\r\n" + NEXT), clause)
        for name, extension, clause in (
            ("bare-lf", b";a\nb", _EXTENSION + ", CVE-2024-52304"),
            ("bare-lf-and-chunk", b";\n5\r\nhello\r\n0", _EXTENSION + ", CVE-2024-52304, CVE-2025-55315"),
            ("bare-cr", b";a\rb", _EXTENSION + ", CVE-2025-55315"),
            ("cr-cr", b";a\r", _EXTENSION),
            ("quoted-newline", b';a="\r\nb"', _EXTENSION + ", CVE-2025-55315"),
            ("quoted-lf", b';a="\nb"', _EXTENSION + ", CVE-2025-55315"),
            ("quoted-cr", b';a="\rb"', _EXTENSION + ", CVE-2025-55315"),
            ("quoted-escaped-lf", b';a="\\\nb"', _EXTENSION),
            ("quoted-nul", b';a="\x00"', _EXTENSION),
            ("quote-unclosed", b';a="b', _EXTENSION),
            ("quote-escaped-at-end", b';a="b\\"', _EXTENSION),
            ("quote-then-token", b';a="b"c', _EXTENSION),
            ("nul", b";a\x00", _EXTENSION + ", CVE-2022-24761"),
            ("delete", b";a\x7f", _EXTENSION + ", CVE-2022-24761"),
            ("high-octet", b";a=\xe9", _EXTENSION),
            ("empty", b";", _EXTENSION + ", CVE-2021-22960"),
            ("empty-name", b";=a", _EXTENSION),
            ("empty-value", b";a=", _EXTENSION),
            ("two-semicolons", b";;a", _EXTENSION),
            ("space-alone-before-semicolon", b" ;", _EXTENSION),
            ("space-alone-after-semicolon", b"; ", _EXTENSION),
            ("space-before-quote-and-after", b';a= "b" ', _EXTENSION),
            ("space-for-equals", b';a "b"', _EXTENSION),
            ("space-and-no-value", b";a = ", _EXTENSION),
            ("space-then-bare-lf", b"; \na", _EXTENSION + ", CVE-2024-52304"),
            ("space-then-bare-cr", b";a =\rb", _EXTENSION + ", CVE-2025-55315"),
            ("space-folded", b";a=\r\n b", _EXTENSION + ", CVE-2025-55315"),
            ("no-break-space", b";\xa0a", _EXTENSION),
            ("vertical-tab", b";\x0ba", _EXTENSION),
            ("space-in-name", b";a b", _EXTENSION),
            ("space-last", b";a ", _EXTENSION),
            ("equals-for-semicolon", b"=a", _EXTENSION),
            ("comma-for-semicolon", b",a", _EXTENSION),
            ("colon", b":a", _EXTENSION),
        )
    ),
)

TRAILERS = (
    *(
        Hostile(f"trailer-{name}", chunked(b"1\r\na\r\n0\r\n" + trailer + b"\r\n\r\n" + NEXT), clause)
        for name, trailer, clause in (
            ("without-colon", b"X", _TRAILER + ", CVE-2023-45648"),
            ("is-a-request-line", b"GET /smuggled HTTP/1.1\r\nHost: example.com", _TRAILER + ", CVE-2023-45648"),
            ("space-before-colon", b"X : a", _TRAILER + ", RFC 9112 5.1"),
            ("empty-name", b": a", _TRAILER),
            ("folded", b"X: a\r\n b", _TRAILER + ", RFC 9112 5.2"),
            ("leading-space", b" X: a", _TRAILER),
            ("bare-lf", b"X: a\nY: b", _TRAILER + ", RFC 9112 2.2"),
            (
                "bare-lf-and-request",
                b"X: a\n\nGET /smuggled HTTP/1.1\nHost: example.com",
                _TRAILER + ", CVE-2025-53643",
            ),
            ("bare-cr", b"X: a\rY: b", _TRAILER + ", RFC 9112 2.2"),
            ("nul", b"X: a\x00", _TRAILER),
            ("high-octet-in-name", b"X\xe9: a", _TRAILER),
            ("space-line", b" ", _TRAILER),
            ("chunk-again", b"5\r\nhello\r\n0", _TRAILER),
            ("good-then-bad", b"X: a\r\nY", _TRAILER),
        )
    ),
    Hostile(
        "trailer-too-long",
        chunked(b"0\r\nX: " + b"a" * 70000 + b"\r\n\r\n"),
        "RFC 6585 5, CVE-2023-46589",
        (400, 413, 431),
    ),
    Hostile("trailer-without-end", chunked(b"0\r\nX: " + b"a" * 70000), "RFC 6585 5", (400, 413, 431)),
    Hostile("trailer-too-many", chunked(b"0\r\n" + b"X: a\r\n" * 12000 + b"\r\n"), "RFC 6585 5", (400, 413, 431)),
)

BODIES = LENGTHS + CODINGS + CHUNKS + EXTENSIONS + TRAILERS
