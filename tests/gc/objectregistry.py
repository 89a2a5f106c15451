"""The registry's handlers on an object store: the same steps, through a driver that writes objects whole."""

from __future__ import annotations

import itertools

from tests.gc.memorybucket import Files, MemoryBucket
from tests.gc.modelregistry import BASE, Cache, Descriptors, ModelRegistry, Refused, Steps, data, layer_link


class ObjectRegistry(ModelRegistry):
    """What is uploaded lies in parts that no listing shows, and becomes a blob by a copy and a deletion."""

    def __init__(self, bucket: MemoryBucket, *, atomic: bool, cache: Cache = "none") -> None:
        self.files = Files(bucket)
        self.storage = self.files  # pyright: ignore[reportAttributeAccessIssue]
        self.atomic = atomic
        self.cache = Descriptors(cache)
        self.parts: dict[str, bytes] = {}
        self._uuids = (f"00000000-0000-4000-8000-{number:012}" for number in itertools.count())

    def _put(self, path: str, content: bytes) -> Steps[None]:
        yield
        self.files.put(path, content)

    def start_upload(self, repository: str) -> Steps[str]:
        upload = f"{BASE}/repositories/{repository}/_uploads/{next(self._uuids)}"
        yield from self._put(f"{upload}/startedat", b"2023-11-14T22:13:20Z")
        return upload

    def send(self, upload: str, content: bytes) -> Steps[None]:
        if not (yield from self._exists(f"{upload}/startedat")):
            raise Refused("BLOB_UPLOAD_UNKNOWN")
        yield
        self.parts[upload] = content

    def commit_upload(self, repository: str, upload: str, digest: str) -> Steps[None]:
        if not (yield from self._exists(f"{upload}/startedat")):
            raise Refused("BLOB_UPLOAD_UNKNOWN")
        yield from self._put(f"{upload}/data", self.parts.pop(upload, b""))
        if not (yield from self._exists(data(digest))):
            yield
            if not self.files.exists(f"{upload}/data"):
                raise Refused("BLOB_UPLOAD_UNKNOWN")
            self.files.put(data(digest), self.files.read(f"{upload}/data", 1 << 40)[0])
            yield
            self.files.remove(f"{upload}/data")
        yield from self._put(layer_link(repository, digest), digest.encode())
        yield from self.files.remove_tree(upload)
        self.cache.add(digest, repository)
