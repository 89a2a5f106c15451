"""One repository as it lies in the tree: its tags, revisions, layers, uploads, and what does not belong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pruner.storage import Content, Entry, Odd, Stat, read_errors
from pruner.tree import layout
from pruner.tree.digests import LENGTHS, Key, text_of
from pruner.tree.links import Links, Tags
from pruner.tree.model import Contents, Current, Link, Tag
from pruner.tree.reading import LINK_LIMIT, Reader
from pruner.tree.whole import Repository

_SHA256 = re.compile(rb"sha256:[0-9a-f]{64}")
_PARTS = ("_manifests", "_layers", "_uploads")

_ONE_FOLDER = 3
"""Names of a folder that has one folder in it, where the file system counts `..` among them (ext4, xfs)."""


def read_repository(
    reader: Reader, path: str, name: str, entries: list[Entry], *, borrowed: bool, has_aliases: bool
) -> Repository:
    """The repository whose folder has those `entries`.

    `has_aliases` is whether the storage has blobs of other algorithms than sha256.
    """
    found = Contents()
    tags = _Tags(reader, f"{path}/_manifests/tags", found, has_aliases=has_aliases).read()
    revisions = _links(reader, f"{path}/_manifests/revisions", found, are_revisions=True)
    layers = _links(reader, f"{path}/_layers", found, are_revisions=False)
    uploads, others = reader.listing(f"{path}/_uploads", found)
    for upload in sorted(uploads):
        found.uploads.extend(reader.leftover(f"{path}/_uploads/{upload}"))
    for entry in others:
        reader.stray(f"{path}/_uploads/{entry.name}", entry, found)
    for entry in entries:
        if entry.name.startswith("_") and not (entry.name in _PARTS and entry.kind == "folder"):
            reader.stray(f"{path}/{entry.name}", entry, found)
    names, others = reader.listing(f"{path}/_manifests", found)
    for entry in [*(Entry(each, "folder") for each in names), *others]:
        if not (entry.name in ("tags", "revisions") and entry.kind == "folder"):
            reader.stray(f"{path}/_manifests/{entry.name}", entry, found)
    return Repository(name, path, tags, revisions, layers, found, borrowed, reader.mtime(path))


def _links(reader: Reader, path: str, found: Contents, *, are_revisions: bool) -> Links:
    packed: dict[int, bytes] = {}
    names, others = reader.listing(path, found)
    for entry in others:
        reader.stray(f"{path}/{entry.name}", entry, found)
    # What lies behind a symbolic link is seen by the registry, so it is live, and with it all it needs.
    for algorithm in sorted([*names, *(entry.name for entry in others if entry.kind == "symlink")]):
        if algorithm not in layout.ALGORITHMS:
            if algorithm in names:
                found.unexplained.append(f"{path}/{algorithm}")
            if are_revisions:
                found.damage.append(f"revisions of the unknown algorithm {algorithm}")
            continue
        packed[LENGTHS[algorithm]], strange = reader.digests(f"{path}/{algorithm}", algorithm, found)
        for entry in strange:
            reader.stray(f"{path}/{algorithm}/{entry.name}", entry, found)

    def read(links: Links, keys: list[Key]) -> list[float | Link | None]:
        with read_errors(reader.view):
            return list(_read_links(reader, links, keys, found, are_revisions=are_revisions))

    return Links(path, packed, read)


def _read_links(
    reader: Reader, links: Links, keys: list[Key], found: Contents, *, are_revisions: bool
) -> Iterator[float | Link | None]:
    digests = [text_of(key) for key in keys]
    paths = links.paths_of(digests)
    contents = reader.view.read_many(paths, LINK_LIMIT)
    for key, digest, path, content in zip(keys, digests, paths, contents, strict=True):
        if isinstance(content, Content) and content.content == digest.encode():
            if are_revisions:
                reader.leaf(path[: -len("/link")], "link", found)
            yield content.mtime
            continue
        current = reader.current(path, content) if isinstance(content, Content) else None
        if are_revisions or (current is None and key not in links.held):
            reader.leaf(path[: -len("/link")], "link", found)
        yield None if current is None else Link(path, digest, current.target, current.mtime)


class _Tags:
    def __init__(self, reader: Reader, path: str, found: Contents, *, has_aliases: bool) -> None:
        self.reader = reader
        self.path = path
        self.found = found
        self.has_aliases = has_aliases
        self.tags = Tags(path, self._closely)

    def read(self) -> Tags:
        """What each tag names now; those with more to them are looked at closely."""
        names, others = self.reader.listing(self.path, self.found)
        for entry in others:
            self.reader.stray(f"{self.path}/{entry.name}", entry, self.found)
        # A tag is looked at itself in every look: its folder does not tell when its link is written again.
        names.sort()
        known = self._unchanged(names)
        new = [name for name in names if name not in known] if known else names
        seen = dict(known)
        paths = [f"{self.path}/{name}/current/link" for name in new]
        contents = self.reader.view.read_many(paths, LINK_LIMIT)
        histories = self.reader.view.stat_many([f"{self.path}/{name}/index/sha256" for name in new])
        for name, path, content, history in zip(new, paths, contents, histories, strict=True):
            current = self._simple(content, history)
            if current is None and isinstance(content, Content):
                current = self.reader.current(path, content)
                if current is not None and (
                    current.target is None or self._has_history(name, current.target)
                ):
                    current = None
            if current is None or not isinstance(content, Content):
                self._take_closely(name)
                continue
            self.tags.current[name] = current
            if content.version:
                seen[name] = content.version, current
        self.tags.current.update((name, current) for name, (_, current) in known.items())
        if self.reader.known.keeps:
            self.reader.known.tags[self.path] = seen
        return self.tags

    def _simple(self, content: Content | Odd | None, history: Stat | None) -> Current | None:
        """What a tag names that ever named one manifest alone, by the number of links of its history."""
        if (
            isinstance(content, Content)
            and history is not None
            and history.links == _ONE_FOLDER
            and history.kind == "folder"
            and not self.has_aliases
            and _SHA256.fullmatch(content.content)
        ):
            return Current(content.content.decode(), content.mtime)
        return None

    def _unchanged(self, names: list[str]) -> dict[str, tuple[int, Current]]:
        old = self.reader.known.tags.get(self.path)
        if not old or self.reader.stamp(self.path) is None:
            return {}  # nor do the times of links tell where those of folders do not
        held = [name for name in names if name in old]
        paths = [f"{self.path}/{name}/current/link" for name in held]
        stats = zip(held, self.reader.view.stat_many(paths), strict=True)
        return {name: old[name] for name, stat in stats if stat is not None and stat.version == old[name][0]}

    def _has_history(self, name: str, target: str) -> bool:
        """Whether anything but the link of what the tag names now lies in its history."""
        if self.has_aliases or not target.startswith("sha256:"):
            return True
        try:
            names, others = self.reader.view.folders(f"{self.path}/{name}/index/sha256")
        except OSError:
            return True
        return bool(others) or names != [target[7:]]

    def _take_closely(self, name: str) -> None:
        tag = self.tags.closely(name)
        if tag is not None and tag.current is not None:
            self.tags.current[name] = Current(tag.current.target, tag.current.mtime)

    def _closely(self, name: str) -> Tag | None:
        with read_errors(self.reader.view):
            return self._look(name, f"{self.path}/{name}")

    def _look(self, name: str, path: str) -> Tag | None:
        parts = self.reader.entries(path)
        if not parts:
            self.reader.empty(path, self.found)
            return None
        current: Link | None = None
        index: list[Link] = []
        for entry in parts:
            inner = f"{path}/{entry.name}"
            if entry.name == "current" and entry.kind == "folder":
                current = self._current(inner)
            elif entry.name == "index" and entry.kind == "folder":
                links = _links(self.reader, inner, self.found, are_revisions=False)
                for key in links.keys_listed():
                    self.reader.leaf(links.path_of(key)[: -len("/link")], "link", self.found)
                index.extend(links.values())
                if not index and not self.reader.entries(inner):
                    self.reader.empty(inner, self.found)
            else:
                self.reader.stray(inner, entry, self.found)
        if current is not None and current.target is None:
            self.found.damage.append(f"tag {name} holds no digest ({self.reader.shown(current.path)})")
        return Tag(name, path, current, tuple(index))

    def _current(self, path: str) -> Link | None:
        entries = self.reader.entries(path)
        if not entries:
            self.reader.empty(path, self.found)
        link: Link | None = None
        for entry in entries:
            if entry.name == "link" and entry.kind == "file":
                link = self.reader.link(f"{path}/link", None)
            else:
                self.reader.stray(f"{path}/{entry.name}", entry, self.found)
                if entry.name == "link" and entry.kind != "symlink":
                    self.found.damage.append(f"{self.reader.shown(path)}/link is not a file")
        return link
