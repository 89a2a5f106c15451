"""Hazards 1 to 13, what may refer to what; on trees of a real registry wherever it would write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pruner.tree.manifests import SIZE_LIMIT
from tests.gc.images import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Image,
    Json,
    artifact,
    attested,
    cosign_tag,
    describe,
    digest_of,
    encode,
    fallback_tag,
    image,
    index,
    layer,
)
from tests.gc.inprocess import AT_ONCE, Pruner, kinds
from tests.gc.realregistry import RealRegistry
from tests.gc.registryclient import RegistryClient
from tests.gc.treebuilder import write
from tests.gc.twoimages import BASE, blobs_of


@pytest.fixture
def client(registry: RealRegistry) -> RegistryClient:
    return registry.client()


@pytest.fixture
def beside(registry: RealRegistry) -> Pruner:
    """A pruner of the real registry's tree."""
    return Pruner(registry.folder)


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    """A pruner of a tree written by hand."""
    return Pruner(tmp_path)


def simple(name: str) -> Image:
    return image([BASE, layer(name)], name)


def prune(pruner: Pruner) -> dict[str, int]:
    """Age the tree, prune it at once, find that nothing is left to do; what was removed, by kind."""
    pruner.old()
    removed = kinds(pruner.run_as_planned())
    assert pruner.run().removals == ()
    return removed


def test_hazard_01_untagged_children_of_a_tagged_index(client: RegistryClient, beside: Pruner) -> None:
    shared = simple("shared child")
    kept = index([index([shared, simple("inner")]), simple("outer")])
    gone = index([index([shared, simple("gone inner")]), simple("gone outer")])
    client.push("app", gone, "latest")
    client.push("app", kept, "latest")
    prune(beside)
    client.check("app", "latest", kept)
    assert beside.blobs() == blobs_of(kept)


def test_hazard_02_a_child_that_only_another_repository_has_a_revision_of(pruner: Pruner) -> None:
    child = simple("child")
    listing = index([child])
    tree = pruner.tree
    tree.push("b", child)
    tree.push("b", simple("really gone"))
    tree.manifest("a", listing.content, "latest")
    prune(pruner)
    assert tree.revision_path("b", child.digest).exists()
    assert all(tree.layer_path("b", digest_of(blob)).exists() for blob in child.blobs)
    assert pruner.blobs() == blobs_of(listing)
    tree.link_tag("a", "latest", tree.push("a", simple("newer")))
    prune(pruner)
    assert pruner.blobs() == blobs_of(simple("newer"))


def cache_index(*layers: bytes) -> Image:
    """What BuildKit exports as a registry cache: layers, and its config, in the list of an index."""
    config = encode({"layers": [{"blob": digest_of(each)} for each in layers], "records": []})
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            *(describe(OCI_LAYER, each) for each in layers),
            describe("application/vnd.buildkit.cacheconfig.v0", config),
        ],
    }
    return Image(OCI_INDEX, encode(document), (*layers, config))


def test_hazard_03_a_buildkit_cache_lists_layers_as_manifests(
    registry: RealRegistry, client: RegistryClient, beside: Pruner
) -> None:
    old, new = cache_index(BASE, layer("old step")), cache_index(BASE, layer("new step"))
    for each in (old, new):
        for blob in each.blobs:
            client.push_blob("app", blob)
        if registry.version == "2.8.2":
            client.put_manifest("app", "buildcache", each)
        else:  # takes no such index any more, but serves those of its predecessor
            beside.tree.manifest("app", each.content, "buildcache")
    client.push("app", simple("beside it"), "latest")
    prune(beside)
    client.check("app", "buildcache", new)
    assert beside.blobs() == blobs_of(new, simple("beside it"))
    read = {path for operation, path in beside.storage.calls if operation == "read"}
    assert not any(digest_of(BASE).partition(":")[2] in path and "/blobs/" in path for path in read), (
        "a layer of gigabytes is not to be read as if it were a manifest"
    )


def test_hazard_04_a_sparse_index(pruner: Pruner) -> None:
    here, elsewhere = simple("here"), simple("elsewhere")
    listing = index([here, elsewhere])
    tree = pruner.tree
    tree.push("app", here)
    tree.manifest("app", listing.content, "latest")
    tree.push("app", simple("gone"))
    prune(pruner)
    assert pruner.blobs() == blobs_of(listing) - blobs_of(elsewhere) | {digest_of(BASE)}
    found = pruner.verify()
    assert (found.problems, found.sparse) == ((), 1)


