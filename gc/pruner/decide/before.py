"""What the looks of one run found so far, so that a later one need not find it out again.

In a later look nothing may go but what the run holds, and the blobs that no look found needed. So a
repository needs no second walk while all that decides about it is as it was: its tags, the folders of its
links, and that nobody wrote a link in the place of one that is held, or in an empty folder. Manifests never
change. What lived in an earlier look counts as live ever after: no blob of it was to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pruner.decide.candidates import Candidates
from pruner.decide.marks import Marks, RepositoryMarks
from pruner.decide.roots import RepositoryRoots, Rules
from pruner.tree.digests import Key, Keys, key_of
from pruner.tree.links import Links
from pruner.tree.manifests import Manifest
from pruner.tree.whole import Repository, Tree

State = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A repository: its state when a look began, what that look made of it, and what it pinned.

    `listed` are the manifests that live indexes list.
    """

    state: State
    marks: RepositoryMarks
    pinned: Mapping[str, str]
    listed: list[Key]

    def holds(self, repository: Repository) -> bool:
        """Whether all that it would remove is held, with nothing new there and in empty folders.

        Raises ReadError.
        """
        was, marks = self.marks.repository, self.marks
        if not _are_there(repository.revisions, self.listed):
            return False
        return _is_held(repository.revisions, marks.dead, was.revisions.vacant()) and _is_held(
            repository.layers, marks.stale, was.layers.vacant()
        )


@dataclass(slots=True)
class Before:
    """Of earlier looks: the blobs that might go, the keys that live, and each repository.

    `running` is what the cluster ran. Empty before the first look, and for one that stands alone.
    """

    candidates: Candidates | None = None
    live: Keys = field(default_factory=Keys)
    running: State = ()
    seen: dict[str, Seen] = field(default_factory=dict[str, Seen])

    def forget(self) -> None:
        """A first look begins."""
        self.candidates = None
        self.live = Keys()
        self.seen = {}

    def remember(
        self, states: Mapping[str, State], roots: Mapping[str, RepositoryRoots], rules: Rules, marks: Marks
    ) -> None:
        """A look is over, before which the repositories were in those `states`."""
        self.live = marks.live
        self.live.note_new_ones()
        self.running = _running(rules)
        self.seen = {}
        for name, each in marks.repositories.items():
            listed = _listed(each)
            if listed is not None and _is_simple(each, roots[name]):
                self.seen[name] = Seen(states[name], each, roots[name].pinned, listed)

    def unchanged(self, tree: Tree, states: Mapping[str, State], rules: Rules) -> Iterator[tuple[str, Seen]]:
        """The repositories of which nothing changed since the look before. Raises ReadError."""
        if rules.only is not None and self.running == _running(rules):
            for name, repository in tree.repositories.items():
                seen = self.seen.get(name)
                if seen is None or states[name] != seen.state or repository.damage:
                    continue
                if seen.holds(repository):
                    yield name, seen


def state_of(repository: Repository, roots: RepositoryRoots) -> State:
    """What decides about a repository, but for manifests and single links."""
    return (
        roots.tags,
        roots.dropped,
        frozenset(roots.dangling),
        dict(roots.pinned),
        repository.revisions.packed,
        repository.layers.packed,
    )


def _running(rules: Rules) -> State:
    return rules.running_tags, rules.running_digests, rules.cluster_silent


def _is_simple(marks: RepositoryMarks, roots: RepositoryRoots) -> bool:
    """Whether a repository is sound, has no aliases and no tags that follow their subjects."""
    revisions, layers = marks.repository.revisions, marks.repository.layers
    is_odd = marks.whole is not None or marks.repository.borrowed
    return not (is_odd or roots.referrers or revisions.aliases() or layers.aliases())


def _listed(marks: RepositoryMarks) -> list[Key] | None:
    """The manifests that live indexes list; None when a manifest, or the link to one of these, is not there.

    Then the link in another repository may be needed, or bytes may come that nobody has seen.
    """
    library, revisions = marks.library, marks.repository.revisions
    others = [key for key in {*marks.live, *revisions.keys_listed()} if key not in library.images]
    listed: list[Key] = []
    for key in others:
        found = library.find(key)
        if not isinstance(found, Manifest):
            return None
        if key in marks.live:
            listed.extend(map(key_of, found.children))
    return listed if _are_there(revisions, listed) else None


def _are_there(links: Links, keys: list[Key]) -> bool:
    found = map(links.at, keys)
    return all(link is not None and link.sound for link in found)


def _is_held(links: Links, going: list[Key], vacant: list[Key]) -> bool:
    # A link that is written in a folder that is there changes nothing above it: each is looked at itself.
    if links.held.keys() != set(going):
        return False
    links.examine((*going, *vacant))
    held = links.held.get
    return all(links.known(key) is held(key) for key in (*going, *vacant))
