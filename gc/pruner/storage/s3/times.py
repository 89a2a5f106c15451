"""The times of links that were put back: an object cannot be given one, and a tag's is when it was pushed.

Before links are put back their times are noted in one object, and each is written with its time as metadata.
Metadata shows that nobody wrote to it since; a listing does not tell metadata, but tells when it was written.
So the note is completed by that moment once a second has passed in which nobody can write it again unseen.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pruner.storage.parallel import side_by_side
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.keys import Key

_LIMIT = 1 << 30


class Times:
    """Path -> when a link was put back (None: not known yet), and its time before; in the object `name`."""

    def __init__(self, bucket: Bucket, above: str, name: str, workers: int) -> None:
        self._bucket = bucket
        self._above = above
        self._name = above + name
        self._workers = workers
        self._known: dict[str, tuple[float | None, float]] | None = None
        self._is_newer = False

    def forget(self) -> None:
        """Read it again: others may have been at work."""
        self._known = None

    def note(self, times: Mapping[str, float]) -> None:
        """Write down the times of links that are put back next."""
        known = self._read()
        new = {path: (None, mtime) for path, mtime in times.items() if known.get(path) != (None, mtime)}
        if new:
            known |= new
            self._write()

    def written(self, path: str) -> None:
        """Note when a link was put back just now: a server may keep metadata that another writing had not."""
        key = self._head(path)
        known = self._read()
        if key is not None and path in known:
            known[path] = key.mtime, known[path][1]
            self._is_newer = True

    def told(self, keys: Iterable[Key], *, may_write: bool) -> list[Key]:
        """The same keys, without the root before them, those that were put back with the time they had."""
        known = self._read()
        keys = list(keys)
        if not known:
            return keys
        listed = {key.name: key for key in keys if key.name in known}
        doubtful = [path for path, (moment, _) in known.items() if moment is None and path in listed]
        ours: dict[str, float] = {}
        changed = self._is_newer
        for path, key in zip(doubtful, side_by_side(self._head, doubtful, self._workers), strict=True):
            if key is None or key.origin is None:
                continue
            ours[path] = key.origin
            if self._bucket.now() > key.mtime + 1:
                known[path] = key.mtime, key.origin
                changed = True
        for path, (moment, origin) in list(known.items()):
            key = listed.get(path)
            if moment is not None and key is not None and key.mtime == moment:
                ours[path] = origin
            elif path not in ours and may_write:
                del known[path]  # it was written again, or is gone
                changed = True
        if changed and may_write:
            self._write()
            self._is_newer = False
        return [key._replace(origin=ours[key.name]) if key.name in ours else key for key in keys]

    def _head(self, path: str) -> Key | None:
        try:
            return self._bucket.head(self._above + path)
        except FileNotFoundError:
            return None

    def _read(self) -> dict[str, tuple[float | None, float]]:
        if self._known is None:
            self._known = {}
            try:
                content, _ = self._bucket.get(self._name, _LIMIT)
            except FileNotFoundError:
                return self._known
            try:
                found: dict[str, list[Any]] = json.loads(content)
                self._known = {path: (moment, origin) for path, (moment, origin) in found.items()}
            except (ValueError, AttributeError, TypeError) as error:
                self._known = None
                hint = "remove it, and what was put back last counts as pushed then"
                raise OSError(errno.EIO, f"it is damaged: {hint}", self._bucket.url(self._name)) from error
        return self._known

    def _write(self) -> None:
        known = self._read()
        if known:
            self._bucket.put(self._name, json.dumps(known).encode())
        else:
            self._bucket.delete(self._name)
