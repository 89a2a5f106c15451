"""Every key of a tree, listed once, and questions about folders answered from it.

A small area is listed page after page. A larger one is shared out between several listings, each for a range
of keys, so that no range costs more than one request beyond its share: keys/1000 + ranges.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pruner.storage.parallel import side_by_side
from pruner.storage.s3.bucket import PAGE, Bucket
from pruner.storage.s3.keys import Key

_ONE_BY_ONE = 5  # pages that are listed before the rest is shared out
_RANGES = 16
_LINK_SIZES = {71: "sha256", 103: "sha384", 135: "sha512"}  # bytes of `<algorithm>:<hex>`


class _Range(NamedTuple):
    after: str
    until: str


class Listing:
    """Keys in order, without the root before them, and what a file system would say of them."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys
        self._names = [key.name for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def file(self, path: str) -> Key | None:
        """The object of that very key."""
        at = bisect_left(self._names, path)
        return self._keys[at] if at < len(self._names) and self._names[at] == path else None

    def is_folder(self, path: str) -> bool:
        """Whether any key lies below `path`; the root is always there."""
        prefix = f"{path}/" if path else ""
        at = bisect_left(self._names, prefix)
        return not path or (at < len(self._names) and self._names[at].startswith(prefix))

    def children(self, path: str) -> Iterator[tuple[str, bool]]:
        """The names below a folder in order, and whether each is a folder."""
        names, prefix = self._names, f"{path}/" if path else ""
        start = len(prefix)
        at = bisect_left(names, prefix)
        while at < len(names) and (name := names[at]).startswith(prefix):
            slash = name.find("/", start)
            if slash < 0:
                if len(name) > start:  # a key that ends in a slash is how some tools mark a folder
                    yield name[start:], False
                at += 1
            else:
                if slash > start:
                    yield name[start:slash], True
                at = bisect_left(names, f"{name[:slash]}0", at)  # "0" is what comes after "/"

    def youngest(self, path: str) -> float:
        """When something below a folder was last written."""
        prefix = f"{path}/" if path else ""
        first = bisect_left(self._names, prefix)
        last = bisect_left(self._names, f"{path}0") if path else len(self._names)
        return max((key.mtime for key in self._keys[first:last]), default=0.0)

    def link(self, key: Key) -> str | None:
        """The digest that a link holds, when the listing tells: its ETag is the MD5 of what it holds.

        The path of a layer's or manifest's link names the digest; that of a tag is one of those in the tag's
        history. None when the ETag tells nothing (an encrypted bucket, another content).
        """
        if key.size not in _LINK_SIZES:
            return None
        for digest in self._candidates(key.name):
            if hashlib.md5(digest.encode(), usedforsecurity=False).hexdigest() == key.etag:
                return digest
        return None

    def _candidates(self, path: str) -> Iterator[str]:
        folder = path.removesuffix("/link")
        if folder.endswith("/current"):
            index = f"{folder.removesuffix('/current')}/index"
            for algorithm, _ in self.children(index):
                for name, _ in self.children(f"{index}/{algorithm}"):
                    yield f"{algorithm}:{name}"
        else:
            _, algorithm, name = folder.rsplit("/", 2)
            yield f"{algorithm}:{name}"


def list_area(bucket: Bucket, prefix: str, bounds: Callable[[], list[str]], workers: int) -> list[Key]:
    """All keys that start with `prefix`, in order; `bounds` are keys at which a large area may be cut."""
    keys: list[Key] = []
    for number, page in enumerate(bucket.pages(prefix), 1):
        keys.extend(page)
        if number == _ONE_BY_ONE and len(page) == PAGE and workers > 1:
            ranges = _ranges(bounds(), keys[-1].name)
            for part in side_by_side(lambda part: _list_range(bucket, prefix, part), ranges, workers):
                keys.extend(part)
            break
    return keys


def blob_bounds(blobs: str) -> list[str]:
    """Where an area of blobs may be cut: they are spread evenly."""
    return [f"{blobs}sha256/{digit}" for digit in "0123456789abcdef"]


def repository_bounds(bucket: Bucket, repositories: str) -> list[str]:
    """Where an area of repositories may be cut."""
    names = sorted(name for name, is_folder in bucket.children(repositories) if is_folder)
    step = max(1, -(-len(names) // _RANGES))
    return [f"{repositories}{name}/" for name in names[::step]]


def _list_range(bucket: Bucket, prefix: str, part: _Range) -> list[Key]:
    return [key for page in bucket.pages(prefix, part.after, part.until) for key in page]


def _ranges(bounds: list[str], after: str) -> list[_Range]:
    """What lies after `after`, cut at those of `bounds` that lie behind it."""
    # StartAfter leaves out its own key, and no object has a bound for its key.
    cuts = [bound for bound in bounds if after < bound]
    return [_Range(start, end) for start, end in zip([after, *cuts], [*cuts, ""], strict=True)]
