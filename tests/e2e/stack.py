"""One stack on the tests' cluster: driven through Pulumi, looked at through kubectl and the disk."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.engine import Engine
from sandbox.cluster import kubectl
from sandbox.commands import run
from sandbox.images import PYTHON_REFERENCE, REGISTRY_REFERENCE
from sandbox.place import REGISTRY_STORAGE, Place
from tests.gc.images import digest_of
from tests.gc.registryclient import RegistryClient, UnansweredError

PATIENCE = 60.0  # seconds until something that takes a few must have happened

# Long enough for a push of the tests' small images, short enough to wait for.
FAST = {
    "gcInitialDelay": "1s",
    "gcPeriod": "1s",
    "gcGrace": "3s",
    "gcUntaggedAfter": "3s",
    "gcUploadsAfter": "1h",
    "gcTrash": "0",
    # In a tree of three images each prune takes a large part of the blobs.
    "gcMaxFraction": "1",
}


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Poll until the condition holds; fails with `what` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(0.2)


class SecureClient(RegistryClient):
    """Speaks HTTPS and trusts one certificate authority, nothing else."""

    def __init__(self, address: str, ca_file: Path, login: tuple[str, str] | None = None) -> None:
        super().__init__(address)
        self.base = f"https://{address}"
        self.session.verify = str(ca_file)
        self.session.auth = login

    def answers(self) -> bool:
        """Whether the registry serves; a restart in place makes it refuse connections for a moment."""
        try:
            self.ping()
        except UnansweredError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack `engine.stack` with its own namespace, NodePort and folder on the node's disk."""

    place: Place
    engine: Engine
    node_port: int
    scratch: Path
    logins: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]], repr=False)
    """The login since the last `up`: clients want it often, and the engine is slow to answer."""
    way: tuple[str, ...] = ()
    """What skopeo is started by, for a client elsewhere than on this machine."""

    @property
    def namespace(self) -> str:
        return f"e2e-{self.engine.stack}"

    @property
    def data(self) -> Path:
        """The registry's storage as this machine sees it: the node shares its disk."""
        return self.place.storage / self.engine.stack

    def up(self, **config: str) -> str:
        """Set what is given over what is set, deploy, and return what the engine said."""
        self.engine.configure(config)
        self.logins.clear()
        return self.engine.up()

    def create(self, config: Mapping[str, str]) -> None:
        """Make the stack with the sandbox's images and what every stack of the tests needs of its own."""
        self.engine.select()
        own = {
            "namespace": self.namespace,
            "nodePort": str(self.node_port),
            "registryImage": REGISTRY_REFERENCE,
            "gcImage": PYTHON_REFERENCE,
            "storage.kind": "hostPath",
            "storage.path": f"{REGISTRY_STORAGE}/{self.engine.stack}",
        }
        self.engine.configure({**own, **config})

    def kubectl(self, *words: str) -> str:
        command = [kubectl(self.place), f"--kubeconfig={self.place.kubeconfig}"]
        return run([*command, f"--namespace={self.namespace}", *words], what=f"kubectl {' '.join(words[:3])}")

    def objects(self, kind: str, *words: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "--output=json", *words))["items"]

    def address_resource(self) -> dict[str, Any]:
        """The spec of the one resource that says where to push."""
        (resource,) = self.objects("registryaddresses")
        return resource["spec"]

    def pod(self) -> dict[str, Any]:
        """The registry's pod; there is never more than one."""
        (pod,) = self.objects("pods", "--selector=app.kubernetes.io/name=docker-registry")
        return pod

    def restarts(self) -> dict[str, int]:
        """Container -> how often it was restarted in place."""
        return {found["name"]: found["restartCount"] for found in self.pod()["status"]["containerStatuses"]}

    def pruner_log(self, deployment: str = "registry") -> str:
        return self.kubectl("logs", f"deployment/{deployment}", "--container=gc")

    def prune(self, *words: str, deployment: str = "registry") -> str:
        """Call the pruner in its container."""
        return self.kubectl("exec", f"deployment/{deployment}", "--container=gc", "--", "prune", *words)

    def ca_file(self) -> Path:
        """The published authority, as the resource in the cluster gives it."""
        path = self.scratch / f"{self.engine.stack}-ca.crt"
        path.write_text(self.address_resource()["caBundle"])
        return path

    def login(self) -> tuple[str, str] | None:
        """The user whose password the stack made, None where no login is demanded."""
        if self.address_resource().get("auth", "none") == "none":
            return None
        if not self.logins:
            outputs = self.engine.outputs(secrets=True)
            self.logins.append((outputs["user"], outputs["password"]))
        return self.logins[0]

    def client(self) -> SecureClient:
        client = SecureClient(self.address_resource()["address"], self.ca_file(), self.login())
        until(client.answers, "the registry answers")
        return client

    def pull_by_default(self) -> None:
        """Give the pods of the namespace's default service account the Secret to pull with."""
        secret = {"imagePullSecrets": [{"name": f"{self.namespace}-pull"}]}
        self.kubectl("patch", "serviceaccount", "default", f"--patch={json.dumps(secret)}")

    def skopeo_push(
        self, archive: Path, name: str, *, retries: int = 0, login: tuple[str, str] | None = None
    ) -> None:
        """Push a docker archive as `name`, `repository:tag`, trusting the published authority alone.

        `login` is another one than the stack's.
        """
        self._skopeo("dest", f"docker-archive:{archive}", self._remote(name), retries, login or self.login())

    def skopeo_pull(self, name: str, archive: Path, *, retries: int = 0) -> None:
        """Pull `name` into a docker archive."""
        self._skopeo("src", self._remote(name), f"docker-archive:{archive}:{name}", retries, self.login())

    def skopeo_copy(self, name: str, to: str) -> None:
        """Pull `name` and push it as `to`."""
        login = self.login()
        creds = [f"--{end}-creds={login[0]}:{login[1]}" for end in ("src", "dest")] if login else []
        trust = [f"--{end}-cert-dir={self._trust()}" for end in ("src", "dest")]
        words = [
            *self.way,
            "skopeo",
            "copy",
            "--quiet",
            "--preserve-digests",
            *trust,
            *creds,
            self._remote(name),
            self._remote(to),
        ]
        run(words, what="copying an image")

    def podman_push_and_pull(self, archive: Path, name: str) -> tuple[str, str]:
        """Push a docker archive as `name`, forget it and pull it: the image's id before and after."""
        # Podman takes no run folder whose path is longer than 50 characters.
        with tempfile.TemporaryDirectory(dir="/tmp") as own:

            def podman(*words: str, stdin: str | None = None) -> str:
                folders = (f"--root={own}/storage", f"--runroot={own}/run", f"--tmpdir={own}/tmp")
                plain = ("--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none")
                return run(
                    ["podman", *folders, *plain, *words], what=f"podman {words[0]}", stdin=stdin
                ).strip()

            trust = f"--cert-dir={self._trust()}"
            logins = f"--authfile={own}/logins"
            if login := self.login():
                user = f"--username={login[0]}"
                address = self.address_resource()["address"]
                podman("login", trust, logins, user, "--password-stdin", address, stdin=login[1])
            loaded = podman("load", "--quiet", f"--input={archive}").partition("Loaded image: ")[2]
            before = podman("image", "inspect", "--format={{.Id}}", loaded)
            podman("push", "--quiet", trust, logins, loaded, self._remote(name))
            podman("rmi", "--force", before)
            return before, podman("pull", "--quiet", trust, logins, self._remote(name))

    def _trust(self) -> Path:
        """A folder with the published authority alone, as these clients want it."""
        folder = self.scratch / f"{self.engine.stack}-trust"
        folder.mkdir(exist_ok=True)
        # In one step: another client may be reading it.
        written = folder / f"written-{threading.get_ident()}"
        written.write_text(self.address_resource()["caBundle"])
        written.replace(folder / "ca.crt")
        return folder

    def _remote(self, name: str) -> str:
        return f"docker://{self.address_resource()['address']}/{name}"

    def _skopeo(
        self, end: str, source: str, target: str, retries: int, login: tuple[str, str] | None
    ) -> None:
        """Copy an image; `end`, src or dest, is the one that is the registry's."""
        creds = f"--{end}-creds={login[0]}:{login[1]}" if login else f"--{end}-no-creds"
        options = [f"--retry-times={retries}", f"--{end}-cert-dir={self._trust()}", creds]
        run([*self.way, "skopeo", "copy", "--quiet", *options, source, target], what="copying an image")

    def has_blob(self, content: bytes) -> bool:
        """Whether the blob's file is on the node's disk."""
        value = digest_of(content).partition(":")[2]
        return (self.data / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data").exists()
