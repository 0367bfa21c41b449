"""The claims of proxies about a request's client, and the peers that may make them. Pure; environs are made elsewhere.

The rules, and their reasons:

* By default the server believes nobody. It then asks nothing here, and the fields reach the application as they came,
  for middleware such as Werkzeug's ProxyFix. Once proxies are named, it reads only the fields of a trusted *peer*, and
  removes those of others, so that they do not deceive an application that reads them itself either.
* The client is the right-most hop that is not trusted. Everything to the left of it is that hop's claim, and is
  stripped. If all hops are trusted, the client is the left-most one (uvicorn gave None here, its issue 1068).
* ``*`` trusts any peer, but no hop: with a balancer that appends, the right-most hop is the client. uvicorn then takes
  the left-most hop, which every client can invent. An operator with more proxies in a row names their networks.
* The fields of a trusted proxy must be well-formed; otherwise the request is refused with 400. To go on with the
  proxy's own address would give a stranger the rights of a neighbour (waitress answered 500, its issue 257, and chose
  400 too). Nothing to the left of the client is checked: by that, a client could only break its own requests.
* Of a list of schemes, hosts, ports or prefixes, the value at the client's place from the right counts, or the
  left-most if there are fewer. waitress's users complain of a refused ``https, https`` (its issue 442).
* ``wss`` and ``ws``, which Traefik writes for requests that ask for an upgrade, are ``https`` and ``http``: the request
  came by these (uvicorn takes them so, too).
* X-Forwarded-* and Forwarded may both be there if they do not contradict each other. If they do, one of them comes from
  the client, through a proxy that does not know it: 400. It is better if `believed` names only the fields that the
  proxy sets: in a field that a proxy passes on unseen, every word is the client's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeVar

from .address import read_address
from .errors import ProtocolError
from .target import check_host

_T = TypeVar("_T")
_FOR: Final = "HTTP_X_FORWARDED_FOR"
_PROTO: Final = "HTTP_X_FORWARDED_PROTO"
_HOST: Final = "HTTP_X_FORWARDED_HOST"
_PORT: Final = "HTTP_X_FORWARDED_PORT"
_PREFIX: Final = "HTTP_X_FORWARDED_PREFIX"
_FORWARDED: Final = "HTTP_FORWARDED"
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# These parts of an element of Forwarded are read. Azure writes others, and leaves them empty (``proto-version=``).
_READ: Final = frozenset({"for", "proto", "host"})
FIELDS: Final = frozenset({_FOR, _PROTO, _HOST, _PORT, _PREFIX, _FORWARDED})

# Chains have two or three hops. Each hop costs a lookup in the networks, and a client can write as many as fit a head.
_MOST_HOPS: Final = 32
# An address, perhaps a port (Azure writes one), or a name in the place of a hidden address: RFC 7239, section 6.
_NODE: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<four>[0-9.]{7,15})|(?P<hidden>unknown|_[A-Za-z0-9._-]+))"
    r"(?::(?:(?P<port>0|[1-9][0-9]{0,4})|_[A-Za-z0-9._-]+))?|(?P<bare>[0-9A-Fa-f:.]{2,45})",
    re.IGNORECASE,
)
# RFC 7239, section 4: a pair, or nothing, and the end of it. Colons and brackets are tolerated without quotes, since
# many proxies write them so and they mean nothing else. An empty value is tolerated if nobody reads it. No two parts
# can match the same byte, so time is linear.
_PAIR: Final = re.compile(
    r"[ \t]*(?:([A-Za-z0-9!#$%&'*+.^_`|~-]+)="
    r'(?:([A-Za-z0-9!#$%&\'*+.^_`|~:\[\]-]*)|"([^"\\\x00-\x1f\x7f]*(?:\\[\x20-\x7e][^"\\\x00-\x1f\x7f]*)*)")[ \t]*)?'
    r"([;,]|\Z)"
)
# Segments of RFC 3986, section 3.3, without escapes: SCRIPT_NAME is decoded, and a prefix that needs them is rare.
_PREFIX_PATH: Final = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+;=:@]+)+/?|/")


@dataclass(frozen=True, slots=True)
class Client:
    """The facts that proxies tell of the client, each None if they did not say, and the changes to the fields.

    ``address`` is "" if the proxies hide it: then REMOTE_ADDR must not be the proxy's. ``port`` is the client's,
    ``server_port`` the one that it connected to. ``host`` may have a port of its own. ``prefix`` has no trailing slash.
    ``remove`` names the fields that the environ must lose. ``rewrite`` has the new values of fields that lose their
    unbelieved part, so that an application that reads them finds the same facts.
    """

    address: str | None = None
    port: int | None = None
    scheme: str | None = None
    host: str | None = None
    server_port: int | None = None
    prefix: str | None = None
    remove: tuple[str, ...] = ()
    rewrite: tuple[tuple[str, str], ...] = ()


_NOTHING_SAID: Final = Client()


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """The peers that may speak for others: networks, any peer, UNIX peers."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    any_peer: bool = False
    unix: bool = False

    @classmethod
    def parse(cls, words: tuple[str, ...]) -> TrustedPeers:
        """Return the peers that `words` name: networks or addresses, ``*`` and ``unix``; ValueError names a bad one."""
        networks = tuple(_read_network(word) for word in words if word not in ("*", "unix"))
        return cls(networks, "*" in words, "unix" in words)

    def trusts(self, peer: str | None) -> bool:
        """Return whether the other end of a connection may speak for others; None is the peer of a UNIX socket."""
        if self.any_peer:
            return True
        if peer is None:
            return self.unix
        return bool(self.networks) and self.holds(peer)

    def holds(self, address: str) -> bool:
        """Return whether `address` is in one of the networks."""
        try:
            found = read_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def _read_network(word: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(word)
    except ValueError as error:
        raise ValueError(f"trusted proxy {word!r} is no network (as 10.0.0.0/8), '*' or 'unix': {error}") from None
    # Addresses are compared unmapped, so networks must be as well.
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network[0].ipv4_mapped is not None:
        return IPv4Network((int(network[0].ipv4_mapped), network.prefixlen - 96))
    return network


def apply(fields: Mapping[str, str], peer: str | None, trusted: TrustedPeers, believed: Set[str] = FIELDS) -> Client:
    """Return the facts that the proxies' fields in `fields` (CGI names) tell, sent by `peer` (None: UNIX).

    Fields outside `believed`, a subset of `FIELDS`, are removed. Raises `ProtocolError` (400) for a field that a
    trusted peer should not have sent. RFC 7239. Called in the reactor's thread.
    """
    if fields.keys().isdisjoint(FIELDS):
        return _NOTHING_SAID
    present = {name: fields[name].strip(" \t") for name in FIELDS if name in fields}
    if not trusted.trusts(peer):
        return Client(remove=tuple(present))
    remove = tuple(name for name, value in present.items() if name not in believed or not value.strip(", \t"))
    for name in remove:
        del present[name]
    forwarded = present.pop(_FORWARDED, None)
    client = _read_x_forwarded(present, trusted) if present else _NOTHING_SAID
    if forwarded is not None:
        client = (
            _agreed(client, _read_forwarded(forwarded, trusted)) if present else _read_forwarded(forwarded, trusted)
        )
    return replace(client, remove=remove) if remove else client


def _agreed(one: Client, other: Client) -> Client:
    """Return the facts that both tell; a fact that only one tells counts, too."""
    for name in ("address", "port", "scheme", "host"):
        said, also = getattr(one, name), getattr(other, name)
        if said is not None and also is not None and str(said).lower() != str(also).lower():
            raise ProtocolError(400, f"X-Forwarded and Forwarded disagree about the client's {name}")
    return Client(
        other.address if one.address is None else one.address,
        other.port if one.port is None else one.port,
        one.scheme or other.scheme,
        one.host or other.host,
        one.server_port,
        one.prefix,
        rewrite=one.rewrite + other.rewrite,
    )


def _read_x_forwarded(fields: Mapping[str, str], trusted: TrustedPeers) -> Client:
    depth, address, port = 1, None, None
    rewrite = []
    hops = _parts(fields.get(_FOR, ""))
    if hops:
        depth, address, port = _walk(hops, trusted)
        rewrite.append((_FOR, ", ".join(hops[-depth:])))

    def chosen(name: str, read: Callable[[str], _T]) -> _T | None:
        if name not in fields:
            return None
        parts = _parts(fields[name])
        text = parts[-min(depth, len(parts))]
        value = read(text)
        rewrite.append((name, value if name == _PROTO and isinstance(value, str) else text))
        return value

    return Client(
        address,
        port,
        chosen(_PROTO, _scheme),
        chosen(_HOST, _host),
        chosen(_PORT, _server_port),
        chosen(_PREFIX, _prefix),
        # Only fields that have changed: most requests come through one proxy, with one value each.
        rewrite=tuple((name, value) for name, value in rewrite if value != fields[name]),
    )


def _parts(value: str) -> list[str]:
    # No more than are ever looked at; the rest stays in one piece, which no grammar here accepts.
    return [part for piece in value.rsplit(",", _MOST_HOPS) if (part := piece.strip(" \t"))]


def _read_forwarded(value: str, trusted: TrustedPeers) -> Client:
    elements = _elements(value)
    if not elements:
        return _NOTHING_SAID
    depth, address, port = 1, None, None
    if "for" in elements[-1][1]:
        depth, address, port = _walk([pairs.get("for", "unknown") for _, pairs in elements], trusted)
    start = elements[-depth][0]
    # The outermost of the believed proxies that tells it knows best; those further in may see a rewritten request.
    kept = [pairs for _, pairs in elements[-depth:]]
    scheme = next((pairs["proto"] for pairs in kept if "proto" in pairs), None)
    host = next((pairs["host"] for pairs in kept if "host" in pairs), None)
    return Client(
        address,
        port,
        None if scheme is None else _scheme(scheme),
        None if host is None else _host(host),
        rewrite=((_FORWARDED, value[start:].lstrip(" \t")),) if start else (),
    )


def _elements(value: str) -> list[tuple[int, dict[str, str]]]:
    """Return where each element starts, and its pairs by lower-case name. RFC 7239, section 4."""
    elements: list[tuple[int, dict[str, str]]] = []
    start = position = 0
    pairs: dict[str, str] = {}
    while True:
        found = _PAIR.match(value, position)
        if found is None:
            raise ProtocolError(400, "a malformed Forwarded field")
        name, plain, quoted, separator = found.groups()
        position = found.end()
        if name is not None:
            name = name.lower()
            if plain == "" and name in _READ:
                raise ProtocolError(400, "a parameter of Forwarded without its value")
            if name in pairs:
                raise ProtocolError(400, "a parameter twice in one element of Forwarded")
            pairs[name] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if separator != ";":
            if pairs:
                elements.append((start, pairs))
            if not separator:
                return elements
            start, pairs = position, {}


def _walk(hops: list[str], trusted: TrustedPeers) -> tuple[int, str, int | None]:
    """Return how many hops from the right the client is, its address ("" if hidden) and its port."""
    depth, address, port = 0, "", None
    for node in reversed(hops):
        depth += 1
        if depth > _MOST_HOPS:
            raise ProtocolError(400, "more trusted hops than any chain of proxies has")
        address, port = _read_node(node)
        if not trusted.holds(address):
            break
    return depth, address, port


def _read_node(node: str) -> tuple[str, int | None]:
    found = _NODE.fullmatch(node)
    if found is None:
        raise ProtocolError(400, "a trusted proxy's word for its client is no address")
    if found["hidden"] is not None:
        return "", None
    port = None if found["port"] is None else int(found["port"])
    try:
        address: IPv4Address | IPv6Address
        if found["six"] is not None:
            IPv6Address(found["six"])
        address = read_address(found["six"] or found["four"] or found["bare"])
    except ValueError:
        raise ProtocolError(400, "a trusted proxy's word for its client is no address") from None
    if port is not None and port > 65535:
        raise ProtocolError(400, "a trusted proxy's word for its client has a port over 65535")
    return str(address), port


def _scheme(text: str) -> str:
    scheme = _SCHEMES.get(text.lower())
    if scheme is None:
        raise ProtocolError(400, "a trusted proxy's word for the scheme is neither http nor https")
    return scheme


def _host(text: str) -> str:
    check_host(text)
    return text


def _server_port(text: str) -> int:
    if len(text) > 5 or not (text.isascii() and text.isdigit()) or text[0] == "0" or int(text) > 65535:
        raise ProtocolError(400, "a trusted proxy's word for the port is not a number from 1 to 65535")
    return int(text)


def _prefix(text: str) -> str:
    """Return the prefix as SCRIPT_NAME, without a last slash, which the examples of many frameworks have.

    ``//`` at its start would be another host in a link, ``..`` another folder: both are refused.
    """
    if _PREFIX_PATH.fullmatch(text) is None or not {".", ".."}.isdisjoint(text.split("/")):
        raise ProtocolError(400, "a trusted proxy's word for the prefix is not a plain absolute path")
    return text.removesuffix("/")
