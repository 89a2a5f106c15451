"""Safe on anyone's cluster: claims, stacks that are renamed or destroyed, addresses that do not flip."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import SandboxError
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, Stack, until
from tests.gc.images import image, layer

DEFINITION = "registryaddresses.docker-registry.internal"
IMAGE = image([layer("claimed", 1 << 16)], "claimed")
CLAIM = "registry-claim.json"
CHANGES = (" created", " updated", " replaced", " deleted")


def pulumi(stack: Stack, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The engine's own command line on the stack."""
    return subprocess.run(
        [str(stack.engine.program), *words, "--non-interactive", "--color=never"],
        cwd=stack.engine.project,
        env={**stack.engine.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def node(stack: Stack) -> str:
    return str(stack.objects("nodes")[0]["metadata"]["name"])


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    made = make_stack("claimed", **{**FAST, "gcPeriod": "1h"})
    made.engine.configure({"storage.node": node(made)})
    made.up()
    made.client().push("app", IMAGE, "v1")
    return made


def claim_on_disk(stack: Stack) -> dict[str, Any]:
    return json.loads((stack.data / CLAIM).read_text())


def restart(stack: Stack) -> None:
    stack.kubectl("delete", "pod", "--all", "--grace-period=5")


def refusal(stack: Stack) -> str:
    """The message with which the new pod does not start, as `kubectl describe` shows it."""
    found: list[str] = []

    def refused() -> bool:
        for pod in stack.objects("pods"):
            for container in pod["status"].get("initContainerStatuses", []):
                for state in (container["state"], container.get("lastState", {})):
                    ended = state.get("terminated", {})
                    if container["name"] == "claim" and ended.get("exitCode") == 14:
                        found.append(ended["message"])
        return bool(found)

    until(refused, "the pod refuses to start")
    assert found[-1] in " ".join(stack.kubectl("describe", "pods").split())
    return found[-1]


def served(stack: Stack) -> None:
    stack.client().check("app", "v1", IMAGE)


def test_the_claim_lies_in_the_tree_and_its_record_outside(stack: Stack) -> None:
    claim = claim_on_disk(stack)
    assert claim["owner"] == f"{stack.namespace}/registry"
    (system,) = [n for n in stack.objects("namespaces") if n["metadata"]["name"] == "kube-system"]
    assert claim["cluster"] == system["metadata"]["uid"]
    record = json.loads(stack.kubectl("get", "configmap", "registry-storage", "--output=json"))
    assert claim["id"] in "".join(record["data"].values())


def test_a_second_up_and_a_refresh_leave_the_record(stack: Stack) -> None:
    for words in (("up", "--yes", "--skip-preview"), ("refresh", "--yes", "--skip-preview")):
        done = pulumi(stack, *words, "--stack", stack.engine.stack)
        assert done.returncode == 0, done.stdout + done.stderr
        summary = done.stdout.partition("Resources:")[2]
        assert not [change for change in CHANGES if change in summary], done.stdout
    test_the_claim_lies_in_the_tree_and_its_record_outside(stack)


def test_an_emptied_folder_keeps_the_pod_from_starting(stack: Stack) -> None:
    away = stack.data.with_name("away")
    stack.data.rename(away)
    try:
        stack.data.mkdir()
        restart(stack)
        said = refusal(stack)
        assert f"on {node(stack)} is empty, but this registry had its images there" in said
        assert list(stack.data.iterdir()) == []
    finally:
        stack.data.rmdir()
        away.rename(stack.data)
    restart(stack)
    served(stack)


def test_anothers_tree_keeps_the_pod_from_starting_until_it_is_adopted(stack: Stack) -> None:
    claim = claim_on_disk(stack)
    theirs = json.dumps({**claim, "owner": "elsewhere/registry", "id": "cfedcba9"})
    (stack.data / CLAIM).write_text(theirs)
    restart(stack)
    said = refusal(stack)
    assert "belongs to the registry elsewhere/registry of this cluster" in said
    assert "storage.adopt" in said
    assert (stack.data / CLAIM).read_text() == theirs
    stack.up(**{"storage.adopt": "cfedcba9"})
    served(stack)
    assert claim_on_disk(stack)["owner"] == f"{stack.namespace}/registry"
    assert claim_on_disk(stack)["replaces"] == "cfedcba9"


def test_nodes_that_join_change_no_address_and_storage_has_to_name_one(
    stack: Stack, make_stack: MakeStack, tmp_path: Path
) -> None:
    before = stack.address_resource()
    pod = stack.pod()["metadata"]["uid"]
    other = tmp_path / "node.json"
    addresses = [{"type": "ExternalIP", "address": "203.0.113.77"}]
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"addresses": addresses, "conditions": conditions}
    other.write_text(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a-first-node"}}))
    stack.kubectl("create", f"--filename={other}")
    try:
        patch = json.dumps({"status": status})
        stack.kubectl(
            "patch", "node", "a-first-node", "--subresource=status", "--type=merge", f"--patch={patch}"
        )
        stack.up()
        assert stack.address_resource() == before
        assert stack.pod()["metadata"]["uid"] == pod
        settings = stack.engine.config_file.read_bytes()
        stack.engine.configure({"storage.node": "a-third-node"})
        refused = pulumi(stack, "preview", "--stack", stack.engine.stack)
        stack.engine.config_file.write_bytes(settings)
        assert refused.returncode != 0
        assert "storage.node is 'a-third-node', which is not a node of the cluster" in refused.stdout
        unpinned = make_stack("unpinned")
        with pytest.raises(SandboxError, match="has 2 nodes and storage names none of them"):
            unpinned.up()
        assert unpinned.namespace not in stack.kubectl("get", "namespaces")
    finally:
        stack.kubectl("delete", "node", "a-first-node")


def test_a_renamed_stack_changes_nothing(stack: Stack) -> None:
    uid = stack.objects("registryaddresses")[0]["metadata"]["uid"]
    renamed = replace(stack, engine=replace(stack.engine, stack="renamed"))
    moved = pulumi(stack, "stack", "rename", "renamed", "--stack", stack.engine.stack)
    assert moved.returncode == 0, moved.stderr
    try:
        done = pulumi(renamed, "up", "--yes", "--skip-preview", "--stack", "renamed")
        assert done.returncode == 0, done.stdout + done.stderr
        summary = done.stdout.partition("Resources:")[2]
        assert not [change for change in CHANGES if change in summary], done.stdout
        assert stack.objects("registryaddresses")[0]["metadata"]["uid"] == uid
    finally:
        pulumi(renamed, "stack", "rename", stack.engine.stack, "--stack", "renamed")
    served(stack)


def test_an_edited_definition_is_mended_by_a_refresh(stack: Stack) -> None:
    def columns() -> int:
        found = json.loads(stack.kubectl("get", "crd", DEFINITION, "--output=json"))
        return len(found["spec"]["versions"][0].get("additionalPrinterColumns", []))

    was = columns()
    removal = json.dumps([{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/1"}])
    stack.kubectl("patch", "crd", DEFINITION, "--type=json", f"--patch={removal}")
    assert columns() == was - 1
    done = pulumi(stack, "up", "--refresh", "--yes", "--skip-preview", "--stack", stack.engine.stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert columns() == was


def test_a_preview_with_hosts_needs_no_cluster_and_an_up_refuses_before_any_resource(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    offline = make_stack("offline", externalHosts='["registry.example.com"]')
    nowhere = {"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    words = ("--stack", offline.engine.stack)
    preview = pulumi(offline, "preview", *words, **nowhere)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "not checked: that the port is free" in preview.stdout + preview.stderr
    up = pulumi(offline, "up", "--yes", *words, **nowhere)
    assert up.returncode != 0
    assert "no usable kubeconfig" in up.stdout + up.stderr
    resources = json.loads(pulumi(offline, "stack", "export", *words).stdout)["deployment"].get(
        "resources", []
    )
    assert [r["type"] for r in resources if not r["type"].startswith("pulumi:")] == []


def two_live_stacks_on_one_folder(owner: Stack, other: Stack) -> None:
    """The other's pod does not start, and nothing in the owner's tree changes."""
    before = claim_on_disk(owner)
    (deployment,) = other.objects("deployments")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (place,) = [
        i
        for i, each in enumerate(volumes)
        if str(other.engine.stack) in each.get("hostPath", {}).get("path", "")
    ]
    path = f"/spec/template/spec/volumes/{place}/hostPath/path"
    theirs = volumes[place]["hostPath"]["path"].replace(other.engine.stack, owner.engine.stack)
    change = json.dumps([{"op": "replace", "path": path, "value": theirs}])
    other.kubectl("patch", "deployment", "registry", "--type=json", f"--patch={change}")
    assert f"belongs to the registry {owner.namespace}/registry of this cluster" in refusal(other)
    assert claim_on_disk(owner) == before
    served(owner)


def test_no_destroy_takes_anothers_address_along(stack: Stack, make_stack: MakeStack) -> None:
    second = make_stack("second", **FAST)
    second.up()
    two_live_stacks_on_one_folder(stack, second)
    stack.engine.destroy()
    assert second.address_resource()["address"].endswith(f":{second.node_port}")
    second.engine.destroy()
    assert DEFINITION in stack.kubectl("get", "crd", DEFINITION)
    assert claim_on_disk(stack)["owner"] == f"{stack.namespace}/registry"
    stack.up()
    served(stack)
