"""A bucket in memory, on a test's clock, as the worst of servers has it: times in whole seconds, no rename.

`before` is called ahead of each request with its name and key, from the pruner's as from a registry's: what
it does happens right before, what it raises is what the caller gets.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pruner.storage import Entry, Stat
from pruner.storage.s3.bucket import PAGE, Bucket
from pruner.storage.s3.keys import Key, Upload
from tests.gc.storagedoubles import Before, FakeClock, nothing


@dataclass(frozen=True, slots=True)
class Object:
    content: bytes
    mtime: float
    origin: float | None = None

    def key(self, name: str, *, whole: bool) -> Key:
        etag = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return Key(name, len(self.content), self.mtime, etag, self.origin if whole else None)


@dataclass
class MemoryBucket(Bucket):
    """With `obeys` false the server ignores conditions. `destroyed` hears of each object that is no more."""

    clock: FakeClock
    obeys: bool = True
    objects: dict[str, Object] = field(default_factory=dict[str, Object])
    before: Before = nothing
    destroyed: Callable[[str, bytes], None] = lambda _name, _content: None
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __post_init__(self) -> None:
        self.conditional = None
        self.fence = lambda: None

    def now(self) -> float:
        return float(int(self.clock.now()))

    def url(self, name: str) -> str:
        return f"s3://memory/{name}"

    @contextmanager
    def unfenced(self) -> Generator[None]:
        fence, self.fence = self.fence, lambda: None
        try:
            yield
        finally:
            self.fence = fence

    def _asked(self, operation: str, name: str) -> None:
        self.requests.append((operation, name))
        self.before(operation, name)
        if operation not in ("list", "head", "get"):
            self.fence()

    def _at(self, name: str) -> Object:
        if name not in self.objects:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.url(name))
        return self.objects[name]

    # -- reading

    def pages(self, prefix: str, after: str = "", until: str = "") -> Iterator[list[Key]]:
        while True:
            self._asked("list", prefix)
            names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
            page = [self.objects[name].key(name, whole=False) for name in names[:PAGE]]
            yield [key for key in page if not until or key.name < until]
            if len(names) <= PAGE or (until and page[-1].name >= until):
                return
            after = page[-1].name

    def first(self, prefix: str, most: int = 1) -> list[Key]:
        self._asked("list", prefix)
        names = sorted(name for name in self.objects if name.startswith(prefix))
        return [self.objects[name].key(name, whole=False) for name in names[:most]]

    def children(self, prefix: str) -> Iterator[tuple[str, bool]]:
        self._asked("list", prefix)
        inner = [name[len(prefix) :] for name in self.objects if name.startswith(prefix)]
        yield from sorted({(name.partition("/")[0], "/" in name) for name in inner})

    def head(self, name: str) -> Key:
        self._asked("head", name)
        return self._at(name).key(name, whole=True)

    def get(self, name: str, limit: int) -> tuple[bytes, Key]:
        self._asked("get", name)
        found = self._at(name)
        return found.content[:limit], found.key(name, whole=True)

    def chunks(self, name: str, size: int) -> Iterator[bytes]:
        content, _ = self.get(name, 1 << 40)
        yield from (content[at : at + size] for at in range(0, len(content), size))

    # -- writing

    def put(
        self,
        name: str,
        content: bytes,
        *,
        only_if_absent: bool = False,
        if_match: str = "",
        origin: float | None = None,
    ) -> str:
        self._asked("put", name)
        found = self.objects.get(name)
        etag = found.key(name, whole=True).etag if found is not None else ""
        if self.obeys and ((only_if_absent and found) or (if_match and if_match != f'"{etag}"')):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.url(name))
        self._set(name, Object(content, self.now(), origin))
        return self.objects[name].key(name, whole=True).etag

    def _set(self, name: str, new: Object | None) -> None:
        old = self.objects.pop(name, None)
        if new is not None:
            self.objects[name] = new
        if old is not None:
            self.destroyed(name, old.content)

    def copy(self, source: Key, target: str) -> None:
        self._asked("copy", source.name)
        found = self._at(source.name)
        if found.key(source.name, whole=True).etag != source.etag:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.url(source.name))
        self._set(target, Object(found.content, self.now()))

    def delete(self, name: str, if_match: str = "") -> None:
        self._asked("delete", name)
        found = self.objects.get(name)
        if self.obeys and found is not None and if_match not in ("", found.key(name, whole=True).etag):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.url(name))
        self._set(name, None)

    def delete_many(self, names: Sequence[str]) -> dict[str, OSError]:
        for at in range(0, len(names), PAGE):
            self._asked("delete many", names[at])
            for name in names[at : at + PAGE]:
                self._set(name, None)
        return {}

    def uploads(self, prefix: str) -> Iterator[Upload]:
        self._asked("list", prefix)
        return iter(())

    def is_versioned(self) -> bool:
        return False


class Files:
    """The keys of a bucket as a registry's driver shows them, without `before`: its steps are its own."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self.bucket = bucket

    def read(self, path: str, limit: int) -> tuple[bytes, float]:
        found = self.bucket._at(path)  # pyright: ignore[reportPrivateUsage]
        return found.content[:limit], found.mtime

    def exists(self, path: str) -> bool:
        return path in self.bucket.objects or any(n.startswith(f"{path}/") for n in self.bucket.objects)

    def list(self, path: str) -> list[Entry]:
        inner = [name[len(path) + 1 :] for name in self.bucket.objects if name.startswith(f"{path}/")]
        return sorted({Entry(name.partition("/")[0], "folder" if "/" in name else "file") for name in inner})

    def put(self, path: str, content: bytes) -> None:
        self.bucket._set(path, Object(content, self.bucket.now()))  # pyright: ignore[reportPrivateUsage]

    def remove(self, path: str) -> None:
        self.bucket._set(path, None)  # pyright: ignore[reportPrivateUsage]

    def remove_tree(self, path: str) -> Iterator[None]:
        """The driver lists what lies below a path, then deletes that."""
        yield
        names = [name for name in self.bucket.objects if name == path or name.startswith(f"{path}/")]
        yield
        for name in names:
            self.remove(name)

    def snapshot(self, without: str = "\0") -> dict[str, tuple[bytes, float]]:
        found = self.bucket.objects.items()
        return {name: (each.content, each.mtime) for name, each in found if not name.startswith(without)}

    files = snapshot

    def stat(self, path: str) -> Stat:
        content, mtime = self.read(path, 1 << 40)
        return Stat(len(content), mtime, 1)
