"""`prune trash restore`: what a person wants back, with all that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pruner.decide import retention
from pruner.decide.taken import Trashed
from pruner.errors import UsageError
from pruner.storage import Storage
from pruner.sweep import current, state, trash
from pruner.sweep.journal import Held
from pruner.sweep.place import Place
from pruner.tree import layout
from pruner.tree.manifests import SIZE_LIMIT, Damaged, Manifest, parse

_ORDER = {"layer-link": 0, "revision": 1, "index-link": 2, "tag": 3}


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: blobs, links and tags (as repository:tag); `notes` say what runs do about it."""

    blobs: tuple[Trashed, ...]
    links: int
    tags: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Contents:
    """The trash and what a run at work holds, by digest; the newest of each."""

    blobs: dict[str, Trashed] = field(default_factory=dict[str, Trashed])
    links: dict[str, list[Held]] = field(default_factory=dict[str, list[Held]])


def restore(place: Place, names: Sequence[str] | None) -> Restored:
    """Put back tags (as repository:tag) and digests with all that they need; None: everything.

    What comes back counts as just pushed, so that it does not go again with the next run. Raises UsageError
    when a name is not in the trash, or is that of a tag that is there again: nothing is put back then.
    """
    storage = place.storage
    consequence = "what was put back so far stays, and the rest is still in the trash"
    with place.changing_trash(consequence) as time:
        contents = _contents(storage)
        blobs, links = _wanted(storage, contents, names)
        restored = tuple(blob for blob in blobs if current.put_back_blob(storage, blob))
        tags_back = {_tag_of(held) for held in links if held.removal.kind == "tag"}
        back: list[Held] = []
        for held in links:
            storage.touch(held.place)
            # The history of a tag that is gone would be a tag that dangles.
            needs_its_tag = held.removal.kind == "index-link" and _tag_of(held) not in tags_back
            if current.put_back_link(storage, held, of_run=needs_its_tag):
                back.append(held)
        notes = tuple(_notes(place, back, time.now()))
    tags = tuple(f"{h.removal.repository}:{h.removal.tag}" for h in back if h.removal.kind == "tag")
    return Restored(restored, len(back), tags, notes)


def _contents(storage: Storage) -> _Contents:
    contents = _Contents()
    for folder in (*trash.batches(storage), current.CURRENT):
        for blob in current.blobs_of(storage, folder):
            contents.blobs[blob.digest] = blob
        for held in trash.there(storage, current.read_journal(storage, folder).held):
            contents.links.setdefault(held.removal.digest, []).insert(0, held)
    return contents


def _wanted(
    storage: Storage, contents: _Contents, names: Sequence[str] | None
) -> tuple[list[Trashed], list[Held]]:
    """Blobs and links in the order in which a push writes them, what was named last.

    So a restore that is cut short can be done again by the same name.
    """
    of_tags: list[Held] = []
    if names is None:
        digests = [*contents.blobs, *contents.links]
    else:
        digests = list[str]()
        for name in names:
            if layout.is_digest(name):
                digests.append(name)
            else:
                found = _links_of_tag(storage, contents, name)
                of_tags.extend(found)
                digests.extend(held.removal.digest for held in found[:1] if held.removal.digest)
    for digest in digests:
        if digest not in contents.blobs and digest not in contents.links:
            raise UsageError(f"{digest} is not in the trash: `prune trash list` shows what is")
    closure = _closure(storage, contents, digests)
    blobs = [contents.blobs[digest] for digest in closure if digest in contents.blobs]
    links = [held for digest in closure for held in contents.links.get(digest, ())]
    links.extend(held for held in of_tags if held not in links)
    links.sort(key=lambda held: _ORDER.get(held.removal.kind, 0))
    return blobs, links


def _links_of_tag(storage: Storage, contents: _Contents, name: str) -> list[Held]:
    """The links of a dropped tag, that of `current` first."""
    repository, separator, tag = name.rpartition(":")
    links = [held for of_digest in contents.links.values() for held in of_digest]
    own = [held for held in links if _tag_of(held) == (repository, tag)]
    heads = [held for held in own if held.removal.kind == "tag"]
    if not separator or not heads:
        raise UsageError(
            f"{name} is not in the trash: `prune trash list` shows what is (repository:tag, digests)"
        )
    head = max(heads, key=lambda held: current.since_of(held.place.rpartition("/held/")[0]))
    try:
        storage.stat(head.removal.path)
    except FileNotFoundError:
        return [head, *(held for held in own if held.removal.kind != "tag")]
    raise UsageError(
        f"{name} was pushed again since it was removed: restore {head.removal.digest} and give it another "
        "tag, or delete the tag first"
    )


def _tag_of(held: Held) -> tuple[str, str]:
    return held.removal.repository, held.removal.tag


def _closure(storage: Storage, contents: _Contents, digests: Iterable[str]) -> list[str]:
    """The digests and what their manifests need, each after what it needs."""
    ordered: list[str] = []
    seen: set[str] = set()
    stack = [(digest, False) for digest in digests]
    while stack:
        digest, expanded = stack.pop()
        if expanded:
            ordered.append(digest)
        elif digest not in seen:
            seen.add(digest)
            stack.append((digest, True))
            stack.extend((needed, False) for needed in _needs(storage, contents, digest))
    return ordered


def _needs(storage: Storage, contents: _Contents, digest: str) -> tuple[str, ...]:
    blob = contents.blobs.get(digest)
    if blob is not None and blob.bytes >= SIZE_LIMIT:
        return ()
    try:
        content = storage.read(layout.blob_data(digest) if blob is None else blob.path, SIZE_LIMIT).content
        manifest: Manifest = parse(content)
    except (FileNotFoundError, Damaged):
        return ()
    needed = (*manifest.blobs, *manifest.children)
    return tuple(each for each in needed if each in contents.blobs or each in contents.links)


# -- what becomes of it


def _notes(place: Place, back: Sequence[Held], now: float) -> Iterable[str]:
    """What the next runs do about what came back, under the policies."""
    storage, policies = place.storage, place.settings.retention
    by_tag = {_tag_of(held) for held in back if held.removal.kind == "tag"}
    for repository in sorted({name for name, _ in by_tag}):
        tags = list(_tags(storage, repository))
        before = retention.dropped_tags(
            repository, [each for each in tags if (repository, each[0]) not in by_tag], policies, now
        )
        after = retention.dropped_tags(repository, tags, policies, now)
        for tag in sorted(after.keys() - before.keys()):
            when = (
                "again once the grace is over" if (repository, tag) in by_tag else "with the next run instead"
            )
            yield f"{repository}:{tag} goes {when}: {after[tag]}"
    if any(h.removal.kind == "revision" for h in back) and not by_tag:
        yield "what has no tag goes again once it has been untagged for its time: tag it to keep it"


def _tags(storage: Storage, repository: str) -> Iterable[tuple[str, float]]:
    """The tags of a repository, each with the time of its last push."""
    folder = f"{layout.REPOSITORIES}/{repository}/_manifests/tags"
    for tag in state.list_or_empty(storage, folder):
        try:
            yield tag, storage.stat(f"{folder}/{tag}/current/link").mtime
        except (FileNotFoundError, NotADirectoryError):
            continue
