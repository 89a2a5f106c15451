"""Folders of takings, each moved by one small object: without rename a folder would have to be copied whole.

What a run takes away lies below `taken/<id>` from its beginning to its end. The folder that the run works in,
and the batch of the trash that it becomes, are objects that hold the `<id>`. To move the folder is to write
where it goes into the one, then to write the other, then to delete the one; who comes after a crash between
these ends it.
"""

from __future__ import annotations

import errno
import uuid

from pruner.storage.s3.bucket import Bucket

_POINTER_LIMIT = 4096
_TAKEN = "taken"


class Takings:
    """Resolves paths below the folder `current` and the batches in the folder `trash`, both in `state`.

    `above` is what stands before each key, empty or ending in a slash.
    """

    def __init__(self, bucket: Bucket, above: str, state: str, current: str, trash: str) -> None:
        self._bucket = bucket
        self._above = above
        self._state = state
        self._current = current
        self._trash = trash
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """Ask again where the folder of the run at work lies: others may have been at work."""
        self._known.pop(self._current, None)

    def folder_of(self, path: str) -> str | None:
        """The folder of takings that a path is, or lies in; None for other paths."""
        if path == self._current or path.startswith(f"{self._current}/"):
            return self._current
        if path.startswith(f"{self._trash}/"):
            return path[: len(self._trash) + 1] + path[len(self._trash) + 1 :].partition("/")[0]
        return None

    def key(self, path: str) -> str:
        """Where a path lies; raises FileNotFoundError when its folder of takings is not there."""
        folder = self.folder_of(path)
        if folder is None:
            return self._above + path
        if folder not in self._known:
            identity, target = self._read(folder)
            if target:
                raise self._absent(path)
            self._known[folder] = identity
        return f"{self._above}{self._state}/{_TAKEN}/{self._known[folder]}{path[len(folder) :]}"

    def make(self, path: str) -> None:
        """Have a folder of takings for that path."""
        folder = self.folder_of(path)
        if folder is None:
            return
        try:
            self.key(folder)
        except FileNotFoundError:
            identity = uuid.uuid4().hex
            self._bucket.put(self._above + folder, identity.encode())
            self._known[folder] = identity

    def remove(self, folder: str) -> bool:
        """Remove an empty folder of takings; False when it is not empty or not there."""
        try:
            key = self.key(folder)
        except FileNotFoundError:
            return False
        if self._bucket.first(f"{key}/"):
            return False
        self._bucket.delete(self._above + folder)
        self._known.pop(folder, None)
        return True

    def move(self, source: str, target: str) -> None:
        """Give a folder of takings another name; raises FileNotFoundError when it is not there."""
        self.key(source)
        identity = self._known.pop(source)
        self._bucket.put(self._above + source, f"{identity}\n{target}".encode())
        self._end_move(source, identity, target)

    def settle(self) -> None:
        """End a move that somebody did not live to end."""
        try:
            identity, target = self._read(self._current)
        except FileNotFoundError:
            return
        if target:
            self._end_move(self._current, identity, target)

    def _end_move(self, source: str, identity: str, target: str) -> None:
        self._bucket.put(self._above + target, identity.encode())
        self._bucket.delete(self._above + source)

    def _read(self, folder: str) -> tuple[str, str]:
        content, _ = self._bucket.get(self._above + folder, _POINTER_LIMIT)
        identity, _, target = content.decode(errors="replace").partition("\n")
        if not identity.isalnum():
            raise OSError(errno.EIO, "it does not name a folder: restore it, or remove it", folder)
        return identity, target

    def _absent(self, path: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, "it is not there", self._bucket.url(self._above + path))
