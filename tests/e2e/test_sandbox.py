"""The sandbox itself: beside another one, cleared after a crash, and without a trace when it is down."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.workspace import CHECKOUT
from sandbox.api import api_of, is_ready
from sandbox.cluster import is_up, kubectl
from sandbox.commands import run
from sandbox.components import KERNEL_SETTINGS
from sandbox.images import PYTHON_REFERENCE
from sandbox.place import MOUNT_POINTS, STATE_ROOT, Place
from sandbox.processes import find_node
from tests.e2e.stack import until

OTHER = Place("e2e-other")
SYSCTLS = tuple(f"/proc/sys/{key}" for key in (*KERNEL_SETTINGS, "net/ipv4/ip_forward"))
SANDBOX_MOUNTS = (str(STATE_ROOT), *MOUNT_POINTS)


def sandbox(*words: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", *words, f"--name={OTHER.name}"]


def host() -> dict[str, list[str]]:
    """What a sandbox must leave alone, and what it must take away again; other sandboxes may come and go."""
    asked = {
        "iptables": ["iptables-save"],
        "routes": ["ip", "route", "show", "table", "all"],
        "links": ["ip", "-brief", "link"],
        "sysctls": ["cat", *SYSCTLS],
        "mounts": ["cat", "/proc/self/mountinfo"],
        "control groups": ["find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "docker-registry-sandbox-*"],
    }
    found = {what: subprocess.check_output(words, text=True).splitlines() for what, words in asked.items()}
    for what in ("routes", "links"):
        found[what] = [line for line in found[what] if OTHER.link in line or " drs" not in f" {line}"]
    found["mounts"] = [line for line in found["mounts"] if any(path in line for path in SANDBOX_MOUNTS)]
    found["control groups"] = [line for line in found["control groups"] if line.endswith(OTHER.cgroup)]
    return found


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "claim"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
# Writes a file into the claim's volume and ends.
WRITER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "writer"},
    "spec": {
        "restartPolicy": "Never",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}],
        "containers": [
            {
                "name": "writer",
                "image": PYTHON_REFERENCE,
                "command": ["python3", "-c", "open('/data/written', 'w').write('here')"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
    },
}


def test_a_claim_without_a_class_gets_a_volume_that_goes_with_it(cluster: Place) -> None:
    def on_cluster(*words: str, stdin: str | None = None) -> str:
        command = (kubectl(cluster), f"--kubeconfig={cluster.kubeconfig}", *words)
        return run(command, what=f"kubectl {words[0]}", stdin=stdin)

    before = set(cluster.volumes.iterdir()) if cluster.volumes.exists() else set[Path]()

    def volumes() -> set[Path]:
        return set(cluster.volumes.iterdir()) - before

    for made in (CLAIM, WRITER):
        on_cluster("apply", "--filename=-", stdin=json.dumps(made))
    until(
        lambda: [path.read_text() for volume in volumes() for path in volume.glob("written")] == ["here"],
        "the pod wrote into a volume on the sandbox's own disk",
    )
    on_cluster("delete", "pod/writer", "persistentvolumeclaim/claim")
    until(lambda: not volumes(), "the volume goes with its claim")


@pytest.fixture
def after(cluster: Place) -> Iterator[Place]:
    """The tests' own cluster, once the other is down however the test ended."""
    yield cluster
    subprocess.run(sandbox("down"), cwd=CHECKOUT, check=True)


def test_killed_half_way_it_comes_up_beside_the_first_and_goes_without_a_trace(after: Place) -> None:
    first = find_node(after)
    before = host()
    cut_short = subprocess.Popen(sandbox("up"), cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    until(lambda: find_node(OTHER) is not None, "the second node's first process is there")
    time.sleep(1)
    cut_short.send_signal(signal.SIGKILL)
    cut_short.wait()

    subprocess.run(sandbox("up"), cwd=CHECKOUT, check=True)
    assert is_up(OTHER)
    assert is_ready(api_of(after.kubeconfig))
    during = host()
    for untouched in ("iptables", "sysctls", "mounts"):
        assert during[untouched] == before[untouched]

    subprocess.run(sandbox("down"), cwd=CHECKOUT, check=True)
    assert host() == before
    assert not OTHER.state.exists()
    assert find_node(OTHER) is None
    assert find_node(after) == first
    assert Path(after.kubeconfig).exists()
