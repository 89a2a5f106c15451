"""Storage -> Tree: one listing of everything, blobs first.

Blobs come first so that only what was there before the mark can ever be a candidate. In a repository tags
come before revisions, and these before layers, the reverse of the order in which a push writes them: what a
tag seen here needs was therefore written before it is looked for.

Something that vanishes between a listing and a read was removed by a client and is simply not there. Any
other failure to read ends the scan with ReadError, and with it the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pruner.clock import Clock
from pruner.delays import LINK_WRITE, REREAD_PAUSE
from pruner.storage import Entry, Storage, read_errors
from pruner.tree import layout
from pruner.tree.model import Folder, Leftover, Link, Repository, Tag, Tree

_PARTS = ("_manifests", "_layers", "_uploads")
_LINK_LIMIT = 4096
_REREADS = 4

Progress = Callable[[str, int], None]
"""Told the phase and how many things it has seen so far."""


def scan(storage: Storage, clock: Clock, progress: Progress = lambda _phase, _count: None) -> Tree:
    """Everything in the storage as a value; raises ReadError."""
    with read_errors(storage):
        return _Scan(storage, clock, progress).tree()


@dataclass
class _Contents:
    """What a repository's listing gathers on its way."""

    signatures: list[Leftover] = field(default_factory=list[Leftover])
    uploads: list[Leftover] = field(default_factory=list[Leftover])
    temporaries: list[Leftover] = field(default_factory=list[Leftover])
    empty: list[Folder] = field(default_factory=list[Folder])
    unexplained: list[str] = field(default_factory=list[str])
    damage: list[str] = field(default_factory=list[str])


