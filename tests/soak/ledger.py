"""What one client knows that the registry must hold: the image of every tag it owns, as last acknowledged.

Every tag has one owner, which works through one request at a time, so the ledger is exact. A tag is `unsure`
from a request whose outcome is unknown until a later push to it is acknowledged; meanwhile nothing is claimed
of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.gc.images import Image

RECENT = 24  # images without a tag that are remembered, to be tagged again


@dataclass(frozen=True, slots=True)
class Place:
    """A tag of a repository."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Entry:
    """The image at a place; for a signature or a list of referrers also the digest that it is about."""

    image: Image
    subject: str | None = None


@dataclass(slots=True)
class Ledger:
    entries: dict[Place, Entry] = field(default_factory=dict[Place, Entry])
    unsure: dict[Place, Entry] = field(default_factory=dict[Place, Entry])
    untagged: deque[tuple[str, Image]] = field(
        default_factory=lambda: deque[tuple[str, Image]](maxlen=RECENT)
    )

    def acknowledged(self, place: Place, entry: Entry) -> None:
        """The registry answered 201 to the PUT of the image at the place."""
        before = self.entries.get(place)
        self.entries[place] = entry
        self.unsure.pop(place, None)
        if before and before.image.digest != entry.image.digest:
            self._released(place.repository, before.image)

    def unknown(self, place: Place, entry: Entry) -> None:
        """A PUT was sent and not answered: the place holds its former image or the new one."""
        before = self.entries.pop(place, None)
        self.unsure[place] = entry
        if before:
            self._released(place.repository, before.image)

    def deleted(self, repository: str, digest: str) -> None:
        """The manifest was deleted by its digest, which takes every tag with it."""
        for place in self.tagged(repository, digest):
            self._removed(place)

    def untag(self, place: Place) -> None:
        """The tag alone was deleted."""
        self._removed(place)

    def unknown_deletion(self, places: list[Place]) -> None:
        """A DELETE was sent and not answered with success: the places are there, gone, or half gone."""
        for place in places:
            self.unknown(place, self.entries[place])

    def tagged(self, repository: str, digest: str) -> list[Place]:
        return [
            place
            for place, entry in self.entries.items()
            if place.repository == repository and entry.image.digest == digest
        ]

    def owned(self) -> Iterator[tuple[Place, Entry]]:
        """The entries that are images of their own, not signatures or referrers of another."""
        return ((place, entry) for place, entry in self.entries.items() if entry.subject is None)

    def _removed(self, place: Place) -> None:
        entry = self.entries.pop(place)
        self._released(place.repository, entry.image)

    def _released(self, repository: str, image: Image) -> None:
        """Without a tag the image may go, and what is about it may go with it."""
        self.untagged.append((repository, image))
        if self.tagged(repository, image.digest):
            return
        orphans = [
            place
            for place, entry in self.entries.items()
            if place.repository == repository and entry.subject == image.digest
        ]
        for place in orphans:
            del self.entries[place]
