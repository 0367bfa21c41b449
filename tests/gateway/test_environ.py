"""Is an environ what PEP 3333 says, whatever the transport, and is nothing in it that a client made up?"""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.gateway.exchanges import LIMITS
from twisted_wsgiref._gateway.environ import ConnectionEnviron, believe, service_environ
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._http.forwarded import Client
from twisted_wsgiref._http.head import HeadParser
from twisted_wsgiref._http.reader import HeadReader
from twisted_wsgiref.util import FileWrapper, application_uri, request_uri
from twisted_wsgiref.validate import check_environ

TCP = (("192.0.2.1", 8080), ("192.0.2.2", 50000))
UNIX = (None, None)


def environ(
    head: str = "GET / HTTP/1.1\r\nHost: example.com",
    *,
    scheme: str = "http",
    addresses: Any = TCP,
    script_name: str = "",
    size: int | None = 0,
    client: Client | None = None,
) -> dict[str, Any]:
    """Return the environ of `head`, checked by our own validator."""
    service = service_environ(
        software="tests",
        script_name=script_name,
        multiprocess=False,
        errors=ErrorStream(print),
        file_wrapper=FileWrapper,
    )
    connection = ConnectionEnviron(service, scheme, *addresses)
    result = connection.make(HeadParser(LIMITS).parse(head.encode("latin-1")), size)
    if client is not None:
        believe(result, client)
    check_environ({**result, "wsgi.input": io.BytesIO()})
    return result


def head(line: str, *fields: str) -> str:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: example.com", *fields))


def test_a_plain_request() -> None:
    made = environ(head("GET /a/b%20c?d=e%20f", "Accept: x", "Content-Type: y", "X-Two-Words: z"))
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b c",
        "QUERY_STRING": "d=e%20f",
        "REQUEST_URI": "/a/b%20c?d=e%20f",
        "RAW_URI": "/a/b%20c?d=e%20f",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "192.0.2.2",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "example.com",
        "HTTP_ACCEPT": "x",
        "CONTENT_TYPE": "y",
        "HTTP_X_TWO_WORDS": "z",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {key: made[key] for key in expected} == expected
    assert "HTTPS" not in made
    assert "HTTP_CONTENT_TYPE" not in made
    assert request_uri(made) == "http://example.com/a/b%20c?d=e%20f"


def test_two_requests_of_a_connection_share_nothing_that_can_change() -> None:
    service = service_environ(
        software="s", script_name="", multiprocess=False, errors=ErrorStream(print), file_wrapper=FileWrapper
    )
    base = ConnectionEnviron(service, "http", *TCP)
    one = base.make(HeadParser(LIMITS).parse(head("GET /1", "X: 1").encode()), 0)
    one["SCRIPT_NAME"] = "/changed"
    two = base.make(HeadParser(LIMITS).parse(head("GET /2").encode()), 0)
    assert two["SCRIPT_NAME"] == ""
    assert "HTTP_X" not in two


