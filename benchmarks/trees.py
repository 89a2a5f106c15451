"""Registry trees of a known shape, written straight to the disk: what every measurement starts from."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

TREE = "docker/registry/v2"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many repositories with so many tagged and untagged images each.

    An image has `layers` layers, of which one is among the `shared` that all repositories have; `orphans` are
    blobs that nothing refers to. Everything is `age` seconds old.
    """

    repositories: int = 200
    tags: int = 40
    untagged: int = 10
    layers: int = 6
    shared: int = 50
    orphans: int = 20_000
    age: float = 90_000

    def times(self, factor: int) -> Shape:
        """The same with so many times the repositories and orphans."""
        return Shape(
            self.repositories * factor,
            self.tags,
            self.untagged,
            self.layers,
            self.shared * factor,
            self.orphans * factor,
            self.age,
        )

    @property
    def manifests(self) -> int:
        """How many images there are."""
        return self.repositories * (self.tags + self.untagged)

    @property
    def unused(self) -> int:
        """How many blobs nothing that is tagged needs."""
        return self.repositories * self.untagged * (self.layers + 1) + self.orphans

    @property
    def blobs(self) -> int:
        """How many blobs that makes: a manifest, a configuration and layers of its own for each image."""
        return self.manifests * (self.layers + 1) + self.shared + self.orphans


def third_untagged(images: int) -> Shape:
    """About so many small images, nine in a repository, of which every third has no tag."""
    return Shape(repositories=round(images / 9), tags=6, untagged=3, layers=3, shared=20, orphans=0)


class _Writer:
    """Writes below `root`; remembers the folders that are there, since a tree has one for every file."""

    def __init__(self, root: str, age: float) -> None:
        self.root = f"{root}/{TREE}"
        self.moment = time.time() - age
        self.made: set[str] = set()
        self.folders: list[str] = []

    def _folder(self, path: str) -> None:
        if path not in self.made:
            above = path.rpartition("/")[0]
            if not os.path.isdir(above):
                self._folder(above)
            os.mkdir(path)
            self.folders.append(path)
            self.made.add(path)

    def file(self, path: str, content: bytes) -> None:
        """Write a file of that age."""
        target = f"{self.root}/{path}"
        self._folder(target.rpartition("/")[0])
        handle = os.open(target, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(handle, content)
        os.close(handle)
        os.utime(target, (self.moment, self.moment))

    def blob(self, content: bytes) -> str:
        """Write a blob; its digest."""
        name = hashlib.sha256(content).hexdigest()
        self.file(f"blobs/sha256/{name[:2]}/{name}/data", content)
        return f"sha256:{name}"

    def link(self, folder: str, digest: str) -> None:
        """Write a link of a repository."""
        self.file(f"{folder}/{digest.replace(':', '/')}/link", digest.encode())

    def done(self) -> None:
        """Give the folders their age, too."""
        for folder in reversed(self.folders):
            os.utime(folder, (self.moment, self.moment))


def _manifest(config: str, layers: Iterable[str]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": 64, "digest": config},
        "layers": [{"mediaType": LAYER, "size": 64, "digest": digest} for digest in layers],
    }
    return json.dumps(document, indent=3).encode()


def build(root: str, shape: Shape) -> None:
    """Write the tree below `root`."""
    os.makedirs(f"{root}/{TREE}/repositories", exist_ok=True)
    os.makedirs(f"{root}/{TREE}/blobs/sha256", exist_ok=True)
    writer = _Writer(root, shape.age)
    shared = [writer.blob(f"shared layer {number}".encode()) for number in range(shape.shared)]
    image = 0
    for repository in range(shape.repositories):
        folder = f"repositories/team{repository % 20}/app{repository}"
        for version in range(shape.tags + shape.untagged):
            own = [writer.blob(f"layer {image} {n}".encode()) for n in range(shape.layers - 1)]
            layers = [shared[image % shape.shared], *own]
            config = writer.blob(f"configuration {image}".encode())
            digest = writer.blob(_manifest(config, layers))
            for blob in (config, *layers):
                if blob not in shared or version < shape.shared:
                    writer.link(f"{folder}/_layers", blob)
            writer.link(f"{folder}/_manifests/revisions", digest)
            if version < shape.tags:
                tag = f"{folder}/_manifests/tags/v{version}"
                writer.link(f"{tag}/index", digest)
                writer.file(f"{tag}/current/link", digest.encode())
            image += 1
    for number in range(shape.orphans):
        writer.blob(f"orphan {number}".encode())
    writer.done()
