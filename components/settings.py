"""Checks what a registry is made from, and turns it into the values that the components take.

Every wrong value becomes one sentence that names the key, the value and what is accepted; all of them are
reported together, before any resource is declared. What another resource gives is checked when it is known.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import pulumi

from pruner.settings.policies import parse_policies
from pruner.settings.table import TABLE

from . import (
    accepted,
    auth,
    caching,
    exposure,
    identity,
    keeping,
    notices,
    overlay,
    podoptions,
    reach,
    together,
)
from .args import DockerRegistryArgs
from .auth import Auth, Pulling
from .caching import Cache
from .exposure import Exposed
from .identity import Identity
from .inputs import comes, later, made
from .keeping import Kept
from .nodes import folders
from .nodes.folders import Trusting
from .objects import RetentionPolicy
from .podoptions import PodOptions
from .reach import Reach

T = TypeVar("T")

KEYS = {accepted.camel_case(field.name): field.name for field in dataclasses.fields(DockerRegistryArgs)}
"""Key of the stack configuration -> field of DockerRegistryArgs."""

_PRUNER = {f"gc_{setting.name}": setting for setting in TABLE}


class SettingsError(pulumi.RunError):
    """What was given is wrong; `problems` holds one sentence for each wrong key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Pruning:
    """The pruner's settings; durations in seconds, `retention` as JSON text."""

    mode: Literal["online", "readonly"]
    period: float
    initial_delay: float
    grace: float
    untagged_after: float
    uploads_after: float
    trash: float
    max_fraction: float
    ops_per_second: int
    protect_running: bool
    dangling_tags: Literal["keep", "remove"]
    retention: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen of the registry from outside, and by whom it is found."""

    metrics: Literal["annotations", "podMonitor", "none"]
    repository_metrics: bool
    alerts: Literal["none", "prometheusRule", "configMap"]
    dashboard: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, checked. `external_hosts` is empty when they are to be discovered."""

    exposure: Exposed
    external_hosts: tuple[str, ...] | pulumi.Output[tuple[str, ...]]
    tls: Identity
    node_trust: Trusting | None
    ca_namespaces: tuple[str, ...]
    local_registry_hosting: str
    namespace: pulumi.Input[str]
    create_namespace: bool
    auth: Auth
    pulling: Pulling | None
    registry_image: pulumi.Input[str]
    gc_image: pulumi.Input[str]
    storage: Kept
    replicas: int
    cache: Cache
    redis: caching.Server | None
    registry_config: Mapping[str, Any]
    pod: PodOptions
    reach: Reach | None
    pruning: Pruning
    seen: Seen

    @property
    def pull_through(self) -> bool:
        """Whether the registry is a cache of another one, which nobody prunes: it expires what it holds."""
        return overlay.is_pull_through(self.registry_config)

    @property
    def named_hosts(self) -> tuple[str, ...]:
        """The external hosts as far as they are known; none where they are discovered or another's."""
        return self.external_hosts if isinstance(self.external_hosts, tuple) else ()


def settle(
    given: DockerRegistryArgs | Mapping[str, Any], call: Callable[[str], str] = lambda field: field
) -> Settings:
    """The settings in `given`, a mapping being the fields by name; `call` is what a sentence calls a field.

    Raises SettingsError with a sentence for every field that is unknown or wrong.
    """
    try:
        args = made(DockerRegistryArgs, given, str)
    except ValueError as error:
        raise SettingsError([f"args: {error}"]) from None
    reader = _Reader(args, call)
    create = reader.read("create_namespace", accepted.boolean)
    namespace = reader.may_come("namespace", lambda value: accepted.namespace(value, create=create))
    node_port = reader.may_come("node_port", accepted.node_port)
    hosts = reader.read("external_hosts", _hosts)
    cache: Cache = reader.read("cache", lambda value: accepted.choice(value, *caching.KINDS))
    way_in = _way_in(reader)
    settings = Settings(
        exposure=reader.read("exposure", lambda value: exposure.read(value, node_port, hosts)),
        external_hosts=hosts,
        node_trust=reader.read("node_trust", lambda value: folders.read(value, namespace)),
        ca_namespaces=reader.read("ca_namespaces", lambda value: notices.namespaces(value, namespace)),
        local_registry_hosting=reader.read("local_registry_hosting", notices.link),
        tls=reader.read("tls", lambda value: identity.read(value, hosts)),
        namespace=namespace,
        create_namespace=create,
        auth=way_in,
        pulling=reader.read("pull_secrets", lambda value: auth.pulling(value, way_in)),
        registry_image=reader.may_come("registry_image", accepted.image),
        gc_image=reader.may_come("gc_image", accepted.image),
        storage=reader.read("storage", lambda value: keeping.read(value, namespace)),
        replicas=reader.read("replicas", accepted.replicas),
        cache=cache,
        redis=reader.read("redis", lambda value: caching.read(value, cache)),
        registry_config=reader.read("registry_config", overlay.read),
        pod=reader.read("pod", podoptions.read),
        reach=reader.read("network_policy", reach.read),
        pruning=Pruning(
            mode=reader.pruners("gc_mode"),
            period=reader.pruners("gc_period"),
            initial_delay=reader.pruners("gc_initial_delay"),
            grace=reader.pruners("gc_grace"),
            untagged_after=reader.pruners("gc_untagged_after"),
            uploads_after=reader.pruners("gc_uploads_after"),
            trash=reader.pruners("gc_trash"),
            max_fraction=reader.pruners("gc_max_fraction"),
            ops_per_second=reader.pruners("gc_ops_per_second"),
            protect_running=reader.pruners("gc_protect_running"),
            dangling_tags=reader.pruners("gc_dangling_tags"),
            retention=reader.read("retention", _retention),
        ),
        seen=Seen(
            metrics=reader.read(
                "metrics", lambda value: accepted.choice(value, "annotations", "podMonitor", "none")
            ),
            repository_metrics=reader.read("repository_metrics", accepted.boolean),
            alerts=reader.read(
                "alerts", lambda value: accepted.choice(value, "none", "prometheusRule", "configMap")
            ),
            dashboard=reader.read("dashboard", accepted.boolean),
        ),
    )
    reader.finish()
    reader.refuse(together.problems(settings))
    return settings