def test_hazard_05_schema_1(pruner: Pruner) -> None:
    tree = pruner.tree

    def legacy(*layers: bytes) -> bytes:
        sums = [{"blobSum": tree.layer("app", each)} for each in layers]
        signed = {"header": {"alg": "ES256"}, "signature": "c2ln", "protected": "e30"}
        return encode(
            {
                "schemaVersion": 1,
                "name": "app",
                "tag": "old",
                "fsLayers": sums,
                "history": [{"v1Compatibility": "{}"} for _ in sums],
                "signatures": [signed],
            }
        )

    kept = tree.manifest("app", legacy(BASE, layer("kept")), "old")
    tree.manifest("app", legacy(BASE, layer("gone")))
    prune(pruner)
    assert pruner.blobs() == {kept, digest_of(BASE), digest_of(layer("kept"))}
    assert all(tree.layer_path("app", digest_of(blob)).exists() for blob in (BASE, layer("kept")))


def test_hazard_06_manifests_of_no_or_unknown_media_type(pruner: Pruner) -> None:
    tree = pruner.tree
    untyped_config, untyped_layer = layer("untyped config"), layer("untyped layer")
    tree.layer("app", untyped_config)
    tree.layer("app", untyped_layer)
    untyped: Json = {
        "schemaVersion": 2,
        "config": describe(OCI_CONFIG, untyped_config),
        "layers": [describe(OCI_LAYER, untyped_layer)],
    }
    tree.manifest("app", encode(untyped), "untyped")
    parts = [layer(f"part {number}") for number in range(3)]
    for part in parts:
        tree.layer("app", part)
    strange: Json = {
        "mediaType": "application/vnd.example.model.v9+json",
        "weights": {"shards": [[describe("application/x", parts[0])]]},
        "by-digest": {digest_of(parts[1]): "a name"},
        "note": f"see also {digest_of(parts[2])}",
    }
    tree.manifest("app", encode(strange))  # untagged; what is not understood is not judged either
    sbom = artifact("sbom", artifact_type="application/vnd.nobody.knows")
    tree.push("app", sbom, "sbom")
    known = simple("known and untagged")
    tree.push("app", known)
    survivors = pruner.blobs() - blobs_of(known)
    links = {path for path in pruner.links() if known.digest.partition(":")[2] not in path}
    prune(pruner)
    assert pruner.blobs() == survivors
    assert pruner.links() == {
        path for path in links if not any(d.partition(":")[2] in path for d in blobs_of(known))
    }


def test_hazard_07_referrers_live_and_die_with_their_subject(client: RegistryClient, beside: Pruner) -> None:
    families: dict[str, list[Image]] = {}
    for name in ("kept", "gone"):
        subject = simple(name)
        sbom = artifact(f"sbom of {name}", subject=subject)
        of_sbom = artifact(f"signature of the sbom of {name}", subject=sbom)
        of_that = artifact(f"signature of that of {name}", subject=of_sbom)
        families[name] = [subject, sbom, of_sbom, of_that]
        client.push("app", subject, name)
        for referrer in families[name][1:]:
            client.push("app", referrer)
    prune(beside)
    assert beside.blobs() == blobs_of(*families["kept"], *families["gone"])
    client.delete_manifest("app", families["gone"][0].digest)
    prune(beside)
    assert beside.blobs() == blobs_of(*families["kept"])
    for each in families["kept"]:
        client.check("app", each.digest, each)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hazard_08_tags_that_are_named_after_a_subject(pruner: Pruner, algorithm: str) -> None:
    tree = pruner.tree

    def family(name: str, *tags: str) -> tuple[set[str], set[str]]:
        """Tags and digests of a subject, its cosign artifacts and its fallback tag's index."""
        subject = simple(name)
        for blob in subject.blobs:
            tree.layer("app", blob)
        digest = tree.manifest("app", subject.content, *tags, algorithm=algorithm)
        referrer = artifact(f"referrer of {name}")
        followers = {
            fallback_tag(digest): index([referrer]),
            **{cosign_tag(digest, end): artifact(f"{end} of {name}") for end in ("sig", "att", "sbom")},
        }
        if algorithm == "sha512":  # cosign knows sha256 only, and its tag would be longer than a tag may be
            followers = {fallback_tag(digest): index([referrer])}
        for tag, each in followers.items():
            tree.push("app", each, tag)
        digests = {digest, *(digest_of(blob) for blob in subject.blobs), *blobs_of(*followers.values())}
        return {*followers, *tags}, digests

    kept_tags, kept = family("kept", "v1")
    family("gone")
    orphan = artifact("signature of what was never here")
    never_here = cosign_tag(digest_of(b"never here"))
    lookalike = "sha256-beef.sig"
    tree.push("app", orphan, never_here)
    tree.push("app", orphan, lookalike)
    prune(pruner)
    assert pruner.blobs() == kept | blobs_of(orphan)
    assert set((tree.repository("app") / "_manifests/tags").iterdir()) == {
        tree.repository("app") / "_manifests/tags" / tag for tag in (*kept_tags, never_here, lookalike)
    }


