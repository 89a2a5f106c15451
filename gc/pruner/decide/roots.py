"""Tree + rules -> Roots: which tags stay, and which untagged manifests are roots of their own."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pruner.decide import retention
from pruner.settings.durations import format_duration
from pruner.settings.policies import Policy
from pruner.tree import layout
from pruner.tree.links import Tags
from pruner.tree.model import Link, Tag
from pruner.tree.whole import Blobs, Repository, Tree

YOUNG = "younger than the grace"
OUTSIDE = "in a repository that is not looked at"


@dataclass(frozen=True, slots=True)
class Rules:
    """What may go, and when; times are seconds. `now` is the storage's time of this look.

    `only`, when set, lists path and mtime of the links that this run holds; every other link is treated as
    live.
    `running_tags` are (repository, tag) and `running_digests` digests that the cluster runs or names;
    `cluster_silent` is set when it was to be asked and could not be: then nothing untagged goes.
    `repositories`, when there are any, are globs: in what matches none of them everything stays.
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
    repositories: tuple[str, ...] = ()

    def covers(self, repository: str) -> bool:
        """Whether anything may go in the repository of that name."""
        globs = self.repositories
        return not globs or any(fnmatch.fnmatchcase(repository, glob) for glob in globs)

    def is_outside(self, path: str) -> bool:
        """Whether a link lies in a repository in which everything stays."""
        if not self.repositories:
            return False
        return not self.covers(path.removeprefix(f"{layout.REPOSITORIES}/").partition("/_")[0])

    def young(self, mtime: float) -> bool:
        """Whether something of that age is never touched; what lies in the future is young."""
        return self.now - mtime < self.grace

    def stays(self, link: Link) -> bool:
        """Whether a link is not to be touched in this look."""
        return self.stays_at(link.path, link.mtime)

    def stays_at(self, path: str, mtime: float) -> bool:
        """The same, from a link's path and mtime."""
        if self.young(mtime) or self.is_outside(path):
            return True
        return self.only is not None and (path, mtime) not in self.only


TagState = Literal["kept", "dropped", "dangling"]


@dataclass(slots=True)
class RepositoryRoots:
    """The roots of one repository.

    `tags` maps a kept tag to its digest; `referrers` maps a tag that follows its subject to the subject
    (algorithm, start of the hex); `dropped` maps a tag that goes to the reason; `dangling` are tags without
    a `current`; `pinned` maps untagged revisions that stay to the reason (the mark adds those that it meets).
    """

    tags: dict[str, str] = field(default_factory=dict[str, str])
    referrers: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    dropped: dict[str, str] = field(default_factory=dict[str, str])
    dangling: dict[str, Tag] = field(default_factory=dict[str, Tag])
    pinned: dict[str, str] = field(default_factory=dict[str, str])


def find_roots(tree: Tree, rules: Rules) -> Mapping[str, RepositoryRoots]:
    """The roots of every repository, by name."""
    return {name: _of(repository, tree.blobs, rules) for name, repository in tree.repositories.items()}


def _of(repository: Repository, blobs: Blobs, rules: Rules) -> RepositoryRoots:
    roots = RepositoryRoots()
    plain: list[tuple[str, float]] = []
    tags = repository.tags
    for name, current in tags.current.items():
        target = current.target
        if target is not None:
            subject = layout.referrer_subject(name)
            if subject is None:
                plain.append((name, current.mtime))
            elif rules.stays_at(_path(tags, name), current.mtime):
                # A fresh one is a root, as its subject may be pushed after it, but no version to count.
                roots.tags[name] = target
            else:
                roots.referrers[name] = subject
    for name, tag in tags.close.items():
        if tag is not None and tag.current is None:
            roots.dangling[name] = tag
    dropped = retention.dropped_tags(repository.name, plain, rules.policies, rules.now)
    for name, mtime in plain:
        target = tags.current[name].target or ""
        protected = name in dropped and (
            rules.stays_at(_path(tags, name), mtime)
            or rules.cluster_silent
            or (repository.name, name) in rules.running_tags
            or target in rules.running_digests
            or _is_being_pushed(tags, name, rules)
        )
        if name in dropped and not protected:
            roots.dropped[name] = dropped[name]
        else:
            roots.tags[name] = target
    _drop_dangling(repository, blobs, roots, rules)
    for name, tag in roots.dangling.items():
        if name not in roots.dropped:
            for link in tag.index:
                for digest in link.digests:
                    roots.pinned.setdefault(digest, f"in the history of the dangling tag {name}")
    return roots


def _is_being_pushed(tags: Tags, name: str, rules: Rules) -> bool:
    """Whether its history is young: a push writes that, and the tag right after it."""
    tag = tags.closely(name)
    return tag is None or any(rules.young(link.mtime) for link in tag.index)


def _path(tags: Tags, name: str) -> str:
    return f"{tags.path}/{name}/current/link"


def _drop_dangling(repository: Repository, blobs: Blobs, roots: RepositoryRoots, rules: Rules) -> None:
    if not rules.remove_dangling_tags:
        return
    for name, digest in list(roots.tags.items()):
        # A revision whose data alone is missing is damage, not a tag that was left over.
        if digest in blobs or digest in repository.revisions:
            continue
        if not rules.stays_at(_path(repository.tags, name), repository.tags.current[name].mtime):
            roots.dropped[name] = "dangling: its manifest is not there"
            del roots.tags[name]
    for name, tag in roots.dangling.items():
        if not any(rules.stays(link) for link in tag.index):
            roots.dropped[name] = "dangling: it names no manifest"


def pin_reason(link: Link, rules: Rules, after: float | None) -> str | None:
    """Why a revision that no tag leads to stays, or None; from the age `after` (seconds, None: never) it may
    go."""
    if rules.is_outside(link.path):
        return OUTSIDE
    if rules.stays(link):
        return YOUNG
    if not link.sound:
        return "its link is damaged"
    if link.named in rules.running_digests:
        return "the cluster runs it or names it"
    if rules.cluster_silent:
        return "the cluster could not be asked what it runs"
    if after is None:
        return "retention keeps untagged manifests"
    if rules.now - link.mtime < after:
        return f"untagged, and pushed less than {format_duration(after)} ago"
    return None
