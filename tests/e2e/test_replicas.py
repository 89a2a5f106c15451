"""Two registries on one bucket, with a cache in Redis and a pruner of its own: none lost.

The server is versitygw on this machine, which pods reach by the machine's end of the node's link.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import import_image
from sandbox.images import REDIS_REFERENCE, build_image, redis_image
from sandbox.network import kept_addresses
from sandbox.place import VOLUMES, Place
from sandbox.processes import find_node
from sandbox.s3 import S3, s3_server
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, Stack, until
from tests.e2e.traffic import traffic
from tests.gc.images import digest_of, image, layer

SHARED = "shared"
PRUNER = "registry-pruner"
COMPONENT = "app.kubernetes.io/component"
OLD = image([layer("of two, old", 1 << 16)], "old")
NEW = image([layer("of two, new", 1 << 16)], "new")
GONE = digest_of(OLD.blobs[0])
# What a push of the clients takes on a machine at work, and more.
GRACE = "15s"


def share(stack: Stack) -> None:
    """A volume that several pods may write to, of a class of its own: the sandbox's own provides none."""
    folder = stack.place.volumes / SHARED
    folder.mkdir()
    folder.chmod(0o777)
    provider = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": SHARED},
        "provisioner": "kubernetes.io/no-provisioner",
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": SHARED},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": SHARED,
            "hostPath": {"path": f"{VOLUMES}/{SHARED}"},
        },
    }
    made = stack.scratch / "shared.json"
    made.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [provider, volume]}))
    stack.kubectl("create", f"--filename={made}")


def registries(stack: Stack) -> list[dict[str, Any]]:
    """The registries' pods that are not about to end."""
    found = stack.objects("pods", f"--selector={COMPONENT}=registry")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def ready(stack: Stack) -> int:
    states = [
        condition["status"]
        for pod in registries(stack)
        for condition in pod["status"].get("conditions", ())
        if condition["type"] == "Ready"
    ]
    return states.count("True")


def in_redis(stack: Stack, *words: str) -> str:
    """What the stack's own Redis answers."""
    (secret,) = stack.objects("secrets", f"--selector={COMPONENT}=cache")
    config = base64.b64decode(secret["data"]["redis.conf"]).decode()
    password = re.findall("^requirepass (.*)$", config, re.MULTILINE)[0]
    asked = ("redis-cli", "--no-auth-warning", "-a", password, *words)
    (server,) = stack.objects("deployments", f"--selector={COMPONENT}=cache")
    return stack.kubectl("exec", f"deployment/{server['metadata']['name']}", "--", *asked).strip()


def kill(stack: Stack, pod: dict[str, Any]) -> None:
    stack.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")


@pytest.fixture(scope="module")
def server(cluster: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder, address=kept_addresses(cluster).host) as running:
        (running.data / "images").mkdir()
        yield running


@pytest.fixture(scope="module")
def stack(cluster: Place, make_stack: MakeStack, server: S3) -> Stack:
    node = find_node(cluster)
    assert node is not None
    import_image(cluster, node, str(build_image(redis_image())), REDIS_REFERENCE)
    made = make_stack("replicas", **{**FAST, "gcGrace": GRACE})
    bucket = {
        "kind": "s3",
        "bucket": "images",
        "endpoint": server.endpoint,
        "rootDirectory": "registries/one",
        "accessKey": server.access_key,
        "secretKey": server.secret_key,
    }
    redis = {"image": REDIS_REFERENCE}
    made.up(replicas="2", cache="redis", redis=json.dumps(redis), storage=json.dumps(bucket))
    return made


def test_two_registries_answer_with_one_pruner_beside_them(stack: Stack, server: S3) -> None:
    client = stack.client()
    client.push("app", OLD, "latest")
    for _ in range(6):
        fresh = stack.client()
        fresh.check("app", "latest", OLD)
    assert ready(stack) == 2
    assert len(stack.objects("pods", f"--selector={COMPONENT}=pruner")) == 1
    assert in_redis(stack, "hget", f"blobs::{GONE}", "digest") == GONE
    assert (server.data / "images/registries/one/docker/registry/v2/blobs").is_dir()
    assert json.loads(stack.prune("verify", "--output=json", deployment=PRUNER))["problems"] == []


