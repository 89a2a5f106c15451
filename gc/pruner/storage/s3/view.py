"""One look at an object store: every key as it was when the look began, and contents read side by side."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator

from pruner.storage import Content, Entry, Odd, Stat, ViewOneByOne
from pruner.storage.parallel import side_by_side
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.keys import Key
from pruner.storage.s3.listing import Listing

Contents = dict[Key, bytes]
"""Small contents that were read once: an object of the same time and ETag holds the same."""


def version_of(key: Key) -> int:
    """What Stat and Content call a version: an ETag is made of the content, or is another at each writing."""
    digits = key.etag.partition("-")[0][:15]
    try:
        return int(digits, 16) or 1
    except ValueError:
        return int.from_bytes(key.etag.encode()[:7]) or 1


def time_of(key: Key) -> float:
    """When it was written, or what it is a copy of."""
    return key.mtime if key.origin is None else key.origin


def stat_of(key: Key) -> Stat:
    """An object as a file, with the time of what it is a copy of."""
    return Stat(key.size, time_of(key), 1, version_of(key), "file")


class S3View(ViewOneByOne):
    """A View (pruner.storage) of a listing; `bucket` is asked for the contents that this does not tell.

    `above` is what stands before each key of the listing, empty or ending in a slash. What `may_be_new` says
    of a path is asked for although it was not listed: it may have come during the listing.
    """

    def __init__(
        self,
        bucket: Bucket,
        url: str,
        above: str,
        listing: Listing,
        contents: Contents,
        may_be_new: Callable[[str], bool],
        workers: int,
    ) -> None:
        self.root = url
        self._bucket = bucket
        self._above = above
        self._listing = listing
        self._contents = contents
        self._may_be_new = may_be_new
        self._workers = workers

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name."""
        if not self._listing.is_folder(path):
            self._refuse_file(path)
            raise self._absent(path)
        return sorted(
            Entry(name, "folder" if is_folder else "file") for name, is_folder in self._listing.children(path)
        )

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of an object; a link from the listing alone, where that tells."""
        content = self._content(path, limit)
        if content is None:
            raise self._absent(path)
        return content

    def read_many(self, paths: Iterable[str], limit: int) -> Iterator[Content | Odd | None]:
        """`read` for each path, in order."""
        wanted = list(paths)
        told = [self._told(path, limit) for path in wanted]
        asked = iter(
            side_by_side(
                lambda path: self._asked(path, limit),
                (path for path, each in zip(wanted, told, strict=True) if each == "ask"),
                self._workers,
            )
        )
        for each in told:
            yield next(asked) if isinstance(each, str) else each

    def _content(self, path: str, limit: int) -> Content | None:
        told = self._told(path, limit)
        if isinstance(told, Odd):
            raise told
        return self._asked(path, limit) if isinstance(told, str) else told

    def _told(self, path: str, limit: int) -> Content | Odd | str | None:
        """What the listing says of a content, or "ask"."""
        key = self._listing.file(path)
        if key is None:
            try:
                self._refuse_folder(path)
            except OSError as odd:
                return odd if isinstance(odd, Odd) else Odd(f"{self.root}/{path}", "below a file")
            return "ask" if self._may_be_new(path) else None
        content = self._contents.get(key._replace(origin=None))
        if content is None and path.endswith("/link") and (digest := self._listing.link(key)) is not None:
            content = digest.encode()
        return "ask" if content is None else Content(content[:limit], time_of(key), version_of(key))

    def _asked(self, path: str, limit: int) -> Content | None:
        try:
            content, key = self._bucket.get(self._above + path, limit)
        except FileNotFoundError:
            return None
        if path.endswith("/link") and len(content) < limit:
            self._contents[key._replace(name=path, origin=None)] = content
        return Content(content, time_of(key), version_of(key))

    def stat(self, path: str) -> Stat:
        """An object, or a folder with the time of the youngest object below it."""
        key = self._listing.file(path)
        if key is not None:
            return stat_of(key)
        if self._listing.is_folder(path):
            return Stat(0, self._listing.youngest(path), 1, 0, "folder")
        self._refuse_file(path)
        raise self._absent(path)

    def _absent(self, path: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.root}/{path}")

    def _refuse_folder(self, path: str) -> None:
        if self._listing.is_folder(path):
            raise Odd(f"{self.root}/{path}", "a folder")
        self._refuse_file(path)

    def _refuse_file(self, path: str) -> None:
        """Below an object nothing lies: a file system says so, and so do we."""
        above = path.rpartition("/")[0]
        while above:
            if self._listing.file(above) is not None:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), f"{self.root}/{path}")
            above = above.rpartition("/")[0]
