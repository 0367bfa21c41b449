"""Writes docs/coming.md from `twisted_wsgiref._process.dictionary`: other servers' options, and our answer to each.

python docs/make_coming.py           writes the page
python docs/make_coming.py --check   ends with status 1 if the page is not current
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from made_page import keep

from twisted_wsgiref._process.dictionary import SERVERS, meanings

PAGE = Path(__file__).with_name("coming.md")

_HEAD = """\
# Coming from another server

<!-- Made by docs/make_coming.py from twisted_wsgiref/_process/dictionary.py. Change that, and run it. -->

The options of gunicorn, uWSGI, waitress, granian, uvicorn, hypercorn, Django's `runserver` and Flask's `flask run`, and
the option or the way that replaces each of them here. If you type one of theirs, the server gives the same answer.

This page leaves out options that are the same here: `--bind`, `--workers` and `--config` of gunicorn, `--threads`,
`--port`, `--reload`, `--backlog`, `--chdir`, `--env`, `--umask`, `--pid`, `--help`. If you come from wsgiref's
`make_server(host, port, app)`, use `python -m twisted_wsgiref --bind HOST:PORT MOD:APP`. Or keep all names, and write
`from twisted_wsgiref.simple_server import make_server`. [settings.md](settings.md) has every setting.
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for section, rows in groupby(meanings(), key=lambda meaning: meaning.section):
        parts.append(f"\n## {section}\n\n| there | here |\n| --- | --- |\n")
        for _, say, servers in rows:
            theirs = [f"{SERVERS[name]} {' '.join(f'`{word}`' for word in words)}" for name, words in servers.items()]
            parts.append(f"| {'; '.join(theirs)} | {say.replace('*', chr(92) + '*')} |\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(keep(PAGE, page(), sys.argv))
