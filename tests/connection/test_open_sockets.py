"""Is the operator warned where every user of the machine is a trusted proxy?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress

from twisted_wsgiref._connection.open_sockets import open_proxies

from ..support import hello, serving


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all may enter: pytest's own are private."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def warned(endpoint: str, *trusted: str, **service: Any) -> str:
    with serving(hello, service={"endpoints": [endpoint], **service}, trusted_proxy=trusted) as server:
        server.settle()
        return server.logged() if "every user of this machine" in server.logged() else ""


@pytest.mark.parametrize("trusted", [("unix",), ("*",), ("10.0.0.0/8", "unix")])
def test_a_socket_for_all_whose_peers_are_trusted_is_warned_of(folder: Path, trusted: tuple[str, ...]) -> None:
    line = warned(f"unix:{folder}/http", *trusted)
    assert f"every user of this machine can connect to {folder}/http and is a trusted proxy there" in line
    assert "unix:PATH:mode=660" in line


def test_a_socket_for_some_is_not(folder: Path) -> None:
    assert warned(f"unix:{folder}/http:mode=660", "unix") == ""


def test_a_socket_in_a_folder_for_some_is_not(folder: Path) -> None:
    folder.chmod(0o750)
    assert warned(f"unix:{folder}/http", "unix") == ""


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",)])
def test_nor_one_whose_peers_are_not_trusted(folder: Path, trusted: tuple[str, ...]) -> None:
    assert warned(f"unix:{folder}/http", *trusted) == ""


def test_of_workers_only_the_parent_warns(folder: Path) -> None:
    assert warned(f"unix:{folder}/http", "unix", multiprocess=True) == ""


def test_a_name_without_a_place_is_for_all_and_a_port_is_none() -> None:
    ports = [
        SimpleNamespace(getHost=lambda each=each: each)
        for each in (
            UNIXAddress(b"\0shop"),
            UNIXAddress(None),
            UNIXAddress(b"/no/such/socket"),
            IPv4Address("TCP", "127.0.0.1", 80),
        )
    ]
    assert "can connect to @shop and is" in open_proxies(ports, ("unix",))
    assert open_proxies(ports[1:], ("unix",)) == ""
