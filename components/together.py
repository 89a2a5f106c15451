"""What is right by itself and wrong beside something else: fields, each with a sentence on why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import auth, bucket, caching, several
from .bucket import Bucket
from .inputs import known
from .labels import version

if TYPE_CHECKING:
    from .settings import Settings

# As tags have it, 2, 2.8.3 or 2-alpine. The start of a digest, which may begin so too, has none of the two.
_VERSION_2 = re.compile(r"2([.-]|$)")


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
    found = {
        "storage": of_storage,
        "redis": caching.needs_version_3(settings.redis),
        "token": auth.needs_version_3(settings.auth),
    }
    for field, needs_3 in found.items():
        if needs_3 and image and _VERSION_2.match(version(image)):
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
