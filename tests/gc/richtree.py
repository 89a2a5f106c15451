"""A tree in memory with something of everything that a run removes or must keep, made by a model registry."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from tests.gc.fakeclock import SteppedClock
from tests.gc.images import Image, artifact, cosign_tag, image, index, layer, signature
from tests.gc.memorystorage import MemoryStorage
from tests.gc.modelregistry import BASE, ModelRegistry, data, digest_of, layer_link, revision_link, tag_folder

T = TypeVar("T")
DAY = 86400.0


def do(steps: Generator[None, None, T]) -> T:
    """All the steps of an operation, with nothing in between."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def push(registry: ModelRegistry, repository: str, pushed: Image, *tags: str) -> None:
    for manifest in pushed.family():
        for blob in manifest.blobs:
            upload = do(registry.start_upload(repository))
            do(registry.send(upload, blob))
            do(registry.commit_upload(repository, upload, digest_of(blob)))
        for tag in (tags if manifest is pushed else ()) or (None,):
            do(registry.put_manifest(repository, manifest, tag))


def put(storage: MemoryStorage, path: str, content: bytes = b"") -> None:
    storage.make_folder(path.rpartition("/")[0])
    storage.fill(storage.open(path), content)


def simple(name: str, *layers: str) -> Image:
    return image([layer(each, 64) for each in (layers or (name,))], name)


def small(registry: ModelRegistry) -> None:
    """One image that stays, and of each kind of removal one; sized for tests that run hundreds of times."""
    base = simple("base", "shared", "own")
    push(registry, "app", simple("old", "shared", "old"), "latest")
    push(registry, "app", index([base, simple("arm", "arm")]), "latest", "1")
    do(registry.mount("app", "copy", digest_of(layer("shared", 64))))
    push(registry, "gone", simple("untagged"))
    push(registry, "app", artifact("sbom", subject=base))


def rich(storage: MemoryStorage, clock: SteppedClock, registry: ModelRegistry) -> None:
    """What `small` has, and referrers, signatures, uploads, leftovers; all of it old but one image."""
    small(registry)
    dead = simple("dead", "dead", "shared")
    push(registry, "app", dead)
    push(registry, "app", artifact("dead sbom", subject=dead))
    push(registry, "app", signature(dead), cosign_tag(dead.digest))
    live = simple("live", "live")
    push(registry, "team/app", live, "1")
    push(registry, "team/app", signature(live), cosign_tag(live.digest))
    child = simple("child", "child")
    push(registry, "team", child)
    across = index([child, live])
    put(storage, data(across.digest), across.content)  # lists what only another repository has a link to
    put(storage, revision_link("across", across.digest), across.digest.encode())
    put(storage, f"{tag_folder('across', '1')}/current/link", across.digest.encode())
    put(storage, layer_link("copy", digest_of(b"nothing")), digest_of(b"nothing").encode())
    put(storage, data(digest_of(b"loose")), b"loose")
    do(registry.send(do(registry.start_upload("app")), b"half a layer"))
    put(storage, f"{BASE}/repositories/app/_uploads/no-start/data", b"x")
    put(
        storage,
        f"{layer_link('app', digest_of(layer('own', 64)))}.00000000-0000-4000-8000-00000000000a.tmp",
        b"x",
    )
    put(storage, revision_link("app", live.digest).replace("/link", "/signatures/sha256/00/link"), b"x")
    storage.make_folder(f"{BASE}/repositories/hollow/_layers/sha256")
    storage.make_folder(f"{BASE}/repositories/nothing")
    clock.advance(30 * DAY)
    push(registry, "app", simple("young", "young", "dead"))
    clock.advance(120)
