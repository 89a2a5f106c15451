"""Brings a sandbox up: what is there and well is left alone, what is half there is cleared first."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sandbox import golang, pki
from sandbox.api import Api, api_of, is_ready, wait_until
from sandbox.cgroups import make_cgroup
from sandbox.commands import run
from sandbox.components import API_PORT, PROXY_HEALTH_PORT, SERVER_HOSTS, STORAGE_CLASS, config_files
from sandbox.errors import SandboxError
from sandbox.images import build_image, images
from sandbox.kernel import load_kernel_modules
from sandbox.network import Addresses, addresses_for, connect, kept_addresses
from sandbox.packages import CLUSTER, ensure_packages
from sandbox.place import NODE, Place
from sandbox.processes import Node, find_node, start_node
from sandbox.steps import Steps
from sandbox.teardown import clear_remains, make_mount_points

PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
READY_WITHIN = 120.0  # seconds; about 10 on two idle cores
# Certificates by file name: whom they are for.
CLIENTS = {
    "apiserver-kubelet-client": pki.Subject("kube-apiserver-kubelet-client", "system:masters"),
}
KUBECONFIGS = {
    "controller-manager": pki.Subject("system:kube-controller-manager"),
    "scheduler": pki.Subject("system:kube-scheduler"),
    "kubelet": pki.Subject(f"system:node:{NODE}", "system:nodes"),
    "proxy": pki.Subject("system:kube-proxy"),
}


def bring_up(place: Place, steps: Steps) -> None:
    """Have the sandbox's cluster running and ready, with every image imported.

    Raises SandboxError with the way out when a tool is missing, a build fails or the cluster does not come.
    """
    build_all(steps)
    if is_up(place):
        steps.note(f"sandbox {place.name!r} is up already")
        node = find_node(place)
        assert node is not None
        _import_images(place, node)
    else:
        _start(place, steps)


def build_all(steps: Steps) -> None:
    """Have every package, program and image that a cluster needs; what is there already is left."""
    ensure_packages(CLUSTER, steps)
    for program in golang.CLUSTER:
        golang.ensure(program, steps)
    for image in images():
        if not image.is_built:
            with steps.step(f"make image {image.config.reference}"):
                build_image(image)


def is_up(place: Place) -> bool:
    """Whether the node runs and its API answers."""
    return find_node(place) is not None and place.kubeconfig.exists() and is_ready(api_of(place.kubeconfig))


def _start(place: Place, steps: Steps) -> None:
    with steps.step("clear what was left"):
        clear_remains(place)
    with steps.step("write keys and configuration"):
        addresses = _prepare(place)
    with steps.step("start the cluster"):
        load_kernel_modules()
        make_cgroup(place)
        node = start_node(place)
        connect(place, node.pid, addresses)
        _await_socket(place, node)
        # The API server needs its seconds to start; the images come in meanwhile.
        _import_images(place, node)
        _await_ready(place, addresses)
        apply = (kubectl(place), f"--kubeconfig={place.kubeconfig}", "apply", "--filename=-")
        run(apply, what="making the default StorageClass", stdin=json.dumps(STORAGE_CLASS))


def _prepare(place: Place) -> Addresses:
    make_mount_points(place)
    for folder in (place.bin, place.log, place.storage, place.volumes, place.registry_trust):
        folder.mkdir(parents=True, exist_ok=True)
    place.pki.mkdir(mode=0o700, exist_ok=True)
    addresses = addresses_for(place)
    snapshotter = "native" if _file_system(place.state) == "overlayfs" else "overlayfs"
    for name, text in config_files(place, addresses, snapshotter=snapshotter).items():
        path = place.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _write_pki(place, addresses)
    binary = golang.build(golang.KUBERNETES)
    for part in PARTS:
        link = place.bin / part
        link.unlink(missing_ok=True)
        link.symlink_to(binary)
    return addresses


def _write_pki(place: Place, addresses: Addresses) -> None:
    authority = pki.kept_authority(place.pki, "cluster")
    pki.kept_authority(place.pki, "front-proxy")
    pki.kept_authority(place.pki, "service-accounts")
    servers = {
        "apiserver": pki.Subject("kube-apiserver", hosts=(addresses.node, *SERVER_HOSTS)),
        "kubelet-server": pki.Subject(NODE, hosts=(addresses.node, "127.0.0.1", NODE)),
    }
    for name, subject in {**servers, **CLIENTS}.items():
        pki.store(pki.issue(authority, subject), place.pki, name)
    server = f"https://{addresses.node}:{API_PORT}"
    for name, subject in KUBECONFIGS.items():
        text = pki.kubeconfig(place.context, server, authority, pki.issue(authority, subject))
        pki.write_private(place.etc / f"{name}.kubeconfig", text)
    administrator = pki.issue(authority, pki.Subject("administrator", "system:masters"))
    text = pki.kubeconfig(place.context, server, authority, administrator)
    pki.write_private(place.kubeconfig, text)


def _file_system(path: Path) -> str:
    return run(["stat", "--file-system", "--format=%T", path], what="asking for the file system").strip()


def _await_socket(place: Place, node: Node) -> None:
    version = node.enter_mounts("ctr", f"--address={place.containerd_socket}", "version")
    _await("containerd answers", place, lambda: subprocess.run(version, capture_output=True).returncode == 0)


def _await_ready(place: Place, addresses: Addresses) -> None:
    api = api_of(place.kubeconfig)
    proxy = Api(f"http://{addresses.node}:{PROXY_HEALTH_PORT}", api.context)
    _await("the API is ready", place, lambda: is_ready(api))
    _await("the node is ready", place, lambda: _node_is_ready(api))
    _await(
        "the default service account is there",
        place,
        lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
    )
    _await("kube-proxy is ready", place, lambda: proxy.get("/healthz") is not None)


def _node_is_ready(api: Api) -> bool:
    body = api.get(f"/api/v1/nodes/{NODE}")
    if body is None:
        return False
    conditions = json.loads(body).get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def _await(what: str, place: Place, condition: Callable[[], bool]) -> None:
    def settled() -> bool:
        return condition() or find_node(place) is None

    if wait_until(settled, time.monotonic() + READY_WITHIN, time.monotonic, time.sleep):
        if find_node(place) is not None:
            return
        last = (place.log / "node.log").read_text(errors="replace").strip().splitlines()[-1:]
        raise SandboxError(f"the node ended before {what}: {' '.join(last) or 'it left no word'}")
    raise SandboxError(
        f"waited {READY_WITHIN:.0f} s in vain until {what}: read {place.log}/*.log, then try again after"
        f" `python -m sandbox down --name {place.name}`"
    )


def import_image(place: Place, node: Node, archive: str, what: str) -> None:
    """Have the node's containers made from the image in `archive`, called `what`. Raises SandboxError."""
    ctr = ("ctr", f"--address={place.containerd_socket}", "--namespace=k8s.io", "images", "import")
    run(node.enter_mounts(*ctr, archive), what=f"importing {what}")


def _import_images(place: Place, node: Node) -> None:
    """Import what the node has not; an image that was made anew bears the same name but lies elsewhere."""
    imported = place.state / "images.json"
    known: dict[str, str] = json.loads(imported.read_text()) if imported.exists() else {}
    for image in images():
        archive = str(build_image(image))
        if known.get(image.config.reference) != archive:
            import_image(place, node, archive, image.config.reference)
            known[image.config.reference] = archive
            imported.write_text(json.dumps(known))


def node_address(place: Place) -> str:
    """The address at which the node's API and NodePorts answer from this machine."""
    return kept_addresses(place).node


def kubectl(place: Place) -> Path:
    """The sandbox's own kubectl."""
    return place.bin / "kubectl"
