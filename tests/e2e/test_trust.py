"""Trust: nodes that pull over TLS before and after the authority is exchanged, and renewals by others."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from requests.exceptions import SSLError

from docker_registry_stack import pem
from sandbox.cluster import kubectl
from sandbox.images import PAUSE_REFERENCE, build_image, images
from sandbox.pki import Subject, issue, new_authority
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, SecureClient, Stack, until
from tests.gc.registryclient import UnansweredError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trust.md").read_text()
HOSTING = "local-registry-hosting"
NOTE = "https://wiki.example.com/registry"


@dataclass
class Loop:
    """A client that trusts what was published when it began, and asks over and over."""

    refusals: list[str] = field(default_factory=list[str])
    answers: int = 0


@contextmanager
def asking(stack: Stack) -> Generator[Loop]:
    """A client in a loop; to be without an answer for a moment is not to be refused."""
    loop, over = Loop(), threading.Event()
    client = stack.client()

    def ask() -> None:
        while not over.wait(0.05):
            try:
                client.ping()
                loop.answers += 1
            except UnansweredError as error:
                if "CERTIFICATE" in str(error) or isinstance(error.__cause__, SSLError):
                    loop.refusals.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield loop
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    own = {"gcPeriod": "5s", "pullSecrets.namespaces[0]": "e2e-trust"}
    stack = make_stack("trust", **{**FAST, **own})
    folders = [str(stack.place.registry_trust)]
    stack.kubectl(
        "create",
        "configmap",
        HOSTING,
        "--namespace=kube-public",
        "--from-literal=localRegistryHosting.v1=old",
    )
    stack.up(
        nodeTrust=json.dumps({"enabled": True, "folders": folders}),
        caNamespaces=json.dumps(["default"]),
        localRegistryHosting=NOTE,
    )
    stack.pull_by_default()
    (pause,) = [made for made in images() if made.config.reference == PAUSE_REFERENCE]
    for name in ("before", "between", "after"):
        stack.skopeo_push(build_image(pause), f"service:{name}")
    return stack


def pull(stack: Stack, tag: str) -> None:
    """Has the kubelet pull an image that the node does not have, through the published address."""
    image = f"{stack.address_resource()['address']}/service:{tag}"
    stack.kubectl("run", f"pulls-{tag}", f"--image={image}", "--image-pull-policy=Always")
    stack.kubectl("wait", f"pod/pulls-{tag}", "--for=condition=Ready", "--timeout=60s")
    stack.kubectl("delete", "pod", f"pulls-{tag}", "--grace-period=1", "--wait=false")


def on_node(stack: Stack) -> dict[str, str]:
    """Address -> the file that the node has of this registry."""
    folder = stack.place.registry_trust
    return {path.parent.name: path.read_text() for path in folder.glob(f"*/{stack.namespace}.crt")}


def config_map(stack: Stack, namespace: str, name: str) -> dict[str, Any]:
    found = stack.kubectl("get", "configmap", name, f"--namespace={namespace}", "--output=json")
    return json.loads(found)


def nodes(stack: Stack, *words: str) -> str:
    """kubectl in the namespace of the DaemonSet."""
    return stack.kubectl(*words, f"--namespace={stack.namespace}-nodes")


def test_a_node_pulls_over_tls_by_what_the_stack_put_there(stack: Stack) -> None:
    spec = stack.address_resource()
    assert on_node(stack) == dict.fromkeys(spec["addresses"], spec["caBundle"])
    pull(stack, "before")


def test_each_node_says_in_a_line_what_it_trusts(stack: Stack) -> None:
    """By the command of docs/trust.md."""
    (command,) = re.findall(r"^ {4}kubectl (-n docker-registry-nodes .*)$", PAGE, re.MULTILINE)
    log = nodes(stack, *command.split()[2:]).splitlines()
    (node,) = stack.objects("nodes")
    address = ",".join(stack.address_resource()["addresses"])
    said = f"node={node['metadata']['name']} registry={address} trusted={stack.place.registry_trust}"
    assert [line.partition("] ")[2] for line in log] == [said]


def test_a_client_trusts_it_by_the_commands_for_it(stack: Stack, tmp_path: Path) -> None:
    """Those of docs/trust.md, with a folder in the place of this machine's /etc."""
    (script,) = re.findall(r"```sh\n(address=.*?)```", PAGE, re.DOTALL)
    script = script.replace("/etc/", f"{tmp_path}/").replace("-n docker-registry", f"-n {stack.namespace}")
    program = f"{kubectl(stack.place)} --kubeconfig={stack.place.kubeconfig}"
    subprocess.run(["bash", "-euc", f'kubectl() {{ {program} "$@"; }}\n{script}'], check=True)
    spec = stack.address_resource()
    for runtime in ("docker", "containers"):
        trusted = tmp_path / runtime / "certs.d" / spec["address"] / "ca.crt"
        assert trusted.read_text() == spec["caBundle"]
        SecureClient(spec["address"], trusted, stack.login()).ping()


