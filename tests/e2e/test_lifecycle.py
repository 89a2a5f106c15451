"""A stack's life in the order of the tests: up, push, publish, prune, reconfigure, destroy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from deploy import real
from deploy.confirm import Confirmation
from deploy.target import Target
from sandbox.archive import ImageConfig, pack
from sandbox.images import PAUSE_REFERENCE, build_image, images
from sandbox.steps import Steps
from sandbox.trust import trust_registry
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, SecureClient, Stack, until
from tests.gc.images import digest_of, image, index, layer
from tests.gc.registryclient import UnansweredError

MIB = 1 << 20
OLD = image([layer("base", MIB), layer("old", MIB)], "old")
NEW = image([layer("base", MIB), layer("new", MIB)], "new")
# Prints the resident set of `prune serve` in KiB.
MEMORY = """
import pathlib, re
for folder in pathlib.Path('/proc').glob('[0-9]*'):
    if b'prune\\0serve' in (folder / 'cmdline').read_bytes():
        print(re.search(r'VmRSS:\\s+(\\d+)', (folder / 'status').read_text())[1])
"""
MULTI = index(
    [image([layer(f"{name}", MIB)], name, oci=True, architecture=name) for name in ("amd64", "arm64")],
)


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    # The kubelet pulls for a pod of the stack's own namespace.
    stack = make_stack("lifecycle", **FAST, **{"pullSecrets.namespaces[0]": "e2e-lifecycle"})
    stack.up()
    return stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> SecureClient:
    return stack.client()


def test_resource_and_outputs_agree(stack: Stack) -> None:
    outputs, resource = stack.engine.outputs(), stack.address_resource()
    assert outputs["address"] == resource["address"]
    assert outputs["addresses"] == resource["addresses"]
    assert outputs["caCertificate"] == resource["caBundle"]
    assert outputs["namespace"] == resource["serviceRef"]["namespace"] == stack.namespace
    assert resource["address"].endswith(f":{stack.node_port}")
    assert not resource["address"].startswith(("localhost", "127."))
    table = stack.kubectl("get", "registryaddresses", "--all-namespaces")
    assert resource["address"] in table


def test_only_the_published_authority_is_needed_and_it_is_needed(
    stack: Stack, client: SecureClient, tmp_path: Path
) -> None:
    client.ping()
    stranger = tmp_path / "stranger.crt"
    stranger.write_text((stack.place.pki / "cluster.crt").read_text())
    with pytest.raises(UnansweredError, match="CERTIFICATE_VERIFY_FAILED"):
        SecureClient(stack.address_resource()["address"], stranger).ping()


def test_pushes_of_images_and_indexes_pull_back(client: SecureClient) -> None:
    client.push("app", OLD, "latest")
    client.push("multi", MULTI, "latest", chunks=2)
    client.check("app", "latest", OLD)
    client.check("multi", "latest", MULTI)


def test_a_real_client_pushes_and_pulls(stack: Stack, tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (rootfs / "file").write_bytes(layer("skopeo", MIB))
    pack(rootfs, ImageConfig("localhost/skopeo:1"), tmp_path / "image.tar")
    stack.skopeo_push(tmp_path / "image.tar", "tools/skopeo:1")
    stack.skopeo_pull("tools/skopeo:1", tmp_path / "pulled.tar")
    digests = [
        json.loads(subprocess.check_output(["skopeo", "inspect", "--config", f"docker-archive:{path}"]))[
            "rootfs"
        ]
        for path in (tmp_path / "image.tar", tmp_path / "pulled.tar")
    ]
    assert digests[0] == digests[1]


def test_podman_pushes_and_pulls(stack: Stack, tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (rootfs / "file").write_bytes(layer("podman", MIB))
    pack(rootfs, ImageConfig("localhost/podman:1"), tmp_path / "image.tar")
    pushed, pulled = stack.podman_push_and_pull(tmp_path / "image.tar", "tools/podman:1")
    assert pulled == pushed


def test_a_retagged_image_goes_from_disk_and_the_new_one_stays(stack: Stack, client: SecureClient) -> None:
    client.push("app", NEW, "latest")
    old_layer, old_config = OLD.blobs[1], OLD.blobs[2]
    until(lambda: not stack.has_blob(old_layer), "the old image's own layer is gone from disk")
    until(lambda: not stack.has_blob(old_config), "the old image's config is gone from disk")
    assert not client.has_manifest("app", OLD.digest)
    assert stack.has_blob(OLD.blobs[0])
    client.check("app", "latest", NEW)
    client.check("multi", "latest", MULTI)
    assert stack.restarts() == {"registry": 0, "gc": 0}


def test_what_was_pruned_can_be_pushed_again(client: SecureClient) -> None:
    client.push("app", OLD, "again")
    client.check("app", "again", OLD)


def test_an_image_that_a_pod_runs_stays_without_its_tag(stack: Stack, client: SecureClient) -> None:
    """The pod pulls it from here, with a login; then the tag moves on, and only the pod's status names it."""
    resource = stack.address_resource()
    trust_registry(stack.place, resource["addresses"], resource["caBundle"])
    (pause,) = [made for made in images() if made.config.reference == PAUSE_REFERENCE]
    stack.skopeo_push(build_image(pause), "service:v1")
    running = client.get_manifest("service", "v1")
    stack.pull_by_default()
    stack.kubectl("create", "deployment", "service", f"--image={resource['address']}/service:v1")
    stack.kubectl("rollout", "status", "deployment/service", "--timeout=60s")

    client.push("service", image([layer("next", MIB)], "next"), "v1")
    unused = image([layer("unused", MIB)], "unused")
    client.push("unused", unused, "v1")
    client.push("unused", NEW, "v1")
    until(lambda: not stack.has_blob(unused.blobs[0]), "an image that nothing names is pruned")
    assert client.get_manifest("service", digest_of(running)) == running

    stack.kubectl("delete", "deployment", "service")
    until(lambda: not stack.has_blob(running), "nothing names the image any more, so it is pruned")


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = stack.pod()["metadata"]["uid"]
    said = stack.up()
    assert "unchanged" in said
    for change in ("created", "updated", "replaced", "deleted"):
        assert f" {change}" not in said.partition("Resources:")[2], said
    assert stack.pod()["metadata"]["uid"] == before