class _Scan:
    def __init__(self, storage: Storage, clock: Clock, progress: Progress) -> None:
        self.storage = storage
        self.clock = clock
        self.progress = progress
        self.repositories: dict[str, Repository] = {}
        self.loose = _Contents()

    def tree(self) -> Tree:
        blobs = frozenset(self._blobs())
        self._walk(layout.REPOSITORIES, "", borrowed=False, ancestors=())
        return Tree(
            blobs,
            self.repositories,
            tuple(self.loose.temporaries),
            tuple(self.loose.empty),
            tuple(self.loose.unexplained),
        )

    # -- blobs

    def _blobs(self) -> Iterator[str]:
        count = 0
        for algorithm in self._folders(layout.BLOBS, self.loose, lambda name: name in layout.ALGORITHMS):
            above = f"{layout.BLOBS}/{algorithm}"
            for prefix in self._folders(above, self.loose, lambda name: len(name) == 2):
                names = self._list(f"{above}/{prefix}")
                if not names:
                    self._empty(f"{above}/{prefix}", self.loose)
                for entry in names:
                    path = f"{above}/{prefix}/{entry.name}"
                    digest = layout.digest_of(algorithm, entry.name)
                    if entry.kind == "folder" and digest is not None and entry.name.startswith(prefix):
                        if self._leaf(path, "data", self.loose):
                            yield digest
                            count += 1
                            if count % 500 == 0:
                                self.progress("list blobs", count)
                    else:
                        self._stray(path, entry, self.loose)
        self.progress("list blobs", count)

    # -- repositories

    def _walk(self, path: str, name: str, *, borrowed: bool, ancestors: tuple[str, ...]) -> None:
        entries = self._list(path)
        is_repository = name != "" and any(
            entry.name in _PARTS and entry.kind in ("folder", "symlink") for entry in entries
        )
        if is_repository:
            self.repositories[name] = self._repository(path, name, entries, borrowed=borrowed)
            self.progress("list repositories", len(self.repositories))
        elif name and not entries and not borrowed:
            self._empty(path, self.loose)
        for entry in entries:
            below = f"{path}/{entry.name}"
            if entry.name.startswith("_"):
                if not is_repository:
                    self._stray(below, entry, self.loose)
            elif entry.kind == "folder":
                inner = f"{name}/{entry.name}" if name else entry.name
                self._walk(below, inner, borrowed=borrowed, ancestors=(*ancestors, entry.name))
            elif entry.kind == "symlink" and ancestors.count(entry.name) == 0:
                # The registry follows it, so what lies behind it is live; but it is not ours to change.
                # A link that leads back to itself ends at the same name among its ancestors.
                self.loose.unexplained.append(below)
                inner = f"{name}/{entry.name}" if name else entry.name
                try:
                    self._walk(below, inner, borrowed=True, ancestors=(*ancestors, entry.name))
                except NotADirectoryError:
                    continue
            else:
                self._stray(below, entry, self.loose)

    def _repository(self, path: str, name: str, entries: list[Entry], *, borrowed: bool) -> Repository:
        found = _Contents()
        tags = {tag.name: tag for tag in self._tags(f"{path}/_manifests/tags", found)}
        revisions = self._links(f"{path}/_manifests/revisions", found, "revision")
        layers = self._links(f"{path}/_layers", found, "layer")
        for entry in self._list(f"{path}/_uploads"):
            upload = f"{path}/_uploads/{entry.name}"
            if entry.kind == "folder":
                found.uploads.extend(self._leftover(upload))
            else:
                self._stray(upload, entry, found)
        for entry in entries:
            if entry.name.startswith("_") and not (entry.name in _PARTS and entry.kind == "folder"):
                self._stray(f"{path}/{entry.name}", entry, found)
        for entry in self._list(f"{path}/_manifests"):
            if not (entry.name in ("tags", "revisions") and entry.kind == "folder"):
                self._stray(f"{path}/_manifests/{entry.name}", entry, found)
        return Repository(
            name,
            path,
            tags,
            revisions,
            layers,
            tuple(found.signatures),
            tuple(found.uploads),
            tuple(found.temporaries),
            tuple(found.empty),
            tuple(found.unexplained),
            tuple(found.damage),
            borrowed,
            self._mtime(path),
        )

    def _tags(self, path: str, found: _Contents) -> Iterator[Tag]:
        for name in self._folders(path, found, lambda _name: True):
            below = f"{path}/{name}"
            parts = self._list(below)
            if not parts:
                self._empty(below, found)
                continue
            current: Link | None = None
            index: list[Link] = []
            for entry in parts:
                inner = f"{below}/{entry.name}"
                if entry.name == "current" and entry.kind == "folder":
                    files = self._list(inner)
                    if not files:
                        self._empty(inner, found)
                    for file in files:
                        if file.name == "link" and file.kind == "file":
                            current = self._link(f"{inner}/link", None)
                        else:
                            self._stray(f"{inner}/{file.name}", file, found)
                elif entry.name == "index" and entry.kind == "folder":
                    links = self._links(inner, found, "index")
                    index.extend(links.values())
                    if not links and not self._list(inner):
                        self._empty(inner, found)
                else:
                    self._stray(inner, entry, found)
            if current is not None and current.target is None:
                found.damage.append(f"tag {name} holds no digest ({self._shown(current.path)})")
            yield Tag(name, below, current, tuple(index))

    def _links(self, path: str, found: _Contents, what: str) -> dict[str, Link]:
        links: dict[str, Link] = {}
        for algorithm in self._folders(path, found, lambda _name: True):
            if algorithm not in layout.ALGORITHMS:
                found.unexplained.append(f"{path}/{algorithm}")
                if what == "revision":
                    found.damage.append(f"revisions of the unknown algorithm {algorithm}")
                continue
            for entry in self._list(f"{path}/{algorithm}"):
                below = f"{path}/{algorithm}/{entry.name}"
                digest = layout.digest_of(algorithm, entry.name)
                if entry.kind != "folder" or digest is None:
                    self._stray(below, entry, found)
                elif self._leaf(below, "link", found):
                    link = self._link(f"{below}/link", digest)
                    if link is not None:
                        links[digest] = link
        return links

    def _link(self, path: str, named: str | None) -> Link | None:
        for attempt in range(_REREADS):
            try:
                content, mtime = self.storage.read(path, _LINK_LIMIT)
            except FileNotFoundError:
                return None
            text = content.decode(errors="replace")
            target = text if layout.is_digest(text) else None
            fresh = abs(self.clock.now() - mtime) < LINK_WRITE
            if target is not None or not fresh or attempt == _REREADS - 1:
                return Link(path, target or "" if named is None else named, target, mtime)
            self.clock.sleep(REREAD_PAUSE)
        return None

    # -- folders

    def _list(self, path: str) -> list[Entry]:
        try:
            return self.storage.list(path)
        except FileNotFoundError:
            return []

    def _folders(self, path: str, found: _Contents, known: Callable[[str], bool]) -> Iterator[str]:
        for entry in self._list(path):
            if entry.kind == "folder" and known(entry.name):
                yield entry.name
            else:
                self._stray(f"{path}/{entry.name}", entry, found)

    def _leaf(self, path: str, wanted: str, found: _Contents) -> bool:
        """Whether the folder holds the file it is made for; what else it holds is noted."""
        entries = self._list(path)
        if not entries:
            self._empty(path, found)
        present = False
        for entry in entries:
            if entry.name == wanted and entry.kind == "file":
                present = True
            elif entry.name == "signatures" and entry.kind == "folder":
                found.signatures.extend(self._leftover(f"{path}/signatures"))
            else:
                self._stray(f"{path}/{entry.name}", entry, found)
        return present

    def _stray(self, path: str, entry: Entry, found: _Contents) -> None:
        if entry.kind == "file" and layout.is_temporary(entry.name):
            try:
                stat = self.storage.stat(path)
            except FileNotFoundError:
                return
            found.temporaries.append(Leftover(path, (path,), (), stat.size, stat.mtime))
            return
        found.unexplained.append(path)
        if entry.kind == "symlink" and found is not self.loose:
            # The registry would follow it to a tag, revision or layer that is not seen here.
            found.damage.append(f"{self._shown(path)} is a symbolic link")

    def _empty(self, path: str, found: _Contents) -> None:
        if (mtime := self._mtime(path)) > 0:
            found.empty.append(Folder(path, mtime))

    def _mtime(self, path: str) -> float:
        try:
            return self.storage.stat(path).mtime
        except FileNotFoundError:
            return 0.0

    def _leftover(self, path: str) -> Iterator[Leftover]:
        """A folder that goes as a whole, with everything in it; nothing when it is gone already."""
        files: list[str] = []
        folders: list[str] = []
        size = 0
        youngest = self._mtime(path)
        pending = [path]
        while pending:
            folder = pending.pop()
            folders.append(folder)
            for entry in self._list(folder):
                below = f"{folder}/{entry.name}"
                if entry.kind == "folder":
                    pending.append(below)
                    continue
                if entry.kind != "file":
                    return  # not the registry's: keep the whole
                try:
                    stat = self.storage.stat(below)
                except FileNotFoundError:
                    continue
                files.append(below)
                size += stat.size
                youngest = max(youngest, stat.mtime)
        if youngest > 0:
            yield Leftover(path, tuple(files), tuple(reversed(folders)), size, youngest)

    def _shown(self, path: str) -> str:
        return f"{self.storage.root}/{path}"
