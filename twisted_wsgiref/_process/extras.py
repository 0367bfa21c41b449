"""What can be set: the fields of `Settings`, and what only a process is told, which no embedding program needs.

Here live the latter, and what is asked of both. Called in any thread.
"""

from __future__ import annotations

from typing import Final

from twisted_wsgiref._settings.knobs import Knob, Value, parse_lines, parse_truth, parse_words
from twisted_wsgiref.settings import Settings, knobs

# What is no field of `Settings`.
EXTRAS: Final[dict[str, Knob]] = {
    "app": Knob("application to serve: MOD:APP, MOD:FACTORY() or MOD", str),
    "listen": Knob(
        "endpoints to listen on, such as tcp:8000 or unix:/run/app.sock; in a variable blanks separate them",
        parse_words,
    ),
    "mount": Knob(
        "target that answers below a path instead of the application, as /prefix=SPEC; SPEC is static:DIR, "
        "redirect:URL, status:, wsgi:MOD:APP, MOD:RESOURCE or internal:SPEC; in a variable blanks separate them",
        parse_words,
    ),
    "port": Knob("TCP port to listen on, at every interface; short for the endpoint tcp:PORT", str),
    "user": Knob("user that the process becomes, with its groups, once it has bound its endpoints", str),
    "group": Knob("group that the process becomes, instead of the groups of the user", str),
    "reload": Knob("start the application anew whenever one of its files changes; needs watchfiles", parse_truth),
    "reload_dir": Knob("directories to watch as well; in a variable blanks separate them", parse_lines),
    "reload_include": Knob("patterns of names of files to watch besides *.py, such as *.html", parse_words),
}
# Of these, those that are texts with blanks and commas in them: they are parted by lines. So are a few others.
LISTS: Final = ("listen", "mount")
LINED: Final = (*LISTS, "env", "reload_dir", "sendfile_root")


def defaults() -> dict[str, Value]:
    """Return what can be set, and the default of each; its type says what may be given."""
    extras: dict[str, Value] = dict.fromkeys(EXTRAS, "")
    extras |= {"listen": (), "mount": (), "reload": False, "reload_dir": (), "reload_include": ()}
    return extras | {name: getattr(Settings(), name) for name in knobs()}


def place(name: str) -> Knob:
    """Return what the world is told of the setting `name`."""
    return EXTRAS[name] if name in EXTRAS else knobs()[name]


def is_size(name: str) -> bool:
    """Return whether the setting `name` is a size in bytes."""
    return name in knobs() and knobs()[name].unit == "bytes"
