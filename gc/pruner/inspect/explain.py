"""Why one digest stays or goes: who refers to it, since when nothing does, and what happens next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pruner.decide import retention
from pruner.decide.look import Look
from pruner.decide.taken import Trashed
from pruner.inspect.tables import one_line
from pruner.settings.durations import format_moment
from pruner.tree.manifests import Manifest
from pruner.tree.model import Link
from pruner.tree.whole import Repository

Fate = Literal["kept", "goes", "in the trash", "unknown"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The fate of a digest.

    `references` are sentences on who refers to it; `unreferenced_since` (seconds since the epoch) is when
    the last tag is known to have left it, None when nothing tells; `when` is the earliest time at which it
    may go (from the trash: be destroyed), None when it stays as long as its references do.
    """

    digest: str
    fate: Fate
    reason: str
    references: tuple[str, ...]
    unreferenced_since: float | None
    when: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [f"{self.digest}: {self.fate}, {self.reason}"]
        lines.extend(f"  {reference}" for reference in self.references)
        if not self.references:
            lines.append("  nothing refers to it")
        if self.unreferenced_since is not None:
            lines.append(f"  no tag has named it since {format_moment(self.unreferenced_since)}")
        if self.when is not None:
            lot = "is destroyed by the first run after" if self.fate == "in the trash" else "may go from"
            lines.append(f"  {lot} {format_moment(self.when)}")
        return "\n".join(map(one_line, lines))


def explain(look: Look, trashed: list[Trashed], trash_time: float, digest: str) -> Explanation:
    """Explain `digest` by `look`; what is `trashed` stays so for `trash_time` seconds."""
    references = tuple(
        sentence
        for _, repository in sorted(look.tree.repositories.items())
        for sentence in _references(repository, look, digest)
    )
    links = [link for repository in look.tree.repositories.values() for link in _links(repository, digest)]
    going = [
        removal for removal in look.plan.of("revision", "layer-link", "blob") if removal.digest == digest
    ]
    waiting = [blob for blob in trashed if blob.digest == digest]
    since = max((moment for moment in _left_by_tags(look, digest)), default=None)
    in_blobs = digest in look.tree.blobs
    blob_goes = any(removal.kind == "blob" for removal in going)
    if blob_goes or (going and len(going) == len(links)):
        return Explanation(digest, "goes", going[0].reason, references, since, look.rules.now)
    if in_blobs or links:
        when = None if _is_referenced(look, digest) else _earliest(look, links)
        return Explanation(digest, "kept", _why_kept(look, digest, links), references, since, when)
    if waiting:
        since = waiting[-1].since
        reason = f"removed on {format_moment(since)}"
        return Explanation(digest, "in the trash", reason, references, None, since + trash_time)
    return Explanation(
        digest, "unknown", "it is neither in the tree nor in the trash", references, None, None
    )


def _links(repository: Repository, digest: str) -> Iterator[Link]:
    for links in (repository.revisions, repository.layers):
        if digest in links:
            yield links[digest]


def _references(repository: Repository, look: Look, digest: str) -> Iterator[str]:
    name = repository.name
    for tag in repository.tags.each():
        if tag.current is not None and tag.current.target == digest:
            yield f"tag {name}:{tag.name}"
        elif any(link.named == digest for link in tag.index):
            yield f"history of tag {name}:{tag.name}"
    for other in repository.revisions:
        manifest = look.library.get(other)
        if isinstance(manifest, Manifest):
            state = "live" if other in look.marks.repositories[name].revisions else "dead"
            if digest in manifest.children:
                yield f"{state} index {name}@{other}"
            elif digest in manifest.blobs:
                yield f"{state} manifest {name}@{other}"
            if manifest.subject == digest:
                yield f"{state} referrer {name}@{other}, which lives and dies with it"
    if digest in repository.revisions:
        yield f"revision in {name}"
    if digest in repository.layers:
        yield f"layer link in {name}"


def _left_by_tags(look: Look, digest: str) -> Iterator[float]:
    """When a tag whose history has the digest came to name another."""
    for repository in look.tree.repositories.values():
        for tag in repository.tags.each():
            left = tag.current is not None and tag.current.target != digest
            if tag.current is not None and left and any(link.named == digest for link in tag.index):
                yield tag.current.mtime


def _is_referenced(look: Look, digest: str) -> bool:
    return any(
        digest in marks.needed_layers
        or (marks.whole is not None and digest in marks.revisions | marks.layers)
        or digest in set(look.roots[name].tags.values())
        for name, marks in look.marks.repositories.items()
    )


def _earliest(look: Look, links: list[Link]) -> float | None:
    """When the youngest of its links is old enough."""
    moments: list[float] = []
    for link in links:
        wait = look.rules.grace
        if "/_manifests/revisions/" in link.path:
            name = link.path.partition("/repositories/")[2].partition("/_manifests/")[0]
            after = retention.untagged_after(name, look.rules.policies, look.rules.untagged_after)
            if after is None:
                return None
            wait = max(wait, after)
        moments.append(link.mtime + wait)
    return max(moments, default=None)


def _why_kept(look: Look, digest: str, links: list[Link]) -> str:
    for name, marks in sorted(look.marks.repositories.items()):
        roots = look.roots[name]
        if marks.whole is not None and digest in marks.revisions | marks.layers:
            return f"repository {name} is kept whole: {marks.whole}"
        tags = sorted(tag for tag, target in roots.tags.items() if target == digest)
        if tags:
            return f"tag {name}:{tags[0]} names it"
        if digest in roots.pinned:
            return f"in {name}: {roots.pinned[digest]}"
    if digest in look.marks.blobs:
        return "something live refers to it"
    return "younger than the grace" if links or digest in look.tree.blobs else "it is not in the tree"