def test_hazard_09_attestations_in_an_index(client: RegistryClient, beside: Pruner) -> None:
    kept, gone = attested(simple("kept"), "kept"), attested(simple("gone"), "gone")
    client.push("app", gone, "latest")
    client.push("app", kept, "latest")
    prune(beside)
    client.check("app", "latest", kept)
    assert beside.blobs() == blobs_of(kept)


def test_hazard_10_foreign_layers(pruner: Pruner) -> None:
    tree = pruner.tree
    config, here, absent = layer("config"), layer("pushed all the same"), layer("only at its vendor's")
    kind, urls = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", ["https://example.com/layer"]
    document: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe(OCI_CONFIG, config),
        "layers": [describe(kind, here, urls=urls), describe(kind, absent, urls=urls)],
    }
    kept = tree.manifest("app", encode(document), "windows")
    for blob in (config, here):
        tree.layer("app", blob)
    tree.push("app", simple("gone"))
    prune(pruner)
    assert pruner.blobs() == {kept, digest_of(config), digest_of(here)}
    assert pruner.verify().problems == ()


def test_hazard_11_a_manifest_here_is_a_layer_there(client: RegistryClient, beside: Pruner) -> None:
    inner = simple("inner")
    wrapped = image([inner.content], "wraps a manifest")
    client.push("app", inner)
    client.push("app", simple("stays"), "latest")
    client.push("other", wrapped, "latest")
    prune(beside)
    client.check("other", "latest", wrapped)
    assert beside.blobs() == blobs_of(wrapped, simple("stays"))
    assert not client.has_manifest("app", inner.digest)


def test_hazard_12_two_tags_on_one_digest(client: RegistryClient, beside: Pruner) -> None:
    shared, newer = simple("shared"), simple("newer")
    client.push("app", shared, "one", "two")
    client.push("app", newer, "one")
    removed = prune(beside)
    assert removed == {"index-link": 1}
    client.check("app", "one", newer)
    client.check("app", "two", shared)
    client.push("app", newer, "two")
    prune(beside)
    assert beside.blobs() == blobs_of(newer)


def planted(pruner: Pruner, name: str, document: Json) -> str:
    """A manifest that lies under a digest that is not its own: what only a broken disk can make."""
    digest = digest_of(name.encode())
    write(pruner.tree.blob_path(digest), encode(document))
    pruner.tree.link_revision("cycle", digest)
    return digest


def test_hazard_13_cycles_depth_size_and_what_is_no_manifest(pruner: Pruner) -> None:
    tree = pruner.tree
    # A cycle: as no two bytes can hash to each other, it is damage.
    names = ("first", "second")
    for name, other in zip(names, reversed(names), strict=True):
        listed = {"mediaType": OCI_INDEX, "digest": digest_of(other.encode()), "size": 1}
        planted(pruner, name, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]})
    tree.link_tag("cycle", "cycle", digest_of(b"first"))
    # Deeper than any stack.
    deep = simple("at the bottom")
    for _ in range(1100):
        deep = index([Image(deep.media_type, deep.content)])
        tree.manifest("app", deep.content)
    tree.link_tag("app", "deep", deep.digest)
    tree.push("app", simple("at the bottom"))
    # As large as the registry takes.
    entries = [describe(OCI_LAYER, b"%d" % number) for number in range(27_000)]
    used = tree.layer("app", b"26999")
    large = encode({"schemaVersion": 2, "config": describe(OCI_CONFIG, BASE), "layers": entries})
    assert 4 << 20 < len(large) < SIZE_LIMIT
    tree.manifest("app", large, "large")
    before = pruner.blobs()
    # No manifest at all: its repository is kept whole, the others are pruned.
    tree.manifest("odd", b"\x1f\x8bno json", "v1")
    tree.manifest("odd", json.dumps(["no object"]).encode())
    tree.manifest("odd", b"[" * 100_000)
    tree.push("odd", simple("untagged in odd"))
    odd = pruner.blobs() - before
    tree.push("app", simple("gone"))
    pruner.settings = AT_ONCE
    pruner.old()
    report = pruner.run()
    assert set(report.plan.skipped) == {"cycle", "odd"}
    assert pruner.blobs() == before | odd | {digest_of(BASE)}
    assert used in pruner.blobs()
    assert pruner.run().removals == ()
