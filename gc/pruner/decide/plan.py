"""Tree + Marks -> Plan: every removal with its reason and its bytes, as a value that changes nothing."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pruner.decide.candidates import Candidates
from pruner.decide.marks import Marks, RepositoryMarks
from pruner.decide.removal import LEFTOVERS, LINKS, Kind, Removal
from pruner.decide.removals import Few, ManyBlobs, ManyLinks, Part, Removals, by_kind
from pruner.decide.roots import RepositoryRoots, Rules
from pruner.settings.durations import format_moment
from pruner.tree import layout
from pruner.tree.digests import Key, key_of
from pruner.tree.library import Library
from pruner.tree.manifests import Manifest
from pruner.tree.model import Contents, Leftover, Link, Tag
from pruner.tree.whole import Repository, Tree

__all__ = ["LEFTOVERS", "LINKS", "Kind", "Plan", "Removal", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All removals, in the order of execution, and what stays although nothing refers to it.

    `kept` counts by reason what was kept for safety; `skipped` maps a repository that is kept whole to the
    reason; `dangling` are tags without a manifest, as repository:tag.
    """

    removals: Removals
    kept: Mapping[str, int]
    skipped: Mapping[str, str]
    dangling: tuple[str, ...]

    def of(self, *kinds: Kind) -> Removals:
        """The removals of the given kinds, in order."""
        return self.removals.of(*kinds)


def make_plan(
    tree: Tree,
    roots: Mapping[str, RepositoryRoots],
    marks: Marks,
    rules: Rules,
    candidates: Candidates,
    library: Library,
    expired: tuple[Removal, ...] = (),
) -> Plan:
    """The plan for `tree`; `expired` is what leaves the trash."""
    return _Planner(tree, roots, marks, rules, candidates, library).plan(expired)


