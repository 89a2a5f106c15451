"""What lies in a registry's tree, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Link(NamedTuple):
    """A link file: the digest its place names, the digest it holds (None: empty or no digest), its mtime.

    A tag's `current/link` has no digest in its path, so there `named` is what it holds, or empty.
    """

    path: str
    named: str
    target: str | None
    mtime: float

    @property
    def sound(self) -> bool:
        """Whether it holds what its place says."""
        return self.target is not None and self.target == self.named

    @property
    def digests(self) -> tuple[str, ...]:
        """Every digest that the link may stand for."""
        return tuple({digest: None for digest in (self.named, self.target) if digest})


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag; `current` is None when the file is not there. `index` is its history."""

    name: str
    path: str
    current: Link | None
    index: tuple[Link, ...]


class Current(NamedTuple):
    """What a tag's `current/link` holds (None: no digest), and its mtime."""

    target: str | None
    mtime: float


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files that are nobody's any more when they are old enough.

    `files` are paths in the order in which to remove them, `bytes` their sizes, `mtime` the youngest of all.
    """

    path: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    bytes: int
    mtime: float


class Folder(NamedTuple):
    """An empty folder where a link, a tag, a blob or a repository could lie."""

    path: str
    mtime: float


@dataclass(slots=True)
class Contents:
    """What lies about in a repository, or outside of all, beside tags and links.

    `damage` has a sentence for each thing that makes it unexplainable.
    """

    signatures: list[Leftover] = field(default_factory=list[Leftover])
    uploads: list[Leftover] = field(default_factory=list[Leftover])
    temporaries: list[Leftover] = field(default_factory=list[Leftover])
    empty_folders: list[Folder] = field(default_factory=list[Folder])
    unexplained: list[str] = field(default_factory=list[str])
    damage: list[str] = field(default_factory=list[str])
