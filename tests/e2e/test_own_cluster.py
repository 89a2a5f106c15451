"""`make up` and `make down` on a cluster that the kubeconfig names, with the Pulumi that is on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.tools import Tools
from deploy.workspace import CHECKOUT, engine_home
from sandbox.cluster import kubectl
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


@pytest.fixture
def environment(cluster: Place, tools: Tools, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """A user's own: a kubeconfig, a Pulumi on PATH with its plug-ins, and a place for its state."""
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(cluster.kubeconfig, kubeconfig)
    (tmp_path / "state").mkdir()
    yield {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "PATH": os.pathsep.join([*map(str, tools.folders), str(tools.program.parent), os.environ["PATH"]]),
        "PULUMI_HOME": str(engine_home()),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "for the test alone",
    }
    (CHECKOUT / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)


def make(target: str, environment: Mapping[str, str], *words: str) -> str:
    command = ["make", target, f"STACK={STACK}", f"PYTHON={sys.executable}", *words]
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_up_deploys_there_and_down_says_where_the_images_stay(
    cluster: Place, environment: Mapping[str, str]
) -> None:
    config = " ".join(f"{key}={value}" for key, value in CONFIG.items())
    said = make("up", environment, "YES=1", f"CONFIG={config}")
    assert "stack e2e-own-cluster on the cluster https://" in said
    assert "Registry:     https://" in said
    address = said.partition("https://")[2].split()[0]
    assert address.endswith(f":{CONFIG['nodePort']}")
    client = SecureClient(address, CHECKOUT / "build" / "registry-ca.crt")
    until(client.answers, "the registry answers")

    said = make("down", environment, "YES=1")
    assert f"the images stay: {CONFIG['storage.path']}" in said
    listed = subprocess.check_output(
        [kubectl(cluster), f"--kubeconfig={cluster.kubeconfig}", "get", "namespaces"], text=True
    )
    assert CONFIG["namespace"] not in listed
