"""Dates in header fields: three forms to read. RFC 9110, section 5.6.7.

Strict: no other zone than GMT, no other order, no name in another case. Text that can not be read is no date, and the
caller ignores its field (RFC 9110, sections 13.1.3 and 13.1.4). The day of the week has to be one, but need not fit the
date, since nothing depends on it.
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from typing import Final

_DAYS: Final = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_LONG_DAYS: Final = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH: Final = rf"(?P<month>{'|'.join(_MONTHS)})"
# RFC 9110 lets the 60 of a leap second pass: it is taken for the second behind it.
_TIME: Final = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_FORMS: Final = (
    # Sun, 06 Nov 1994 08:49:37 GMT: the form that all senders of this century write.
    re.compile(rf"(?:{_DAYS}), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    # Sunday, 06-Nov-94 08:49:37 GMT
    re.compile(rf"(?:{_LONG_DAYS}), (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    # Sun Nov  6 08:49:37 1994
    re.compile(rf"(?:{_DAYS}) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)
_YEAR: Final = 365.2425 * 86400


def read_date(text: str, now: float) -> int | None:
    """Return the date in `text`, in seconds since the epoch, or None if there is none.

    `now`, in the same seconds, tells the century of a year of two digits: the latest that is at most 50 years ahead.
    """
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            break
    else:
        return None
    year, month, day = int(found["year"]), _MONTHS.index(found["month"]) + 1, int(found["day"])
    if len(found["year"]) == 2:
        latest = int(1970 + now / _YEAR) + 50
        year += (latest - year) // 100 * 100
    if year == 0 or not 1 <= day <= monthrange(year, month)[1]:
        return None
    return timegm((year, month, day, int(found["hour"]), int(found["minute"]), int(found["second"])))
