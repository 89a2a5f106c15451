"""The registry's filesystem driver, seen from beside it."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from pruner.storage import Content, Entry, Kind, Odd, OneByOne, Stat, as_odd, filelock, is_odd, mounts

GRAIN = 2.0
"""Seconds; FAT keeps times to two seconds, ext3 to one, and ext4 to a tick of the kernel's clock. What
changed less than that ago may change again under the same time."""

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hold us up

_TYPE = 0o170000
_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}
_WORKERS = 4
_AT_ONCE = 100  # paths
_64_BITS = 0xFFFF_FFFF_FFFF_FFFF
_new: Any = vars(tuple)["__new__"]  # of a tuple that has names: half the time of what calls it with them
T = TypeVar("T")


class FileSystem(OneByOne):
    """A local folder, given by its absolute path."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    @cached_property
    def _type(self) -> str:
        return mounts.type_of(self.root)

    @cached_property
    def _device(self) -> int:
        return os.stat(self.root).st_dev

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}"

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        with os.scandir(self._path(path)) as entries:
            return sorted(Entry(entry.name, _kind(entry)) for entry in entries)

    def folders(self, path: str) -> tuple[list[str], list[Entry]]:
        """The names of the real folders, and the other entries."""
        folder = f"{self.root}/{path}"
        if self._type in mounts.COUNTING:
            names = os.listdir(folder)
            if os.stat(folder).st_nlink == len(names) + 2:
                return names, []
        with os.scandir(folder) as entries:
            found = list(entries)
        names = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        if len(names) == len(found):
            return names, []
        others = [Entry(entry.name, _kind(entry)) for entry in found]
        return names, sorted(entry for entry in others if entry.kind != "folder")

    def stamp(self, path: str) -> object | None:
        """Inode and times of a folder; None within the grain of its clock and on network file systems."""
        if self._type not in mounts.LOCAL:
            return None
        found = os.stat(f"{self.root}/{path}")
        changed = max(found.st_mtime, found.st_ctime)
        if found.st_dev != self._device or changed > time.time() - GRAIN:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns

    def identity(self, path: str) -> object:
        """Device and inode."""
        found = os.stat(self._path(path))
        return found.st_dev, found.st_ino

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of a file. Raises Odd for anything that is not a plain file."""
        for content in self._read((path,), limit):
            if isinstance(content, Odd):
                raise content
            if content is not None:
                return content
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._path(path))

    def read_many(self, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        """`read` for each path, in order."""
        return self._read(paths, limit)

    def _read(self, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        # Plain descriptors: a tree has a link for every layer, and a file object costs more than the read.
        above = f"{self.root}/"
        settled = int((time.time() - GRAIN) * 1e9)
        open_, fstat, read, close, regular = os.open, os.fstat, os.read, os.close, stat.S_IFREG
        new = _new
        for path in paths:
            try:
                handle = open_(above + path, _OPEN)
            except FileNotFoundError:
                yield None
                continue
            except OSError as error:
                if not is_odd(error):
                    raise
                yield as_odd(error, above + path)
                continue
            try:
                found = fstat(handle)
                if found.st_mode & _TYPE != regular:
                    yield Odd(above + path, _kind_of(found.st_mode))
                    continue
                size = found.st_size
                content = read(handle, size + 1 if size < limit else limit)
                while len(content) != size and len(content) < limit:
                    more = read(handle, min(limit - len(content), 65536))
                    if not more:
                        break
                    content += more
            finally:
                close(handle)
            changed = found.st_ctime_ns
            version = (changed ^ (found.st_ino << 24)) & _64_BITS if changed < settled else 0
            yield new(Content, (content, found.st_mtime, version))

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of a file, `size` bytes at a time."""
        with open(self._path(path), "rb", buffering=0) as file:
            while chunk := file.read(size):
                yield chunk

    def stat(self, path: str) -> Stat:
        """What the operating system knows of a file or folder."""
        return _stat(os.lstat(self._path(path)), (time.time() - GRAIN) * 1e9)

    def stat_many(self, paths: Iterable[str]) -> Iterator[Stat | None]:
        """`stat` for each path, in order."""
        above, lstat = f"{self.root}/", os.lstat
        settled = (time.time() - GRAIN) * 1e9
        new, kind_of = _new, _KINDS.get
        for path in paths:
            try:
                found = lstat(above + path)
            except OSError as error:
                if not (isinstance(error, FileNotFoundError) or is_odd(error)):
                    raise
                yield None
                continue
            changed = found.st_ctime_ns
            version = (changed ^ (found.st_ino << 24)) & _64_BITS if changed < settled else 0
            kind = kind_of(found.st_mode & _TYPE, "other")
            yield new(Stat, (found.st_size, found.st_mtime, found.st_nlink, version, kind))

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.unlink(self._path(path))

    def remove_folder(self, path: str) -> bool:
        """Remove a folder; False when it is not empty or not there."""
        try:
            os.rmdir(self._path(path))
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def remove_many(self, paths: Iterable[str]) -> None:
        """`remove` for each path."""
        _in_parts(super().remove_many, paths)

    def remove_folders(self, paths: Iterable[str]) -> list[bool]:
        """`remove_folder` for each path, in order."""
        return list(chain.from_iterable(_in_parts(super().remove_folders, paths)))

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; fine when it is there."""
        new: list[str] = []
        folder = self._path(path)
        while not os.path.isdir(folder):
            new.append(folder)
            folder = os.path.dirname(folder)
        os.makedirs(self._path(path), exist_ok=True)
        for made in reversed(new):
            _give_away(made)

    def rename(self, source: str, target: str) -> None:
        """Take a file away to a `target` that is free, in one step: what comes after at `source` is new."""
        os.rename(self._path(source), self._path(target))

    def put_back(self, source: str, target: str) -> bool:
        """Move a file to where it was; False, and nothing done, when a newer `target` exists."""
        try:
            os.link(self._path(source), self._path(target), follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            # No hard links here (FAT, some network shares): a rename replaces, so look first.
            if os.path.lexists(self._path(target)):
                return False
            os.rename(self._path(source), self._path(target))
            return True
        os.unlink(self._path(source))
        return True

    def touch(self, path: str) -> None:
        """Give a file the present time as its mtime."""
        os.utime(self._path(path))

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the pruner's own, whole or not at all, and durably; replaces."""
        temporary = self._path(path) + ".tmp"
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _give_away(temporary)
        os.rename(temporary, self._path(path))
        self._sync(os.path.dirname(path))

    def append(self, path: str, content: bytes) -> None:
        """Append to a file of the pruner's own, durably."""
        with open(self._path(path), "ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def reserve(self, path: str, size: int) -> None:
        """Make a file of `size` bytes whose space is really taken."""
        handle = os.open(self._path(path), os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
        _give_away(self._path(path))

    def _sync(self, path: str) -> None:
        """Make the names in a folder durable."""
        handle = os.open(self._path(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def lock(self, path: str, owner: str) -> Generator[None]:
        """Hold the only lock on `path` while the context lasts; raises Busy with the holder's name."""
        handle = os.open(self._path(path), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _give_away(self._path(path))
            filelock.hold(handle, owner, self.root)
            yield
        finally:
            os.close(handle)


def _in_parts(action: Callable[[list[str]], T], paths: Iterable[str]) -> list[T]:
    # A disk that discards what is freed, or a server far away, has each wait; others go on meanwhile.
    from pruner.storage.parallel import in_parts  # only here: a plan is to start fast

    return list(in_parts(action, paths, _WORKERS, _AT_ONCE))


def _give_away(path: str) -> None:
    """What root made belongs to whom the folder belongs in which it lies: who comes next may not be root."""
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        with suppress(PermissionError):  # a share whose server takes root for nobody
            os.chown(path, owner.st_uid, owner.st_gid)


def _kind(entry: os.DirEntry[str]) -> Kind:
    # The listing itself tells these apart, so that nothing is asked for again.
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    if entry.is_file(follow_symlinks=False):
        return "file"
    return "symlink" if entry.is_symlink() else "other"


def _kind_of(mode: int) -> Kind:
    return _KINDS.get(mode & _TYPE, "other")


def _stat(found: os.stat_result, settled: float) -> Stat:
    changed = found.st_ctime_ns
    version = (changed ^ (found.st_ino << 24)) & _64_BITS if changed < settled else 0
    kind = _KINDS.get(found.st_mode & _TYPE, "other")
    return Stat(found.st_size, found.st_mtime, found.st_nlink, version, kind)
