"""The registry's filesystem driver, seen from beside it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

from pruner.errors import Busy
from pruner.storage import Entry, Kind, Stat


class FileSystem:
    """A local folder, given by its absolute path; symbolic links below it are reported, never followed
    by `list`, and followed by `read` and `stat`, as the registry does."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}"

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        with os.scandir(self._path(path)) as entries:
            found = [Entry(entry.name, _kind(entry)) for entry in entries]
        if len(found) > 1:
            found.sort()
        return found

    def read(self, path: str, limit: int) -> tuple[bytes, float]:
        """At most `limit` bytes of a file, and its mtime."""
        # Plain descriptors: a tree has a link for every layer, and a file object costs more than the read.
        handle = os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            content = os.read(handle, min(limit, found.st_size + 1))
            while len(content) < limit and (more := os.read(handle, min(limit - len(content), 65536))):
                content += more
        finally:
            os.close(handle)
        return content, found.st_mtime

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of a file, `size` bytes at a time."""
        with open(self._path(path), "rb", buffering=0) as file:
            while chunk := file.read(size):
                yield chunk

    def stat(self, path: str) -> Stat:
        """Size, mtime and number of names of a file or folder."""
        found = os.stat(self._path(path))
        return Stat(found.st_size, found.st_mtime, found.st_nlink)

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
        """Hold the only lock on `path` while the context lasts; raises Busy with the holder's name.

        The kernel gives the lock back when its holder dies, so a dead owner's lock is simply free.
        """
        handle = os.open(self._path(path), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _give_away(self._path(path))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
                raise Busy(
                    f"another pruner is at work on {self.root} ({holder}): wait until it ends"
                ) from None
            try:
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{owner}\n".encode(), 0)
            except OSError as error:
                # The name is for people only; a full disk must not stop a run that frees it.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
            yield
        finally:
            os.close(handle)


def _give_away(path: str) -> None:
    """What root made belongs to whom the folder belongs in which it lies: who comes next may be no root."""
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
