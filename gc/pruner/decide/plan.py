"""Tree + Marks -> Plan: every removal with its reason and its bytes, as a value that changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pruner.decide.mark import Marks, RepositoryMarks
from pruner.decide.roots import RepositoryRoots, Rules
from pruner.settings.durations import format_moment
from pruner.storage import Stat
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.model import Leftover, Link, Repository, Tag, Tree

Kind = Literal[
    "upload",
    "temporary",
    "tag",
    "index-link",
    "revision",
    "layer-link",
    "signatures",
    "blob",
    "folder",
    "repository",
    "trash",
]
LINKS: frozenset[Kind] = frozenset({"tag", "index-link", "revision", "layer-link"})
"""Kinds that are link files: taken away first and put back when a later look wants them."""
LEFTOVERS: frozenset[Kind] = frozenset({"upload", "temporary", "signatures"})


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that goes.

    `path` is relative to the storage's root. `bytes` is what it frees: the data of blobs, uploads and
    temporary files; links count 0, and so does a blob with a second hard link. `repository` of a blob is the
    only one that had it, and empty when there were several or none.
    """

    kind: Kind
    repository: str
    digest: str
    path: str
    bytes: int
    reason: str
    tag: str = ""
    link: Link | None = None
    leftover: Leftover | None = None
    stat: Stat | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All removals, in the order of execution, and what stays although nothing refers to it.

    `kept` counts by reason what was kept for safety; `skipped` maps a repository that is kept whole to the
    reason; `dangling` are tags without a manifest, as repository:tag.
    """

    removals: tuple[Removal, ...]
    kept: Mapping[str, int]
    skipped: Mapping[str, str]
    dangling: tuple[str, ...]

    def of(self, *kinds: Kind) -> tuple[Removal, ...]:
        """The removals of the given kinds, in order."""
        return tuple(removal for removal in self.removals if removal.kind in kinds)


def candidates(tree: Tree, marks: Marks) -> list[str]:
    """Digests of blobs that nothing refers to; the plan needs the Stat of each."""
    return sorted(tree.blobs - marks.blobs)


def make_plan(
    tree: Tree,
    roots: Mapping[str, RepositoryRoots],
    marks: Marks,
    rules: Rules,
    stats: Mapping[str, Stat],
    library: Library,
    expired: tuple[Removal, ...] = (),
) -> Plan:
    """The plan for `tree`.

    `stats` holds size and age of the candidates that are still there; `expired` is what leaves the trash.
    """
    return _Planner(tree, roots, marks, rules, stats, library).plan(expired)


@dataclass(slots=True)
class _Planner:
    tree: Tree
    roots: Mapping[str, RepositoryRoots]
    marks: Marks
    rules: Rules
    stats: Mapping[str, Stat]
    library: Library
    kept: Counter[str] = field(default_factory=Counter[str])

    def plan(self, expired: tuple[Removal, ...]) -> Plan:
        early: list[Removal] = []
        links: list[Removal] = []
        folders: list[Removal] = []
        skipped: dict[str, str] = {}
        early.extend(self._leftovers("temporary", "", self.tree.temporaries, 0.0))
        for name, repository in sorted(self.tree.repositories.items()):
            marks = self.marks.repositories[name]
            if marks.whole is not None:
                skipped[name] = marks.whole
                continue
            uploads = list(self._leftovers("upload", name, repository.uploads, self.rules.uploads_after))
            temporaries = list(self._leftovers("temporary", name, repository.temporaries, 0.0))
            signatures = list(self._leftovers("signatures", name, repository.signatures, 0.0))
            of_links = [*self._tags(repository, marks), *self._revisions(repository, marks)]
            of_links.extend(self._layers(repository, marks))
            early.extend((*uploads, *temporaries, *signatures))
            links.extend(of_links)
            if self._is_emptied(repository, of_links, len(uploads) + len(temporaries) + len(signatures)):
                reason = "nothing is left in it"
                folders.append(Removal("repository", name, "", repository.path, 0, reason))
            else:
                whole = {removal.path for removal in of_links if removal.kind == "folder"}
                folders.extend(self._folders(name, repository, whole))
        folders.extend(self._loose_folders())
        blobs = list(self._blobs(_holders(links)))
        self._count_kept()
        dangling = sorted(
            f"{name}:{tag}"
            for name, roots in self.roots.items()
            for tag in (*roots.dangling, *self._without_manifest(name))
            if tag not in self.marks.repositories[name].dropped_tags
        )
        return Plan((*early, *links, *blobs, *expired, *folders), dict(self.kept), skipped, tuple(dangling))

    def _without_manifest(self, name: str) -> Iterator[str]:
        revisions = self.tree.repositories[name].revisions
        for tag, digest in self.roots[name].tags.items():
            if digest not in revisions or self.library.get(digest) is None:
                yield tag

    # -- links

    def _tags(self, repository: Repository, marks: RepositoryMarks) -> Iterator[Removal]:
        for tag in repository.tags.values():
            reason = marks.dropped_tags.get(tag.name)
            if reason is not None:
                yield from self._whole_tag(repository, tag, reason)
                continue
            current = tag.current.target if tag.current is not None else None
            for link in tag.index:
                if current is None or link.named == current:
                    continue
                if self._may_go(link):
                    yield self._removal("index-link", repository, link, "an older push of the tag", tag.name)

    def _whole_tag(self, repository: Repository, tag: Tag, reason: str) -> Iterator[Removal]:
        if tag.current is not None:
            yield self._removal("tag", repository, tag.current, reason, tag.name)
        elif not tag.index:
            yield Removal("folder", repository.name, "", tag.path, 0, reason, tag.name)
        for link in tag.index:
            yield self._removal("index-link", repository, link, f"its tag goes: {reason}", tag.name)

    def _revisions(self, repository: Repository, marks: RepositoryMarks) -> Iterator[Removal]:
        dead = [digest for digest in repository.revisions if digest not in marks.revisions]
        for digest in self._parents_first(dead):
            link = repository.revisions[digest]
            if self._may_go(link):
                if self.library.get(digest) is None:
                    reason = "its manifest is not there"
                else:
                    reason = f"untagged, last pushed at {format_moment(link.mtime)}"
                yield self._removal("revision", repository, link, reason)

    def _parents_first(self, digests: list[str]) -> list[str]:
        """Indexes before the manifests they list, so that a run that is cut short leaves no broken index."""
        dead = set(digests)
        ordered: list[str] = []
        done: set[str] = set()
        for start in digests:
            stack: list[tuple[str, bool]] = [(start, False)]
            while stack:
                digest, expanded = stack.pop()
                if expanded:
                    ordered.append(digest)
                    continue
                if digest in done:
                    continue
                done.add(digest)
                stack.append((digest, True))
                manifest = self.library.get(digest)
                if isinstance(manifest, Manifest):
                    stack.extend((child, False) for child in manifest.children if child in dead)
        ordered.reverse()
        return ordered

    def _layers(self, repository: Repository, marks: RepositoryMarks) -> Iterator[Removal]:
        for digest, link in repository.layers.items():
            if digest not in marks.layers and self._may_go(link):
                yield self._removal("layer-link", repository, link, "no manifest of the repository needs it")

    def _removal(self, kind: Kind, repository: Repository, link: Link, reason: str, tag: str = "") -> Removal:
        return Removal(kind, repository.name, link.named, link.path, 0, reason, tag, link)

    def _may_go(self, link: Link) -> bool:
        if not link.sound:
            self.kept["a damaged link"] += 1
            return False
        if self.rules.stays(link):
            self.kept["younger than the grace"] += 1
            return False
        return True

    # -- blobs, leftovers, folders

    def _blobs(self, holders: Mapping[str, set[str]]) -> Iterator[Removal]:
        for digest in candidates(self.tree, self.marks):
            stat = self.stats.get(digest)
            if stat is None:
                continue
            if self.rules.young(stat.mtime):
                self.kept["younger than the grace"] += 1
                continue
            freed = stat.size if stat.links == 1 else 0
            path = layout.blob_data(digest)
            names = holders.get(digest, set())
            name = next(iter(names)) if len(names) == 1 else ""
            yield Removal("blob", name, digest, path, freed, "nothing that stays refers to it", stat=stat)

    def _leftovers(
        self, kind: Kind, name: str, leftovers: tuple[Leftover, ...], after: float
    ) -> Iterator[Removal]:
        for leftover in leftovers:
            age = self.rules.now - leftover.mtime
            if age < after or self.rules.young(leftover.mtime):
                self.kept["an upload that may go on" if kind == "upload" else "younger than the grace"] += 1
                continue
            reason = {
                "upload": f"abandoned: unchanged since {format_moment(leftover.mtime)}",
                "temporary": f"left over from a write at {format_moment(leftover.mtime)}",
            }.get(kind, "signatures are no longer read by the registry")
            yield Removal(kind, name, "", leftover.path, leftover.bytes, reason, leftover=leftover)

    def _folders(self, name: str, repository: Repository, whole: set[str]) -> Iterator[Removal]:
        """Empty folders, except those inside the `whole` ones."""
        for folder in repository.empty_folders:
            if layout.tag_folder(folder.path) not in whole and not self.rules.young(folder.mtime):
                yield Removal("folder", name, "", folder.path, 0, "empty")

    def _loose_folders(self) -> Iterator[Removal]:
        for folder in self.tree.empty_folders:
            if not self.rules.young(folder.mtime):
                yield Removal("folder", "", "", folder.path, 0, "empty")

    def _is_emptied(self, repository: Repository, gone: list[Removal], leftovers: int) -> bool:
        tags = repository.tags.values()
        of_tags = sum(len(tag.index) + (tag.current is not None or not tag.index) for tag in tags)
        return (
            of_tags + len(repository.revisions) + len(repository.layers) == len(gone)
            and len(repository.uploads + repository.temporaries + repository.signatures) == leftovers
            and not repository.unexplained
            and not self.rules.young(repository.mtime)
            and not any(self.rules.young(folder.mtime) for folder in repository.empty_folders)
        )

    def _count_kept(self) -> None:
        for name, roots in self.roots.items():
            if self.marks.repositories[name].whole is None:
                tagged = set(roots.tags.values())
                self.kept.update(
                    reason
                    for digest, reason in roots.pinned.items()
                    if digest in self.tree.repositories[name].revisions and digest not in tagged
                )


def _holders(links: list[Removal]) -> dict[str, set[str]]:
    """The repositories whose links to a digest go, by digest."""
    holders: dict[str, set[str]] = {}
    for removal in links:
        holders.setdefault(removal.digest, set()).add(removal.repository)
    return holders
