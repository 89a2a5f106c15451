"""Images on a persistentVolumeClaim: not root there, found again after a destroy, taken along from a folder.

The sandbox's volumes are folders of the node, and kubelet gives no folder to the pod's group as it gives a
disk, so these tests do that one step in its place. Such volumes do not grow either.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import textwrap
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.cluster import kubectl
from sandbox.images import PYTHON_REFERENCE, REGISTRY_2_REFERENCE
from sandbox.place import REGISTRY_STORAGE
from sandbox.processes import find_node
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, Stack, until
from tests.gc.images import image, layer

ON_CLAIM = {"kind": "persistentVolumeClaim", "size": "1Gi"}
GROUP = 1000
OLD = image([layer("from the folder", 1 << 16)], "from the folder")
ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTED = (ROOT / "docs" / "storage.md").read_text()
NEW = image([layer("to the volume", 1 << 16)], "to the volume")


@contextmanager
def volumes_for_the_group(folder: Path) -> Generator[None]:
    """Gives every volume that comes to be to the pod's group, as kubelet does with a disk's."""
    done = threading.Event()

    def give() -> None:
        while not done.wait(0.2):
            for volume in folder.iterdir() if folder.exists() else ():
                if volume.stat().st_gid != GROUP:
                    os.chown(volume, -1, GROUP)
                    volume.chmod(volume.stat().st_mode | stat.S_ISGID | stat.S_IRWXG)

    thread = threading.Thread(target=give)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def keep_in(stack: Stack, **storage: Any) -> None:
    stack.up(storage=json.dumps(storage))


def uid(stack: Stack, kind: str, name: str) -> str:
    return json.loads(stack.kubectl("get", kind, name, "--output=json"))["metadata"]["uid"]


def on_disk(stack: Stack) -> Path:
    """The folder of the claim's volume, as this machine sees it."""
    claim = json.loads(stack.kubectl("get", "pvc", "registry-data", "--output=json"))
    volume = json.loads(stack.kubectl("get", "pv", claim["spec"]["volumeName"], "--output=json"))
    return stack.place.volumes / Path(volume["spec"]["hostPath"]["path"]).name


def documented_pod(stack: Stack, name: str) -> dict[str, Any]:
    """A pod of docs/storage.md, in this stack's namespace and with the sandbox's image."""
    texts = re.findall(r"```yaml\n(.*?)```", DOCUMENTED, re.DOTALL)
    pods = [yaml.safe_load(textwrap.dedent(text)) for text in texts]
    (pod,) = [each for each in pods if each["metadata"]["name"] == name]
    pod["metadata"]["namespace"] = stack.namespace
    pod["spec"]["containers"][0]["image"] = PYTHON_REFERENCE
    return pod


def create(stack: Stack, pod: dict[str, Any]) -> None:
    path = stack.scratch / f"{pod['metadata']['name']}.json"
    path.write_text(json.dumps(pod))
    stack.kubectl("create", f"--filename={path}")


def copying_pod(stack: Stack) -> dict[str, Any]:
    pod = documented_pod(stack, "copy")
    pod["spec"]["nodeName"] = stack.objects("nodes")[0]["metadata"]["name"]
    pod["spec"]["volumes"][0]["hostPath"]["path"] = f"{REGISTRY_STORAGE}/{stack.engine.stack}"
    return pod


def exec_with(stack: Stack, source: Path, target: Path, *words: str) -> None:
    """`kubectl exec -i` with files for input and output."""
    command = [
        kubectl(stack.place),
        f"--kubeconfig={stack.place.kubeconfig}",
        f"--namespace={stack.namespace}",
    ]
    with source.open("rb") as given, target.open("wb") as taken:
        subprocess.run([*command, "exec", "-i", *words], stdin=given, stdout=taken, check=True)


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Generator[Stack]:
    made = make_stack("volume", **{**FAST, "gcPeriod": "1h"})
    with volumes_for_the_group(made.place.volumes):
        yield made


