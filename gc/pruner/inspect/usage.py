"""Who uses the storage: tags, manifests and bytes of every repository."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from pruner.decide.look import Look
from pruner.inspect.report import format_bytes
from pruner.storage import Storage
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.model import Repository

_LARGEST = 5


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


@dataclass(frozen=True, slots=True)
class Usage:
    """The whole storage; `bytes` counts every blob once, `trash_bytes` what waits in the trash."""

    repositories: tuple[RepositoryUsage, ...]
    blobs: int
    bytes: int
    reclaimable_bytes: int
    trash_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data; bytes are numbers."""
        data = asdict(self)
        for repository in data["repositories"]:
            repository["largest_tags"] = [
                {"tag": tag, "bytes": size} for tag, size in repository["largest_tags"]
            ]
        return data

    def text(self) -> str:
        """As a table."""
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
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        lines.append(
            f"{self.blobs} blobs, {format_bytes(self.bytes)}; "
            f"reclaimable {format_bytes(self.reclaimable_bytes)}; "
            f"in the trash {format_bytes(self.trash_bytes)}"
        )
        return "\n".join(line.rstrip() for line in lines)


def usage(look: Look, storage: Storage, trash_bytes: int) -> Usage:
    """Measure `look`'s tree; asks the storage for the size of every blob."""
    library = look.library
    sizes: dict[str, int] = {}
    for digest in look.tree.blobs:
        try:
            sizes[digest] = storage.stat(layout.blob_data(digest)).size
        except FileNotFoundError:
            continue
    going = {removal.digest: removal.bytes for removal in look.plan.of("blob")}
    contents = {name: _contents(repository, library) for name, repository in look.tree.repositories.items()}
    holders = Counter(digest for digests in contents.values() for digest in digests)
    entries: list[RepositoryUsage] = []
    for name, repository in sorted(look.tree.repositories.items()):
        digests = contents[name]
        entries.append(
            RepositoryUsage(
                name,
                len(repository.tags),
                len(repository.revisions),
                sum(sizes.get(digest, 0) for digest in digests if holders[digest] == 1),
                sum(sizes.get(digest, 0) for digest in digests if holders[digest] > 1),
                sum(going.get(digest, 0) for digest in digests),
                _largest(repository, library, sizes),
            )
        )
    return Usage(tuple(entries), len(sizes), sum(sizes.values()), sum(going.values()), trash_bytes)


def _contents(repository: Repository, library: Library) -> set[str]:
    digests = set(repository.layers)
    for digest in repository.revisions:
        digests |= _closure(digest, library)
    return digests


def _closure(root: str, library: Library) -> set[str]:
    reached: set[str] = set()
    pending = [root]
    while pending:
        digest = pending.pop()
        if digest not in reached:
            reached.add(digest)
            manifest = library.get(digest)
            if isinstance(manifest, Manifest):
                reached.update(manifest.blobs)
                pending.extend(manifest.children)
    return reached


def _largest(repository: Repository, library: Library, sizes: dict[str, int]) -> tuple[tuple[str, int], ...]:
    measured = [
        (tag.name, sum(sizes.get(digest, 0) for digest in _closure(tag.current.target, library)))
        for tag in repository.tags.values()
        if tag.current is not None and tag.current.target is not None
    ]
    return tuple(sorted(measured, key=lambda item: (-item[1], item[0]))[:_LARGEST])
