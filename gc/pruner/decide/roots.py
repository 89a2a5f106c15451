"""Tree + rules -> Roots: which tags stay, and which untagged manifests are roots of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pruner.decide import retention
from pruner.settings.durations import format_duration
from pruner.settings.policies import Policy
from pruner.tree import layout
from pruner.tree.model import Link, Repository, Tag, Tree

YOUNG = "younger than the grace"


@dataclass(frozen=True, slots=True)
class Rules:
    """What may go, and when; times are seconds. `now` is the storage's time of this look.

    `only`, when set, are path and mtime of the only links that may go: a later look of a run must take every
    link that the run did not take away, or that was written again since, for one that clients can reach, so
    it stays and keeps what it leads to.
    `running_tags` are (repository, tag) and `running_digests` digests that the cluster runs or names;
    `cluster_silent` is set when it was to be asked and could not be: then nothing untagged goes.
    """

    now: float
    grace: float
    untagged_after: float
    uploads_after: float
    remove_dangling_tags: bool = False
    policies: tuple[Policy, ...] = ()
    running_tags: frozenset[tuple[str, str]] = frozenset()
    running_digests: frozenset[str] = frozenset()
    cluster_silent: bool = False
    only: frozenset[tuple[str, float]] | None = None

    def young(self, mtime: float) -> bool:
        """Whether something of that age is never touched; what lies in the future is young."""
        return self.now - mtime < self.grace

    def stays(self, link: Link) -> bool:
        """Whether a link is not to be touched in this look."""
        return self.young(link.mtime) or (self.only is not None and (link.path, link.mtime) not in self.only)


TagState = Literal["kept", "dropped", "dangling"]


@dataclass(slots=True)
class RepositoryRoots:
    """The roots of one repository.

    `tags` maps a kept tag to its digest; `referrers` maps a tag that follows its subject to the subject
    (algorithm, start of the hex); `dropped` maps a tag that goes to the reason; `dangling` are tags without
    a `current`; `pinned` maps untagged revisions that stay to the reason.
    """

    tags: dict[str, str] = field(default_factory=dict[str, str])
    referrers: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    dropped: dict[str, str] = field(default_factory=dict[str, str])
    dangling: dict[str, Tag] = field(default_factory=dict[str, Tag])
    pinned: dict[str, str] = field(default_factory=dict[str, str])


def find_roots(tree: Tree, rules: Rules) -> Mapping[str, RepositoryRoots]:
    """The roots of every repository, by name."""
    return {name: _of(repository, tree.blobs, rules) for name, repository in tree.repositories.items()}


def _of(repository: Repository, blobs: frozenset[str], rules: Rules) -> RepositoryRoots:
    roots = RepositoryRoots()
    plain: list[tuple[str, Link]] = []
    for name, tag in repository.tags.items():
        current = tag.current
        if current is None:
            roots.dangling[name] = tag
        elif current.target is not None:
            subject = layout.referrer_subject(name)
            if subject is None:
                plain.append((name, current))
            elif rules.stays(current):
                # A fresh one is a root, as its subject may be pushed after it, but no version to count.
                roots.tags[name] = current.target
            else:
                roots.referrers[name] = subject
    dropped = retention.dropped_tags(
        repository.name, [(name, link.mtime) for name, link in plain], rules.policies, rules.now
    )
    for name, link in plain:
        protected = (
            rules.stays(link)
            or rules.cluster_silent
            or (repository.name, name) in rules.running_tags
            or link.target in rules.running_digests
        )
        if name in dropped and not protected:
            roots.dropped[name] = dropped[name]
        else:
            roots.tags[name] = link.target or ""
    _drop_dangling(repository, blobs, roots, rules)
    _pin(repository, roots, rules)
    return roots


def _drop_dangling(
    repository: Repository, blobs: frozenset[str], roots: RepositoryRoots, rules: Rules
) -> None:
    if rules.remove_dangling_tags:
        for name, digest in list(roots.tags.items()):
            current = repository.tags[name].current
            # A revision whose data alone is missing is damage, not a tag that was left over.
            is_there = digest in repository.revisions or digest in blobs
            if not is_there and current is not None and not rules.stays(current):
                roots.dropped[name] = "dangling: its manifest is not there"
                del roots.tags[name]
        for name, tag in roots.dangling.items():
            if not any(rules.stays(link) for link in tag.index):
                roots.dropped[name] = "dangling: it names no manifest"


def _pin(repository: Repository, roots: RepositoryRoots, rules: Rules) -> None:
    after = retention.untagged_after(repository.name, rules.policies, rules.untagged_after)
    # A tag that follows its subject may go with it, and leaves a manifest that is as untagged as any.
    tagged = set(roots.tags.values())
    for digest, link in repository.revisions.items():
        age = rules.now - link.mtime
        if rules.stays(link):
            roots.pinned[digest] = YOUNG
        elif not link.sound:
            roots.pinned[digest] = "its link is damaged"
        elif digest in rules.running_digests:
            roots.pinned[digest] = "the cluster runs it or names it"
        elif digest in tagged:
            continue
        elif rules.cluster_silent:
            roots.pinned[digest] = "the cluster could not be asked what it runs"
        elif after is None:
            roots.pinned[digest] = "retention keeps untagged manifests"
        elif age < after:
            roots.pinned[digest] = f"untagged, and pushed less than {format_duration(after)} ago"
    for name, tag in roots.dangling.items():
        if name not in roots.dropped:
            for link in tag.index:
                for digest in link.digests:
                    roots.pinned.setdefault(digest, f"in the history of the dangling tag {name}")
