"""What a service has mounted, as a table of targets: made once, of what the service was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from twisted_wsgiref._gateway.passing import InternalMount
from twisted_wsgiref._http.freshness import read_age_rule
from twisted_wsgiref._http.mounts import MountTable, check_alone, read_prefix

from .directory import check_directory
from .immediate import FileAnswers, Redirections
from .late_resource import LateResource
from .mounted import MountedTargets
from .passed_on import InternalTarget, Passage, PassedAnswer, Places, SendableFiles
from .reactor_exchange import ReactorAnswer, ReactorTarget
from .residents import Resident, resident_of
from .specs import InternalSpec, RedirectSpec, ResourceSpec, Spec, StaticSpec, StatusSpec, WSGISpec, read_spec
from .static_files import StaticFiles
from .wsgi import WSGITarget, accepted

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.exchange import Common
    from twisted_wsgiref._gateway.interfaces import Target
    from twisted_wsgiref._gateway.wsgi_exchange import Gateway
    from twisted_wsgiref._twisted.reactor import Reactor

    from .reactor_exchange import ReactorExchange
    from .workers import Workers


class FileSettings(NamedTuple):
    """How files are served: `max_age` are rules as text, `links` as of `StaticFiles`; `note` is told of trouble.

    `roots` are directories of which an application may send files by X-Sendfile.
    """

    max_age: Sequence[str]
    links: bool
    roots: Sequence[str]
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
        self._residents: list[Resident] = []

    def mount(self, mounts: Mapping[str, object], script_name: str, passage: Passage) -> MountedTargets | None:
        """Return the targets of `mounts`, whose keys are prefixes as people write them; None if there are none.

        The service is at `script_name`. `passage` leads to what is internal. Raises `ValueError`, which says what is
        wrong.
        """
        try:
            targets = self._targets(mounts)
        except ValueError as error:
            raise ValueError(f"mounts: {error}") from None
        found = MountedTargets(MountTable(targets), script_name) if targets else None
        passage.open(Places(found, self._sendable(passage)))
        self._workers.residents.settle(self._residents)
        return found

    def _targets(self, mounts: Mapping[str, object]) -> dict[str, Target]:
        targets: dict[str, Target] = {}
        for written, mounted in mounts.items():
            try:
                prefix = read_prefix(written)
            except ValueError as error:
                raise ValueError(f"the prefix {written!r}: {error}") from None
            check_alone([*targets, prefix])
            targets[prefix] = self._target(written, mounted, prefix)
        return targets

    def _sendable(self, passage: Passage) -> Target | None:
        roots = self._files.roots
        if not roots:
            return None
        for root in roots:
            try:
                check_directory(root)
            except ValueError as error:
                raise ValueError(f"sendfile_root is {root!r}: {error}") from None
        files = SendableFiles(roots, partial(self._static, private=True), passage.note)
        return ReactorTarget(self._common, files, way_out=PassedAnswer)

    def _target(self, written: str, mounted: object, prefix: str, internal: bool = False) -> Target:
        if isinstance(mounted, ReactorTarget):
            return mounted
        if isinstance(mounted, InternalMount):
            if internal or isinstance(mounted.mounted, InternalMount):
                raise ValueError(f"what is mounted at {written} is an InternalMount in another one")
            return InternalTarget(self._common, self._target(written, mounted.mounted, prefix, internal=True))
        if isinstance(mounted, str):
            try:
                return self._by_spec(read_spec(mounted), prefix, internal)
            except ValueError as error:
                raise ValueError(f"what is mounted at {written}, {mounted!r}: {error}") from None
        if hasattr(mounted, "getChildWithDefault"):
            if isinstance(mounted, type):
                raise ValueError(f"what is mounted at {written} is a class: give a resource, as {mounted.__name__}()")
            return self._resource(mounted, prefix, internal)
        if callable(mounted):
            gateway = replace(self._gateway, application=accepted(mounted, self._validate))
            return WSGITarget(gateway, self._workers, prefix)
        raise ValueError(
            f"what is mounted at {written} is {mounted!r:.100}: it has to be a WSGI application, a resource of "
            "twisted.web, or text as static:DIR or redirect:URL"
        )

    def _resource(self, resource: object, prefix: str, internal: bool) -> Target:
        # Late: few mount one, and it imports the whole of twisted.web.
        from .resource import MountedSite, ResourceAnswers

        resident = resource if isinstance(resource, LateResource) else resident_of(resource)
        if resident is not None and resident not in self._residents:
            self._residents.append(resident)
        site = MountedSite(resource, reactor=self._reactor)
        answers = ResourceAnswers(site, prefix, self._reactor.callLater, self._workers.streams)
        return self._in_reactor(answers, internal, collects=True)

    def _by_spec(self, spec: Spec, prefix: str, internal: bool) -> Target:
        if isinstance(spec, StaticSpec):
            check_directory(spec.directory)
            files = self._static(spec.directory, private=internal)
            answers = FileAnswers(files, prefix, self._files.note, self._workers.hold_turn)
            return self._in_reactor(answers, internal)
        if isinstance(spec, RedirectSpec):
            return self._in_reactor(Redirections(spec, prefix), internal)
        if isinstance(spec, InternalSpec):
            if internal:
                raise ValueError("internal: is there twice")
            if not isinstance(spec.spec, WSGISpec | ResourceSpec):
                return InternalTarget(self._common, self._by_spec(spec.spec, prefix, internal=True))
            raise ValueError("import it, and give InternalMount(the object itself)")
        if isinstance(spec, StatusSpec):
            raise ValueError("the status site is for whoever operates the server: it can not be internal")
        raise ValueError("import it, and give the object itself")

    def _static(self, directory: str, *, private: bool) -> StaticFiles:
        rules = [read_age_rule(word) for word in self._files.max_age]
        return StaticFiles(directory, rules, links=self._files.links, private=private)

    def _in_reactor(
        self, answer: Callable[[ReactorExchange, ReactorAnswer], object], internal: bool, *, collects: bool = False
    ) -> Target:
        way_out = PassedAnswer if internal else ReactorAnswer
        return ReactorTarget(self._common, answer, collects=collects, way_out=way_out)
