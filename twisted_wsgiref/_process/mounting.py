"""From the words of mounts to what a service is given: directories are looked at, applications imported.

What lives here: the line of each mistake that is seen only on this machine. What may not: the words themselves, which
are `_targets.specs`'s. Called in the main thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from twisted_wsgiref._gateway.passing import InternalMount
from twisted_wsgiref._targets.directory import check_directory
from twisted_wsgiref._targets.late_resource import LateResource
from twisted_wsgiref._targets.specs import (
    InternalSpec,
    ResourceSpec,
    Spec,
    StaticSpec,
    StatusSpec,
    WSGISpec,
    read_mount,
)
from twisted_wsgiref._targets.status import read_token
from twisted_wsgiref.settings import SettingError, Settings

from .asked import Asked
from .beginning import Beginning, Terminal
from .loading import LoadError, ResourceMaker, check_module, load_application, load_resource

if TYPE_CHECKING:
    from twisted_wsgiref.types import WSGIApplication

    from .runner import Runner


def _not_imported(environ: object, start_response: object) -> NoReturn:
    """Stand for the application until it is imported, before the first request."""
    raise RuntimeError("the application is not imported")


class CallsFirst(Protocol):
    """Whoever calls functions once the reactor runs, such as a `Runner`."""

    def call_first(self, function: Callable[[], object]) -> None:
        """Have `function` called then."""


class Loaded(NamedTuple):
    """What a service is to serve: the application, and what answers beside it, by prefix."""

    application: WSGIApplication
    mounts: Mapping[str, object]


def check_mounts(mounts: Sequence[str], settings: Settings | None = None) -> None:
    """Raise `SettingError` for what is not there: a directory, one of X-Sendfile's, or the status site's token."""
    if settings is None:
        settings = Settings()
    _check_status(mounts, settings)
    for root in settings.sendfile_root:
        try:
            check_directory(root)
        except ValueError as error:
            raise SettingError.of("{sendfile_root} is {!r}: {}", root, error) from None
    for mount in mounts:
        _, spec = read_mount(mount)
        inner = spec.spec if isinstance(spec, InternalSpec) else spec
        if isinstance(inner, StaticSpec):
            try:
                check_directory(inner.directory)
            except ValueError as error:
                raise SettingError.of("{mount} is {!r}: {}", mount, error) from None


def _check_status(mounts: Sequence[str], settings: Settings) -> None:
    try:
        token = read_token(settings.status_token)
    except ValueError as error:
        raise SettingError.of("{status_token}: {}", error) from None
    for mount in mounts:
        prefix, spec = read_mount(mount)
        if isinstance(spec, StatusSpec) and not token:
            raise SettingError.of(
                "{mount} is {!r}: {status_token} has to be set, since whoever reaches the port could read the site; or "
                "give it an endpoint of its own by {status}",
                mount,
            )
        if settings.health_path and prefix == read_mount(f"{settings.health_path}=status:")[0]:
            raise SettingError.of("{health_path} is {!r}: that is a {mount}, too", settings.health_path)


def check_modules(spec: str, mounts: Sequence[str], directory: str) -> None:
    """Raise `LoadError` if a module that is to be imported later is not there; as `check_module`."""
    check_module(spec, directory)
    for mount in mounts:
        _, said = read_mount(mount)
        mounted = said.spec if isinstance(said, InternalSpec) else said
        if isinstance(mounted, WSGISpec | ResourceSpec):
            try:
                check_module(mounted.words, directory)
            except LoadError as error:
                raise _of_mount(mount, error) from None


def import_served(options: Asked, usual: str, runner: Runner) -> tuple[Loaded, Beginning]:
    """Return what the `options` ask to serve, and how the process begins: perhaps by importing it later.

    `usual` names the application that is served if they name none. Raises `LoadError`.
    """
    spec, mounts, directory = options.found.app or usual, options.found.mounts, os.getcwd()
    beginning = Beginning(runner)
    objects = options.given.get("mounts", {})
    if options.leaves and options.application is None:
        check_modules(spec, mounts, directory)
        beginning = Beginning(runner, Terminal(), partial(load, spec, mounts, runner, directory))
        now = {mount.partition("=")[0]: "status:" for mount in mounts if isinstance(read_mount(mount)[1], StatusSpec)}
        return Loaded(_not_imported, {**now, **objects}), beginning
    application = load_application(spec, directory) if options.application is None else options.application
    loaded = load_mounts(mounts, runner, directory)
    runner.settle()
    return Loaded(application, {**loaded, **objects}), beginning


def load(spec: str, mounts: Sequence[str], runner: CallsFirst, directory: str | None = ".") -> Loaded:
    """Return the application that `spec` names, and what is mounted; as `load_application`. Raises `LoadError`."""
    application = load_application(spec, directory)
    return Loaded(application, load_mounts(mounts, runner, directory))


def load_mounts(mounts: Sequence[str], runner: CallsFirst, directory: str | None = ".") -> dict[str, object]:
    """Return what a service is to be given for `mounts`. Raises `LoadError`, which names the mount.

    A resource that is made by a call is made when the reactor of `runner` runs.
    """
    loaded: dict[str, object] = {}
    for mount in mounts:
        _, spec = read_mount(mount)
        prefix = mount.partition("=")[0]
        try:
            loaded[prefix] = _loaded(spec, directory, partial(_late, mount, runner))
        except LoadError as error:
            raise _of_mount(mount, error) from None
    return loaded


def _loaded(spec: Spec, directory: str | None, late: Callable[[ResourceMaker], object]) -> object:
    if isinstance(spec, InternalSpec):
        return InternalMount(_loaded(spec.spec, directory, late))
    if isinstance(spec, WSGISpec):
        return load_application(spec.words, directory)
    if isinstance(spec, ResourceSpec):
        found = load_resource(spec.words, directory)
        return late(found) if isinstance(found, ResourceMaker) else found
    return str(spec)


def _late(mount: str, runner: CallsFirst, make: ResourceMaker) -> object:
    """Return a resource that stands for the one that is made at the first turn of the reactor."""
    resource = LateResource()

    def begin() -> None:
        try:
            resource.begin(make())
        except LoadError as error:
            raise _of_mount(mount, error) from None

    runner.call_first(begin)
    return resource


def _of_mount(mount: str, error: LoadError) -> LoadError:
    return LoadError(f"mount {mount!r}: {error}", error.traceback)
