"""Makes the registry forget what is removed, whichever way it remembers descriptors.

No cache needs nothing. A cache in memory cannot be reached from outside, so the registry is restarted in
place. From redis the keys are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from pruner.decide.plan import Removal
from pruner.registry.caches import forget_redis
from pruner.sweep.place import Place


@dataclass(frozen=True, slots=True)
class RegistryCaches:
    """The caches of the registry beside the pruner; what `execute` takes for its Caches."""

    place: Place
    is_restarted_later: bool

    def flush(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> str:
        """Make the registry see the removals; a sentence on what was done, or empty. Raises RegistryError."""
        config = self.place.config
        if config.redis is not None:
            self.forget(links, blobs)
            return ""
        # At the end of a read-only window the registry is restarted anyway, and takes no pushes until then.
        if config.cache != "inmemory" or self.is_restarted_later:
            return ""
        if not blobs and all(removal.kind in ("tag", "index-link") for removal in links):
            return ""  # the cache knows nothing of tags
        if not self.place.registry.present(config):
            return "no registry is running, so no cache had to be flushed"
        self.place.registry.restart(config)
        return "the registry was restarted in place, since its descriptor cache is in memory"

    def forget(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> None:
        """Forget what is held and quarantined now, whatever was written back since; raises RegistryError."""
        config = self.place.config
        if config.redis is not None:
            keys = [(removal.repository, removal.digest) for removal in links if removal.digest]
            forget_redis(config.redis, [*keys, *((None, blob.digest) for blob in blobs)])