def test_a_move_from_a_folder_to_a_claim_keeps_namespace_address_and_images(stack: Stack) -> None:
    stack.up()
    stack.client().push("app", OLD, "v1")
    kept = [("namespace", stack.namespace), ("service", "registry"), ("deployment", "registry")]
    before = [uid(stack, *each) for each in kept], stack.address_resource()
    keep_in(stack, **ON_CLAIM)
    assert ([uid(stack, *each) for each in kept], stack.address_resource()) == before
    # As docs/storage.md has it: no pod while the tree is copied.
    stack.kubectl("scale", "deployment/registry", "--replicas=0")
    until(lambda: not stack.objects("pods"), "the pod is gone")
    level = ("label", "namespace", stack.namespace, "--overwrite")
    stack.kubectl(*level, "pod-security.kubernetes.io/enforce=privileged")
    create(stack, copying_pod(stack))
    stack.kubectl("wait", "pod/copy", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    stack.kubectl("delete", "pod", "copy")
    stack.kubectl(*level, "pod-security.kubernetes.io/enforce=restricted")
    stack.kubectl("scale", "deployment/registry", "--replicas=1")
    client = stack.client()
    client.check("app", "v1", OLD)
    client.push("app", NEW, "v2")


def test_nothing_of_it_runs_as_root_and_the_namespace_admits_nothing_less(stack: Stack) -> None:
    # The containers share their processes, so that one of them sees all.
    users = "import os; print({os.stat(f'/proc/{p}').st_uid for p in os.listdir('/proc') if p.isdigit()})"
    shown = stack.kubectl("exec", "deployment/registry", "--container=gc", "--", "python3", "-c", users)
    assert shown.strip() == str({GROUP})
    labels = json.loads(stack.kubectl("get", "namespace", stack.namespace, "--output=json"))["metadata"][
        "labels"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    owner = {path.stat().st_uid for path in (on_disk(stack) / "docker").rglob("*")}
    assert owner == {GROUP}


def test_the_pruner_works_there(stack: Stack) -> None:
    report = json.loads(stack.prune("verify", "--output=json"))
    assert report["problems"] == []


def test_both_versions_serve_the_same_volume_by_an_address_within_the_cluster(stack: Stack) -> None:
    """To whoever is on a node; the cluster has no names, so the address is that of the Service."""
    node = find_node(stack.place)
    assert node
    inside = replace(stack, way=("nsenter", "--net", f"--target={node.pid}", "--"))
    was = stack.engine.settings()["docker-registry:registryImage"]
    host = stack.objects("services")[0]["spec"]["clusterIP"]
    # The port of the nodes is the default again: there is none to choose.
    config = {"exposure.kind": "ClusterIP", "externalHosts": json.dumps([host]), "nodePort": "32000"}
    for version, reference in enumerate((REGISTRY_2_REFERENCE, was), 2):
        stack.up(registryImage=reference, **config)
        (service,) = stack.objects("services")
        assert (service["spec"]["type"], service["spec"]["clusterIP"]) == ("ClusterIP", host)
        assert "nodePort" not in service["spec"]["ports"][0]
        assert stack.address_resource()["addresses"] == [f"{host}:5000"]
        inside.skopeo_copy("app:v2", f"inside:v{version}")
    back = {"exposure.kind": "NodePort", "externalHosts": "[]", "nodePort": str(stack.node_port)}
    stack.up(**back)
    client = stack.client()
    for version in (2, 3):
        client.check("inside", f"v{version}", NEW)


def test_the_claim_outlives_the_stack_and_is_found_again(stack: Stack) -> None:
    before = uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)
    stack.engine.destroy()
    assert stack.objects("deployments") == []
    stack.up()
    assert (uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)) == before
    client = stack.client()
    client.check("app", "v1", OLD)
    client.check("app", "v2", NEW)


