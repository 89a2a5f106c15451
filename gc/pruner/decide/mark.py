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

from pruner.decide.before import Before, state_of
from pruner.decide.marks import Marks
from pruner.decide.roots import RepositoryRoots, Rules
from pruner.decide.walk import Walk
from pruner.tree.digests import Key
from pruner.tree.library import Library
from pruner.tree.scan import Progress
from pruner.tree.whole import Tree

_BATCH = 1000  # manifests that are asked for at once


def mark(
    tree: Tree,
    roots: Mapping[str, RepositoryRoots],
    library: Library,
    rules: Rules,
    progress: Progress = lambda _phase, _count: None,
    before: Before | None = None,
) -> Marks:
    """Everything reachable; what is pinned on the way is noted in `roots`.

    `before` is what earlier looks of the same run found, and comes to know this one. Raises ReadError when a
    manifest or link is there and cannot be read.
    """
    _load(tree, library, progress)
    progress("mark", 0)
    if before is None:
        return Walk(tree, roots, library, rules).marks()
    states = {name: state_of(each, roots[name]) for name, each in tree.repositories.items()}
    walk = Walk(tree, roots, library, rules)
    if rules.only is not None:
        walk.result.live = before.live
    marks = walk.marks(lambda: before.unchanged(tree, states, rules))
    before.remember(states, roots, rules, marks)
    return marks


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
    library.loaded()
