"""Removals in bulk: a plan has them by the hundred thousand, and most are a digest and a time.

`Removals` is a sequence of `Removal` in which those alike stand together and are made when somebody asks.
Their numbers, their bytes and their JSON are had without making them.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from typing import NamedTuple, Protocol, cast, overload

from pruner.decide.candidates import Candidates
from pruner.decide.removal import Kind, Removal, as_json
from pruner.storage import Stat
from pruner.tree import layout
from pruner.tree.digests import Key, text_of
from pruner.tree.links import Links
from pruner.tree.model import Link


class Total(NamedTuple):
    """So many removals, and the bytes that they free."""

    number: int
    bytes: int


class Part(Protocol):
    """Removals of one kind."""

    @property
    def kind(self) -> Kind:
        """What they are."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Removal]: ...

    def paths(self) -> Iterator[str]:
        """The path of each."""
        ...

    def totals(self) -> Iterator[tuple[str, Total]]:
        """Totals with their repository (empty: none, or several)."""
        ...

    def json(self, root: str) -> Iterator[str]:
        """Each as a JSON object."""
        ...


@dataclass(frozen=True, slots=True)
class Few:
    """Removals of any kind, as they are."""

    kind: Kind
    removals: list[Removal]

    def __len__(self) -> int:
        return len(self.removals)

    def __iter__(self) -> Iterator[Removal]:
        return iter(self.removals)

    def paths(self) -> Iterator[str]:
        """The path of each."""
        return (removal.path for removal in self.removals)

    def totals(self) -> Iterator[tuple[str, Total]]:
        """Totals with their repository."""
        numbers = Counter(removal.repository for removal in self.removals)
        freed: Counter[str] = Counter()
        for removal in self.removals:
            freed[removal.repository] += removal.bytes
        return ((name, Total(number, freed[name])) for name, number in numbers.items())

    def json(self, root: str) -> Iterator[str]:
        """Each as a JSON object."""
        return (json.dumps(as_json(removal, root)) for removal in self.removals)


def by_kind(removals: Iterable[Removal]) -> list[Few]:
    """The same in the same order, those of one kind together while they follow each other."""
    groups = [list(each) for _, each in groupby(removals, key=lambda removal: removal.kind)]
    return [Few(each[0].kind, each) for each in groups]


@dataclass(frozen=True, slots=True)
class ManyLinks:
    """Sound links of one repository that go, with the mtime of each; `reason` says why."""

    kind: Kind
    repository: str
    links: Links
    keys: list[Key]
    reason: Callable[[Key, float], str]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Removal]:
        for key in self.keys:
            link = self.links.at(key)
            if link is not None:
                reason = self.reason(key, link.mtime)
                yield Removal(self.kind, self.repository, link.named, link.path, 0, reason, "", link)

    def paths(self) -> Iterator[str]:
        """The path of each."""
        return map(self.links.path_of, self.keys)

    def totals(self) -> Iterator[tuple[str, Total]]:
        """Totals with their repository."""
        yield self.repository, Total(len(self.keys), 0)

    def json(self, root: str) -> Iterator[str]:
        """Each as a JSON object."""
        start = f'{{"kind": "{self.kind}", "repository": {json.dumps(self.repository)}, "digest": "'
        above = json.dumps(f"{root}/{self.links.path}")[1:-1]
        said: dict[str, str] = {}
        for key in self.keys:
            found = self.links.known(key)
            reason = self.reason(key, found.mtime if isinstance(found, Link) else found or 0.0)
            end = said.get(reason)
            if end is None:
                said = {reason: (end := f'/link", "bytes": 0, "reason": {json.dumps(reason)}}}')}
            digest = text_of(key)
            yield f'{start}{digest}", "path": "{above}/{digest[:6]}/{digest[7:]}{end}'