def test_an_existing_claim_is_taken_as_it_is(stack: Stack) -> None:
    keep_in(stack, kind="persistentVolumeClaim", existingClaim="registry-data")
    stack.client().check("app", "v1", OLD)
    keep_in(stack, **ON_CLAIM)
    stack.client().check("app", "v1", OLD)


def test_a_namespace_that_the_stack_makes_no_more_is_the_same_and_the_pod_is_as_it_is_wanted(
    stack: Stack,
) -> None:
    before = uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)
    on_linux = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [on_linux]}]}
    wanted: dict[str, Any] = {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "priorityClassName": "system-cluster-critical",
        "annotations": {"example.com/team": "images"},
        "imagePullSecrets": ["mirror"],
        "gc": {"resources": {"limits": {"memory": "512Mi"}}, "environment": {"TZ": "Europe/Berlin"}},
    }
    stack.up(createNamespace="false", pod=json.dumps(wanted))
    assert (uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)) == before
    pod = stack.pod()
    assert pod["spec"]["affinity"] == wanted["affinity"]
    assert wanted["tolerations"][0] in pod["spec"]["tolerations"]
    assert pod["metadata"]["annotations"]["example.com/team"] == "images"
    stack.client().check("app", "v1", OLD)


def test_a_backup_of_a_claim_in_use_is_restored_to_a_folder_and_to_a_claim(stack: Stack) -> None:
    """From a claim to a folder, and a claim that lost its images, both as docs/storage.md has it."""
    archive = stack.scratch / "images.tar"
    exec_with(
        stack, ROOT / "gc" / "backup.py", archive, "deploy/registry", "--container=gc", "--", "python3", "-"
    )
    pod = documented_pod(stack, "restore")
    restore(stack, archive, pod, lambda: shutil.rmtree(on_disk(stack) / "docker"))
    client = stack.client()
    client.check("app", "v1", OLD)
    client.push("app", NEW, "v3")
    folder = f"{stack.engine.stack}-restored"
    # The label that admits no hostPath stayed when the stack let go of the namespace: docs/configuration.md.
    stack.kubectl(
        *("label", "namespace", stack.namespace, "--overwrite"),
        "pod-security.kubernetes.io/enforce=privileged",
    )
    stack.engine.configure({"createNamespace": "true"})
    keep_in(stack, kind="hostPath", path=f"{REGISTRY_STORAGE}/{folder}")
    for part in (pod["spec"], pod["spec"]["containers"][0]):
        del part["securityContext"]
    pod["spec"]["volumes"] = [{"name": "images", "hostPath": {"path": f"{REGISTRY_STORAGE}/{folder}"}}]
    restore(stack, archive, pod)
    client = stack.client()
    client.check("app", "v1", OLD)
    client.check("app", "v2", NEW)
    assert json.loads(stack.prune("verify", "--output=json"))["problems"] == []


def restore(
    stack: Stack, archive: Path, pod: dict[str, Any], meanwhile: Callable[[], None] = lambda: None
) -> None:
    stack.kubectl("scale", "deployment/registry", "--replicas=0")
    until(lambda: not stack.objects("pods"), "the pod is gone")
    meanwhile()
    create(stack, pod)
    stack.kubectl("wait", "pod/restore", "--for=condition=Ready", "--timeout=60s")
    (unpack,) = re.findall(r"'(import sys, tarfile; .*)' < images.tar", DOCUMENTED)
    exec_with(stack, archive, stack.scratch / "said", "restore", "--", "python3", "-c", unpack)
    stack.kubectl("delete", "pod", "restore")
    stack.kubectl("scale", "deployment/registry", "--replicas=1")


def test_a_claim_that_is_not_to_be_kept_goes_with_its_namespace(stack: Stack) -> None:
    before = uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)
    keep_in(stack, **ON_CLAIM, retain=False)
    assert (uid(stack, "pvc", "registry-data"), uid(stack, "namespace", stack.namespace)) == before
    stack.client().check("app", "v2", NEW)
    stack.engine.destroy()
    until(lambda: stack.namespace not in stack.kubectl("get", "namespaces"), "the namespace is gone")