@dataclass(slots=True)
class _Planner:
    tree: Tree
    roots: Mapping[str, RepositoryRoots]
    marks: Marks
    rules: Rules
    candidates: Candidates
    library: Library
    kept: Counter[str] = field(default_factory=Counter[str])
    owners: dict[Key, int] = field(default_factory=dict[Key, int])
    names: list[str] = field(default_factory=lambda: [""])

    def plan(self, expired: tuple[Removal, ...]) -> Plan:
        early: list[Part] = []
        links: list[Part] = []
        folders: list[Part] = []
        skipped: dict[str, str] = {}
        if not self.rules.repositories:
            early.append(self._leftovers("temporary", "", self.tree.found.temporaries, 0.0))
        for name, repository in sorted(self.tree.repositories.items()):
            if not self.rules.covers(name):
                continue
            marks = self.marks.repositories[name]
            if marks.whole is not None:
                skipped[name] = marks.whole
                continue
            found = repository.found
            leftovers = [
                self._leftovers("upload", name, found.uploads, self.rules.uploads_after),
                self._leftovers("temporary", name, found.temporaries, 0.0),
                self._leftovers("signatures", name, found.signatures, 0.0),
            ]
            of_tags = list(self._tags(repository, marks))
            of_links = [*by_kind(of_tags), *self._links(repository, marks)]
            self._own(name, of_tags, marks)
            early.extend(leftovers)
            links.extend(of_links)
            if self._is_emptied(repository, sum(map(len, of_links)), sum(map(len, leftovers))):
                reason = "nothing is left in it"
                removal = Removal("repository", name, "", repository.path, 0, reason)
                folders.append(Few("repository", [removal]))
            else:
                whole = {removal.path for removal in of_tags if removal.kind == "folder"}
                folders.append(Few("folder", list(self._folders(name, found, whole))))
        if not self.rules.repositories:
            folders.append(Few("folder", list(self._folders("", self.tree.found, set()))))
        blobs = self._blobs()
        self._count_kept()
        dangling = sorted(
            f"{name}:{tag}"
            for name, roots in self.roots.items()
            if self.rules.covers(name)
            for tag in (*roots.dangling, *self._without_manifest(name))
            if tag not in self.marks.repositories[name].dropped_tags
        )
        parts = [*early, *links, blobs, Few("trash", list(expired)), *folders]
        return Plan(Removals(parts), dict(self.kept), skipped, tuple(dangling))

    def _without_manifest(self, name: str) -> Iterator[str]:
        revisions, images = self.tree.repositories[name].revisions, self.library.images
        listed, held = revisions.listed, revisions.held
        for tag, digest in self.roots[name].tags.items():
            key = key_of(digest)
            is_listed = key in listed or key in held
            if not is_listed or (key not in images and self.library.find(key) is None):
                yield tag

    # -- links

    def _tags(self, repository: Repository, marks: RepositoryMarks) -> Iterator[Removal]:
        # Tags with anything but the one link in their history were looked at closely, and so was what goes.
        for name, tag in sorted(repository.tags.close.items()):
            if tag is None:
                continue
            reason = marks.dropped_tags.get(name)
            if reason is not None:
                yield from self._whole_tag(repository, tag, reason)
                continue
            current = tag.current.target if tag.current is not None else None
            for link in tag.index:
                if current is None or link.named == current:
                    continue
                if self._may_go(link):
                    yield _removal("index-link", repository, link, "an older push of the tag", tag.name)

    def _whole_tag(self, repository: Repository, tag: Tag, reason: str) -> Iterator[Removal]:
        if tag.current is not None:
            yield _removal("tag", repository, tag.current, reason, tag.name)
        elif not tag.index:
            yield Removal("folder", repository.name, "", tag.path, 0, reason, tag.name)
        for link in tag.index:
            yield _removal("index-link", repository, link, f"its tag goes: {reason}", tag.name)

    def _links(self, repository: Repository, marks: RepositoryMarks) -> Iterator[Part]:
        name = repository.name
        dead = self._parents_first(marks.dead)
        yield ManyLinks("revision", name, repository.revisions, dead, self._why_dead)
        yield ManyLinks("layer-link", name, repository.layers, marks.stale, _why_stale)

    def _why_dead(self, key: Key, mtime: float) -> str:
        if self.library.find(key) is None:
            return "its manifest is not there"
        return f"untagged, last pushed at {format_moment(mtime)}"

    def _parents_first(self, keys: list[Key]) -> list[Key]:
        """Indexes before the manifests they list, so that a run that is cut short leaves no broken index."""
        find = self.library.find
        if not any(isinstance(find(key), Manifest) for key in keys):
            return keys
        dead = set(keys)
        ordered: list[Key] = []
        done: set[Key] = set()
        for start in keys:
            stack: list[tuple[Key, bool]] = [(start, False)]
            while stack:
                key, expanded = stack.pop()
                if expanded:
                    ordered.append(key)
                    continue
                if key in done:
                    continue
                done.add(key)
                stack.append((key, True))
                manifest = find(key)
                if isinstance(manifest, Manifest):
                    children = map(key_of, manifest.children)
                    stack.extend((child, False) for child in children if child in dead)
        ordered.reverse()
        return ordered

    def _may_go(self, link: Link) -> bool:
        if not link.sound:
            self.kept["a damaged link"] += 1
            return False
        if self.rules.stays(link):
            self.kept["younger than the grace"] += 1
            return False
        return True

    # -- blobs, leftovers, folders

    def _own(self, name: str, of_tags: list[Removal], marks: RepositoryMarks) -> None:
        """Note of which digests the links go: a blob is reported with the only repository that had it."""
        owners = self.owners
        place = len(self.names)
        self.names.append(name)
        digests = [key_of(removal.digest) for removal in of_tags if removal.digest]
        for key in (*digests, *marks.dead, *marks.stale):
            owners[key] = place if owners.get(key, place) == place else 0

    def _blobs(self) -> ManyBlobs:
        candidates = self.candidates
        if self.rules.repositories:
            candidates = candidates.among(self._freed())
        found = candidates.old(self.rules)
        self.kept["younger than the grace"] += len(candidates) - len(found)
        owner = self.owners.get
        if self.rules.only is None:
            owners = array("L", [owner(key, 0) for bucket in found.buckets for key in bucket.unpacked()])
        else:
            owners = array("L", bytes(array("L").itemsize * len(found)))  # nobody asks a later look
        reason = "nothing that stays refers to it"
        return ManyBlobs(found, owners, self.names, reason)

    def _freed(self) -> set[Key]:
        """What lost a link in this plan, and what the manifests that go refer to."""
        freed = set(self.owners)
        for name, marks in self.marks.repositories.items():
            if marks.whole is None and self.rules.covers(name):
                freed |= marks.named_by(marks.dead)
        return freed

    def _leftovers(self, kind: Kind, name: str, leftovers: list[Leftover], after: float) -> Few:
        removals: list[Removal] = []
        for leftover in leftovers:
            age = self.rules.now - leftover.mtime
            if age < after or self.rules.young(leftover.mtime):
                self.kept["an upload that may go on" if kind == "upload" else "younger than the grace"] += 1
                continue
            reason = {
                "upload": f"abandoned: unchanged since {format_moment(leftover.mtime)}",
                "temporary": f"left over from a write at {format_moment(leftover.mtime)}",
            }.get(kind, "signatures are no longer read by the registry")
            removals.append(Removal(kind, name, "", leftover.path, leftover.bytes, reason, leftover=leftover))
        return Few(kind, removals)

    def _folders(self, name: str, found: Contents, whole: set[str]) -> Iterator[Removal]:
        """Empty folders, except those inside the `whole` ones."""
        for folder in found.empty_folders:
            if layout.tag_folder(folder.path) not in whole and not self.rules.young(folder.mtime):
                yield Removal("folder", name, "", folder.path, 0, "empty")

    def _is_emptied(self, repository: Repository, gone: int, leftovers: int) -> bool:
        found = repository.found
        tags = repository.tags
        if len(tags.current) > gone or found.unexplained or self.rules.young(repository.mtime):
            return False
        of_tags = len(tags.current.keys() - tags.close.keys()) * 2
        for tag in tags.close.values():
            if tag is not None:
                of_tags += len(tag.index) + (tag.current is not None or not tag.index)
        left = gone - of_tags  # counting all links takes long, and most repositories have more tags
        return (
            left >= 0
            and len(repository.revisions) + len(repository.layers) == left
            and len(found.uploads) + len(found.temporaries) + len(found.signatures) == leftovers
            and not any(self.rules.young(folder.mtime) for folder in found.empty_folders)
        )

    def _count_kept(self) -> None:
        for name, roots in self.roots.items():
            if self.marks.repositories[name].whole is None and roots.pinned and self.rules.covers(name):
                tagged = set(roots.tags.values())
                revisions = self.tree.repositories[name].revisions
                self.kept.update(
                    reason
                    for digest, reason in roots.pinned.items()
                    if digest not in tagged and digest in revisions
                )
        self.kept += Counter()  # without what is 0


def _why_stale(_key: Key, _mtime: float) -> str:
    return "no manifest of the repository needs it"


def _removal(kind: Kind, repository: Repository, link: Link, reason: str, tag: str = "") -> Removal:
    return Removal(kind, repository.name, link.named, link.path, 0, reason, tag, link)
