"""A file system in memory, on a test's clock: fast enough for thousands of runs, and POSIX where it matters.

A file is an object apart from its names, so who has it open goes on writing to it wherever it was renamed to;
a rename replaces and is one step; a folder's mtime is that of its last change of names.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from pruner.errors import Busy
from pruner.storage import Content, Entry, Odd, OneByOne, Stat
from tests.gc.storagedoubles import FakeClock


@dataclass(slots=True, eq=False)
class File:
    content: bytes
    mtime: float
    names: int = 1


@dataclass(slots=True, eq=False)
class Folder:
    mtime: float
    entries: dict[str, File | Folder] = field(default_factory=dict[str, "File | Folder"])


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


def _nothing(_operation: str, _path: str) -> None:
    pass


class MemoryStorage(OneByOne):
    """What the pruner asks of a storage, and below it the system calls that a registry makes.

    `between` is called inside those operations that take more than one system call; what it raises cuts them
    short. `destroyed` is told of every file that lost its last name.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.root = "/memory"
        self.clock = clock
        self.top = Folder(clock.now())
        self.between: Callable[[str, str], None] = _nothing
        self.destroyed: Callable[[str, File], None] = lambda _path, _file: None
        self._owners: dict[str, str] = {}

    # -- system calls

    def _at(self, path: str) -> File | Folder:
        node: File | Folder = self.top
        for name in path.split("/") if path else ():
            if isinstance(node, File):
                raise _error(errno.ENOTDIR, path)
            found = node.entries.get(name)
            if found is None:
                raise _error(errno.ENOENT, path)
            node = found
        return node

    def _folder(self, path: str) -> Folder:
        node = self._at(path)
        if isinstance(node, File):
            raise _error(errno.ENOTDIR, path)
        return node

    def _file(self, path: str) -> File:
        node = self._at(path)
        if isinstance(node, Folder):
            raise _error(errno.EISDIR, path)
        return node

    def _above(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        return self._folder(above), name

    def exists(self, path: str) -> bool:
        try:
            self._at(path)
        except FileNotFoundError:
            return False
        return True

    def open(self, path: str) -> File:
        """O_CREAT without O_TRUNC; the folder must be there."""
        folder, name = self._above(path)
        found = folder.entries.get(name)
        if isinstance(found, Folder):
            raise _error(errno.EISDIR, path)
        if found is None:
            found = File(b"", self.clock.now())
            folder.entries[name] = found
            folder.mtime = self.clock.now()
        return found

    def fill(self, file: File, content: bytes) -> None:
        """Truncate an open file, or write to it after that."""
        file.content = content
        file.mtime = self.clock.now()

    def link(self, source: str, target: str) -> None:
        file = self._file(source)
        folder, name = self._above(target)
        if name in folder.entries:
            raise _error(errno.EEXIST, target)
        folder.entries[name] = file
        folder.mtime = self.clock.now()
        file.names += 1

    def remove_tree(self, path: str) -> Iterator[None]:
        """Remove a folder with all it holds, name by name; yields before each."""
        for entry in self.list(path):
            if entry.kind == "folder":
                yield from self.remove_tree(f"{path}/{entry.name}")
            else:
                yield
                if self.exists(f"{path}/{entry.name}"):
                    self.remove(f"{path}/{entry.name}")
        yield
        self.remove_folder(path)

    def walk(self, path: str = "") -> Iterator[tuple[str, File | Folder]]:
        """Everything below a folder."""
        for name, node in self._folder(path).entries.items():
            below = f"{path}/{name}" if path else name
            yield below, node
            if isinstance(node, Folder):
                yield from self.walk(below)

    def snapshot(self, without: str = "\0") -> dict[str, tuple[bytes | None, float]]:
        """Content (None for a folder) and mtime of everything that is not below `without`."""
        return {
            path: (node.content if isinstance(node, File) else None, node.mtime)
            for path, node in self.walk()
            if not path.startswith(without)
        }

    def files(self, without: str = "\0") -> dict[str, tuple[bytes, float]]:
        """Content and mtime of every file that is not below `without`."""
        return {
            path: (node.content, node.mtime)
            for path, node in self.walk()
            if isinstance(node, File) and not path.startswith(without)
        }

    def copy(self, clock: FakeClock) -> MemoryStorage:
        """The same files and folders, apart from these and on another clock."""
        twin = MemoryStorage(clock)
        twin.top = _copy(self.top, {})
        return twin

    # -- the pruner's view

    def list(self, path: str) -> list[Entry]:
        entries = self._folder(path).entries.items()
        return sorted(Entry(name, "file" if isinstance(node, File) else "folder") for name, node in entries)

    def stamp(self, path: str) -> object | None:
        folder = self._folder(path)
        return None if self._is_fresh(folder) else (id(folder), folder.mtime)

    def _is_fresh(self, node: File | Folder) -> bool:
        """Whether it may change once more under the same time, on this clock that often stands still."""
        return node.mtime >= self.clock.now()

    def read(self, path: str, limit: int) -> Content:
        node = self._at(path)
        if isinstance(node, Folder):
            raise Odd(path, "folder")
        return Content(node.content[:limit], node.mtime, self._version(node))

    def _version(self, node: File | Folder) -> int:
        return 0 if self._is_fresh(node) else hash((id(node), node.mtime)) & 0xFFFF_FFFF_FFFF_FFFF

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        content = self._file(path).content
        for start in range(0, len(content), size):
            yield content[start : start + size]

    def stat(self, path: str) -> Stat:
        node = self._at(path)
        if isinstance(node, File):
            return Stat(len(node.content), node.mtime, node.names, self._version(node))
        return Stat(0, node.mtime, 2, self._version(node), "folder")

    def remove(self, path: str) -> None:
        file = self._file(path)
        folder, name = self._above(path)
        del folder.entries[name]
        folder.mtime = self.clock.now()
        self._lost_name(path, file)

    def _lost_name(self, path: str, file: File) -> None:
        file.names -= 1
        if file.names == 0:
            self.destroyed(path, file)

    def remove_folder(self, path: str) -> bool:
        try:
            folder = self._folder(path)
        except FileNotFoundError:
            return False
        if folder.entries:
            return False
        above, name = self._above(path)
        del above.entries[name]
        above.mtime = self.clock.now()
        return True

    def make_folder(self, path: str) -> None:
        node = self.top
        names = path.split("/")
        for number, name in enumerate(names, 1):
            below = node.entries.get(name)
            if isinstance(below, File):
                raise _error(errno.EEXIST if number == len(names) else errno.ENOTDIR, path)
            if below is None:
                below = Folder(self.clock.now())
                node.entries[name] = below
                node.mtime = self.clock.now()
            node = below

    def rename(self, source: str, target: str) -> None:
        node = self._at(source)
        above, name = self._above(source)
        into, new_name = self._above(target)
        old = into.entries.get(new_name)
        if isinstance(old, Folder) and isinstance(node, File):
            raise _error(errno.EISDIR, target)
        if isinstance(old, Folder) and old.entries:
            raise _error(errno.ENOTEMPTY, target)
        if old is node:
            return  # two names of one file: POSIX does nothing
        del above.entries[name]
        into.entries[new_name] = node
        above.mtime = into.mtime = self.clock.now()
        if isinstance(old, File):
            self._lost_name(target, old)

    def put_back(self, source: str, target: str) -> bool:
        try:
            self.link(source, target)
        except FileExistsError:
            return False
        self.between("put_back", target)
        self.remove(source)
        return True

    def touch(self, path: str) -> None:
        self._at(path).mtime = self.clock.now()

    def write(self, path: str, content: bytes) -> None:
        file = self.open(path + ".tmp")
        self.between("write", path)
        self.fill(file, content)
        self.between("write", path)
        self.rename(path + ".tmp", path)

    def append(self, path: str, content: bytes) -> None:
        file = self.open(path)
        self.fill(file, file.content + content[: len(content) // 2])
        self.between("append", path)
        self.fill(file, file.content + content[len(content) // 2 :])

    def reserve(self, path: str, size: int) -> None:
        self.fill(self.open(path), bytes(size))

    def sync(self, path: str) -> None:
        self._folder(path)

    def lock(self, path: str, owner: str) -> AbstractContextManager[None]:
        return self._lock(path, owner)

    @contextmanager
    def _lock(self, path: str, owner: str) -> Generator[None]:
        self.open(path)
        if path in self._owners:
            raise Busy(f"locked by {self._owners[path]}")
        self._owners[path] = owner
        try:
            self.touch(path)
            yield
        finally:
            del self._owners[path]  # the kernel does so when its holder dies, too


def _copy(folder: Folder, files: dict[int, File]) -> Folder:
    entries: dict[str, File | Folder] = {}
    for name, node in folder.entries.items():
        if isinstance(node, Folder):
            entries[name] = _copy(node, files)
        else:
            entries[name] = files.setdefault(id(node), File(node.content, node.mtime, node.names))
    return Folder(folder.mtime, entries)
