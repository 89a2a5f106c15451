"""One look at the storage: scan, find the roots, mark, plan. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from pruner.clock import RunTime
from pruner.decide import retention
from pruner.decide.mark import Marks, mark
from pruner.decide.plan import Plan, Removal, candidates, make_plan
from pruner.decide.roots import RepositoryRoots, Rules, find_roots
from pruner.decide.running import RunningImages
from pruner.decide.taken import Trashed, expired
from pruner.errors import ClusterError
from pruner.settings.table import Settings
from pruner.storage import Stat, Storage, read_errors
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.model import Repository, Tag, Tree
from pruner.tree.scan import Progress, scan

AskCluster = Callable[[], RunningImages]
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


@dataclass(frozen=True, slots=True)
class Observer:
    """Takes looks at one storage in the life of one run.

    `grace` (seconds) stands apart from the settings, since a read-only window prunes with none.
    `ask_cluster` is None when running images are not to be protected.
    """

    storage: Storage
    settings: Settings
    grace: float
    library: Library
    time: RunTime
    ask_cluster: AskCluster | None
    progress: Progress

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
        rules, warnings = self._rules()
        if held is None:
            held = interrupted
        else:
            rules = replace(rules, only=frozenset((r.path, r.link.mtime) for r in held if r.link is not None))
        tree = with_held(scan(self.storage, self.time.clock, self.progress), held)
        roots = find_roots(tree, rules)
        if rules.only is None:
            names = {name: each.tags.keys() | each.dropped.keys() for name, each in roots.items()}
            warnings += retention.idle(rules.policies, names)
        self.progress("mark", 0)
        marks = mark(tree, roots, self.library, rules)
        stats = self._stats(candidates(tree, marks))
        leaving = expired(trashed, tree.blobs, marks.blobs, rules.now, self.settings.trash)
        plan = make_plan(tree, roots, marks, rules, stats, self.library, leaving)
        self.progress("plan", len(plan.removals))
        return Look(tree, rules, roots, marks, plan, self.library, warnings)

    def _rules(self) -> tuple[Rules, tuple[str, ...]]:
        # The time is taken before anything is listed: what comes during the look is younger than that.
        rules = Rules(
            now=self.time.now(),
            grace=self.grace,
            untagged_after=self.settings.untagged_after,
            uploads_after=self.settings.uploads_after,
            remove_dangling_tags=self.settings.dangling_tags == "remove",
            policies=self.settings.retention,
        )
        if self.ask_cluster is None:
            return rules, ()
        try:
            images = self.ask_cluster()
        except ClusterError as error:
            return replace(rules, cluster_silent=True), (f"nothing untagged goes: {error}",)
        return replace(rules, running_tags=images.tags, running_digests=images.digests), ()

    def _stats(self, digests: list[str]) -> dict[str, Stat]:
        stats: dict[str, Stat] = {}
        for digest in digests:
            path = layout.blob_data(digest)
            with read_errors(self.storage), suppress(FileNotFoundError):
                stats[digest] = self.storage.stat(path)
        return stats


def with_held(tree: Tree, held: tuple[Removal, ...]) -> Tree:
    """`tree` with the links of `held` in their places, unless newer ones are there."""
    by_repository: dict[str, list[Removal]] = {}
    for removal in held:
        by_repository.setdefault(removal.repository, []).append(removal)
    repositories = dict(tree.repositories)
    for name, removals in by_repository.items():
        repository = repositories.get(name)
        if repository is not None:
            repositories[name] = _completed(repository, removals)
    return replace(tree, repositories=repositories)


def _completed(repository: Repository, removals: list[Removal]) -> Repository:
    revisions = dict(repository.revisions)
    layers = dict(repository.layers)
    tags = dict(repository.tags)
    for removal in removals:
        link = removal.link
        if link is None:
            continue
        if removal.kind == "revision":
            revisions.setdefault(link.named, link)
        elif removal.kind == "layer-link":
            layers.setdefault(link.named, link)
        else:
            tag = tags.get(removal.tag) or Tag(removal.tag, _folder_of_tag(removal), None, ())
            if removal.kind == "tag":
                tag = replace(tag, current=tag.current or link)
            elif link.named not in {other.named for other in tag.index}:
                tag = replace(tag, index=(*tag.index, link))
            tags[removal.tag] = tag
    return replace(repository, revisions=revisions, layers=layers, tags=tags)


def _folder_of_tag(removal: Removal) -> str:
    part = "/current/" if removal.kind == "tag" else "/index/"
    return removal.path.rpartition(part)[0]
