"""Whom is believed about a client, what is believed, and what becomes of the rest?"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.forwarded import FIELDS, Client, TrustedPeers, apply

from .steps import steps

LAN = TrustedPeers.parse(("10.0.0.0/8", "fd00::/8"))
ANY = TrustedPeers.parse(("*",))
PEER = "10.0.0.1"


def read(trusted: TrustedPeers = LAN, peer: str | None = PEER, **said: str) -> Client:
    """Read fields named as in `For`, `Proto`, ..., and `Forwarded`."""
    fields = {"HTTP_HOST": "inner", "REQUEST_METHOD": "GET"}
    for name, value in said.items():
        fields["HTTP_FORWARDED" if name == "Forwarded" else f"HTTP_X_FORWARDED_{name.upper()}"] = value
    return apply(fields, peer, trusted)


# --- Who


@pytest.mark.parametrize(
    ("words", "peer", "trusted"),
    [
        ((), "10.0.0.1", False),
        ((), None, False),
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "::ffff:a00:1", True),
        (("::ffff:0:0/96",), "192.0.2.1", True),
        (("192.0.2.1",), "192.0.2.1", True),
        (("192.0.2.1",), "192.0.2.2", False),
        (("::/0",), "192.0.2.1", False),
        (("::/0",), "2001:db8::1", True),
        (("fd00::/8",), "FD00:0::1", True),
        (("10.0.0.0/8", "fd00::/8"), "fd12::1", True),
        (("10.0.0.0/8",), None, False),
        (("unix",), None, True),
        (("unix",), "127.0.0.1", False),
        (("*",), None, True),
        (("*",), "2001:db8::1", True),
        (("10.0.0.0/8",), "no address", False),
        (("fe80::/10",), "fe80::1%eth0", False),
    ],
)
def test_peers_are_trusted_by_network_and_by_word(words: tuple[str, ...], peer: str | None, trusted: bool) -> None:
    assert TrustedPeers.parse(words).trusts(peer) is trusted


@pytest.mark.parametrize("word", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "", "10.0.0.0/8,unix", "UNIX", "010.0.0.1"])
def test_a_bad_word_is_named(word: str) -> None:
    with pytest.raises(ValueError, match=r"trusted proxy") as caught:
        TrustedPeers.parse(("10.0.0.0/8", word))
    assert repr(word) in str(caught.value)


def test_without_such_fields_nothing_is_said_and_the_peer_is_not_even_looked_at() -> None:
    assert read(peer="no address") == Client()
    assert read() is read(peer=None)


def test_from_a_stranger_every_such_field_is_removed_and_none_is_read() -> None:
    fields = dict.fromkeys(FIELDS, "garbage \0 ,,,")
    client = apply({**fields, "HTTP_HOST": "h"}, "192.0.2.1", LAN)
    assert set(client.remove) == FIELDS
    assert client == Client(remove=client.remove)
    assert set(apply(fields, None, LAN).remove) == FIELDS


def test_fields_that_are_not_believed_are_removed_unread() -> None:
    fields = {"HTTP_X_FORWARDED_FOR": "192.0.2.7", "HTTP_X_FORWARDED_HOST": "bad host", "HTTP_FORWARDED": "for=;;="}
    client = apply(fields, PEER, LAN, frozenset({"HTTP_X_FORWARDED_FOR"}))
    assert client.address == "192.0.2.7"
    assert client.host is None
    assert set(client.remove) == {"HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED"}


@pytest.mark.parametrize("name", ["For", "Proto", "Host", "Port", "Prefix", "Forwarded"])
@pytest.mark.parametrize("value", ["", " ", ", ,"])
def test_empty_fields_say_nothing_and_are_removed(name: str, value: str) -> None:
    client = read(**{name: value})
    assert len(client.remove) == 1
    assert client == Client(remove=client.remove)


# --- X-Forwarded-For


@pytest.mark.parametrize(
    ("value", "address", "port", "kept"),
    [
        ("192.0.2.7", "192.0.2.7", None, None),
        ("192.0.2.7:1234", "192.0.2.7", 1234, None),
        ("2001:DB8::7", "2001:db8::7", None, None),
        ("[2001:db8::7]", "2001:db8::7", None, None),
        ("[2001:db8::7]:0", "2001:db8::7", 0, None),
        ("::ffff:192.0.2.7", "192.0.2.7", None, None),
        ("192.0.2.7,10.0.0.2,  10.0.0.3", "192.0.2.7", None, "192.0.2.7, 10.0.0.2, 10.0.0.3"),
        ("6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7", None, "192.0.2.7, 10.0.0.2"),
        ("6.6.6.6, 192.0.2.7", "192.0.2.7", None, "192.0.2.7"),
        ("<script>\x80, 10.0.0.9, 192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7", None, "192.0.2.7, ::ffff:10.0.0.2"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", None, None),
        ("10.0.0.2", "10.0.0.2", None, None),
        (", 192.0.2.7 ,", "192.0.2.7", None, "192.0.2.7"),
        ("6.6.6.6, unknown", "", None, "unknown"),
        ("6.6.6.6, Unknown, 10.0.0.2", "", None, "Unknown, 10.0.0.2"),
        ("6.6.6.6, _hidden", "", None, "_hidden"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_trusted(
    value: str, address: str, port: int | None, kept: str | None
) -> None:
    client = read(For=value)
    assert (client.address, client.port) == (address, port)
    assert client.rewrite == (() if kept is None else (("HTTP_X_FORWARDED_FOR", kept),))
    assert client.remove == ()


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "192.0.2.7, garbage",
        "garbage, 10.0.0.2",
        "192.0.2.7:65536",
        "192.0.2.7:",
        "192.0.2.7:+1",
        "192.0.2.7:01",
        "192.0.2",
        "192.0.2.256",
        "192.000.002.007",
        "[192.0.2.7]",
        "[2001:db8::7",
        "2001:db8:::7",
        "fe80::1%eth0",
        "example.com",
        '"192.0.2.7"',
        "192.0.2.7 10.0.0.1",
        "1\u0662.0.2.7",
    ],
)
def test_a_hop_that_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(For=value)
    assert caught.value.status == 400


def test_any_peer_is_no_any_hop() -> None:
    assert read(ANY, "192.0.2.1", For="6.6.6.6, 192.0.2.7").address == "192.0.2.7"
    both = TrustedPeers.parse(("*", "10.0.0.0/8"))
    assert read(both, "192.0.2.1", For="6.6.6.6, 192.0.2.7, 10.1.1.1").address == "192.0.2.7"


def test_a_chain_without_end_is_refused() -> None:
    assert read(For=", ".join(["192.0.2.7"] + ["10.0.0.2"] * 31)).address == "192.0.2.7"
    with pytest.raises(ProtocolError, match="hops"):
        read(For=", ".join(["10.0.0.2"] * 40))
    with pytest.raises(ProtocolError, match="hops"):
        read(Forwarded=", ".join(["for=10.0.0.2"] * 40))


# --- Proto, Host, Port, Prefix


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ({"Proto": "https"}, "scheme", "https"),
        ({"Proto": "HTTP"}, "scheme", "http"),
        ({"Proto": "https, https"}, "scheme", "https"),
        ({"Proto": "https, http"}, "scheme", "http"),
        ({"Proto": "javascript, https"}, "scheme", "https"),
        ({"Proto": "http, https, http", "For": "6.6.6.6, 192.0.2.7, 10.0.0.2"}, "scheme", "https"),
        ({"Proto": "https", "For": "192.0.2.7, 10.0.0.2, 10.0.0.3"}, "scheme", "https"),
        ({"Host": "example.com"}, "host", "example.com"),
        ({"Host": "example.com:8443"}, "host", "example.com:8443"),
        ({"Host": "[2001:db8::1]:80"}, "host", "[2001:db8::1]:80"),
        ({"Host": "evil example, example.com"}, "host", "example.com"),
        ({"Port": "443"}, "server_port", 443),
        ({"Port": "80, 65535"}, "server_port", 65535),
        ({"Prefix": "/app"}, "prefix", "/app"),
        ({"Prefix": "/app/v1.2/~me"}, "prefix", "/app/v1.2/~me"),
        ({"Prefix": "/app/"}, "prefix", "/app"),
        ({"Prefix": "/"}, "prefix", ""),
    ],
)
def test_what_a_trusted_proxy_says_is_taken(said: Any, field: str, value: object) -> None:
    assert getattr(read(**said), field) == value


def test_a_list_is_rewritten_to_what_was_taken() -> None:
    client = read(Proto="http, https", Host="example.com")
    assert client.rewrite == (("HTTP_X_FORWARDED_PROTO", "https"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("Proto", bad) for bad in ("ftp", "https:", "on", "https\0", "http\u017f")),
        *(("Host", bad) for bad in ("a b", "a/b", "user@host", "a\r\nb", "[::1", "a:port", "a?b", "caf\xe9", ":80")),
        *(("Port", bad) for bad in ("0", "080", "65536", "999999", "-1", "+1", "1_0", "http", "\u0664", "4 4")),
        *(
            ("Prefix", bad)
            for bad in ("app", "//evil", "/a//b", "/..", "/a/../b", "/./a", "/a\r\nb", "/a b", "/a%2e", "/a\\b", "/a?b")
        ),
        ("Prefix", "http://evil/"),
        ("Prefix", "/caf\xe9"),
        ("Prefix", "/a//"),
    ],
)
def test_malformed_words_of_a_trusted_proxy_are_refused(name: str, value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(**{name: value})
    assert caught.value.status == 400


# --- Forwarded


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=192.0.2.7", Client("192.0.2.7")),
        ("For=192.0.2.7;Proto=HTTPS;by=10.0.0.1;HOST=example.com", Client("192.0.2.7", None, "https", "example.com")),
        ('for="[2001:db8:cafe::17]:4711"', Client("2001:db8:cafe::17", 4711)),
        ('for="192.0.2.7:_port"', Client("192.0.2.7")),
        ("for=[2001:db8::7]:4711", Client("2001:db8::7", 4711)),
        (r'for="192\.0.2.7"; host="exa\mple.com"', Client("192.0.2.7", host="example.com")),
        ("for=_hidden", Client("")),
        ('for="_a.b-c:47"', Client("")),
        ("for=unknown;proto=http", Client("", scheme="http")),
        ("proto=https", Client(scheme="https")),
        ("for=192.0.2.7;host=h;proto=https;proto-version=", Client("192.0.2.7", None, "https", "h")),
        ("proto-version=;for=192.0.2.7;by= ;x-id=, by=;for=10.0.0.2;proto=wss", Client("192.0.2.7", scheme="https")),
        (";;for=192.0.2.7;", Client("192.0.2.7")),
        ('for=192.0.2.7;ext="a, b; c=\\""', Client("192.0.2.7")),
        ("for=192.0.2.7;proto=https, for=10.0.0.2;proto=http", Client("192.0.2.7", scheme="https")),
        ("for=192.0.2.7, for=10.0.0.2;proto=http", Client("192.0.2.7", scheme="http")),
        (
            "for=6.6.6.6;proto=ftp, for=192.0.2.7;host=h, for=10.0.0.2",
            Client("192.0.2.7", host="h", rewrite=(("HTTP_FORWARDED", "for=192.0.2.7;host=h, for=10.0.0.2"),)),
        ),
        ("for=evil, for=192.0.2.7", Client("192.0.2.7", rewrite=(("HTTP_FORWARDED", "for=192.0.2.7"),))),
        (
            "for=192.0.2.7, proto=https, for=10.0.0.2",
            Client("", scheme="https", rewrite=(("HTTP_FORWARDED", "proto=https, for=10.0.0.2"),)),
        ),
        (
            "for=192.0.2.7, proto=https",
            Client(scheme="https", rewrite=(("HTTP_FORWARDED", "proto=https"),)),
        ),
    ],
)
def test_forwarded_is_read_from_the_right_as_well(value: str, expected: Client) -> None:
    assert read(Forwarded=value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.7",
        "for",
        "for=",
        "for=192.0.2.7;proto=;host=h",
        "for=192.0.2.7;host=",
        "for=192.0.2.7;=",
        "for=192.0.2.7;by=;by=",
        "for=192.0.2.7;by=x y",
        "for =192.0.2.7",
        "for= 192.0.2.7",
        'for="192.0.2.7',
        'for=192.0.2.7"',
        'for="192.0.2.7"x',
        "for=192.0.2.7 proto=https",
        "for=192.0.2.7;for=192.0.2.8",
        "for=192.0.2.7;FOR=192.0.2.8",
        "for=evil",
        "for=192.0.2.7;proto=ftp",
        'for=192.0.2.7;host="a b"',
        'for=192.0.2.7;host=""',
        'for="192.0.2.7\x00"',
        # A client that opens a quoted string, to swallow what its proxy appends.
        'for="6.6.6.6, for=192.0.2.7',
        'for="6.6.6.6, for="[2001:db8::7]"',
        'x="\\, for="192.0.2.7"',
    ],
)
def test_a_malformed_forwarded_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(Forwarded=value)
    assert caught.value.status == 400


@pytest.mark.parametrize(("said", "scheme"), [("wss", "https"), ("WSS", "https"), ("ws", "http")])
def test_the_scheme_of_an_upgrade_is_that_of_the_request(said: str, scheme: str) -> None:
    assert read(Proto=said) == Client(scheme=scheme, rewrite=(("HTTP_X_FORWARDED_PROTO", scheme),))
    assert read(Proto=said, Forwarded=f"proto={scheme}").scheme == scheme


@pytest.mark.parametrize("said", ["wsss", "ftp", "s", "https:", "http s", "on"])
def test_another_scheme_is_refused(said: str) -> None:
    with pytest.raises(ProtocolError):
        read(Proto=said)


def test_both_kinds_are_believed_where_they_agree() -> None:
    client = read(For="192.0.2.7:80", Forwarded="for=192.0.2.7;proto=https;host=A.example", Host="a.example", Port="81")
    assert client == Client("192.0.2.7", 80, "https", "a.example", 81)


@pytest.mark.parametrize(
    "said",
    [
        {"For": "192.0.2.7", "Forwarded": "for=192.0.2.8"},
        {"For": "192.0.2.7", "Forwarded": "for=unknown"},
        {"Proto": "http", "Forwarded": "proto=https"},
        {"Host": "a.example", "Forwarded": "host=b.example"},
    ],
)
def test_a_contradiction_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(ProtocolError, match="disagree"):
        read(**said)


# --- Cost


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("For", "10.0.0.2,"),
        ("For", ","),
        ("For", " "),
        ("For", "_"),
        ("For", "1"),
        ("For", ":"),
        ("Proto", "http,"),
        ("Host", "a%"),
        ("Host", "[:"),
        ("Prefix", "/a"),
        ("Prefix", "/"),
        ("Forwarded", "for=10.0.0.2,"),
        ("Forwarded", "a=b;"),
        ("Forwarded", ","),
        ("Forwarded", " "),
        ("Forwarded", "a"),
        ("Forwarded", 'a="'),
        ("Forwarded", '"\\"'),
        ("Forwarded", "a=b "),
    ],
)
@pytest.mark.parametrize("before", ["", "for=", 'for="', "\\"])
@pytest.mark.parametrize("after", ["", "\x00", '"', "!"])
def test_hostile_64_kib_do_not_cost_by_their_square(name: str, value: str, before: str, after: str) -> None:
    text = (before + value * (65536 // len(value)))[:65535] + after

    def judge() -> None:
        with contextlib.suppress(ProtocolError):
            read(**{name: text})

    assert steps(judge) <= 20 * len(text)
    # What C does in one step: a bound that a busy machine keeps. Usual are 40 ms, by the square many seconds.
    start = time.thread_time()
    judge()
    assert time.thread_time() - start < 1


def test_the_answer_can_not_be_changed() -> None:
    assert not hasattr(Client(), "__dict__")
    assert not hasattr(LAN, "__dict__")
    with pytest.raises(AttributeError):
        Client().address = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        LAN.any_peer = True  # type: ignore[misc]
