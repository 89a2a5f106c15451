"""The stack configuration, read once into frozen values.

Defaults stand in Pulumi.yaml alone. Every wrong value becomes one sentence that names the key, the value and
what is accepted; all of them are told together, before any resource is declared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import pulumi
from pulumi.runtime.config import CONFIG

from components import accepted
from pruner.settings.durations import parse_duration
from pruner.settings.jsontext import parse_json
from pruner.settings.policies import parse_policies

T = TypeVar("T")


class SettingsError(pulumi.RunError):
    """The stack configuration is wrong; `problems` holds one sentence for each wrong key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class HostPath:
    """A folder of a node: its absolute `path`, and the `node` by name, or None for wherever the pod lands."""

    path: str
    node: str | None


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
    protect_running: bool
    dangling_tags: Literal["keep", "remove"]
    retention: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole stack configuration, checked. `external_hosts` is empty when they are to be discovered."""

    node_port: int
    external_hosts: tuple[str, ...]
    namespace: str
    registry_image: str
    gc_image: str
    storage: HostPath
    cache: Literal["none", "inmemory"]
    pruning: Pruning


KEYS = (
    "nodePort",
    "externalHosts",
    "namespace",
    "registryImage",
    "gcImage",
    "storage",
    "cache",
    "gcMode",
    "gcPeriod",
    "gcInitialDelay",
    "gcGrace",
    "gcUntaggedAfter",
    "gcUploadsAfter",
    "gcTrash",
    "gcMaxFraction",
    "gcProtectRunning",
    "gcDanglingTags",
    "retention",
)


def stack_settings() -> Settings:
    """The settings of the running stack. Raises SettingsError."""
    config = pulumi.Config()
    texts = {key: text for key in KEYS if (text := config.get(key)) is not None}
    prefix = f"{config.name}:"
    strangers = {
        name.removeprefix(prefix): str(text)
        for name, text in CONFIG.get().items()
        if name.startswith(prefix) and name.removeprefix(prefix) not in texts
    }
    return read_settings(config.name, texts | strangers)


def read_settings(project: str, texts: Mapping[str, str]) -> Settings:
    """The settings in `texts`: key without the project's name -> text, JSON for objects and lists.

    Raises SettingsError with a sentence for every key that is unknown, not set or wrong.
    """
    reader = _Reader(project, texts)
    storage = reader.read("storage", _storage)
    settings = Settings(
        node_port=reader.read("nodePort", accepted.node_port),
        external_hosts=reader.read("externalHosts", lambda text: accepted.hosts(_json(text))),
        namespace=reader.read("namespace", accepted.namespace),
        registry_image=reader.read("registryImage", accepted.image),
        gc_image=reader.read("gcImage", accepted.image),
        storage=storage,
        cache=reader.read("cache", lambda text: accepted.choice(text, "none", "inmemory")),
        pruning=Pruning(
            mode=reader.read("gcMode", lambda text: accepted.choice(text, "online", "readonly")),
            period=reader.read("gcPeriod", _positive_duration),
            initial_delay=reader.read("gcInitialDelay", parse_duration),
            grace=reader.read("gcGrace", parse_duration),
            untagged_after=reader.read("gcUntaggedAfter", parse_duration),
            uploads_after=reader.read("gcUploadsAfter", parse_duration),
            trash=reader.read("gcTrash", parse_duration),
            max_fraction=reader.read("gcMaxFraction", accepted.fraction),
            protect_running=reader.read("gcProtectRunning", accepted.boolean),
            dangling_tags=reader.read("gcDanglingTags", lambda text: accepted.choice(text, "keep", "remove")),
            retention=reader.read("retention", _retention),
        ),
    )
    reader.finish()
    return settings


class _Reader:
    """Reads key after key and gathers what is wrong, so that a person mends all of it at once."""

    def __init__(self, project: str, texts: Mapping[str, str]) -> None:
        self._project = project
        self._texts = texts
        self._problems = [
            f"{project}:{key} is no key of this project: the keys are {', '.join(KEYS)}"
            for key in texts
            if key not in KEYS
        ]

    def read(self, key: str, parse: Callable[[str], T]) -> T:
        """The value of `key`; what a wrong one gives never gets past `finish`."""
        if (text := self._texts.get(key)) is None:
            self._problems.append(f"{self._project}:{key} is not set: give it a value")
            return cast(T, None)
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(f"{self._project}:{key}: {error}")
            return cast(T, None)

    def finish(self) -> None:
        if self._problems:
            raise SettingsError(self._problems)


def _json(text: str) -> object:
    return parse_json(text, repr(text))


def _positive_duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError(f"{text!r} would never pause: give a duration above 0")
    return seconds


def _storage(text: str) -> HostPath:
    value = _json(text)
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no storage: give an object with kind and path")
    fields = cast("dict[str, object]", value)
    if fields.get("kind") != "hostPath":
        raise ValueError(f"kind is {fields.get('kind')!r}: give hostPath")
    if strangers := sorted(set(fields) - {"kind", "path", "node"}):
        raise ValueError(f"{strangers[0]!r} is no key of a hostPath storage: the keys are kind, path, node")
    node = fields.get("node")
    return HostPath(
        path=accepted.host_path(fields.get("path")),
        node=None if node is None else accepted.dns_name(node),
    )


def _retention(text: str) -> str:
    value = _json(text)
    parse_policies(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
