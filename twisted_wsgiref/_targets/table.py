"""What a service has mounted, as a table of targets: made once, of what the service was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twisted_wsgiref._http.freshness import read_age_rule
from twisted_wsgiref._http.mounts import MountTable, check_alone, read_prefix

from .directory import check_directory
from .immediate import FileAnswers, Redirections
from .mounted import MountedTargets
from .reactor_exchange import ReactorTarget
from .specs import RedirectSpec, ResourceSpec, StaticSpec, WSGISpec, read_spec
from .static_files import StaticFiles
from .wsgi import WSGITarget, accepted

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.exchange import Common
    from twisted_wsgiref._gateway.interfaces import Target
    from twisted_wsgiref._gateway.wsgi_exchange import Gateway
    from twisted_wsgiref._twisted.reactor import Reactor

    from .workers import Workers


class FileSettings(NamedTuple):
    """How files are served: `max_age` are rules as text, `links` as of `StaticFiles`; `note` is told of trouble."""

    max_age: Sequence[str]
    links: bool
    note: Callable[[str, OSError], None]


class TargetMaker:
    """Makes targets of what a service was given.

    Files and redirections are served with `common`, applications as `gateway` serves its own, by `workers`. With
    `validate` they are checked against PEP 3333. `reactor` is for resources, and their sessions.
    """

    def __init__(
        self,
        common: Common,
        gateway: Gateway,
        workers: Workers,
        files: FileSettings,
        validate: bool,
        reactor: Reactor,
    ) -> None:
        self._common = common
        self._reactor = reactor
        self._gateway = gateway
        self._workers = workers
        self._files = files
        self._validate = validate

    def mount(self, mounts: Mapping[str, object], script_name: str) -> MountedTargets | None:
        """Return the targets of `mounts`, whose keys are prefixes as people write them; None if there are none.

        The service is at `script_name`.
        Raises `ValueError`, which says what is wrong.
        """
        targets: dict[str, Target] = {}
        for written, mounted in mounts.items():
            try:
                prefix = read_prefix(written)
            except ValueError as error:
                raise ValueError(f"the prefix {written!r}: {error}") from None
            check_alone([*targets, prefix])
            targets[prefix] = self._target(written, mounted, prefix)
        return MountedTargets(MountTable(targets), script_name) if targets else None

    def _target(self, written: str, mounted: object, prefix: str) -> Target:
        if isinstance(mounted, str):
            try:
                return self._by_spec(mounted, prefix)
            except ValueError as error:
                raise ValueError(f"what is mounted at {written}, {mounted!r}: {error}") from None
        if hasattr(mounted, "getChildWithDefault"):
            if isinstance(mounted, type):
                raise ValueError(f"what is mounted at {written} is a class: give a resource, as {mounted.__name__}()")
            return self._resource(mounted, prefix)
        if callable(mounted):
            gateway = replace(self._gateway, application=accepted(mounted, self._validate))
            return WSGITarget(gateway, self._workers, prefix)
        raise ValueError(
            f"what is mounted at {written} is {mounted!r:.100}: it has to be a WSGI application, a resource of "
            "twisted.web, or text as static:DIR or redirect:URL"
        )

    def _resource(self, resource: object, prefix: str) -> Target:
        # Late: few mount one, and it imports the whole of twisted.web.
        from .resource import MountedSite, ResourceAnswers

        site = MountedSite(resource, reactor=self._reactor)
        return ReactorTarget(self._common, ResourceAnswers(site, prefix, self._reactor.callLater), collects=True)

    def _by_spec(self, text: str, prefix: str) -> Target:
        spec = read_spec(text)
        if isinstance(spec, StaticSpec):
            check_directory(spec.directory)
            rules = [read_age_rule(word) for word in self._files.max_age]
            files = StaticFiles(spec.directory, rules, links=self._files.links)
            return ReactorTarget(self._common, FileAnswers(files, prefix, self._files.note, self._workers.hold_turn))
        if isinstance(spec, RedirectSpec):
            return ReactorTarget(self._common, Redirections(spec, prefix))
        if isinstance(spec, WSGISpec | ResourceSpec):
            raise ValueError("import it, and give the object itself")
        raise ValueError("there is no internal: yet")
