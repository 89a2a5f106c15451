"""What stays, as the walk from the roots found it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pruner.tree.digests import DigestSet, Key, Keys, key_of, unpack
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.whole import Repository


@dataclass(slots=True)
class RepositoryMarks:
    """What stays in one repository, by key.

    `live` are manifests that live ones need here, whether or not the links are there; `dead` are examined
    revisions and `stale` examined layer links that nothing needs; `dropped_tags` maps a tag that goes to the
    reason; `whole` says why everything here is kept, and is None in a sound repository.
    """

    repository: Repository
    library: Library
    live: set[Key] = field(default_factory=set[Key])
    dead: list[Key] = field(default_factory=list[Key])
    stale: list[Key] = field(default_factory=list[Key])
    dropped_tags: dict[str, str] = field(default_factory=dict[str, str])
    whole: str | None = None
    _needed: DigestSet | None = None

    def needed(self) -> set[Key]:
        """What live manifests need here, besides themselves."""
        return self.named_by(self.live)

    def named_by(self, manifests: Collection[Key]) -> set[Key]:
        """What these manifests refer to."""
        images = self.library.images
        needed = set(unpack(b"".join([images[key] for key in manifests if key in images])))
        for key in manifests:
            found = None if key in images else self.library.find(key)
            if isinstance(found, Manifest):
                needed.update(map(key_of, found.blobs))
                needed.update(map(key_of, found.children))
        return needed

    @property
    def revisions(self) -> DigestSet:
        """The digests of manifests that stay."""
        return DigestSet(self.live)

    @property
    def needed_layers(self) -> DigestSet:
        """The digests that manifests which stay need here."""
        if self._needed is None:
            self._needed = DigestSet(self.needed())
        return self._needed

    @property
    def layers(self) -> DigestSet:
        """The digests whose layer links stay."""
        return DigestSet(set(self.repository.layers.keys_listed()).difference(self.stale))


@dataclass(slots=True)
class Marks:
    """What stays: `live` are the keys whose bytes something that stays refers to."""

    live: Keys = field(default_factory=Keys)
    repositories: dict[str, RepositoryMarks] = field(default_factory=dict[str, RepositoryMarks])

    @property
    def blobs(self) -> DigestSet:
        """The digests whose bytes something that stays refers to."""
        return DigestSet(self.live)
