"""Files of the application that change, while it is developed.

Here live a thread that waits for the system to tell of changes, and the choice of the files that count. The caller
says what to do then. `watchfiles` is an extra, so the functions that need it import it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from typing import Final

from twisted.logger import Logger

from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref.settings import SettingError

_log = Logger()

# Names in the line of the log; a change of branch changes hundreds.
_NAMED: Final = 3
# After so many milliseconds without a change watchfiles says that it watches.
_LOOK: Final = 500
# It looks twenty times a second whether to stop. If the thread has not ended after these seconds, we leave it alone.
_PATIENCE: Final = 1.0


def is_watched(name: str, include: Sequence[str]) -> bool:
    """Return whether the file of this `name`, without its folder, counts: Python's, or like one of `include`."""
    return name.endswith(".py") or any(fnmatch(name, pattern) for pattern in include)


def check_watched(folders: Sequence[str]) -> None:
    """Raise `SettingError` if `watchfiles` is not installed, or one of `folders` is not there."""
    if find_spec("watchfiles") is None:
        raise SettingError.of("{reload} needs watchfiles: pip install 'twisted-wsgiref[reload]'")
    for folder in folders:
        if not os.path.isdir(folder):
            raise SettingError.of("{reload_dir} is {!r}: there is no such directory", folder)


def watch_for(folders: Sequence[str], include: Sequence[str], reload: Callable[[], None], reactor: Reactor) -> None:
    """Have `reactor`, from when it runs to its end, call `reload` for changes here and below `folders`."""
    watch = Watch([os.getcwd(), *folders], include, partial(reactor.callFromThread, reload))
    reactor.callWhenRunning(watch.start)
    reactor.addSystemEventTrigger("before", "shutdown", watch.stop)
    reactor.addSystemEventTrigger("after", "shutdown", watch.join)


class Watch:
    """A thread that calls `changed` whenever a file below one of `folders` has changed that `is_watched`.

    Names are told as seen from the first of `folders`.
    """

    def __init__(self, folders: Sequence[str], include: Sequence[str], changed: Callable[[], None]) -> None:
        # watchfiles watches what is below another one of them twice.
        paths = list(dict.fromkeys(map(os.path.abspath, folders)))
        self._folders = [each for each in paths if not any(_is_below(each, other) for other in paths)]
        self._folder = paths[0]
        self._include = include
        self._changed = changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch. Called in the main thread."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer. Called in the main thread; does not wait."""
        self._stop.set()

    def join(self) -> None:
        """The thread has ended, or is given up after a second. Called in the main thread, after `stop`.

        Until Python 3.13 an interpreter that ends would unwind the thread in watchfiles' own code, which is compiled
        and then aborts the process.
        """
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    # ---- The thread's own --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for names in self._changes():
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                _log.info("changed: {names}{more}", names=", ".join(names[:_NAMED]), more=more)
                self._changed()
        except Exception as error:  # As many watches as the system allows are taken, the folder is gone, ...
            _log.critical("files are not watched any more: {error}", error=str(error))

    def _changes(self) -> Iterator[list[str]]:
        from watchfiles import Change, DefaultFilter, watch

        ignores = DefaultFilter()

        def counts(change: Change, path: str) -> bool:
            return is_watched(os.path.basename(path), self._include) and ignores(change, path)

        patterns, begun = ", ".join(["*.py", *self._include]), False
        for changes in watch(
            *self._folders, watch_filter=counts, stop_event=self._stop, rust_timeout=_LOOK, yield_on_timeout=True
        ):
            if not begun:
                # From now on every saved file is noticed: the first turn is over.
                begun = True
                _log.info("watching {patterns} below {folder}", patterns=patterns, folder=" and ".join(self._folders))
            if changes:
                yield sorted({os.path.relpath(path, self._folder) for _, path in changes})


def _is_below(folder: str, other: str) -> bool:
    return folder.startswith(os.path.join(other, ""))
