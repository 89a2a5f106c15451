"""Bad input: one sentence with the way out, a non-zero exit code, and nothing half-made left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.workspace import CHECKOUT
from sandbox.errors import SandboxError
from sandbox.place import STATE_ROOT, Place
from tests.e2e.conftest import MakeStack


def make(*words: str, **environment: str) -> str:
    """What a failing `make` says on its standard error."""
    ended = subprocess.run(
        ["make", *words, f"PYTHON={sys.executable}"],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.stderr


def test_a_wrong_config_value_is_told_before_anything_is_started() -> None:
    said = make("up", "SANDBOX=1", "NAME=e2e-refused", "NODE_PORT=80", "CONFIG=gcPeriod=0")
    assert "nodePort: '80' is not a NodePort: give an integer from 30000 to 32767" in said
    assert "gcPeriod: 0 would prune without a pause" in said
    assert not (STATE_ROOT / "e2e-refused").exists()


def test_an_unknown_config_key_is_told_with_the_known_ones() -> None:
    said = make("up", "SANDBOX=1", "NAME=e2e-refused", "CONFIG=nodeport=32000")
    assert "nodeport is not a key of this project: the keys are nodePort" in said


def test_a_cluster_that_does_not_answer_is_no_wish_for_another(cluster: Place, tmp_path: Path) -> None:
    server = f"https://127.0.0.1:{1}"
    text = cluster.kubeconfig.read_text()
    dead = tmp_path / "kubeconfig"
    dead.write_text("\n".join(_moved(line, server) for line in text.splitlines()))
    said = make("up", KUBECONFIG=str(dead))
    assert f"no cluster answers at {server}" in said
    assert "SANDBOX=1" in said


def _moved(line: str, server: str) -> str:
    before, found, _ = line.partition("server: ")
    return f"{before}{found}{server}" if found else line


@pytest.mark.usefixtures("cluster")
def test_no_builds_are_removed_under_a_cluster(tmp_path: Path) -> None:
    build = tmp_path / "docker-registry-sandbox" / "kubernetes-0123"
    build.mkdir(parents=True)
    said = make("clean", XDG_CACHE_HOME=str(tmp_path))
    assert re.search(r"the cluster \S+ runs what is to go: `python -m sandbox down --name \S+` first", said)
    assert build.exists()


def test_without_go_nothing_is_left_half_made(tmp_path: Path) -> None:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    said = make("up", "SANDBOX=1", "NAME=e2e-refused", PATH=path, XDG_CACHE_HOME=str(tmp_path))
    assert "Go is not on PATH: install Go 1.26 or later" in said
    assert not (STATE_ROOT / "e2e-refused").exists()
    assert [
        path for path in tmp_path.rglob("*") if path.is_dir() and path.name.startswith("kubernetes")
    ] == []


def test_a_node_port_that_is_taken_leaves_no_resource(make_stack: MakeStack) -> None:
    stack = make_stack("taken")
    stack.kubectl("create", "namespace", "neighbour")
    stack.kubectl(
        "create",
        "service",
        "nodeport",
        "web",
        "--namespace=neighbour",
        "--tcp=80",
        f"--node-port={stack.node_port}",
    )
    with pytest.raises(
        SandboxError, match=f"port {stack.node_port} of the nodes is taken by the service neighbour/web"
    ):
        stack.up()
    assert stack.namespace not in [found["metadata"]["name"] for found in stack.objects("namespaces")]
