"""A storage at a pace: at most so many operations a second, so that a busy disk has time for the registry.

Every question and every change counts as one: a listing, a stat, a file read, a rename, a removal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress

from pruner.clock import Clock, Stopped
from pruner.storage import Content, Entry, Move, Odd, Stat, Storage, View

SLICE = 0.01
"""Seconds; a sleep for each of a thousand operations a second would cost more than they do, so those of so
long a time pass together."""


class Pace:
    """Lets operations pass, at most so many a second; time in which none came is not saved up."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._each = 1 / per_second
        self._clock = clock
        self._due = clock.monotonic()

    def take(self) -> None:
        """Wait until one more may pass; raises Stopped when the process is asked to end meanwhile."""
        now = self._clock.monotonic()
        self._due = max(self._due, now) + self._each
        if self._due - now >= SLICE:
            self._clock.sleep(self._due - now)

    def take_anyhow(self) -> None:
        """The same for one who must go on, and does so without a wait once the process was asked to end."""
        with suppress(Stopped):
            self.take()


class PacedView:
    """A view at a pace; a look that waits for it hears that the process is asked to end."""

    def __init__(self, inner: View, take: Callable[[], None]) -> None:
        self.root = inner.root
        self._view = inner
        self._take = take

    def _taken(self, paths: Iterable[str]) -> Iterator[str]:
        for path in paths:
            self._take()
            yield path

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        self._take()
        return self._view.list(path)

    def folders(self, path: str) -> tuple[list[str], list[Entry]]:
        """The same: the names of the real folders, and the other entries."""
        self._take()
        return self._view.folders(path)

    def stamp(self, path: str) -> object | None:
        """A value that stays the same only as long as the names in the folder do."""
        self._take()
        return self._view.stamp(path)

    def identity(self, path: str) -> object:
        """What is the same for two paths that lead to one folder."""
        self._take()
        return self._view.identity(path)

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of a file. Raises Odd for anything that is not a plain file."""
        self._take()
        return self._view.read(path, limit)

    def read_many(self, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        """`read` for each path, in order."""
        return self._view.read_many(self._taken(paths), limit)

    def stat(self, path: str) -> Stat:
        """What is known of a file or folder."""
        self._take()
        return self._view.stat(path)

    def stat_many(self, paths: Iterable[str]) -> Iterator[Stat | None]:
        """`stat` for each path, in order."""
        return self._view.stat_many(self._taken(paths))


class Paced(PacedView):
    """A storage at a pace. What is not read for a look is done to its end: a change, or its undoing."""

    def __init__(self, inner: Storage, per_second: float, clock: Clock) -> None:
        self._pace = Pace(per_second, clock)
        super().__init__(inner, self._pace.take_anyhow)
        self._inner = inner

    @property
    def has_folders(self) -> bool:
        """What the storage has."""
        return self._inner.has_folders

    def remarks(self) -> tuple[str, ...]:
        """Sentences for the report."""
        return self._inner.remarks()

    def ahead(self, coming: Sequence[Move]) -> None:
        """Nothing is done ahead of its time."""
        del coming

    def remove_many(self, paths: Iterable[str]) -> None:
        """Remove files; each counts."""
        self._inner.remove_many(self._taken(paths))

    def view(self) -> View:
        """What one look reads."""
        return PacedView(self._inner.view(), self._pace.take)

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of a file, `size` bytes at a time; each counts."""
        self._take()
        for chunk in self._inner.chunks(path, size):
            yield chunk
            self._take()

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._take()
        self._inner.remove(path)

    def remove_folder(self, path: str) -> bool:
        """Remove a folder; False when it is not empty or not there."""
        self._take()
        return self._inner.remove_folder(path)

    def remove_folders(self, paths: Iterable[str]) -> list[bool]:
        """`remove_folder` for each path, in order; each counts."""
        return self._inner.remove_folders(self._taken(paths))

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self._take()
        self._inner.make_folder(path)

    def rename(self, source: str, target: str) -> None:
        """Take a file away to a `target` that is free."""
        self._take()
        self._inner.rename(source, target)

    def put_back(self, source: str, target: str) -> bool:
        """Move a file to where it was; False when a newer `target` exists."""
        self._take()
        return self._inner.put_back(source, target)

    def touch(self, path: str) -> None:
        """Give a file the present time as its mtime."""
        self._take()
        self._inner.touch(path)

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the pruner's own."""
        self._take()
        self._inner.write(path, content)

    def append(self, path: str, content: bytes) -> None:
        """Append to a file of the pruner's own."""
        self._take()
        self._inner.append(path, content)

    def reserve(self, path: str, size: int) -> None:
        """Make a file of `size` bytes whose space is really taken."""
        self._take()
        self._inner.reserve(path, size)

    def lock(self, path: str, owner: str) -> AbstractContextManager[None]:
        """Hold the only lock on `path` while the context lasts."""
        self._take()
        return self._inner.lock(path, owner)


def at_pace(storage: Storage, per_second: float, clock: Clock) -> Storage:
    """`storage` with at most so many operations a second; itself, and nothing around it, when that is 0."""
    return Paced(storage, per_second, clock) if per_second else storage
