"""What the pruner asks of a storage.

Paths are relative to the storage's root and use `/`. Every call raises FileNotFoundError for what is not
there, Odd (or NotADirectoryError) for what is there and is something else, and another OSError for what
could not be done: these are never mixed up, since a read error must not be taken for "nothing there"
(distribution's collector does so and sweeps live layers).

A look reads through one `view`, taken when it begins. A file system is its own view; an object store lists
every key once for it and answers `folders`, `list`, `stat` and `stamp` from that. What costs a request each,
the contents of files, is asked for in bulk (`read_many`), so that requests can go side by side.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Literal, NamedTuple, Protocol

from pruner.errors import ReadError

Kind = Literal["folder", "file", "symlink", "other"]


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    kind: Kind


class Stat(NamedTuple):
    """Size in bytes, modification time in seconds since the epoch, and how many names the file has.

    `version` differs between any two contents that a name ever had (an inode's times, an ETag); 0 when
    nothing tells, since the last change is younger than the grain of the storage's clock.
    """

    size: int
    mtime: float
    links: int
    version: int = 0
    kind: Kind = "file"


class Move(NamedTuple):
    """A rename that is about to come: from where, to where, and the mtime that the source had when it was
    looked at (None: whatever it is)."""

    source: str
    target: str
    mtime: float | None = None


class Content(NamedTuple):
    """Bytes of a file, its mtime in seconds since the epoch, and its version as in Stat."""

    content: bytes
    mtime: float
    version: int = 0


class Odd(OSError):
    """Something is there, and it is not the file that it should be: a symbolic link, a folder, a device."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(errno.EINVAL, f"it is {what}, not a file", path)
        self.what = what


ODD = (errno.ENOTDIR, errno.ELOOP, errno.EISDIR)
"""What the operating system says when something else lies on the way to where a file or folder should be."""


def is_odd(error: OSError) -> bool:
    """Whether something else lies there, in contrast to a storage that cannot be read."""
    return isinstance(error, Odd) or error.errno in ODD


def as_odd(error: OSError, path: str) -> Odd:
    """An error of which `is_odd` holds, as Odd."""
    if isinstance(error, Odd):
        return error
    what = "a symbolic link" if error.errno == errno.ELOOP else "something"
    return Odd(path, what if error.errno == errno.ELOOP else f"below no folder ({error.strerror})")


@contextmanager
def read_errors(storage: View) -> Generator[None]:
    """Turns what the operating system refuses to one who reads into a ReadError with a way out."""
    try:
        yield
    except OSError as error:
        raise ReadError(
            f"{error.filename or storage.root} could not be read ({error.strerror or error}): "
            "mend the storage and run again"
        ) from error


class View(Protocol):
    """A tree of folders and files, to be read. A symbolic link is reported and never followed at the end of a
    path, but for the folder that is listed."""

    root: str

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        ...

    def folders(self, path: str) -> tuple[list[str], list[Entry]]:
        """The same: the names of the real folders, and the other entries."""
        ...

    def stamp(self, path: str) -> object | None:
        """A value that stays the same only as long as the names in the folder do.

        None when nothing can tell: the folder changed within the grain of its clock, or a network file
        system may serve an old time from its cache.
        """
        ...

    def identity(self, path: str) -> object:
        """What is the same for two paths that lead to one folder, through whatever links."""
        ...

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of a file. Raises Odd for anything that is not a plain file."""
        ...

    def read_many(self, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        """`read` for each path, in order; None for what is not there, Odd for what is something else."""
        ...

    def stat(self, path: str) -> Stat:
        """What the operating system knows of a file or folder."""
        ...

    def stat_many(self, paths: Iterable[str]) -> Iterator[Stat | None]:
        """`stat` for each path, in order; None for what is not there or lies below no folder."""
        ...


class Storage(View, Protocol):
    """A tree of folders and files; no change ever replaces a file of the registry's."""

    @property
    def has_folders(self) -> bool:
        """Whether folders are things of their own: there when empty, and with a time of their last change."""
        ...

    def view(self) -> View:
        """What one look reads: nothing in it is older than this call."""
        ...

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of a file, `size` bytes at a time."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def remove_many(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there are no matter."""
        ...

    def remove_folder(self, path: str) -> bool:
        """Remove a folder; False when it is not empty or not there."""
        ...

    def remove_folders(self, paths: Iterable[str]) -> list[bool]:
        """`remove_folder` for each path, in order."""
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; fine when it is there."""
        ...

    def ahead(self, coming: Sequence[Move]) -> None:
        """Hear which renames, or which `put_back`s of what was renamed, come next, in that order.

        A storage to which each is a request or more may do the renames now, side by side, and give what came
        of each when it comes. It may leave alone what was written since its mtime; that then counts as not
        there.
        """
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

    def remarks(self) -> tuple[str, ...]:
        """Sentences for the report of a run, on what removing means here."""
        ...


class ViewOneByOne:
    """The bulk questions of a view by its single ones; without links, and where no folder tells of itself."""

    def folders(self: View, path: str) -> tuple[list[str], list[Entry]]:
        """The names of the real folders, and the other entries."""
        entries = self.list(path)
        names = [entry.name for entry in entries if entry.kind == "folder"]
        return names, [entry for entry in entries if entry.kind != "folder"]

    def stamp(self, path: str) -> object | None:
        """Nothing tells."""
        del path
        return None

    def identity(self, path: str) -> object:
        """The path, where there are no links."""
        return path

    def read_many(self: View, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        """`read` for each path, in order."""
        for path in paths:
            try:
                yield self.read(path, limit)
            except FileNotFoundError:
                yield None
            except OSError as error:
                if not is_odd(error):
                    raise
                yield as_odd(error, path)

    def stat_many(self: View, paths: Iterable[str]) -> Iterator[Stat | None]:
        """`stat` for each path, in order."""
        for path in paths:
            try:
                yield self.stat(path)
            except OSError as error:
                if not (isinstance(error, FileNotFoundError) or is_odd(error)):
                    raise
                yield None


class OneByOne(ViewOneByOne):
    """The bulk questions and changes of a storage with folders, by its single ones."""

    @property
    def has_folders(self) -> bool:
        """They are things of their own."""
        return True

    def view(self: Storage) -> View:
        """Itself, where every answer is fresh."""
        return self

    def ahead(self, coming: Sequence[Move]) -> None:
        """Nothing is gained by it."""
        del coming

    def remove_many(self: Storage, paths: Iterable[str]) -> None:
        """`remove` for each path."""
        for path in paths:
            with suppress(FileNotFoundError):
                self.remove(path)

    def remove_folders(self: Storage, paths: Iterable[str]) -> list[bool]:
        """`remove_folder` for each path, in order."""
        return [self.remove_folder(path) for path in paths]

    def remarks(self) -> tuple[str, ...]:
        """Nothing to say."""
        return ()