def test_pods_and_tools_find_whom_to_trust_and_where(stack: Stack) -> None:
    spec = stack.address_resource()
    for namespace in (stack.namespace, "default"):
        found = config_map(stack, namespace, f"{stack.namespace}-ca")
        assert found["data"] == {"ca.crt": spec["caBundle"]}
    hosting = yaml.safe_load(config_map(stack, "kube-public", HOSTING)["data"]["localRegistryHosting.v1"])
    assert hosting == {
        "host": spec["address"],
        "hostFromContainerRuntime": spec["address"],
        "hostFromClusterNetwork": f"registry.{stack.namespace}.svc:5000",
        "help": NOTE,
    }


def test_a_pod_that_ends_for_another_reason_leaves_the_node_as_it_is(stack: Stack) -> None:
    before = {path: path.stat().st_ino for path in stack.place.registry_trust.glob("*/*.crt")}
    nodes(stack, "rollout", "restart", "daemonset/trust")
    nodes(stack, "rollout", "status", "daemonset/trust", "--timeout=60s")
    nodes(stack, "delete", "pods", "--all")
    nodes(stack, "rollout", "status", "daemonset/trust", "--timeout=60s")
    assert {path: path.stat().st_ino for path in stack.place.registry_trust.glob("*/*.crt")} == before


def test_a_new_authority_is_published_beside_the_old_without_a_touch_of_the_pod(stack: Stack) -> None:
    pod, old = stack.pod()["metadata"]["uid"], stack.address_resource()["caBundle"]
    secure = config_map(stack, "default", f"{stack.namespace}-ca")["metadata"]["uid"]
    with asking(stack) as loop:
        stack.up(tls=json.dumps({"authorities": [1, 2]}))
    assert loop.refusals == []
    assert loop.answers > 10
    bundle = stack.address_resource()["caBundle"]
    assert (len(pem.certificates(bundle, "it")), bundle.startswith(old)) == (2, True)
    assert set(on_node(stack).values()) == {bundle}, "when up has ended, every node has it"
    found = config_map(stack, "default", f"{stack.namespace}-ca")
    assert (found["metadata"]["uid"], found["data"]["ca.crt"]) == (secure, bundle), "it changed in place"
    assert stack.pod()["metadata"]["uid"] == pod
    pull(stack, "between")


def test_then_it_signs_and_nobody_who_trusts_what_is_published_is_refused(stack: Stack) -> None:
    first, bundle = pem.certificates(stack.address_resource()["caBundle"], "it")[0], on_node(stack)
    with asking(stack) as loop:
        stack.up(tls=json.dumps({"authorities": [2, 1]}))
        until(stack.client().answers, "the registry answers")
        time.sleep(1)
    assert loop.refusals == []
    assert loop.answers > 10
    assert on_node(stack) == bundle
    pull(stack, "after")
    only = stack.scratch / "only-the-old.crt"
    only.write_text(pem.encoded([first]))
    host, _, port = stack.address_resource()["address"].rpartition(":")
    assert verifies(host, port, only) is False, "it is the new one that signs"


def verifies(host: str, port: str, ca: Path) -> bool:
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        "-CAfile",
        str(ca),
        "-verify_return_error",
    ]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30).returncode == 0


def served(stack: Stack) -> str:
    host, _, port = stack.address_resource()["address"].rpartition(":")
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-showcerts"]
    shown = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    ).stdout
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    return shown[shown.index(begin) : shown.index(end) + len(end)] if begin in shown else ""


def test_a_secret_that_others_renew_is_taken_up_without_a_person(stack: Stack) -> None:
    """As cert-manager does it: the Secret's content is exchanged, and that is all."""
    authority = new_authority("of others")
    hosts = tuple(address.rpartition(":")[0].strip("[]") for address in stack.address_resource()["addresses"])

    def apply() -> str:
        pair = issue(authority, Subject("registry", hosts=hosts))
        data = {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem, "ca.crt": authority.certificate_pem}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "by-others", "namespace": stack.namespace},
            "data": {name: base64.b64encode(content).decode() for name, content in data.items()},
        }
        path = stack.scratch / "secret.json"
        path.write_text(json.dumps(secret))
        stack.kubectl("apply", f"--filename={path}")
        path.unlink()
        return pair.certificate_pem.decode()

    first = apply()
    stack.up(tls=json.dumps({"secretName": "by-others"}))
    assert stack.address_resource()["caBundle"] == authority.certificate_pem.decode()
    until(lambda: served(stack) == first, "the Secret's certificate is served")
    pod, restarts = stack.pod()["metadata"]["uid"], stack.restarts()
    second = apply()
    # The kubelet looks after a pod that changes at once, else within a minute or so.
    stack.kubectl("annotate", "pod", stack.pod()["metadata"]["name"], "example.com/now=1")
    until(lambda: served(stack) == second, "the renewed certificate is served", patience=150)
    assert stack.pod()["metadata"]["uid"] == pod
    assert stack.restarts() == {**restarts, "registry": restarts["registry"] + 1}
    assert "was renewed" in stack.pruner_log()
    until(stack.client().answers, "a client that trusts what is published gets its answer")


def test_destroy_takes_everything_away_from_the_node(stack: Stack) -> None:
    folders = [stack.place.registry_trust / address for address in on_node(stack)]
    assert folders
    stack.engine.destroy()
    assert [folder for folder in folders if folder.exists()] == []
    assert f"{stack.namespace}-nodes" not in stack.kubectl("get", "namespaces")
    assert "localRegistryHosting.v1" not in (config_map(stack, "kube-public", HOSTING).get("data") or {})
