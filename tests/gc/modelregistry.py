"""The registry's handlers, as sequences of single storage calls in the order of the real ones.

Every operation is a generator that yields before each call, so a test decides what happens in between. The
order and the checks are those of distribution 2.8 and 3.1 (registry/storage: blobwriter, linkedblobstore,
blobstore, tagstore, the manifest handlers; registry/handlers: manifests, blobupload).
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tests.gc.images import Image, digest_of
from tests.gc.memorystorage import MemoryStorage

BASE = "docker/registry/v2"
T = TypeVar("T")
Steps = Generator[None, None, T]
Cache = Literal["none", "inmemory", "redis"]


class Refused(Exception):
    """A 4xx answer: the client is told, and nothing was acknowledged."""


class Failed(Exception):
    """A 5xx answer."""


def data(digest: str) -> str:
    algorithm, _, name = digest.partition(":")
    return f"{BASE}/blobs/{algorithm}/{name[:2]}/{name}/data"


def layer_link(repository: str, digest: str) -> str:
    return f"{BASE}/repositories/{repository}/_layers/{digest.replace(':', '/')}/link"


def revision_link(repository: str, digest: str) -> str:
    return f"{BASE}/repositories/{repository}/_manifests/revisions/{digest.replace(':', '/')}/link"


def tag_folder(repository: str, tag: str) -> str:
    return f"{BASE}/repositories/{repository}/_manifests/tags/{tag}"


@dataclass(slots=True)
class Descriptors:
    """The descriptor cache: `blobs` for the whole registry, `members` for (repository, digest)."""

    kind: Cache = "none"
    blobs: set[str] = field(default_factory=set[str])
    members: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def has(self, repository: str, digest: str) -> bool:
        # In redis a member is only looked up through the registry-wide entry; in memory it stands alone.
        known = (repository, digest) in self.members
        return known and (self.kind == "inmemory" or digest in self.blobs)

    def add(self, digest: str, repository: str | None = None) -> None:
        if self.kind != "none":
            self.blobs.add(digest)
            if repository is not None:
                self.members.add((repository, digest))

    def clear(self) -> None:
        self.blobs.clear()
        self.members.clear()


class ModelRegistry:
    """`atomic` is version 3.1: it renames links into place, and does not ask its cache before it stores a
    manifest. Version 2.8 truncates links where they lie, and does ask."""

    def __init__(self, storage: MemoryStorage, *, atomic: bool, cache: Cache = "none") -> None:
        self.storage = storage
        self.atomic = atomic
        self.cache = Descriptors(cache)
        self._uuids = (f"00000000-0000-4000-8000-{number:012}" for number in itertools.count())

    # -- the storage driver

    def _put(self, path: str, content: bytes) -> Steps[None]:
        target = f"{path}.{next(self._uuids)}.tmp" if self.atomic else path
        yield
        self.storage.make_folder(path.rpartition("/")[0])
        yield
        file = self.storage.open(target)
        yield
        self.storage.fill(file, b"")
        yield
        self.storage.fill(file, content)
        if self.atomic:
            yield
            self.storage.make_folder(path.rpartition("/")[0])
            yield
            self.storage.rename(target, path)

    def _read_link(self, path: str) -> Steps[str | None]:
        yield
        try:
            return self.storage.read(path, 1000)[0].decode()
        except FileNotFoundError:
            return None

    def _exists(self, path: str) -> Steps[bool]:
        yield
        return self.storage.exists(path)

    # -- stores

    def _stat(self, digest: str) -> Steps[bool]:
        """Registry-wide."""
        if digest in self.cache.blobs:
            return True
        there = yield from self._exists(data(digest))
        if there:
            yield
            self.cache.add(digest)
        return there

    def _stat_layer(self, repository: str, digest: str) -> Steps[bool]:
        if self.cache.has(repository, digest):
            return True
        link = yield from self._read_link(layer_link(repository, digest))
        if link != digest:
            return False
        there = yield from self._stat(digest)
        if there:
            yield
            self.cache.add(digest, repository)
        return there

    def _stat_manifest(self, repository: str, digest: str) -> Steps[bool]:
        link = yield from self._read_link(revision_link(repository, digest))
        return link == digest and (yield from self._stat(digest))

    # -- blobs

    def head_blob(self, repository: str, digest: str) -> Steps[bool]:
        return (yield from self._stat_layer(repository, digest))

    def start_upload(self, repository: str) -> Steps[str]:
        upload = f"{BASE}/repositories/{repository}/_uploads/{next(self._uuids)}"
        yield from self._put(f"{upload}/startedat", b"2023-11-14T22:13:20Z")
        yield
        self.storage.open(f"{upload}/data")
        return upload

    def send(self, upload: str, content: bytes) -> Steps[None]:
        if not (yield from self._exists(f"{upload}/startedat")):
            raise Refused("BLOB_UPLOAD_UNKNOWN")
        yield
        self.storage.fill(self.storage.open(f"{upload}/data"), content)

    def commit_upload(self, repository: str, upload: str, digest: str) -> Steps[None]:
        if not (yield from self._exists(f"{upload}/startedat")):
            raise Refused("BLOB_UPLOAD_UNKNOWN")
        if not (yield from self._exists(data(digest))):
            yield
            self.storage.make_folder(data(digest).rpartition("/")[0])
            yield
            self.storage.rename(f"{upload}/data", data(digest))
        yield from self._put(layer_link(repository, digest), digest.encode())
        yield from self.storage.remove_tree(upload)
        self.cache.add(digest, repository)

    def mount(self, source: str, repository: str, digest: str) -> Steps[bool]:
        """False when the source has it not; the client then uploads."""
        if not (yield from self._stat_layer(source, digest)):
            return False
        yield from self._put(layer_link(repository, digest), digest.encode())
        return True

    # -- manifests and tags

    def head_manifest(self, repository: str, digest: str) -> Steps[bool]:
        return (yield from self._stat_manifest(repository, digest))

    def put_manifest(self, repository: str, manifest: Image, tag: str | None) -> Steps[None]:
        for child in manifest.children:
            if not (yield from self._stat_manifest(repository, child.digest)):
                raise Refused("MANIFEST_BLOB_UNKNOWN")
        for digest in map(digest_of, manifest.blobs):
            if not (yield from self._stat_layer(repository, digest)):
                raise Refused("MANIFEST_BLOB_UNKNOWN")
        digest = manifest.digest
        known = not self.atomic and digest in self.cache.blobs
        if not known and not (yield from self._exists(data(digest))):
            yield from self._put(data(digest), manifest.content)
        self.cache.add(digest)
        yield from self._put(revision_link(repository, digest), digest.encode())
        if tag is not None:
            folder = tag_folder(repository, tag)
            yield from self._put(f"{folder}/index/{digest.replace(':', '/')}/link", digest.encode())
            yield from self._put(f"{folder}/current/link", digest.encode())

    def delete_manifest(self, repository: str, digest: str) -> Steps[None]:
        if not (yield from self._stat_manifest(repository, digest)):
            raise Refused("MANIFEST_UNKNOWN")
        yield
        self.storage.remove(revision_link(repository, digest))
        yield
        tags = tag_folder(repository, "").rstrip("/")
        for tag in self.storage.list(tags) if self.storage.exists(tags) else ():
            if (yield from self._read_link(f"{tags}/{tag.name}/current/link")) == digest:
                yield from self.delete_tag(repository, tag.name)

    def delete_tag(self, repository: str, tag: str) -> Steps[None]:
        if not (yield from self._exists(tag_folder(repository, tag))):
            raise Refused("MANIFEST_UNKNOWN")
        yield from self.storage.remove_tree(tag_folder(repository, tag))
