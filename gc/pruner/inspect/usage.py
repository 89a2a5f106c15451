"""Who uses the storage: tags, manifests and bytes of every repository, and what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pruner.decide.look import Look
from pruner.inspect.report import format_bytes
from pruner.inspect.tables import table
from pruner.settings.durations import format_moment
from pruner.tree.digests import Key, key_of, text_of, unpack
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.whole import Repository

_LARGEST = 5
_LISTED = 20


@dataclass(frozen=True, slots=True)
class RepositoryUsage:
    """One repository. Bytes: `exclusive` is in no other repository, `shared` is, `reclaimable` would go now.

    `largest_tags` are (tag, bytes of everything it needs).
    """

    name: str
    tags: int
    manifests: int
    exclusive_bytes: int
    shared_bytes: int
    reclaimable_bytes: int
    largest_tags: tuple[tuple[str, int], ...]

    @property
    def bytes(self) -> int:
        """All that the repository needs, every blob once."""
        return self.exclusive_bytes + self.shared_bytes


@dataclass(frozen=True, slots=True)
class SharedBlob:
    """A blob that several repositories need: it is stored once, and `saved` bytes are not stored again."""

    digest: str
    bytes: int
    repositories: int

    @property
    def saved(self) -> int:
        """Bytes that it would take more if every repository had a copy."""
        return self.bytes * (self.repositories - 1)


@dataclass(frozen=True, slots=True)
class TagUsage:
    """A tag: the bytes of everything it needs, and when it was last pushed (seconds since the epoch)."""

    repository: str
    tag: str
    bytes: int
    pushed: float


@dataclass(frozen=True, slots=True)
class Usage:
    """The whole storage; `bytes` counts every blob once, `trash_bytes` what waits in the trash.

    `shared` are the blobs that sharing saves most on, `largest` and `oldest` tags of all repositories; the
    first of each alone.
    """

    repositories: tuple[RepositoryUsage, ...]
    blobs: int
    bytes: int
    reclaimable_bytes: int
    trash_bytes: int
    saved_bytes: int = 0
    shared: tuple[SharedBlob, ...] = ()
    largest: tuple[TagUsage, ...] = ()
    oldest: tuple[TagUsage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes are numbers."""
        data = asdict(self)
        for repository in data["repositories"]:
            repository["largest_tags"] = [
                {"tag": tag, "bytes": size} for tag, size in repository["largest_tags"]
            ]
        return data

    def csv(self) -> str:
        """The repositories as comma-separated values with a header; bytes are plain numbers."""
        import csv  # only here: every run measures, and few people ask for this
        import io

        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(
            ("repository", "tags", "manifests", "exclusive_bytes", "shared_bytes", "reclaimable_bytes")
        )
        rows.writerows(
            (
                each.name,
                each.tags,
                each.manifests,
                each.exclusive_bytes,
                each.shared_bytes,
                each.reclaimable_bytes,
            )
            for each in self.repositories
        )
        return text.getvalue().rstrip("\n")

    def text(self) -> str:
        """As tables."""
        rows = [("REPOSITORY", "TAGS", "MANIFESTS", "EXCLUSIVE", "SHARED", "RECLAIMABLE", "LARGEST TAG")]
        for entry in self.repositories:
            largest = entry.largest_tags[0] if entry.largest_tags else None
            rows.append(
                (
                    entry.name,
                    str(entry.tags),
                    str(entry.manifests),
                    format_bytes(entry.exclusive_bytes),
                    format_bytes(entry.shared_bytes),
                    format_bytes(entry.reclaimable_bytes),
                    f"{largest[0]} ({format_bytes(largest[1])})" if largest else "-",
                )
            )
        lines = table(rows, right=set(range(1, 6)))
        if self.shared:
            head = ("SHARED BLOB", "SIZE", "REPOSITORIES", "SAVED")
            lines += ["", *table([head, *map(_shared_row, self.shared[:_LARGEST])])]
        if self.oldest:
            head = ("OLDEST TAG", "SIZE", "LAST PUSHED")
            lines += ["", *table([head, *map(_tag_row, self.oldest[:_LARGEST])]), ""]
        lines.append(
            f"{self.blobs} blobs, {format_bytes(self.bytes)}; "
            f"sharing saves {format_bytes(self.saved_bytes)}; "
            f"reclaimable {format_bytes(self.reclaimable_bytes)}; "
            f"in the trash {format_bytes(self.trash_bytes)}"
        )
        return "\n".join(lines)