def test_a_rollout_fails_no_push_and_no_pull(stack: Stack, tmp_path: Path) -> None:
    before = {pod["metadata"]["name"] for pod in registries(stack)}
    with traffic(stack, tmp_path / "clients") as clients:
        until(lambda: len(clients.pushed) > 2, "the clients are at work")
        stack.kubectl("rollout", "restart", "deployment/registry")
        stack.kubectl("rollout", "status", "deployment/registry", "--timeout=120s")
        until(lambda: not before & names(stack), "the old pods are gone", 90)
    assert clients.failures == []
    for name in clients.pushed:
        clients.pull(name)


def names(stack: Stack) -> set[str]:
    found = stack.objects("pods", f"--selector={COMPONENT}=registry")
    return {pod["metadata"]["name"] for pod in found}


def test_a_killed_registry_costs_another_attempt_at_most(stack: Stack, tmp_path: Path) -> None:
    with traffic(stack, tmp_path / "clients", retries=5) as clients:
        until(lambda: len(clients.pushed) > 2, "the clients are at work")
        kill(stack, registries(stack)[0])
        until(lambda: ready(stack) == 2, "another has taken its place")
    assert clients.failures == []
    for name in clients.pushed:
        clients.pull(name)


def test_a_killed_pruner_is_followed_by_one_that_prunes_and_nothing_is_lost(
    stack: Stack, tmp_path: Path
) -> None:
    client = stack.client()
    client.push("app", NEW, "latest")
    with traffic(stack, tmp_path / "clients") as clients:
        until(lambda: phase(stack) not in ("", "waiting"), "a run is at work")
        (pruner,) = stack.objects("pods", f"--selector={COMPONENT}=pruner")
        kill(stack, pruner)
        until(lambda: not client.has_blob("app", GONE), "what was replaced is gone", 240)
    assert clients.failures == []
    for name in clients.pushed:
        clients.pull(name)
    client.check("app", "latest", NEW)
    assert in_redis(stack, "exists", f"blobs::{GONE}") == "0"
    client.push("app", OLD, "again")
    stack.client().check("app", "again", OLD)
    assert json.loads(stack.prune("verify", "--output=json", deployment=PRUNER))["problems"] == []


def phase(stack: Stack) -> str:
    """What the pruner is at, as `kubectl get registryaddresses` has it."""
    (found,) = stack.objects("registryaddresses")
    return found.get("status", {}).get("phase", "")


def test_one_replica_is_what_it_was_again(stack: Stack) -> None:
    stack.up(replicas="1")
    until(lambda: len(names(stack)) == 1, "one pod is left", 90)
    assert stack.objects("poddisruptionbudgets") == []
    parts = [each["metadata"]["labels"][COMPONENT] for each in stack.objects("deployments")]
    assert sorted(parts) == ["cache", "registry"]
    stack.client().check("app", "latest", NEW)
    assert json.loads(stack.prune("verify", "--output=json"))["problems"] == []


def test_several_share_a_volume_too(stack: Stack) -> None:
    share(stack)
    volume = {
        "kind": "persistentVolumeClaim",
        "size": "1Gi",
        "storageClass": SHARED,
        "accessModes": ["ReadWriteMany"],
    }
    stack.up(replicas="2", storage=json.dumps(volume))
    client = stack.client()
    client.push("app", OLD, "latest")
    # What was remembered of the bucket would have said that the layer is there.
    client.check("app", "latest", OLD)
    client.push("app", NEW, "latest")
    until(lambda: not client.has_blob("app", GONE), "what was replaced is gone", 120)
    stack.client().check("app", "latest", NEW)
