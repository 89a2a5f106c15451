"""Tree + Roots -> Marks: everything that stays.

The walk starts at the roots and follows every reference. Liveness of links is a matter of one repository;
liveness of bytes of the whole tree. Two relations run backwards: a referrer is live when its subject is, and
so is a tag named after a subject. What cannot be explained is kept: a repository with a root or manifest
that cannot be understood is kept whole.

Links are examined when nothing reached them: only these may go. What is found in their folders may be damage,
and then the repository is kept whole after all, and the walk goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

from pruner.decide import retention
from pruner.decide.marks import Marks, RepositoryMarks
from pruner.decide.roots import RepositoryRoots, Rules, pin_reason
from pruner.tree.digests import Key, key_of, text_of, unpack
from pruner.tree.library import Library
from pruner.tree.links import Links
from pruner.tree.manifests import Damaged, Manifest, Mismatch
from pruner.tree.model import Link
from pruner.tree.scan import Progress
from pruner.tree.whole import Repository, Tree

_BATCH = 1000  # manifests that are asked for at once


def mark(
    tree: Tree,
    roots: Mapping[str, RepositoryRoots],
    library: Library,
    rules: Rules,
    progress: Progress = lambda _phase, _count: None,
) -> Marks:
    """Everything reachable; what is pinned on the way is noted in `roots`.

    Raises ReadError when a manifest or link is there and cannot be read.
    """
    _load(tree, library, progress)
    progress("mark", 0)
    return _Marker(tree, roots, library, rules).marks()


def _load(tree: Tree, library: Library, progress: Progress) -> None:
    """Read the manifests of all repositories, many at a time."""
    keys: list[Key] = []
    count = 0
    for repository in tree.repositories.values():
        keys.extend(repository.revisions.keys_listed())
        if len(keys) >= _BATCH:
            library.load(keys)
            count += len(keys)
            progress("read manifests", count)
            keys = []
    library.load(keys)


class _Marker:
    def __init__(
        self, tree: Tree, roots: Mapping[str, RepositoryRoots], library: Library, rules: Rules
    ) -> None:
        self.tree = tree
        self.roots = roots
        self.library = library
        self.rules = rules
        marks = {name: RepositoryMarks(each, library) for name, each in tree.repositories.items()}
        self.result = Marks(repositories=marks)
        self.pending: list[tuple[str, Key, str]] = []
        self.referrers: dict[tuple[str, Key], list[Key]] = {}
        self.holders: dict[Key, list[str]] | None = None
        self.waiting: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def marks(self) -> Marks:
        for name, repository in self.tree.repositories.items():
            self._start(name, repository, self.roots[name])
        self._start_referrer_tags()
        self._walk()
        examined: set[str] = set()
        while True:
            for name, repository in self.tree.repositories.items():
                if name not in examined:
                    self._pin(name, repository)
                    examined.add(name)
            self._walk()
            for name, repository in self.tree.repositories.items():
                self._examine(repository, self.result.repositories[name])
            for name, tag in [each for tags in self.waiting.values() for each in tags]:
                self.tree.repositories[name].tags.closely(tag)
            damaged = [
                name
                for name, repository in self.tree.repositories.items()
                if repository.damage and self.result.repositories[name].whole is None
            ]
            if not damaged:
                break
            for name in damaged:
                self._keep_whole(name, self.tree.repositories[name].damage[0])
            self._walk()
        for key, tags in self.waiting.items():
            for name, tag in tags:
                if (marks := self.result.repositories[name]).whole is None:
                    marks.dropped_tags[tag] = f"its subject {key[0]}:{key[1]} goes"
        return self.result

    def _start(self, name: str, repository: Repository, roots: RepositoryRoots) -> None:
        self.result.repositories[name].dropped_tags.update(roots.dropped)
        revisions = repository.revisions
        keys = list(revisions.keys_listed())
        for key in keys:
            found = self.library.find(key)
            if isinstance(found, bytes) or found is None or revisions.at(key) is None:
                continue
            if isinstance(found, Damaged):
                self._keep_whole(name, f"revision {text_of(key)}: {found}")
                continue
            if found.subject is not None:
                self.referrers.setdefault((name, key_of(found.subject)), []).append(key)
            if not found.explained:
                self.pending.append((name, key, "an unknown kind of manifest"))
        revisions.examine(revisions.aliases())
        for link in revisions.unsound:
            self.pending.extend((name, key_of(digest), "") for digest in link.digests)
        for sentence in repository.damage:
            self._keep_whole(name, sentence)
        if repository.borrowed:
            self._keep_whole(name, "it is reached through a symbolic link")
        for tag, digest in roots.tags.items():
            self.pending.append((name, key_of(digest), f"tag {tag}"))
        for digest, reason in roots.pinned.items():
            key = key_of(digest)
            if key in revisions.listed or key in revisions.held:
                self.pending.append((name, key, "" if self.library.find(key) is None else reason))

    def _pin(self, name: str, repository: Repository) -> None:
        """Examine the revisions that no tag leads to: some stay for their age, or by policy."""
        marks = self.result.repositories[name]
        if marks.whole is not None:
            return
        roots, revisions = self.roots[name], repository.revisions
        live = marks.live
        left = [key for key in revisions.keys_listed() if key not in live]
        revisions.examine(left)
        after = retention.untagged_after(name, self.rules.policies, self.rules.untagged_after)
        for key in left:
            link = revisions.at(key)
            reason = pin_reason(link, self.rules, after) if link is not None else None
            if link is not None and reason is not None:
                roots.pinned.setdefault(link.named, reason)
                self.pending.append((name, key, "" if self.library.find(key) is None else reason))
                if link.target is not None and link.target != link.named:
                    self.pending.append((name, key_of(link.target), ""))

    def _start_referrer_tags(self) -> None:
        """Tags named after a subject wait for it; one whose subject was never here is an ordinary root.

        A later look only meets such tags as the run holds since their subject goes; that may be quarantined.
        """
        for name, roots in self.roots.items():
            for tag, subject in roots.referrers.items():
                target = self.tree.repositories[name].tags.current[tag].target
                if target is not None and self._reaches(target, subject):
                    self.pending.append((name, key_of(target), f"tag {tag}"))
                else:
                    self.waiting.setdefault(subject, []).append((name, tag))
        if self.rules.only is None:
            blobs = self.tree.blobs
            for key in [key for key in self.waiting if not blobs.start_with(*key)]:
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
            target = self.tree.repositories[name].tags.current[tag].target
            if target is not None:
                self.pending.append((name, key_of(target), f"tag {tag}"))

    def _walk(self) -> None:
        while self.pending:
            name, key, root = self.pending.pop()
            marks = self.result.repositories[name]
            if key not in marks.live:
                marks.live.add(key)
                self._visit(name, key, root)
            elif root and self.library.find(key) is None:
                self._keep_whole(name, f"{root}: its manifest {text_of(key)} is not there")

    def _visit(self, name: str, key: Key, root: str) -> None:
        self.result.live.add(key)
        if self.waiting:
            self._wake(_subject_key(text_of(key)))
        if self.referrers:
            for referrer in self.referrers.get((name, key), ()):
                self.pending.append((name, referrer, ""))
        found = self.library.find(key)
        if found is None and root:
            self._keep_whole(name, f"{root}: its manifest {text_of(key)} is not there")
        if isinstance(found, Mismatch) or (isinstance(found, Damaged) and root):
            self._keep_whole(name, f"manifest {text_of(key)}: {found}")
        if not isinstance(found, bytes | Manifest):
            return  # sparse, or an entry of an index that is a layer
        blobs = unpack(found) if isinstance(found, bytes) else list(map(key_of, found.blobs))
        self.result.live.update(blobs)
        revisions = self.tree.repositories[name].revisions
        if self.waiting:
            for blob in blobs:
                self._wake(_subject_key(text_of(blob)))
        if not revisions.listed.isdisjoint(blobs) or revisions.held:
            for blob in blobs:
                if blob in revisions.listed or blob in revisions.held:
                    self.pending.append((name, blob, ""))  # the registry serves it as a manifest too
        if isinstance(found, Manifest):
            self.result.live.update(map(key_of, found.children))
            for child in map(key_of, found.children):
                self.pending.append((name, child, ""))
                if revisions.at(child) is None:
                    self._pin_elsewhere(child)

    def _pin_elsewhere(self, key: Key) -> None:
        """A reachable manifest without a link in its own repository is readable through another's only."""
        if self.holders is None:
            self.holders = {}
            for name, repository in self.tree.repositories.items():
                for revision in repository.revisions.keys_listed():
                    self.holders.setdefault(revision, []).append(name)
        self.pending.extend((name, key, "") for name in self.holders.get(key, ()))

    def _keep_whole(self, name: str, reason: str) -> None:
        marks = self.result.repositories[name]
        if marks.whole is not None:
            return
        marks.whole = reason
        marks.dropped_tags.clear()
        repository = self.tree.repositories[name]
        self.pending.extend((name, key, "") for key in repository.may_mean(repository.revisions))
        for tag in repository.tags.each():
            for link in (*tag.index, *([tag.current] if tag.current else [])):
                self.pending.extend((name, key_of(digest), "") for digest in link.digests)

    def _examine(self, repository: Repository, marks: RepositoryMarks) -> None:
        """Examine what goes with no damage coming to light: dead revisions, stale layers, dropped tags."""
        marks.dead, marks.stale = [], []
        layers = repository.layers
        if marks.whole is not None:
            marks.dropped_tags.clear()
            self.result.live.update(repository.may_mean(layers))
            return
        for tag in marks.dropped_tags:
            repository.tags.closely(tag)
        revisions, live = repository.revisions, marks.live
        marks.dead = [
            key for key in revisions.keys_listed() if key not in live and self._goes(revisions, key)
        ]
        needed = marks.needed()
        left = [key for key in layers.keys_listed() if key not in needed]
        layers.examine((*left, *layers.aliases()))
        for key in left:
            found = layers.known(key)
            if self._goes(layers, key):
                marks.stale.append(key)
            elif found is not None:
                self.result.live.add(key)
        for link in layers.unsound:
            self.result.live.update(map(key_of, link.digests))

    def _goes(self, links: Links, key: Key) -> bool:
        """Whether a link that was examined and is not needed may go."""
        found = links.known(key)
        if isinstance(found, Link):
            return found.sound and not self.rules.stays(found)
        if found is None or self.rules.young(found):
            return False
        return self.rules.only is None or (links.path_of(key), found) in self.rules.only


def _subject_key(digest: str) -> tuple[str, str]:
    algorithm, name = digest.split(":")
    return algorithm, name[:64]