def _shared_row(blob: SharedBlob) -> tuple[str, ...]:
    return (blob.digest, format_bytes(blob.bytes), str(blob.repositories), format_bytes(blob.saved))


def _tag_row(tag: TagUsage) -> tuple[str, ...]:
    return (f"{tag.repository}:{tag.tag}", format_bytes(tag.bytes), format_moment(tag.pushed))


def usage(look: Look, trash_bytes: int) -> Usage:
    """Measure `look`'s tree; asks for the size of every blob. Raises ReadError."""
    library = look.library
    sizes = dict(look.tree.blobs.sizes())
    going = {key_of(removal.digest): removal.bytes for removal in look.plan.of("blob")}
    contents = {name: _contents(repository, library) for name, repository in look.tree.repositories.items()}
    holders = Counter(key for keys in contents.values() for key in keys)
    entries: list[RepositoryUsage] = []
    tags: list[TagUsage] = []
    for name, repository in sorted(look.tree.repositories.items()):
        exclusive = shared_bytes = reclaimable = 0
        for key in contents[name]:
            size = sizes.get(key, 0)
            if holders[key] == 1:
                exclusive += size
            else:
                shared_bytes += size
            reclaimable += going.get(key, 0)
        measured = list(_tags(repository, library, sizes))
        tags.extend(measured)
        entries.append(
            RepositoryUsage(
                name,
                len(repository.tags),
                len(repository.revisions),
                exclusive,
                shared_bytes,
                reclaimable,
                tuple((each.tag, each.bytes) for each in sorted(measured, key=_by_size)[:_LARGEST]),
            )
        )
    shared = [
        SharedBlob(text_of(key), sizes[key], count)
        for key, count in holders.items()
        if count > 1 and key in sizes
    ]
    return Usage(
        tuple(entries),
        len(sizes),
        sum(sizes.values()),
        sum(going.values()),
        trash_bytes,
        sum(blob.saved for blob in shared),
        tuple(sorted(shared, key=lambda blob: (-blob.saved, blob.digest))[:_LISTED]),
        tuple(sorted(tags, key=_by_size)[:_LISTED]),
        tuple(sorted(tags, key=lambda tag: (tag.pushed, tag.repository, tag.tag))[:_LISTED]),
    )


def _by_size(tag: TagUsage) -> tuple[int, str, str]:
    return (-tag.bytes, tag.repository, tag.tag)


def _contents(repository: Repository, library: Library) -> set[Key]:
    keys = set(repository.layers.keys_listed())
    for key in repository.revisions.keys_listed():
        keys |= _closure(key, library)
    return keys


def _closure(root: Key, library: Library) -> set[Key]:
    reached: set[Key] = set()
    pending = [root]
    while pending:
        key = pending.pop()
        if key not in reached:
            reached.add(key)
            found = library.find(key)
            if isinstance(found, bytes):
                reached.update(unpack(found))
            elif isinstance(found, Manifest):
                reached.update(map(key_of, found.blobs))
                pending.extend(map(key_of, found.children))
    return reached


def _tags(repository: Repository, library: Library, sizes: Mapping[Key, int]) -> Iterator[TagUsage]:
    for name, current in repository.tags.current.items():
        if current.target is not None:
            size = sum(sizes.get(key, 0) for key in _closure(key_of(current.target), library))
            yield TagUsage(repository.name, name, size, current.mtime)
