"""`make up` and `make down` on a cluster that the kubeconfig names, with the Pulumi that is on PATH.

They say which cluster that is, show what they would do, and do it only when told to.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.tools import Tools
from deploy.workspace import CHECKOUT, engine_home
from sandbox.cluster import kubectl, node_address
from sandbox.images import PYTHON_REFERENCE, REGISTRY_REFERENCE
from sandbox.place import REGISTRY_STORAGE, Place
from tests.e2e.stack import SecureClient, until

STACK = "e2e-own-cluster"
CONFIG = {
    "namespace": "e2e-own",
    "nodePort": "32199",
    "registryImage": REGISTRY_REFERENCE,
    "gcImage": PYTHON_REFERENCE,
    "storage.kind": "hostPath",
    "storage.path": f"{REGISTRY_STORAGE}/own",
}
WORDS = "CONFIG=" + " ".join(f"{key}={value}" for key, value in CONFIG.items())
STACK_FILE = CHECKOUT / f"Pulumi.{STACK}.yaml"


@dataclass(frozen=True, slots=True)
class Ended:
    """What `make` said, on both streams, and its exit code."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class User:
    """Who has a kubeconfig, a Pulumi on PATH with its plugins, and a place for its state."""

    cluster: Place
    environment: Mapping[str, str]

    def make(self, target: str, *words: str) -> Ended:
        """Run `make` without a terminal."""
        done = subprocess.run(
            self._command(target, *words),
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    def make_and_answer(self, answer: str, target: str, *words: str) -> Ended:
        """Run `make` on a pseudo terminal, and type the answer when the question stands there."""
        keyboard, terminal = pty.openpty()
        with subprocess.Popen(
            self._command(target, *words),
            cwd=CHECKOUT,
            env=self.environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        ) as process:
            os.close(terminal)
            said = b""
            while part := _read(keyboard):
                said += part
                if part.endswith(b"[y/N] "):
                    os.write(keyboard, f"{answer}\n".encode())
        os.close(keyboard)
        return Ended(process.returncode, said.decode().replace("\r\n", "\n"))

    def namespaces(self) -> list[str]:
        command = [kubectl(self.cluster), f"--kubeconfig={self.cluster.kubeconfig}", "get", "namespaces"]
        listed = subprocess.check_output([*command, "--output=name"], text=True)
        return [line.removeprefix("namespace/") for line in listed.split()]

    def stacks(self) -> str:
        command = ["pulumi", "stack", "ls", "--json"]
        return subprocess.check_output(command, cwd=CHECKOUT, env=self.environment, text=True)

    def _command(self, target: str, *words: str) -> list[str]:
        return ["make", target, f"STACK={STACK}", f"PYTHON={sys.executable}", *words]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # the other end is closed


@pytest.fixture
def user(cluster: Place, tools: Tools, tmp_path: Path) -> Iterator[User]:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(cluster.kubeconfig, kubeconfig)
    (tmp_path / "state").mkdir()
    path = os.pathsep.join([*map(str, tools.folders), str(tools.program.parent), os.environ["PATH"]])
    yield User(
        cluster,
        {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": path,
            "PULUMI_HOME": str(engine_home()),
            "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
            "PULUMI_CONFIG_PASSPHRASE": "for the test alone",
        },
    )
    STACK_FILE.unlink(missing_ok=True)


def which(cluster: Place) -> str:
    return f"https://{node_address(cluster)}:6443 (context {cluster.context})"


def test_without_a_terminal_and_without_yes_nothing_is_done(cluster: Place, user: User) -> None:
    for target in ("up", "down"):
        ended = user.make(target, *([WORDS] if target == "up" else []))
        assert ended.code != 0
        assert f"this would change the cluster {which(cluster)}" in ended.said
        assert f"`make {target} YES=1`" in ended.said
    assert CONFIG["namespace"] not in user.namespaces()
    assert STACK not in user.stacks()
    assert not STACK_FILE.exists()


def test_a_no_on_the_terminal_changes_nothing(cluster: Place, user: User) -> None:
    ended = user.make_and_answer("n", "up", WORDS)
    assert ended.code != 0
    assert f"on the cluster {which(cluster)}" in ended.said
    assert "to create   Deployment registry" in ended.said
    assert "Deploy this? [y/N]" in ended.said
    assert "not confirmed; nothing was changed" in ended.said
    assert CONFIG["namespace"] not in user.namespaces()
    assert STACK not in user.stacks()
    assert not STACK_FILE.exists()


def test_a_yes_deploys_and_down_says_where_the_images_stay(cluster: Place, user: User) -> None:
    ended = user.make_and_answer("yes", "up", WORDS)
    assert ended.code == 0, ended.said
    assert f"stack {STACK} on the cluster {which(cluster)}" in ended.said
    said = ended.said.partition("Registry:     https://")[2]
    address = said.split()[0]
    assert address.endswith(f":{CONFIG['nodePort']}")
    # The command is the one that is printed for the reader to run.
    read = ended.said.partition("docker here:\n")[2].partition(" |\n")[0].strip()
    shell = ["sh", "-c", read]
    password = subprocess.check_output(shell, cwd=CHECKOUT, env=user.environment, text=True).strip()
    assert password not in ended.said
    client = SecureClient(address, CHECKOUT / "build" / "registry-ca.crt", ("admin", password))
    until(client.answers, "the registry answers")

    ended = user.make_and_answer("no", "down")
    assert ended.code != 0
    assert "to delete   Deployment registry" in ended.said
    assert client.answers()

    ended = user.make("down", "YES=1")
    assert ended.code == 0, ended.said
    assert f"the images stay: {CONFIG['storage.path']}" in ended.said
    assert "stack rm" not in ended.said
    assert CONFIG["namespace"] not in user.namespaces()
