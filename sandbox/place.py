"""Where everything of one sandbox lives; every name is derived from the sandbox's own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

STATE_ROOT = Path("/var/lib/docker-registry-sandbox")
NODE = "node"
# The components use these under fixed names; each node mounts its own over them, in its mount namespace.
NODE_FOLDERS = ("/var/lib/kubelet", "/var/log/containers", "/var/lib/cni")
REGISTRY_STORAGE = "/var/lib/docker-registry"
# Where Kubernetes' own provisioner makes its volumes; the path is written down in its source.
VOLUMES = "/tmp/hostpath_pv"
MOUNT_POINTS = (*NODE_FOLDERS, REGISTRY_STORAGE, VOLUMES)


def place_names() -> list[str]:
    """The sandboxes that have anything on this machine."""
    return sorted(path.name for path in STATE_ROOT.iterdir() if path.is_dir()) if STATE_ROOT.exists() else []


@dataclass(frozen=True, slots=True)
class Place:
    """The paths and names of the sandbox `name`.

    Only `state` and the cgroup are on the machine; sockets and mounts live in the node's own namespaces
    and vanish with its processes.
    """

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", self.name):
            raise SandboxError(
                f"sandbox name {self.name!r} is wrong: use 1 to 32 lowercase letters, digits and dashes"
            )

    @property
    def state(self) -> Path:
        """Everything that outlives a process; removed by `down`."""
        return STATE_ROOT / self.name

    @property
    def kubeconfig(self) -> Path:
        """The cluster's kubeconfig for its administrator."""
        return self.state / "kubeconfig"

    @property
    def context(self) -> str:
        """The kubeconfig's context, cluster and user: this prefix marks a sandbox."""
        return f"docker-registry-sandbox-{self.name}"

    @property
    def pki(self) -> Path:
        """Keys and certificates of the cluster."""
        return self.state / "pki"

    @property
    def etc(self) -> Path:
        """Configuration of the node's components."""
        return self.state / "etc"

    @property
    def registry_trust(self) -> Path:
        """The container runtime's certs.d: a folder per registry host with its hosts.toml."""
        return self.etc / "certs.d"

    @property
    def bin(self) -> Path:
        """The names under which the combined Kubernetes binary is called."""
        return self.state / "bin"

    @property
    def log(self) -> Path:
        """One file per component."""
        return self.state / "log"

    @property
    def storage(self) -> Path:
        """What the node shows as REGISTRY_STORAGE, the default of hostPath storage."""
        return self.state / "storage"

    @property
    def volumes(self) -> Path:
        """What the node shows as VOLUMES: a folder for each volume of the default StorageClass."""
        return self.state / "volumes"

    @property
    def network(self) -> Path:
        """The subnet that was chosen, so that a restart keeps its addresses."""
        return self.state / "network.json"

    @property
    def cgroup(self) -> str:
        """The parent of all the node's control groups."""
        return f"docker-registry-sandbox-{self.name}"

    @property
    def link(self) -> str:
        """The host's end of the one link to the node; 15 characters at most."""
        return "drs" + hashlib.sha256(self.name.encode()).hexdigest()[:10]

    @property
    def containerd_socket(self) -> str:
        """As seen from inside the node's mount namespace."""
        return "/run/containerd/containerd.sock"
