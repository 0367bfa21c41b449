"""The choice of a content coding: Accept-Encoding against the codings that there are. RFC 9110, section 12.5.3.

Decided here, since the RFC leaves it open:

* A client that sends no Accept-Encoding gets no coding: such clients are programs, and few of them can undo one.
* If weights are equal, the server's order decides. A listed coding goes before none at all, unless ``identity`` has a
  higher weight.
* If no coding is acceptable, the content is sent as it is: 406 would help nobody.
* A malformed element counts as absent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# RFC 9110, section 12.4.2.
_ELEMENT: Final = re.compile(rf"({_TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?")
# RFC 9110, section 8.4.1.
_ALIASES: Final = {"x-gzip": "gzip", "x-compress": "compress"}


# Browsers have a handful of values between them.
@lru_cache(maxsize=64)
def choose_coding(accepted: str | None, offered: tuple[str, ...]) -> str | None:
    """Return the coding of `offered`, the server's favourite first, that is best for a client.

    None: send the content as it is. `accepted` is the client's Accept-Encoding, or None if it sent none.
    """
    if accepted is None:
        return None
    weights = _read_weights(accepted)
    others = weights.get("*", 0.0)
    best: str | None = None
    # Content without a coding is acceptable unless excluded, after every listed coding.
    heaviest = weights.get("identity", 0.0)
    for coding in offered:
        weight = weights.get(coding, others)
        if weight and (weight > heaviest or (best is None and weight == heaviest)):
            best, heaviest = coding, weight
    return best


def _read_weights(accepted: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for element in accepted.split(","):
        found = _ELEMENT.fullmatch(element.strip(" \t"))
        if found is not None:
            name = found[1].lower()
            weights[_ALIASES.get(name, name)] = 1.0 if found[2] is None else float(found[2])
    return weights
