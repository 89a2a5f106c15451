"""Doubles of time and storage: a clock that only tests move, a storage of which every call can be watched.

`Interposed` goes around any storage. What its `before` does happens right before the call, what it raises is
what the caller gets: so a call fails, a run is killed at it, or a client works in between.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager

from pruner.storage import Content, Entry, OneByOne, Stat, Storage
from pruner.storage.filesystem import FileSystem

START = 1_700_000_000.0  # seconds since the epoch; no test depends on the day

Before = Callable[[str, str], None]
"""Gets the name of the operation and the path it is about."""


class FakeClock:
    """Time that passes only while somebody sleeps, or when a test moves it."""

    def __init__(self, now: float = START, *, during: Callable[[], object] = lambda: None) -> None:
        self.wall = now
        self.steady = 0.0
        self.slept: list[float] = []
        self.while_asleep: Callable[[float], object] = lambda _seconds: during()

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def sleep(self, seconds: float) -> None:
        """Time passes, and `while_asleep` is called in the middle of it."""
        self.slept.append(seconds)
        self.advance(seconds / 2)
        self.while_asleep(seconds)
        self.advance(seconds / 2)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        """What a person, or NTP, does to the wall clock."""
        self.wall += seconds


class ClockedFileSystem(FileSystem):
    """The real file system, except that what the pruner does to it happens at the test's time."""

    def __init__(self, root: str, clock: FakeClock) -> None:
        super().__init__(root)
        self.clock = clock
        self.skew = 0.0

    @contextmanager
    def lock(self, path: str, owner: str) -> Generator[None]:
        with super().lock(path, owner):
            self.touch(path)
            yield

    def touch(self, path: str) -> None:
        moment = self.clock.now() + self.skew
        os.utime(f"{self.root}/{path}", (moment, moment))

    def remove(self, path: str) -> None:
        super().remove(path)
        self._changed(path)

    def remove_folder(self, path: str) -> bool:
        removed = super().remove_folder(path)
        if removed:
            self._changed(path)
        return removed

    def make_folder(self, path: str) -> None:
        new = [path]
        while not os.path.exists(f"{self.root}/{new[-1]}"):
            new.append(os.path.dirname(new[-1]))
        super().make_folder(path)
        for made in new[:-1]:
            self.touch(made)
            self._changed(made)

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._changed(source, target)

    def put_back(self, source: str, target: str) -> bool:
        done = super().put_back(source, target)
        if done:
            self._changed(source, target)
        return done

    def _changed(self, *paths: str) -> None:
        for path in paths:
            self.touch(os.path.dirname(path))


def nothing(_operation: str, _path: str) -> None:
    """Lets every call pass."""


class Interposed(OneByOne):
    """A storage that calls `before` ahead of each operation, and of each of those that come in bulk."""

    def __init__(self, inner: Storage, before: Before = nothing) -> None:
        self.inner = inner
        self.root = inner.root
        self.before = before
        self.calls: list[tuple[str, str]] = []

    @property
    def has_folders(self) -> bool:
        return self.inner.has_folders

    def remarks(self) -> tuple[str, ...]:
        return self.inner.remarks()

    def _called(self, operation: str, path: str) -> None:
        self.calls.append((operation, path))
        self.before(operation, path)

    def list(self, path: str) -> list[Entry]:
        self._called("list", path)
        return self.inner.list(path)

    def folders(self, path: str) -> tuple[list[str], list[Entry]]:
        self._called("list", path)
        return self.inner.folders(path)

    def stamp(self, path: str) -> object | None:
        self._called("stamp", path)
        return self.inner.stamp(path)

    def identity(self, path: str) -> object:
        return self.inner.identity(path)

    def read(self, path: str, limit: int) -> Content:
        self._called("read", path)
        return self.inner.read(path, limit)

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        self._called("chunks", path)
        return self.inner.chunks(path, size)

    def stat(self, path: str) -> Stat:
        self._called("stat", path)
        return self.inner.stat(path)

    def remove(self, path: str) -> None:
        self._called("remove", path)
        self.inner.remove(path)

    def remove_folder(self, path: str) -> bool:
        self._called("remove_folder", path)
        return self.inner.remove_folder(path)

    def make_folder(self, path: str) -> None:
        self._called("make_folder", path)
        self.inner.make_folder(path)

    def rename(self, source: str, target: str) -> None:
        self._called("rename", source)
        self.inner.rename(source, target)

    def put_back(self, source: str, target: str) -> bool:
        self._called("put_back", target)
        return self.inner.put_back(source, target)

    def touch(self, path: str) -> None:
        self._called("touch", path)
        self.inner.touch(path)

    def write(self, path: str, content: bytes) -> None:
        self._called("write", path)
        self.inner.write(path, content)

    def append(self, path: str, content: bytes) -> None:
        self._called("append", path)
        self.inner.append(path, content)

    def reserve(self, path: str, size: int) -> None:
        self._called("reserve", path)
        self.inner.reserve(path, size)

    def lock(self, path: str, owner: str) -> AbstractContextManager[None]:
        self._called("lock", path)
        return self.inner.lock(path, owner)


READS = ("list", "stamp", "read", "chunks", "stat")
WRITES = (
    "remove",
    "remove_folder",
    "make_folder",
    "rename",
    "put_back",
    "touch",
    "write",
    "append",
    "reserve",
)


def failing(code: int, path_part: str, *operations: str, times: int = 1 << 30) -> Before:
    """Fails the operations whose path has `path_part` in it with the error `code`, so many times."""
    left = [times]

    def before(operation: str, path: str) -> None:
        if operation in operations and path_part in path and left[0] > 0:
            left[0] -= 1
            raise OSError(code, os.strerror(code), path)

    return before


def read_only(operation: str, path: str) -> None:
    """A file system that is mounted read-only."""
    if operation in WRITES or operation == "lock":
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


class Killed(BaseException):
    """What happens to a process that gets SIGKILL: no code of its own does anything any more."""


def killed_at(number: int, operations: Container[str] = (*READS, *WRITES)) -> Before:
    """Kills the process right before the `number`-th of these calls: neither it nor a later one happens."""
    count = 0

    def before(operation: str, _path: str) -> None:
        nonlocal count
        count += operation in operations
        if count >= number:
            raise Killed

    return before