@dataclass(frozen=True, slots=True)
class ManyBlobs:
    """Blobs that go. `owners` is, for each, the place in `names` of the only repository that had it."""

    blobs: Candidates
    owners: array[int]
    names: list[str]
    reason: str
    kind: Kind = "blob"

    def __len__(self) -> int:
        return len(self.owners)

    def __iter__(self) -> Iterator[Removal]:
        for (key, size, mtime, links), owner in zip(self.blobs, self.owners, strict=True):
            freed = size if links == 1 else 0
            path = layout.blob_path(key.hex(), len(key))
            stat = Stat(size, mtime, links)
            digest = text_of(key)
            yield Removal("blob", self.names[owner], digest, path, freed, self.reason, stat=stat)

    def paths(self) -> Iterator[str]:
        """The path of each."""
        return (layout.blob_path(key.hex(), len(key)) for key, *_ in self.blobs)

    def totals(self) -> Iterator[tuple[str, Total]]:
        """Totals with their repository."""
        counts = Counter(self.owners)
        freed = [0] * len(self.names)
        at = 0
        for bucket in self.blobs.buckets:
            owners = self.owners[at : at + len(bucket)]
            at += len(bucket)
            for size, links, owner in zip(bucket.sizes, bucket.links, owners, strict=True):
                if links == 1:
                    freed[owner] += size
        return ((name, Total(counts[at], freed[at])) for at, name in enumerate(self.names))

    def json(self, root: str) -> Iterator[str]:
        """Each as a JSON object."""
        above = json.dumps(f"{root}/{layout.BLOBS}")[1:-1]
        starts = [f'{{"kind": "blob", "repository": {json.dumps(name)}, "digest": "' for name in self.names]
        end = f', "reason": {json.dumps(self.reason)}}}'
        at = 0
        for bucket in self.blobs.buckets:
            owners = self.owners[at : at + len(bucket)]
            at += len(bucket)
            algorithm = bucket.start[:6]
            path = f'", "path": "{above}/{bucket.start}/'
            columns = zip(bucket.unpacked(), bucket.sizes, bucket.links, owners, strict=True)
            for key, size, links, owner in columns:
                name = key.hex()
                freed = size if links == 1 else 0
                yield f'{starts[owner]}{algorithm}:{name}{path}{name}/data", "bytes": {freed}{end}'


class Removals(Sequence[Removal]):
    """All removals of a plan, in the order of execution."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.parts = [part for part in parts if len(part)]

    @staticmethod
    def of_all(removals: Iterable[Removal]) -> Removals:
        """Those removals, in that order."""
        return Removals(by_kind(removals))

    @overload
    def __getitem__(self, index: int) -> Removal: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Removal]: ...
    def __getitem__(self, index: int | slice) -> Removal | Sequence[Removal]:
        if isinstance(index, slice) or index < 0:
            return tuple(self)[index]
        for removal in islice(self, index, None):
            return removal
        raise IndexError(index)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[Removal]:
        return (removal for part in self.parts for removal in part)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(cast("Sequence[object]", other))

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def of(self, *kinds: Kind) -> Removals:
        """The removals of the given kinds, in order."""
        return Removals([part for part in self.parts if part.kind in kinds])

    def paths(self) -> set[str]:
        """The path of each."""
        return {path for part in self.parts for path in part.paths()}

    def number(self, kind: Kind) -> int:
        """How many removals of a kind there are."""
        return sum(len(part) for part in self.parts if part.kind == kind)

    def has(self, *kinds: Kind) -> bool:
        """Whether there is any removal of the given kinds."""
        return any(part.kind in kinds for part in self.parts)

    def totals(self) -> Iterator[tuple[Kind, str, Total]]:
        """Totals by kind and repository (a pair may come more than once)."""
        return iter(self._totals)

    @cached_property
    def _totals(self) -> list[tuple[Kind, str, Total]]:
        return [
            (part.kind, repository, total)
            for part in self.parts
            for repository, total in part.totals()
            if total.number
        ]

    def json(self, root: str) -> Iterator[str]:
        """Each as a JSON object, with absolute paths."""
        return (text for part in self.parts for text in part.json(root))