def test_a_changed_config_rolls_the_pod_and_keeps_the_images(stack: Stack) -> None:
    before = stack.pod()["metadata"]["uid"]
    stack.up(gcPeriod="1h")
    assert stack.pod()["metadata"]["uid"] != before
    client = stack.client()
    client.check("app", "latest", NEW)
    client.check("multi", "latest", MULTI)


def test_the_pruner_idles_in_little_memory(stack: Stack) -> None:
    held = stack.kubectl("exec", "deployment/registry", "--container=gc", "--", "python3", "-c", MEMORY)
    assert 0 < int(held) < 40 * 1024, f"the pruner holds {held} KiB"


def test_destroy_leaves_nothing_but_the_data_and_says_where(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = stack.engine.outputs()
    target = Target(stack.place.context, kubeconfig=str(stack.place.kubeconfig))
    real.down(stack.engine, target, {}, Confirmation("make down", given=True), Steps())
    assert f"the images stay: {outputs['data']}" in capsys.readouterr().out
    namespaces = stack.objects("namespaces")
    assert stack.namespace not in [found["metadata"]["name"] for found in namespaces]
    for kind in ("clusterroles", "clusterrolebindings"):
        # Other stacks of the tests' cluster have theirs.
        left = [found["metadata"]["name"] for found in stack.objects(kind)]
        assert not [name for name in left if name.startswith(f"{stack.namespace}-")], kind
    assert stack.has_blob(NEW.blobs[1])


def test_the_images_are_there_again_with_the_next_up(stack: Stack) -> None:
    stack.up()
    stack.client().check("app", "latest", NEW)
