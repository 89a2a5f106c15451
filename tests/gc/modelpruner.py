"""The pruner on a storage in memory, beside a model registry of which it can restart or flush the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import yaml

from pruner.inspect.report import Report
from pruner.registry import config as registry_config
from pruner.registry.config import RegistryConfig
from pruner.registry.redisconfig import RedisConfig
from pruner.registry.registries import Registries
from pruner.settings.table import Settings
from pruner.storage import Storage
from pruner.sweep import run as pruning
from pruner.sweep.place import Place, Window
from pruner.tree.scan import Progress
from tests.gc.fakeclock import SteppedClock
from tests.gc.modelregistry import Cache, ModelRegistry

QUIET: Progress = lambda _phase, _count: None  # noqa: E731 - a constant of a callable type


class ModelProcess(Registries):
    """The process of a model registry: a restart ends what it was doing, and empties its cache in memory."""

    def __init__(self, clock: SteppedClock, registry: ModelRegistry, cut: Callable[[], None]) -> None:
        super().__init__(clock)
        self.model = registry
        self.cut = cut

    def check(self, config: RegistryConfig, *, readonly: bool = False, doubtful: bool = False) -> list[str]:
        del config, readonly, doubtful
        return []

    def redis(self, config: RegistryConfig) -> list[RedisConfig]:
        return [] if config.redis is None else [config.redis]

    def refresh(self, config: RegistryConfig) -> str:
        if config.cache != "inmemory":
            return ""
        self.cut()
        self.model.cache.clear()
        return "the model was restarted"


@cache
def _configuration(kind: Cache) -> RegistryConfig:
    storage: dict[str, object] = {"filesystem": {"rootdirectory": "/memory"}}
    if kind != "none":
        storage["cache"] = {"blobdescriptor": kind}
    document = {
        "version": 0.1,
        "storage": storage,
        "http": {"addr": ":5000"},
        "redis": {"addr": "redis:6379"},
    }
    return registry_config.parse(yaml.safe_dump(document).encode(), "/model.yml", {})


@dataclass(slots=True)
class ModelPruner:
    """`cut` is called when the registry is restarted: requests in flight end there."""

    storage: Storage
    clock: SteppedClock
    registry: ModelRegistry
    settings: Settings
    cut: Callable[[], None] = lambda: None

    def place(self, storage: Storage | None = None, progress: Progress = QUIET) -> Place:
        config = _configuration(self.registry.cache.kind)
        process = ModelProcess(self.clock, self.registry, self.cut)
        return Place(
            storage or self.storage,
            "/memory",
            config,
            self.settings,
            self.clock,
            process,
            Window("/nowhere/model.yml", {}, process),
            None,
            progress,
        )

    def run(self, storage: Storage | None = None, progress: Progress = QUIET) -> Report:
        return Report.of(pruning.run(self.place(storage, progress)))

    def plan(self) -> Report:
        return Report.of(pruning.plan(self.place()))


def forget(registry: ModelRegistry) -> Callable[[object, Iterable[tuple[str | None, str]]], None]:
    """Stands for pruner.caches.forget_redis; the real one has tests on a real redis."""

    def forget_redis(_config: object, removed: Iterable[tuple[str | None, str]]) -> None:
        if registry.cache.kind == "redis":
            for repository, digest in removed:
                registry.cache.blobs.discard(digest)
                if repository is not None:
                    registry.cache.members.discard((repository, digest))

    return forget_redis
