"""What is right by itself and wrong beside something else: fields, each with a sentence on why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import bucket, caching, several
from .bucket import Bucket
from .inputs import known
from .labels import version

if TYPE_CHECKING:
    from .settings import Settings


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """All of them, in no order."""
    yield from several.problems(settings.replicas, settings.storage, settings.cache, settings.pruning.mode)
    if (settings.replicas > 1 or settings.pull_through) and settings.tls.renewed_by_others:
        yield (
            "tls",
            "secretName needs the pruner beside the only registry, to take up a renewal: give certificate "
            "and key, or an authority that signs",
        )
    if settings.pull_through:
        yield from _without_pruner(settings)
    image = known(settings.registry_image)
    of_storage = bucket.needs_version_3(settings.storage) if isinstance(settings.storage, Bucket) else None
    for field, needs_3 in (("storage", of_storage), ("redis", caching.needs_version_3(settings.redis))):
        if needs_3 and image and version(image).startswith("2."):
            yield field, f"version 2 of the registry does not know {needs_3}: leave it out, or use version 3"


def _without_pruner(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is set of a pruner that a pull-through cache does not have."""
    usual = {
        "gc_mode": (settings.pruning.mode, "online"),
        "retention": (settings.pruning.retention, "[]"),
        "alerts": (settings.seen.alerts, "none"),
        "dashboard": (settings.seen.dashboard, False),
        "repository_metrics": (settings.seen.repository_metrics, False),
        "metrics": (settings.seen.metrics == "podMonitor", False),
    }
    for field, (value, nothing) in usual.items():
        if value != nothing:
            yield field, "a pull-through cache (registryConfig.proxy) has no pruner: leave this out"
    if settings.replicas > 1:
        yield (
            "replicas",
            "pods of a pull-through cache would overwrite each other's list of what expires: give 1",
        )