@pytest.mark.parametrize("script_name", ["", "/app"])
@pytest.mark.parametrize("addresses", [TCP, UNIX])
def test_a_request_that_comes_again_has_the_environ_that_it_had(addresses: Any, script_name: str) -> None:
    service = service_environ(
        software="s", script_name=script_name, multiprocess=False, errors=ErrorStream(print), file_wrapper=FileWrapper
    )
    base = ConnectionEnviron(service, "http", *addresses)
    reader = HeadReader(LIMITS)
    lines = ("GET /app/1?a", "GET /app/2", "POST /app/1", "HEAD /app/1?a")
    for number in range(40):
        line = lines[number // 5 % 4]
        fields = ["Content-Length: 3"] if line[0] == "P" else []
        octets = head(line, "X: 1", *fields).encode() + b"\r\n\r\n"
        reader.feed(octets)
        parsed = reader.take_head()
        assert parsed is not None
        made = base.make(parsed, 0)
        assert made == ConnectionEnviron(service, "http", *addresses).make(parsed, 0)
        made["PATH_INFO"] = made["HTTP_X"] = "changed by the application"
        del made["SERVER_NAME"]


def test_tls() -> None:
    made = environ(scheme="https", addresses=(("192.0.2.1", 8443), TCP[1]))
    assert (made["wsgi.url_scheme"], made["HTTPS"], made["SERVER_PORT"]) == ("https", "on", "8443")


@pytest.mark.parametrize(
    ("host", "scheme", "name", "port"),
    [
        ("example.com", "http", "example.com", "80"),
        ("example.com", "https", "example.com", "443"),
        ("example.com:8000", "http", "example.com", "8000"),
        ("example.com:", "http", "example.com", "80"),
        ("[2001:db8::1]", "http", "[2001:db8::1]", "80"),
        ("[2001:db8::1]:81", "http", "[2001:db8::1]", "81"),
    ],
)
def test_a_unix_socket_has_the_client_s_idea_of_the_server(host: str, scheme: str, name: str, port: str) -> None:
    made = environ(f"GET / HTTP/1.1\r\nHost: {host}", scheme=scheme, addresses=UNIX)
    assert (made["SERVER_NAME"], made["SERVER_PORT"]) == (name, port)
    assert "REMOTE_ADDR" not in made
    assert "REMOTE_PORT" not in made


@pytest.mark.parametrize("addresses", [TCP, UNIX])
def test_a_target_with_an_authority_names_the_host_but_not_the_scheme(addresses: Any) -> None:
    made = environ("GET https://b.example:81/x?y HTTP/1.1\r\nHost: example.com", addresses=addresses)
    assert (made["HTTP_HOST"], made["PATH_INFO"]) == ("b.example:81", "/x")
    assert (made["wsgi.url_scheme"], made.get("HTTPS")) == ("http", None)
    server = (made["SERVER_NAME"], made["SERVER_PORT"])
    assert server == (("b.example", "81") if addresses is UNIX else ("192.0.2.1", "8080"))
    assert made["REQUEST_URI"] == "https://b.example:81/x?y"


def test_a_later_http_1_is_told_as_1_1() -> None:
    made = environ("GET / HTTP/1.9\r\nHost: example.com")
    assert made["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_a_unix_socket_without_a_host() -> None:
    made = environ("GET / HTTP/1.0", addresses=UNIX)
    assert (made["SERVER_NAME"], made["SERVER_PORT"], made["SERVER_PROTOCOL"]) == ("localhost", "80", "HTTP/1.0")


def test_an_ipv6_connection() -> None:
    made = environ(addresses=(("2001:db8::1", 80), ("2001:db8::2", 5)))
    assert (made["REMOTE_ADDR"], made["SERVER_NAME"]) == ("2001:db8::2", "[2001:db8::1]")


@pytest.mark.parametrize(
    ("target", "script", "path"),
    [
        ("/app", "/app", ""),
        ("/app/", "/app", "/"),
        ("/app/x", "/app", "/x"),
        ("/apple", "/app", "/apple"),
        ("/x", "/app", "/x"),
        ("/", "/app", "/"),
        ("/%61pp/x", "/app", "/x"),
        ("/app//x", "/app", "//x"),
    ],
)
def test_an_application_is_mounted(target: str, script: str, path: str) -> None:
    made = environ(head(f"GET {target}"), script_name="/app")
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == (script, path)
    assert made["REQUEST_URI"] == target
    assert application_uri(made) == "http://example.com/app"


@pytest.mark.parametrize(("target", "path"), [("*", ""), ("http://example.com", "/"), ("http://example.com/a?b", "/a")])
def test_other_forms_of_targets(target: str, path: str) -> None:
    made = environ(head(f"OPTIONS {target}"))
    assert made["PATH_INFO"] == path


@pytest.mark.parametrize("octet", ["%E9", "%e9", "%C3%A9", "%0A", "%2F", "%25"])
def test_paths_are_latin_1(octet: str) -> None:
    made = environ(head(f"GET /{octet}"))
    assert made["PATH_INFO"].encode("latin-1") == b"/" + bytes.fromhex(octet.replace("%", ""))


def test_a_chunked_body_has_the_length_that_it_turned_out_to_have() -> None:
    made = environ(head("POST /", "Transfer-Encoding: chunked"), size=42)
    assert made["CONTENT_LENGTH"] == "42"
    assert "HTTP_TRANSFER_ENCODING" not in made


def test_a_chunked_body_that_is_still_coming_has_no_length() -> None:
    made = environ(head("POST /", "Transfer-Encoding: chunked"), size=None)
    assert "CONTENT_LENGTH" not in made
    assert "HTTP_TRANSFER_ENCODING" not in made
    assert made["wsgi.input_terminated"] is True


def test_fields_that_would_shadow_others_are_not_there() -> None:
    made = environ(head("GET /", "X_Forwarded_For: evil", "Proxy: evil", "Content_Length: 3", "Server-Name: fine"))
    assert not [value for value in made.values() if value == "evil"]
    assert "CONTENT_LENGTH" not in made
    assert made["SERVER_NAME"] == "192.0.2.1"
    assert made["HTTP_SERVER_NAME"] == "fine"


def test_repeated_fields_are_one() -> None:
    made = environ(head("GET /", "Accept: a", "Cookie: a=1", "accept: b", "cookie: b=2"))
    assert (made["HTTP_ACCEPT"], made["HTTP_COOKIE"]) == ("a, b", "a=1; b=2")


# ---- What a trusted proxy says -------------------------------------------------------------------------------------


def test_what_is_believed_replaces_what_the_connection_says() -> None:
    client = Client(
        "203.0.113.9", 7, "https", "public.example:8443", None, "/prefix", ("HTTP_X_A",), (("HTTP_X_B", "b"),)
    )
    made = environ(head("GET /", "X-A: 1", "X-B: a, b"), script_name="/app", client=client)
    assert (made["REMOTE_ADDR"], made["REMOTE_PORT"]) == ("203.0.113.9", "7")
    assert (made["wsgi.url_scheme"], made["HTTPS"]) == ("https", "on")
    assert (made["HTTP_HOST"], made["SERVER_NAME"], made["SERVER_PORT"]) == (
        "public.example:8443",
        "public.example",
        "8443",
    )
    assert made["SCRIPT_NAME"] == "/prefix/app"
    assert "HTTP_X_A" not in made
    assert made["HTTP_X_B"] == "b"


def test_a_client_whose_address_is_hidden_has_none() -> None:
    made = environ(client=Client(""))
    assert "REMOTE_ADDR" not in made
    assert "REMOTE_PORT" not in made


def test_a_believed_port_wins() -> None:
    made = environ(client=Client(scheme="https", server_port=444))
    assert made["SERVER_PORT"] == "444"
