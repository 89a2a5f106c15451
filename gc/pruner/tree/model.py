"""What a scan saw: plain values that every decision is made from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Link:
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


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder where a link, a tag, a blob or a repository could lie."""

    path: str
    mtime: float


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository as it lies in the tree.

    `damage` has a sentence for each thing that makes its contents unexplainable: such a repository is kept
    whole. `borrowed` ones are reached through a symbolic link: they count as roots but are never changed.
    """

    name: str
    path: str
    tags: dict[str, Tag]
    revisions: dict[str, Link]
    layers: dict[str, Link]
    signatures: tuple[Leftover, ...]
    uploads: tuple[Leftover, ...]
    temporaries: tuple[Leftover, ...]
    empty_folders: tuple[Folder, ...]
    unexplained: tuple[str, ...]
    damage: tuple[str, ...]
    borrowed: bool
    mtime: float


@dataclass(frozen=True, slots=True)
class Tree:
    """The whole storage: `blobs` are digests whose data is there."""

    blobs: frozenset[str] = frozenset()
    repositories: dict[str, Repository] = field(default_factory=dict[str, Repository])
    temporaries: tuple[Leftover, ...] = ()
    empty_folders: tuple[Folder, ...] = ()
    unexplained: tuple[str, ...] = ()
