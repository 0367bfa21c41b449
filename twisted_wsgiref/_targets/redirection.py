"""Where a mount that redirects sends a client: another URL, with the rest of the path and the query behind it."""

from __future__ import annotations

from urllib.parse import quote

# RFC 3986, section 3.3: what a path may hold as it is.
_SAFE = "/!$&'()*+,;=:@-._~"


def location(url: str, rest: str, query: str) -> str:
    """Return the URL that the client is to ask for. RFC 9110, section 10.2.2.

    `rest` is the path below the mount, decoded, empty or with a slash before it; `query` is as sent. Never is anything
    of them read as a host: there is one slash, and no more, between `url` and what follows.
    """
    base, mark, own = url.partition("?")
    if rest:
        base = f"{base.rstrip('/')}/{quote(rest.lstrip('/').encode('latin-1'), safe=_SAFE)}"
    queries = "&".join(each for each in (own, query) if each)
    return f"{base}?{queries}" if queries or mark else base
