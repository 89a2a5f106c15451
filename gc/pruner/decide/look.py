"""One look at the storage: scan, find the roots, mark, plan. Reads only."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pruner.clock import RunTime
from pruner.decide import retention
from pruner.decide.before import Before
from pruner.decide.candidates import Candidates, find_candidates
from pruner.decide.configs import with_their_manifests
from pruner.decide.mark import mark
from pruner.decide.marks import Marks
from pruner.decide.plan import Plan, Removal, make_plan
from pruner.decide.roots import RepositoryRoots, Rules, find_roots
from pruner.decide.taken import Trashed, expired
from pruner.errors import ClusterError
from pruner.settings.table import Settings
from pruner.storage import Storage, read_errors
from pruner.tree.digests import key_of
from pruner.tree.library import Library
from pruner.tree.model import Contents, Tag
from pruner.tree.reading import Known, Reader
from pruner.tree.scan import Progress, scan, with_emptied
from pruner.tree.whole import Tree

if TYPE_CHECKING:
    from pruner.decide.running import RunningImages  # brings TLS, which few need

AskCluster = Callable[[], "RunningImages"]
"""Raises ClusterError when the cluster cannot be asked."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw and decided; `warnings` are sentences for the report."""

    tree: Tree
    rules: Rules
    roots: Mapping[str, RepositoryRoots]
    marks: Marks
    plan: Plan
    library: Library
    warnings: tuple[str, ...]

    @property
    def covered(self) -> Tree:
        """The part of the tree that the plan is about."""
        if not self.rules.repositories:
            return self.tree
        names = filter(self.rules.covers, self.tree.repositories)
        repositories = {name: self.tree.repositories[name] for name in names}
        return replace(self.tree, repositories=repositories, found=Contents())


@dataclass(frozen=True, slots=True)
class Observer:
    """Takes looks at one storage in the life of one run.

    `grace` (seconds) stands apart from the settings, since a read-only window prunes with none.
    `ask_cluster` is None when running images are not to be protected. `repositories` are globs of those in
    which anything may go (none: in all). `known` is what its looks saw so far, and `before` what they made of
    it.
    """

    storage: Storage
    settings: Settings
    grace: float
    library: Library
    time: RunTime
    ask_cluster: AskCluster | None
    progress: Progress
    repositories: tuple[str, ...] = ()
    known: Known = field(default_factory=Known)
    before: Before = field(default_factory=Before)

    def look(
        self,
        held: tuple[Removal, ...] | None = None,
        interrupted: tuple[Removal, ...] = (),
        trashed: tuple[Trashed, ...] = (),
    ) -> Look:
        """Look at the storage; raises ReadError. The plan says what leaves the trash of what is `trashed`.

        A later look of a run gives what it has `held` back so far: it is looked at as if it were still in its
        place, and nothing else may go. What an `interrupted` run holds is looked at in its place too, since
        the next run puts it there first.
        """
        with _uncollected():
            return self._look(held, interrupted, trashed)

    def _look(
        self,
        held: tuple[Removal, ...] | None,
        interrupted: tuple[Removal, ...],
        trashed: tuple[Trashed, ...],
    ) -> Look:
        rules, warnings = self._rules()
        is_later, held = held is not None, interrupted if held is None else held
        if not is_later:
            self.before.forget()
        with read_errors(self.storage):
            view = self.storage.view()
        self.library.begin(view)
        reader = Reader(view, self.time.clock, self.known)
        # What lies beside what stays was looked for by the first look.
        tree = scan(reader, self.progress, entered=0 if is_later else None)
        if not self.storage.has_folders:
            tree = with_emptied(tree, reader, {removal.repository for removal in held})
        put_held(tree, held)
        if is_later:
            rules = replace(rules, only=frozenset(_away(tree, held)))
        if rules.running_digests:
            running = with_their_manifests(rules.running_digests, tree, self.library)
            rules = replace(rules, running_digests=running)
        roots = find_roots(tree, rules)
        if rules.only is None:
            names = {name: each.tags.keys() | each.dropped.keys() for name, each in roots.items()}
            warnings += retention.idle(rules.policies, names)
        before = self.before if self.known.keeps else None
        marks = mark(tree, roots, self.library, rules, self.progress, before)
        candidates = self._candidates(reader, tree, marks)
        if rules.repositories:
            trashed = ()
        leaving = expired(trashed, tree.blobs, marks.blobs, rules.now, self.settings.trash)
        plan = make_plan(tree, roots, marks, rules, candidates, self.library, leaving)
        self.progress("plan", len(plan.removals))
        return Look(tree, rules, roots, marks, plan, self.library, warnings)

    def _candidates(self, reader: Reader, tree: Tree, marks: Marks) -> Candidates:
        """Of a later look those of the first that nothing needs now: each is looked at when it is taken."""
        if self.before.candidates is not None and self.storage.has_folders:
            return self.before.candidates.without(marks.live.new or set())
        found = find_candidates(tree.blobs, marks.live, reader, tree.found, self.progress)
        self.before.candidates = found
        return found

    def _rules(self) -> tuple[Rules, tuple[str, ...]]:
        # The time is taken before anything is listed: what comes during the look is younger than that.
        rules = Rules(
            now=self.time.now(),
            grace=self.grace,
            untagged_after=self.settings.untagged_after,
            uploads_after=self.settings.uploads_after,
            remove_dangling_tags=self.settings.dangling_tags == "remove",
            policies=self.settings.retention,
            repositories=self.repositories,
        )
        if self.ask_cluster is None:
            return rules, ()
        try:
            images = self.ask_cluster()
        except ClusterError as error:
            return replace(rules, cluster_silent=True), (f"nothing untagged goes: {error}",)
        return replace(rules, running_tags=images.tags, running_digests=images.digests), ()


