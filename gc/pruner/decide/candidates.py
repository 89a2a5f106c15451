"""Blobs that nothing refers to, each looked at: its size, its age, and whether it is a plain file at all."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from pruner.decide.roots import Rules
from pruner.storage import Stat, read_errors
from pruner.tree import layout
from pruner.tree.digests import Key, Keys, length_of, unpack
from pruner.tree.model import Contents
from pruner.tree.reading import Reader
from pruner.tree.scan import Progress
from pruner.tree.whole import Blobs


@dataclass(frozen=True, slots=True)
class Bucket:
    """Those whose digests begin alike (`start` is such as `sha256/ab`), column by column, since there may be
    a million of them; `packed` are their keys, sizes are bytes, times seconds since the epoch."""

    start: str
    packed: bytes
    sizes: array[int]
    mtimes: array[float]
    links: array[int]

    @staticmethod
    def of(start: str, keys: list[Key], stats: list[Stat]) -> Bucket:
        """One with those blobs."""
        sizes, mtimes, links, _, _ = zip(*stats, strict=True)
        return Bucket(start, b"".join(keys), array("q", sizes), array("d", mtimes), array("L", links))

    def __len__(self) -> int:
        return len(self.sizes)

    def unpacked(self) -> list[Key]:
        """The keys, one by one."""
        return unpack(self.packed, length_of(self.start))

    def only(self, places: list[int]) -> Bucket:
        """The same with those alone that stand at these places."""
        keys, sizes, mtimes, links = self.unpacked(), self.sizes, self.mtimes, self.links
        return Bucket(
            self.start,
            b"".join([keys[at] for at in places]),
            array("q", [sizes[at] for at in places]),
            array("d", [mtimes[at] for at in places]),
            array("L", [links[at] for at in places]),
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """All of them, in order."""

    buckets: list[Bucket] = field(default_factory=list[Bucket])

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def __iter__(self) -> Iterator[tuple[Key, int, float, int]]:
        """Key, size, mtime and number of names of each."""
        for bucket in self.buckets:
            yield from zip(bucket.unpacked(), bucket.sizes, bucket.mtimes, bucket.links, strict=True)

    def without(self, keys: Set[Key]) -> Candidates:
        """Those that are not among the keys, of which there are few."""
        starts = {key[:1].hex() for key in keys}
        left: list[Bucket] = []
        for bucket in self.buckets:
            if bucket.start[-2:] not in starts:
                left.append(bucket)
                continue
            places = [at for at, key in enumerate(bucket.unpacked()) if key not in keys]
            if places:
                left.append(bucket.only(places))
        return Candidates(left)

    def old(self, rules: Rules) -> Candidates:
        """Those that are not too young to go."""
        old: list[Bucket] = []
        for bucket in self.buckets:
            if not rules.young(max(bucket.mtimes)):
                old.append(bucket)
                continue
            places = [at for at, mtime in enumerate(bucket.mtimes) if not rules.young(mtime)]
            if places:
                old.append(bucket.only(places))
        return Candidates(old)

    def among(self, keys: Set[Key]) -> Candidates:
        """Those that are among `keys`."""
        some: list[Bucket] = []
        for bucket in self.buckets:
            places = [at for at, key in enumerate(bucket.unpacked()) if key in keys]
            if places:
                some.append(bucket.only(places))
        return Candidates(some)


def find_candidates(
    blobs: Blobs, live: Keys, reader: Reader, found: Contents, progress: Progress
) -> Candidates:
    """The blobs that are not `live`, in order; what is there in place of one is noted in `found`.

    Raises ReadError.
    """
    candidates = Candidates()
    count = 0
    with read_errors(reader.view):
        for start, keys in _without(blobs, live):
            above = f"{layout.BLOBS}/{start}"
            stats = list(reader.view.stat_many([f"{above}/{key.hex()}/data" for key in keys]))
            there = [stat for stat in stats if stat is not None and stat.kind == "file"]
            if len(there) < len(keys):
                others = [
                    key for key, stat in zip(keys, stats, strict=True) if stat is None or stat.kind != "file"
                ]
                for key in others:
                    reader.leaf(f"{above}/{key.hex()}", "data", found, in_repository=False)
                blobs.missing.update(others)
                keys = [key for key in keys if key not in blobs.missing]
            if there:
                candidates.buckets.append(Bucket.of(start, keys, there))
            count += len(there)
            progress("look at what may go", count)
    return candidates


def _without(blobs: Blobs, live: Keys) -> Iterator[tuple[str, list[Key]]]:
    """The keys of the blobs that are not `live`, those of one start at a time."""
    for start, packed in blobs.packed.items():
        length = length_of(start)
        used = live.beginning_with(int(start[-2:], 16))
        keys = sorted(key for key in unpack(packed, length) if key not in used)
        if keys:
            yield start, keys
