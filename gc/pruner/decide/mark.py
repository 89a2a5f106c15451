"""Tree + Roots -> Marks: everything that stays.

The walk starts at the roots and follows every reference. Liveness of links is a matter of one repository;
liveness of bytes of the whole tree. Two relations run backwards: a referrer is live when its subject is, and
so is a tag named after a subject. What cannot be explained is kept: a repository with a root or manifest
that cannot be understood is kept whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pruner.decide.roots import RepositoryRoots, Rules
from pruner.tree.library import Library
from pruner.tree.manifests import Damaged, Manifest
from pruner.tree.model import Repository, Tree


@dataclass(slots=True)
class RepositoryMarks:
    """What stays in one repository.

    `revisions` and `needed_layers` are digests that live manifests need here, whether or not the links are
    there; `layers` are those whose layer link stays; `tags` maps a tag that goes to the reason; `whole` says
    why everything here is kept, and is None in a sound repository.
    """

    revisions: set[str] = field(default_factory=set[str])
    needed_layers: set[str] = field(default_factory=set[str])
    layers: set[str] = field(default_factory=set[str])
    dropped_tags: dict[str, str] = field(default_factory=dict[str, str])
    whole: str | None = None


@dataclass(slots=True)
class Marks:
    """What stays: `blobs` are digests whose bytes something that stays refers to."""

    blobs: set[str] = field(default_factory=set[str])
    repositories: dict[str, RepositoryMarks] = field(default_factory=dict[str, RepositoryMarks])


def mark(tree: Tree, roots: Mapping[str, RepositoryRoots], library: Library, rules: Rules) -> Marks:
    """Everything reachable; raises ReadError when a manifest is there and cannot be read."""
    return _Marker(tree, roots, library, rules).marks()


class _Marker:
    def __init__(
        self, tree: Tree, roots: Mapping[str, RepositoryRoots], library: Library, rules: Rules
    ) -> None:
        self.tree = tree
        self.roots = roots
        self.library = library
        self.rules = rules
        self.result = Marks(repositories={name: RepositoryMarks() for name in tree.repositories})
        self.pending: list[tuple[str, str, str]] = []
        self.referrers: dict[tuple[str, str], list[str]] = {}
        self.holders: dict[str, list[str]] | None = None
        self.waiting: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def marks(self) -> Marks:
        for name, repository in self.tree.repositories.items():
            self._start(name, repository, self.roots[name])
        self._start_referrer_tags()
        self._walk()
        for key, tags in self.waiting.items():
            for name, tag in tags:
                self.result.repositories[name].dropped_tags[tag] = f"its subject {key[0]}:{key[1]} goes"
        for name, repository in self.tree.repositories.items():
            self._keep_links(repository, self.result.repositories[name])
        return self.result

    def _start(self, name: str, repository: Repository, roots: RepositoryRoots) -> None:
        self.result.repositories[name].dropped_tags.update(roots.dropped)
        for digest in repository.revisions:
            manifest = self.library.get(digest)
            if isinstance(manifest, Damaged):
                self._keep_whole(name, f"revision {digest}: {manifest}")
            elif manifest is not None:
                if manifest.subject is not None:
                    self.referrers.setdefault((name, manifest.subject), []).append(digest)
                if not manifest.explained:
                    self.pending.append((name, digest, "an unknown kind of manifest"))
        for sentence in repository.damage:
            self._keep_whole(name, sentence)
        if repository.borrowed:
            self._keep_whole(name, "it is reached through a symbolic link")
        for tag, digest in roots.tags.items():
            self.pending.append((name, digest, f"tag {tag}"))
        for digest, reason in roots.pinned.items():
            if digest in repository.revisions:
                self.pending.append((name, digest, "" if self._is_gone(digest) else reason))
                target = repository.revisions[digest].target
                if target is not None and target != digest:
                    self.pending.append((name, target, ""))

    def _is_gone(self, digest: str) -> bool:
        return self.library.get(digest) is None

    def _start_referrer_tags(self) -> None:
        """Tags named after a subject wait for it; one whose subject was never here is an ordinary root.

        A later look only meets such tags as the run holds since their subject goes; that may be quarantined.
        """
        for name, roots in self.roots.items():
            for tag, subject in roots.referrers.items():
                current = self.tree.repositories[name].tags[tag].current
                target = current.target if current is not None else None
                if target is not None and self._reaches(target, subject):
                    self.pending.append((name, target, f"tag {tag}"))
                else:
                    self.waiting.setdefault(subject, []).append((name, tag))
        if self.waiting and self.rules.only is None:
            present = {_subject_key(digest) for digest in self.tree.blobs}
            for key in [key for key in self.waiting if key not in present]:
                self._wake(key)

    def _reaches(self, root: str, key: tuple[str, str]) -> bool:
        """Whether a tag is named after its own image or a part of it, so that it is no referrer."""
        seen: set[str] = set()
        pending = [root]
        while pending:
            digest = pending.pop()
            if _subject_key(digest) == key:
                return True
            if digest in seen:
                continue
            seen.add(digest)
            manifest = self.library.get(digest)
            if isinstance(manifest, Manifest):
                if any(_subject_key(blob) == key for blob in manifest.blobs):
                    return True
                pending.extend(manifest.children)
        return False

    def _wake(self, key: tuple[str, str]) -> None:
        for name, tag in self.waiting.pop(key, ()):
            current = self.tree.repositories[name].tags[tag].current
            if current is not None and current.target is not None:
                self.pending.append((name, current.target, f"tag {tag}"))

    def _walk(self) -> None:
        while self.pending:
            name, digest, root = self.pending.pop()
            marks = self.result.repositories[name]
            if digest not in marks.revisions:
                marks.revisions.add(digest)
                self._visit(name, digest, root)
            elif root and self._is_gone(digest):
                self._keep_whole(name, f"{root}: its manifest {digest} is not there")

    def _visit(self, name: str, digest: str, root: str) -> None:
        marks = self.result.repositories[name]
        self.result.blobs.add(digest)
        self._wake(_subject_key(digest))
        for referrer in self.referrers.get((name, digest), ()):
            self.pending.append((name, referrer, ""))
        manifest = self.library.get(digest)
        if manifest is None and root:
            self._keep_whole(name, f"{root}: its manifest {digest} is not there")
        if not isinstance(manifest, Manifest):
            return  # sparse, or an entry of an index that is a layer
        marks.needed_layers.update(manifest.blobs, manifest.children)
        self.result.blobs.update(manifest.blobs)
        revisions = self.tree.repositories[name].revisions
        for blob in manifest.blobs:
            self._wake(_subject_key(blob))
            if blob in revisions:
                self.pending.append((name, blob, ""))  # the registry serves it as a manifest too
        for child in manifest.children:
            self.pending.append((name, child, ""))
            if child not in revisions:
                self._pin_elsewhere(child)

    def _pin_elsewhere(self, digest: str) -> None:
        """A reachable manifest without a link in its own repository is readable through another's only."""
        if self.holders is None:
            self.holders = {}
            for name, repository in self.tree.repositories.items():
                for revision in repository.revisions:
                    self.holders.setdefault(revision, []).append(name)
        self.pending.extend((name, digest, "") for name in self.holders.get(digest, ()))

    def _keep_whole(self, name: str, reason: str) -> None:
        marks = self.result.repositories[name]
        if marks.whole is not None:
            return
        marks.whole = reason
        marks.dropped_tags.clear()
        repository = self.tree.repositories[name]
        for link in repository.revisions.values():
            self.pending.extend((name, digest, "") for digest in link.digests)
        for tag in repository.tags.values():
            for link in (*tag.index, *([tag.current] if tag.current else [])):
                self.pending.extend((name, digest, "") for digest in link.digests)

    def _keep_links(self, repository: Repository, marks: RepositoryMarks) -> None:
        for digest, link in repository.layers.items():
            if (
                marks.whole is not None
                or digest in marks.needed_layers
                or not link.sound
                or self.rules.stays(link)
            ):
                marks.layers.add(digest)
                self.result.blobs.update(link.digests)
        if marks.whole is not None:
            marks.dropped_tags.clear()


def _subject_key(digest: str) -> tuple[str, str]:
    algorithm, name = digest.split(":")
    return algorithm, name[:64]
