"""Push with a real client, retag, delete, prune, pull again: on real registries, for every media type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gc.conftest import StartRegistry
from tests.gc.images import (
    Image,
    artifact,
    attested,
    cosign_tag,
    digest_of,
    fallback_tag,
    image,
    index,
    layer,
    signature,
)
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry
from tests.gc.registryclient import RegistryClient
from tests.gc.treebuilder import TreeBuilder, age, snapshot

SHARED = layer("shared")


def docker(name: str) -> Image:
    return image([SHARED, layer(name)], name)


def oci(name: str) -> Image:
    return image([SHARED, layer(name)], name, oci=True)


def docker_list(name: str) -> Image:
    return index([docker(f"{name} amd64"), docker(f"{name} arm64")], oci=False)


def oci_index(name: str) -> Image:
    return index([oci(f"{name} amd64"), docker(f"{name} arm64")])


def nested_index(name: str) -> Image:
    return index([oci_index(f"{name} inner"), oci(f"{name} outer")])


def with_attestation(name: str) -> Image:
    return attested(oci(name), name)


def artifact_of(name: str) -> Image:
    return artifact(name)


KINDS = [docker, oci, docker_list, oci_index, nested_index, with_attestation, artifact_of]
every_kind = pytest.mark.parametrize(
    ("registry", "make"),
    [*(("disk", make) for make in KINDS), ("s3", docker), ("s3", nested_index)],
    indirect=["registry"],
)
Make = Callable[[str], Image]


def blobs_of(pushed: Image) -> set[str]:
    """The digests of every manifest, layer and config of the image."""
    manifests = list(pushed.family())
    return {each.digest for each in manifests} | {
        digest_of(blob) for each in manifests for blob in each.blobs
    }


def on_disk(registry: RealRegistry) -> set[str]:
    """The digests of all blobs in the storage."""
    folders = (registry.data / "docker/registry/v2/blobs/sha256").glob("*/*/data")
    return {f"sha256:{path.parent.name}" for path in folders}


@pytest.fixture(params=["disk", "s3"])
def registry(request: pytest.FixtureRequest, start_registry: StartRegistry) -> RealRegistry:
    """A registry without a cache, on a disk and on an object store."""
    return start_registry(on_s3=request.param == "s3")


@pytest.fixture
def pruner(registry: RealRegistry) -> PrunerProcess:
    return PrunerProcess(registry.config)


@pytest.fixture
def client(registry: RealRegistry) -> RegistryClient:
    return registry.client()


@every_kind
def test_an_overwritten_tag_gives_its_bytes_back_and_the_new_image_stays_whole(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess, make: Make
) -> None:
    old, new = make("old"), make("new")
    client.push("team/app", old, "latest")
    client.push("team/app", new, "latest", chunks=3)
    report = pruner.prune_at_once()
    client.check("team/app", "latest", new)
    assert on_disk(registry) == blobs_of(new)
    removed = {each["digest"] for each in report["removals"] if each["kind"] == "blob"}
    assert removed == blobs_of(old) - blobs_of(new)
    assert report["summary"]["removable_blobs"] == len(removed)


@every_kind
def test_what_was_pruned_can_be_pushed_again(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess, make: Make
) -> None:
    kept, gone = docker("kept"), make("gone")
    client.push("team/app", kept, "kept")
    client.push("team/app", gone, "gone")
    client.delete_manifest("team/app", gone.digest)
    pruner.prune_at_once()
    assert on_disk(registry) == blobs_of(kept)
    client.push("team/app", gone, "back")
    client.check("team/app", "back", gone)
    client.check("team/app", "kept", kept)


def test_a_retag_keeps_what_the_first_tag_let_go(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess
) -> None:
    first, second = docker("first"), oci("second")
    client.push("a/b/c", first, "latest")
    client.put_manifest("a/b/c", "stable", first)
    client.push("a/b/c", second, "latest")
    pruner.prune_at_once()
    client.check("a/b/c", "stable", first)
    client.check("a/b/c", "latest", second)
    assert on_disk(registry) == blobs_of(first) | blobs_of(second)


def test_a_mounted_layer_outlives_the_repository_it_came_from(
    client: RegistryClient, pruner: PrunerProcess
) -> None:
    shared = docker("shared by mount")
    client.push("source", shared, "one")
    client.push("target/app", shared, "one", mount_from="source")
    client.delete_manifest("source", shared.digest)
    pruner.prune_at_once()
    client.check("target/app", "one", shared)
    assert client.catalog() == ["target/app"]


def test_referrers_and_signatures_live_and_die_with_their_subject(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess
) -> None:
    stays, goes = oci("stays"), docker("goes")
    families: dict[str, list[Image]] = {}
    for subject in (stays, goes):
        listed = index([artifact(subject.digest, subject=subject)])
        signed = signature(subject)
        client.push("app", subject, subject.digest[7:12])
        client.push("app", listed, fallback_tag(subject.digest))
        client.push("app", signed, cosign_tag(subject.digest))
        families[subject.digest] = [subject, listed, signed]
    client.delete_manifest("app", goes.digest)
    pruner.prune_at_once()
    pruner.prune_at_once()
    client.check("app", stays.digest[7:12], stays)
    client.check("app", fallback_tag(stays.digest), families[stays.digest][1])
    client.check("app", cosign_tag(stays.digest), families[stays.digest][2])
    assert client.tags("app") == sorted(
        [stays.digest[7:12], fallback_tag(stays.digest), cosign_tag(stays.digest)]
    )
    assert on_disk(registry) == set[str]().union(*map(blobs_of, families[stays.digest]))


def test_a_plan_says_what_a_run_does_and_changes_no_byte(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess
) -> None:
    client.push("app", docker("kept"), "kept")
    client.push("app", nested_index("old"), "latest")
    client.push("app", nested_index("new"), "latest")
    age(registry.data, 7200)
    options = ("--grace", "0", "--untagged-after", "1h", "--trash", "0", "--max-fraction", "1")
    before = snapshot(registry.data)
    plan = pruner.report("plan", *options)
    assert snapshot(registry.data) == before
    run = pruner.report("run", *options)
    assert plan["removals"]
    assert run["removals"] == plan["removals"]
    assert not pruner.report("run", *options)["removals"]


def test_what_is_younger_than_the_grace_is_left_alone(
    registry: RealRegistry, client: RegistryClient, pruner: PrunerProcess
) -> None:
    client.push("app", docker("kept"), "latest")
    client.push("app", docker("untagged"))
    client.push_blob("app", layer("no manifest yet"))
    before = on_disk(registry)
    report = pruner.report("run", "--grace", "60", "--untagged-after", "0", "--trash", "0")
    assert report["removals"] == []
    assert on_disk(registry) == before


def test_an_empty_registry_is_a_good_run(pruner: PrunerProcess) -> None:
    assert pruner.prune_at_once()["removals"] == []


@pytest.mark.parametrize("registry", ["disk"], indirect=True)  # a bucket without keys is one without images
def test_a_folder_that_is_not_there_is_refused(registry: RealRegistry, pruner: PrunerProcess) -> None:
    registry.data.rename(registry.data.with_name("elsewhere"))
    refusal = pruner.report("run", expected=(4,))
    assert str(registry.data) in refusal["error"]["message"]
    assert not registry.data.exists()


def test_the_hand_written_layout_is_the_registrys_own(
    registry: RealRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    pushed = nested_index("both ways")
    client.push("a/b_c", pushed, "one", "two")
    TreeBuilder(tmp_path / "by-hand").push("a/b_c", pushed, "one", "two")

    def files(root: Path) -> dict[str, object]:
        found = snapshot(root)
        return {name: entry for name, entry in found.items() if entry.size and "/_uploads" not in name}

    assert files(tmp_path / "by-hand") == files(registry.data)