@contextmanager
def _uncollected() -> Generator[None]:
    """A look makes many things and no cycles of them, through which the collector would walk ever again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def put_held(tree: Tree, held: tuple[Removal, ...]) -> None:
    """Look at the links of `held` as if they were in their places, unless newer ones are there."""
    for removal in held:
        repository = tree.repositories.get(removal.repository)
        link = removal.link
        if repository is None or link is None:
            continue
        if removal.kind == "revision":
            repository.revisions.hold(link)
        elif removal.kind == "layer-link":
            repository.layers.hold(link)
        else:
            tag = repository.tags.get(removal.tag) or Tag(removal.tag, _folder_of_tag(removal), None, ())
            if removal.kind == "tag":
                tag = replace(tag, current=tag.current or link)
            elif link.named not in {other.named for other in tag.index}:
                tag = replace(tag, index=(*tag.index, link))
            repository.tags.put(tag)


def _away(tree: Tree, held: tuple[Removal, ...]) -> Iterator[tuple[str, float]]:
    """Path and mtime of each link of `held` whose place is free.

    What lies in a place now is not what was taken from it, even with its very time, as from a backup.
    """
    for name in {removal.repository for removal in held} & tree.repositories.keys():
        for links in (tree.repositories[name].revisions, tree.repositories[name].layers):
            links.examine(links.held)
    for removal in held:
        repository = tree.repositories.get(removal.repository)
        link = removal.link
        if repository is None or link is None:
            continue
        if removal.kind in ("revision", "layer-link"):
            links = repository.revisions if removal.kind == "revision" else repository.layers
            found = (links.at(key_of(link.named)),)
        else:
            tag = repository.tags[removal.tag]
            found = (tag.current,) if removal.kind == "tag" else tag.index
        if any(each is link for each in found):
            yield removal.path, link.mtime


def _folder_of_tag(removal: Removal) -> str:
    part = "/current/" if removal.kind == "tag" else "/index/"
    return removal.path.rpartition(part)[0]
