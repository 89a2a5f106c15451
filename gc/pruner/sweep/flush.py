"""Makes the registries forget what is removed, whichever way each remembers descriptors.

No cache needs nothing. A cache in memory cannot be reached from outside, so the registry is restarted in
place. From redis the keys are deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pruner.decide.plan import Removal
from pruner.registry.caches import forget_redis
from pruner.sweep.place import Place


@dataclass(frozen=True, slots=True)
class RegistryCaches:
    """The caches of the registries that serve the tree; what `execute` takes for its Caches."""

    place: Place
    is_restarted_later: bool

    def flush(self, links: Sequence[Removal], blobs: Sequence[Removal]) -> str:
        """Make the registry see the removals; a sentence on what was done, or empty. Raises RegistryError."""
        self.forget(links, blobs)
        # At the end of a read-only window the registry is restarted anyway, and takes no pushes until then.
        if self.is_restarted_later:
            return ""
        if not blobs and all(removal.kind in ("tag", "index-link") for removal in links):
            return ""  # no cache knows anything of tags
        return self.place.registry.refresh(self.place.config)

    def forget(self, links: Sequence[Removal], blobs: Sequence[Removal]) -> None:
        """Forget what is held and quarantined now, whatever was written back since; raises RegistryError."""
        keys = [(removal.repository, removal.digest) for removal in links if removal.digest]
        for redis in self.place.registry.redis(self.place.config):
            forget_redis(redis, [*keys, *((None, blob.digest) for blob in blobs)])
