"""What the pruner asks of a storage.

Paths are relative to the storage's root and use `/`. Every call raises FileNotFoundError for what is not
there and another OSError for what could not be done: the two are never mixed up, since a read error must
not be taken for "nothing there" (distribution's collector does so and sweeps live layers).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, NamedTuple, Protocol

from pruner.errors import ReadError

Kind = Literal["folder", "file", "symlink", "other"]


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    kind: Kind


class Stat(NamedTuple):
    """Size in bytes, modification time in seconds since the epoch, and how many names the file has."""

    size: int
    mtime: float
    links: int


@contextmanager
def read_errors(storage: Storage) -> Generator[None]:
    """Turns what the operating system refuses to one who reads into a ReadError with a way out."""
    try:
        yield
    except OSError as error:
        raise ReadError(
            f"{error.filename or storage.root} could not be read ({error.strerror or error}): "
            "mend the storage and run again"
        ) from error


class Storage(Protocol):
    """A tree of folders and files; no change ever replaces a file of the registry's."""

    root: str

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        ...

    def read(self, path: str, limit: int) -> tuple[bytes, float]:
        """At most `limit` bytes of a file, and its mtime."""
        ...

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of a file, `size` bytes at a time."""
        ...

    def stat(self, path: str) -> Stat:
        """Size, mtime and number of names of a file or folder."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def remove_folder(self, path: str) -> bool:
        """Remove a folder; False when it is not empty or not there."""
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; fine when it is there."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Take a file away to a `target` that is free, in one step: what comes after at `source` is new."""
        ...

    def put_back(self, source: str, target: str) -> bool:
        """Move a file to where it was; False, and nothing done, when a newer `target` exists."""
        ...

    def touch(self, path: str) -> None:
        """Give a file the present time as its mtime."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the pruner's own, whole or not at all, and durably; replaces."""
        ...

    def append(self, path: str, content: bytes) -> None:
        """Append to a file of the pruner's own, durably."""
        ...

    def reserve(self, path: str, size: int) -> None:
        """Make a file of `size` bytes whose space is really taken."""
        ...

    def lock(self, path: str, owner: str) -> AbstractContextManager[None]:
        """Hold the only lock on `path` while the context lasts; raises Busy with the holder's name."""
        ...
