"""``python -m twisted_wsgiref``, and the command ``twisted-wsgiref``: serve, or ask a server that runs already.

What lives here: which of the two, by the first word. What serves needs Twisted, what asks must not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from ._process.command_names import COMMANDS


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Do what the `words` say, None: those of the command line; ends with `SystemExit`. Called in the main thread.

    Without a command, which is ``serve`` or one of `COMMANDS`, they are options and an application: serve that.
    """
    words = sys.argv[1:] if words is None else words
    if words[:1] and words[0] in COMMANDS:
        from ._process import control  # late: who serves does not need it

        control.main(words)
    from ._process.standalone import serve_words

    serve_words(words[1:] if list(words[:1]) == ["serve"] else words)


if __name__ == "__main__":
    main()
