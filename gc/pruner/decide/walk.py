"""The walk from the roots along every reference, repository by repository.

It goes on while anything turns up: what is examined may be damage, what lives here may be a manifest there.
A repository of which nothing changed since the look before is taken over, until something leads into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from pruner.decide import retention
from pruner.decide.before import Seen
from pruner.decide.marks import Marks, RepositoryMarks
from pruner.decide.referrers import reaches, subject_key
from pruner.decide.roots import RepositoryRoots, Rules, pin_reason
from pruner.tree.digests import Key, key_of, text_of, unpack
from pruner.tree.library import Library
from pruner.tree.links import Links
from pruner.tree.manifests import Damaged, Manifest, Mismatch
from pruner.tree.model import Link
from pruner.tree.whole import Repository, Tree


class Walk:
    """One walk; `marks` makes it."""

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
        self.taken_over: set[str] = set()  # repositories with the marks that a look before gave them
        self.begun: set[str] = set()  # those that were not, and are not pinned yet
        self.touched: set[str] = set()  # those of which more lives than when they were examined
        self.needed: tuple[str, set[Key]] = "", set()  # of the repository that was asked for last

    def marks(self, unchanged: Callable[[], Iterable[tuple[str, Seen]]] = tuple) -> Marks:
        """Everything reachable; `unchanged` gives the repositories to take over. Raises ReadError."""
        self._start_referrer_tags()
        if not self.waiting:
            for name, seen in unchanged():
                self.take_over(name, seen)
        for name in self.tree.repositories:
            if name not in self.taken_over:
                self._start(name)
        self._walk()
        while True:
            self._pin_and_examine()
            for name, tag in [each for tags in self.waiting.values() for each in tags]:
                self.tree.repositories[name].tags.closely(tag)
            for name, repository in self.tree.repositories.items():
                if repository.damage:
                    self._keep_whole(name, repository.damage[0])
            self._walk()
            if not (self.touched or self.begun):
                break
        for key, tags in self.waiting.items():
            for name, tag in tags:
                if (marks := self.result.repositories[name]).whole is None:
                    marks.dropped_tags[tag] = f"its subject {key[0]}:{key[1]} goes"
        return self.result

    def _pin_and_examine(self) -> None:
        begun, self.begun = sorted(self.begun), set()
        pins: list[tuple[str, Key, str]] = []
        for name in begun:
            found = list(self._pins(name, self.tree.repositories[name]))
            if found:
                pins.extend(found)
                self.touched.add(name)
            else:
                self._examine(name, self.tree.repositories[name])
        self.pending.extend(pins)
        self._walk()
        for name in sorted(self.touched - self.begun):
            self._examine(name, self.tree.repositories[name])

    def take_over(self, name: str, seen: Seen) -> None:
        """Give a repository the marks that it had, as nothing changed in it."""
        self.taken_over.add(name)
        repository = self.tree.repositories[name]
        dropped = dict(seen.marks.dropped_tags)
        for tag in dropped:
            repository.tags.closely(tag)
        self.roots[name].pinned.update(seen.pinned)
        self.result.repositories[name] = replace(seen.marks, repository=repository, dropped_tags=dropped)

    def _begin(self, name: str) -> None:
        """Walk a repository that was taken over, since something leads into it."""
        self.taken_over.discard(name)
        self.result.repositories[name] = RepositoryMarks(self.tree.repositories[name], self.library)
        self._start(name)

    def _start(self, name: str) -> None:
        repository, roots = self.tree.repositories[name], self.roots[name]
        self.begun.add(name)
        self.result.repositories[name].dropped_tags.update(roots.dropped)
        revisions = repository.revisions
        images = self.library.images
        for key in [key for key in revisions.keys_listed() if key not in images]:
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
        live = self.result.repositories[name].live
        for tag, digest in roots.tags.items():
            key = key_of(digest)
            if key in images and not self.waiting and (name, key) not in self.referrers:
                live.add(key)  # an image that leads to no manifest: there is nothing to walk
            else:
                self.pending.append((name, key, f"tag {tag}"))
        for digest, reason in roots.pinned.items():
            key = key_of(digest)
            if key in revisions.listed or key in revisions.held:
                self.pending.append((name, key, "" if self.library.find(key) is None else reason))

    def _pins(self, name: str, repository: Repository) -> Iterator[tuple[str, Key, str]]:
        """Examine the revisions that no tag leads to: those that stay for their age, or by policy."""
        marks = self.result.repositories[name]
        if marks.whole is not None:
            return
        self._needed(name)
        roots, revisions = self.roots[name], repository.revisions
        left = [key for key in revisions.keys_listed() if key not in marks.live]
        revisions.examine(left)
        after = retention.untagged_after(name, self.rules.policies, self.rules.untagged_after)
        for key in left:
            link = revisions.at(key)
            reason = pin_reason(link, self.rules, after) if link is not None else None
            if link is not None and reason is not None:
                roots.pinned.setdefault(link.named, reason)
                yield name, key, "" if self.library.find(key) is None else reason
                if link.target is not None and link.target != link.named:
                    yield name, key_of(link.target), ""

    def _start_referrer_tags(self) -> None:
        """Tags named after a subject wait for it; one whose subject was never here is an ordinary root.

        A later look only meets such tags as the run holds since their subject goes; that may be quarantined.
        """
        for name, roots in self.roots.items():
            for tag, subject in roots.referrers.items():
                target = self.tree.repositories[name].tags.current[tag].target
                if target is not None and reaches(self.library, target, subject):
                    self.pending.append((name, key_of(target), f"tag {tag}"))
                else:
                    self.waiting.setdefault(subject, []).append((name, tag))
        if self.rules.only is None:
            blobs = self.tree.blobs
            for key in [key for key in self.waiting if not blobs.start_with(*key)]:
                self._wake(key)

    def _wake(self, key: tuple[str, str]) -> None:
        for name, tag in self.waiting.pop(key, ()):
            target = self.tree.repositories[name].tags.current[tag].target
            if target is not None:
                self.pending.append((name, key_of(target), f"tag {tag}"))

    def _walk(self) -> None:
        images, repositories = self.library.images, self.result.repositories
        while self.pending:
            name, key, root = self.pending.pop()
            if name in self.taken_over:
                self._begin(name)
            marks = repositories[name]
            if key not in marks.live:
                marks.live.add(key)
                self.touched.add(name)
                if key not in images or self.waiting or self.referrers:
                    self._visit(name, key, root)
            elif root and key not in images and self.library.find(key) is None:
                self._keep_whole(name, f"{root}: its manifest {text_of(key)} is not there")

    def _visit(self, name: str, key: Key, root: str) -> None:
        if self.waiting:
            self._wake(subject_key(text_of(key)))
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
        if self.waiting:
            for blob in unpack(found) if isinstance(found, bytes) else map(key_of, found.blobs):
                self._wake(subject_key(text_of(blob)))
        if isinstance(found, Manifest):
            revisions = self.tree.repositories[name].revisions
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
        if name in self.taken_over:
            self._begin(name)
        marks = self.result.repositories[name]
        if marks.whole is not None:
            return
        self.touched.add(name)
        marks.whole = reason
        marks.dropped_tags.clear()
        repository = self.tree.repositories[name]
        self.pending.extend((name, key, "") for key in repository.may_mean(repository.revisions))
        for tag in repository.tags.each():
            for link in (*tag.index, *([tag.current] if tag.current else [])):
                self.pending.extend((name, key_of(digest), "") for digest in link.digests)

    def _needed(self, name: str) -> set[Key]:
        """What live manifests need in a repository.

        A blob of one that is a revision there is live as well: the registry serves it as a manifest too.
        """
        if self.needed[0] != name or name in self.touched:
            marks, revisions = self.result.repositories[name], self.tree.repositories[name].revisions
            while True:
                self.touched.discard(name)
                needed = marks.needed()
                also = needed.intersection(revisions.keys_listed()) - marks.live
                if not also:
                    break
                self.pending.extend((name, key, "") for key in also)
                self._walk()
            self.needed = name, needed
        return self.needed[1]

    def _examine(self, name: str, repository: Repository) -> None:
        """Examine what goes with no damage coming to light: dead revisions, stale layers, dropped tags."""
        self._walk()
        needed = self._needed(name)
        marks = self.result.repositories[name]
        marks.dead, marks.stale = [], []
        self.result.live.update(marks.live)
        self.result.live.update(needed)
        revisions, layers, live = repository.revisions, repository.layers, marks.live
        if marks.whole is not None:
            marks.dropped_tags.clear()
            self.result.live.update(repository.may_mean(layers))
            return
        for tag in marks.dropped_tags:
            repository.tags.closely(tag)
        marks.dead = self._going(revisions, [key for key in revisions.keys_listed() if key not in live])
        left = [key for key in layers.keys_listed() if key not in needed]
        layers.examine((*left, *layers.aliases()))
        marks.stale = self._going(layers, left)
        if len(marks.stale) < len(left):
            stale = set(marks.stale)
            stays = [key for key in left if key not in stale and layers.known(key) is not None]
            self.result.live.update(stays)
        for link in layers.unsound:
            self.result.live.update(map(key_of, link.digests))

    def _going(self, links: Links, keys: list[Key]) -> list[Key]:
        """Those of the keys, examined and not needed, whose links may go, in order."""
        rules = self.rules
        young, is_narrow = rules.young, rules.only is not None or bool(rules.repositories)
        going: list[Key] = []
        for key in keys:
            found = links.known(key)
            if isinstance(found, Link):
                if not found.sound or rules.stays(found):
                    continue
            elif found is None or young(found) or (is_narrow and rules.stays_at(links.path_of(key), found)):
                continue
            going.append(key)
        return sorted(going)
