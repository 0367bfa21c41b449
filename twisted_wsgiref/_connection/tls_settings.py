"""TLS by settings of our own, so that nobody has to learn the words of endpoints: ``tcp:`` becomes ``ssl:``.

What lives here: which endpoints speak TLS then, the words that they get, and the settings that a mistake is told by, at
the start and when certificates are renewed. What may not: files and their contents, which are `certificates`'. Called
in any thread, unless a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IStreamServerEndpoint

from twisted_wsgiref.settings import SettingError, Settings

from .endpoints import as_endpoints

if TYPE_CHECKING:
    from .certificates import Certificates

# The words of ``tcp:`` and ``tcp6:`` in the order that they have without names.
_OF_TCP: Final = ("port", "interface", "backlog")
_EVERY_6: Final = "::"
_TLS: Final = ("ssl", "tls")
# The setting that gives each word of an endpoint.
_WORDS: Final = {
    "certKey": "tls_cert",
    "privateKey": "tls_key",
    "clientCA": "tls_client_ca",
    "passphraseFile": "tls_passphrase_file",
    "minimum": "tls_min",
}


def endpoints_of(given: object, settings: Settings) -> tuple[str | IStreamServerEndpoint, ...]:
    """Return all of `given`, as `as_endpoints` does. With ``tls_cert`` each TCP port of them speaks TLS.

    Those that speak it by words of their own, and UNIX sockets, stay as they are. Raises `TypeError`, and
    `SettingError` for an endpoint of another kind, if none speaks TLS, and for a file that is not as it has to be.
    """
    endpoints = as_endpoints(given)
    if not settings.tls_cert:
        return endpoints
    try:
        found = tuple(_secured(each, settings) for each in endpoints)
        if found and not any(isinstance(each, str) and _speaks_tls(each) for each in found):
            raise ValueError("none of the endpoints is a TCP port, which could speak TLS")
    except ValueError as error:
        raise SettingError.of("{tls_cert} is {!r}: {}", settings.tls_cert, error) from None
    if found != endpoints:
        _check_files(settings)
    return found


def escaped(text: str) -> str:
    """Return `text` as a value in the description of an endpoint."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _description(settings: Settings) -> str:
    """Return what the description of an endpoint gets."""
    values = [(word, getattr(settings, name)) for word, name in _WORDS.items()]
    return "".join(f":{word}={escaped(value)}" for word, value in values if value)


def _speaks_tls(endpoint: str) -> bool:
    kind, _, rest = endpoint.partition(":")
    return kind in _TLS or (kind == "haproxy" and rest.partition(":")[0] in _TLS)


def _secured(endpoint: str | IStreamServerEndpoint, settings: Settings) -> str | IStreamServerEndpoint:
    if not isinstance(endpoint, str):
        raise ValueError(f"an endpoint is a {type(endpoint).__name__}: it has to be text, as 'tcp:443', to speak TLS")
    kind, _, rest = endpoint.partition(":")
    if kind == "haproxy":
        return f"haproxy:{_secured(rest, settings)}"
    if kind in (*_TLS, "unix"):
        return endpoint
    if kind not in ("tcp", "tcp6"):
        raise ValueError(f"{kind}: is an endpoint that can not speak TLS; TCP ports can, as tcp:443")
    # Late: it is needed with TLS only.
    from .certificates import read_words

    plain, named = read_words(rest)
    words = dict(zip(_OF_TCP, plain, strict=False)) | named
    if kind == "tcp6":
        words.setdefault("interface", _EVERY_6)
    port = words.pop("port", "")
    return f"ssl:{port}{''.join(f':{name}={escaped(value)}' for name, value in words.items())}{_description(settings)}"


def _check_files(settings: Settings) -> None:
    """Raise `SettingError` for what an endpoint would be refused for, in the words of the settings."""
    from .certificates import read_secure

    try:
        read_secure(f"0{_description(settings)}")
    except ValueError as error:
        raise _told_by_setting(error, settings) from None


def _told_by_setting(error: ValueError, settings: Settings) -> SettingError:
    text = str(error).replace("say privateKey=PATH", "the key is in another file, give that, too")
    for word, name in _WORDS.items():
        if text.startswith(f"{word} is "):
            return SettingError.of("{" + name + "}{}", text.removeprefix(word))
    return SettingError.of("{tls_cert} is {!r}: {}", settings.tls_cert, text)


def renewed(certificates: Iterable[Certificates], settings: Settings) -> list[str]:
    """Have new connections get the `certificates` that are in the files now; return what is wrong with files, if it is.

    Where something is wrong, the certificates of before stay. Called in the reactor's thread.
    """
    mistakes: dict[str, None] = {}  # one file may be that of many endpoints
    for each in certificates:
        try:
            each.renew()
        except ValueError as error:
            mistakes[str(_told_by_setting(error, settings) if _is_of(each, settings) else error)] = None
    return list(mistakes)


def _is_of(certificates: Certificates, settings: Settings) -> bool:
    """Return whether these are by the words of `settings`, and not of an endpoint."""
    words = certificates.words
    return all(words.get(word, "") == getattr(settings, name) for word, name in _WORDS.items())
