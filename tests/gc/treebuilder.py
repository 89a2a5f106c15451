"""Registry trees written by hand, for what no real registry would write; how to age and compare trees."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.gc.images import Image, digest_of

TREE = "docker/registry/v2"
"""Where the registry keeps everything below its `rootdirectory`."""


@dataclass(frozen=True, slots=True)
class TreeBuilder:
    """Writes the registry's own layout below `root` (the configuration's `rootdirectory`)."""

    root: Path

    @property
    def top(self) -> Path:
        return self.root / TREE

    def repository(self, name: str) -> Path:
        return self.top / "repositories" / name

    def blob_path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        return self.top / "blobs" / algorithm / value[:2] / value / "data"

    def layer_path(self, repository: str, digest: str) -> Path:
        return self.repository(repository) / "_layers" / digest.replace(":", "/") / "link"

    def revision_path(self, repository: str, digest: str) -> Path:
        return self.repository(repository) / "_manifests/revisions" / digest.replace(":", "/") / "link"

    def tag_path(self, repository: str, tag: str) -> Path:
        return self.repository(repository) / "_manifests/tags" / tag / "current/link"

    def tag_index_path(self, repository: str, tag: str, digest: str) -> Path:
        return (
            self.repository(repository)
            / "_manifests/tags"
            / tag
            / "index"
            / digest.replace(":", "/")
            / "link"
        )

    def blob(self, content: bytes, *, algorithm: str = "sha256") -> str:
        """Write a blob; returns its digest."""
        digest = digest_of(content, algorithm)
        write(self.blob_path(digest), content)
        return digest

    def link_layer(self, repository: str, digest: str) -> None:
        write(self.layer_path(repository, digest), digest.encode())

    def link_revision(self, repository: str, digest: str) -> None:
        write(self.revision_path(repository, digest), digest.encode())

    def link_tag(
        self, repository: str, tag: str, digest: str, *, index: bool = True, current: bool = True
    ) -> None:
        """The two links of a tag; a sound one has both."""
        if index:
            write(self.tag_index_path(repository, tag, digest), digest.encode())
        if current:
            write(self.tag_path(repository, tag), digest.encode())

    def layer(self, repository: str, content: bytes) -> str:
        digest = self.blob(content)
        self.link_layer(repository, digest)
        return digest

    def manifest(self, repository: str, content: bytes, *tags: str, algorithm: str = "sha256") -> str:
        """A manifest of any content as a revision of the repository, with its tags; returns its digest."""
        digest = self.blob(content, algorithm=algorithm)
        self.link_revision(repository, digest)
        for tag in tags:
            self.link_tag(repository, tag, digest)
        return digest

    def push(self, repository: str, pushed: Image, *tags: str) -> str:
        """What a whole image's push leaves behind, in the registry's order of writes; returns its digest."""
        for manifest in pushed.family():
            for blob in manifest.blobs:
                self.layer(repository, blob)
            self.manifest(repository, manifest.content, *(tags if manifest is pushed else ()))
        return pushed.digest

    def upload(self, repository: str, uuid: str, content: bytes = b"", *, started: str | None = None) -> Path:
        """An upload in flight; `started` is the text of `startedat` (RFC 3339), None for one without it."""
        folder = self.repository(repository) / "_uploads" / uuid
        write(folder / "data", content)
        if started is not None:
            write(folder / "startedat", started.encode())
        return folder


@dataclass(frozen=True, slots=True)
class Entry:
    """A path's type (`stat.S_IFMT`), its content's sha256 or its link's target, and its size in bytes."""

    kind: int
    content: str
    size: int


def write(path: Path, content: bytes) -> None:
    """Write a file; raises OSError where something else lies, also a FIFO: a plain open would wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o666)
    with open(handle, "wb") as file:
        file.write(content)


def walk(root: Path) -> Iterator[Path]:
    """Everything below root, folders after what they hold; symbolic links are not followed."""
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            yield Path(folder, name)


def age(root: Path, seconds: float) -> None:
    """Set every file's and folder's times this many seconds further back."""
    for path in (*walk(root), root):
        status = path.lstat()
        times = (status.st_atime_ns - int(seconds * 1e9), status.st_mtime_ns - int(seconds * 1e9))
        os.utime(path, ns=times, follow_symlinks=False)


def stamp(root: Path, moment: float) -> None:
    """Give every file and folder the same times (seconds since the epoch)."""
    for path in (*walk(root), root):
        os.utime(path, (moment, moment), follow_symlinks=False)


def snapshot(root: Path, *, without: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Every path below root (relative to it) with what it holds; `without` are prefixes to leave out."""
    found = {str(path.relative_to(root)): path for path in walk(root)}
    return {name: _entry(path) for name, path in found.items() if not name.startswith(without)}


def _entry(path: Path) -> Entry:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return Entry(kind, hashlib.sha256(path.read_bytes()).hexdigest(), status.st_size)
    if kind == stat.S_IFLNK:
        return Entry(kind, str(path.readlink()), 0)
    return Entry(kind, "", 0)