def _way_in(reader: _Reader) -> Auth:
    before = reader.wrong
    given = auth.Given(
        users=reader.read("users", auth.users),
        secret=reader.read("htpasswd", auth.secret),
        token=reader.read("token", auth.tokens),
        generation=reader.read("password_generation", auth.generation),
    )
    if reader.wrong > before:
        # What is wrong is not missing.
        return cast("Auth", reader.read("auth", auth.chosen))
    return reader.read("auth", lambda value: auth.read(value, given))


class _Reader:
    """Reads field after field and gathers what is wrong, so that a person mends all of it at once."""

    def __init__(self, given: DockerRegistryArgs, call: Callable[[str], str]) -> None:
        self._given = given
        self._call = call
        self._problems: list[str] = []

    @property
    def wrong(self) -> int:
        """How many fields are wrong so far."""
        return len(self._problems)

    def read(self, field: str, parse: Callable[[Any], T]) -> T:
        """The value of `field`; what a wrong one gives never gets past `finish`."""
        value = getattr(self._given, field)
        try:
            return parse(_DEFAULTS[field] if value is None else value)
        except ValueError as error:
            self._problems.append(f"{self._call(field)}: {error}")
            return cast(T, None)

    def may_come(self, field: str, parse: Callable[[Any], T]) -> pulumi.Input[T]:
        """The same for a value that another resource may give."""
        return self.read(field, lambda value: later(value, parse))

    def pruners(self, field: str) -> Any:
        """The value of a setting that the pruner itself knows how to read."""
        return self.read(field, lambda value: _PRUNER[field].parse(accepted.text(value)))

    def refuse(self, problems: Iterable[tuple[str, str]]) -> None:
        """Raises SettingsError for what does not go together: fields, each with a sentence."""
        self._problems += [f"{self._call(field)}: {sentence}" for field, sentence in problems]
        self.finish()

    def finish(self) -> None:
        if self._problems:
            raise SettingsError(self._problems)


_DEFAULTS = dataclasses.asdict(DockerRegistryArgs())


def _hosts(value: object) -> tuple[str, ...] | pulumi.Output[tuple[str, ...]]:
    if value is None:
        return ()
    if any(map(comes, [value, *_entries(value)])):
        return pulumi.Output.from_input(value).apply(_some_hosts)
    return accepted.hosts(value)


def _entries(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _some_hosts(value: object) -> tuple[str, ...]:
    if found := accepted.hosts(value):
        return found
    raise ValueError("externalHosts came out empty: give a host, or leave it out")


def _retention(value: Any) -> str:
    """The policies as the pruner takes them: JSON, the same whatever the order of the keys."""
    entries: object = [] if value is None else value
    if isinstance(entries, list):
        entries = [_policy(entry) for entry in cast("list[object]", entries)]
    parse_policies(entries)
    return json.dumps(entries, sort_keys=True, separators=(",", ":"))


def _policy(entry: object) -> object:
    if isinstance(entry, RetentionPolicy):
        entry = {name: value for name, value in dataclasses.asdict(entry).items() if value is not None}
    if isinstance(entry, Mapping):
        fields = cast("Mapping[str, object]", entry).items()
        return {accepted.camel_case(key): _whole(value) for key, value in fields}
    return entry


def _whole(value: object) -> object:
    # A number of another language comes as 3.0, and is the same setting.
    return int(value) if isinstance(value, float) and value.is_integer() else value
