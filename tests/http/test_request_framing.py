"""How long is a body, does its connection live on, and does anybody wait for 100?"""

from __future__ import annotations

import pytest

from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.request_framing import CHUNKED, decide_length, expects_continue, is_persistent


def fields(coding: str | None = None, length: str | None = None) -> dict[str, str]:
    given = {"HTTP_TRANSFER_ENCODING": coding, "CONTENT_LENGTH": length}
    return {key: value for key, value in given.items() if value is not None}


# RFC 9112, section 6.3.


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize(
    ("length", "octets"),
    [
        (None, 0),
        ("0", 0),
        ("5", 5),
        ("005", 5),
        ("9223372036854775807", 2**63 - 1),
        ("9999999999999999999", 10**19 - 1),
        ("0000000000000000000", 0),
    ],
)
def test_a_length_of_up_to_nineteen_digits_is_read(minor: int, length: str | None, octets: int) -> None:
    assert decide_length(minor, fields(length=length)) == octets


@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize(
    "length",
    ["", "+5", "-5", "0x5", "5_0", "5 0", " 5", "5\t", "5,5", "5, 5", "5.0", "five", "\u0665", "\xb2", "5\n", "1" * 20],
)
def test_no_other_length_is_read(minor: int, length: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decide_length(minor, fields(length=length))
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED"])
def test_chunked_is_the_one_coding(coding: str) -> None:
    assert decide_length(1, fields(coding)) == CHUNKED


@pytest.mark.parametrize(
    "coding",
    [
        "",
        "gzip",
        "identity",
        "chunked, chunked",
        "gzip, chunked",
        "chunked,",
        ",chunked",
        '"chunked"',
        "chunked;a",
        "\xa0chunked",
    ],
)
def test_every_other_coding_is_not_implemented(coding: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decide_length(1, fields(coding))
    assert caught.value.status == 501


@pytest.mark.parametrize("coding", ["chunked", "identity", ""])
@pytest.mark.parametrize("length", ["0", "5", "", "x"])
def test_a_coding_beside_a_length_is_refused(coding: str, length: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decide_length(1, fields(coding, length))
    assert caught.value.status == 400


@pytest.mark.parametrize("length", [None, "5"])
def test_a_coding_from_http_1_0_is_refused(length: str | None) -> None:
    with pytest.raises(ProtocolError) as caught:
        decide_length(0, fields("chunked", length))
    assert caught.value.status == 400


# RFC 9112, section 9.3.


@pytest.mark.parametrize(
    ("connection", "in_1_0", "in_1_1"),
    [
        (None, False, True),
        ("", False, True),
        ("close", False, False),
        ("Close", False, False),
        ("keep-alive", True, True),
        ("Keep-Alive", True, True),
        ("keep-alive, close", False, False),
        ("close, keep-alive", False, False),
        ("Upgrade,\tclose ", False, False),
        ("TE,,keep-alive", True, True),
        ("closed", False, True),
        ("not-close", False, True),
        ('"close"', False, True),
        ("TE", False, True),
    ],
)
def test_who_stays(connection: str | None, in_1_0: bool, in_1_1: bool) -> None:
    assert is_persistent(0, connection) is in_1_0
    assert is_persistent(1, connection) is in_1_1


# RFC 9110, section 10.1.1.


@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_who_waits_for_100(value: str) -> None:
    assert expects_continue(1, {"HTTP_EXPECT": value}) is True
    assert expects_continue(0, {"HTTP_EXPECT": value}) is False


@pytest.mark.parametrize("value", ["", "200-ok", "100-continue, x", "100-continue;a", "y 100-continue", "100"])
def test_no_other_expectation_is_met(value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        expects_continue(1, {"HTTP_EXPECT": value})
    assert caught.value.status == 417
    assert expects_continue(0, {"HTTP_EXPECT": value}) is False
