"""What the plugins' tests share: the engine with the plugins on its PATH, and a sandbox cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import golang
from sandbox.place import Place
from sandbox.plugins.sandboxed import KUBECONFIG_VARIABLE
from tests.freshcluster import fresh_cluster
from tests.plugins.stack import Stack

BIN = Path(__file__).resolve().parents[2] / "sandbox" / "plugins" / "bin"


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """Puts the engine and the sandbox's plugins first on PATH."""
    installed = shutil.which("pulumi")
    program = Path(installed) if installed else golang.build(golang.PULUMI)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{BIN}:{program.parent}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Place]:
    """A cluster of these tests' own: fresh for every session, gone afterwards."""
    with fresh_cluster("plugins") as place:
        yield place


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Stack:
    """A stack of a sandbox without a cluster."""
    del engine
    return Stack(tmp_path, {KUBECONFIG_VARIABLE: str(tmp_path / "no-kubeconfig")})


@pytest.fixture
def cluster_stack(engine: None, cluster: Place, tmp_path: Path) -> Iterator[Stack]:
    """A stack on the cluster; what is left of it at the end is destroyed."""
    del engine
    kubeconfig = str(cluster.kubeconfig)
    stack = Stack(tmp_path, {KUBECONFIG_VARIABLE: kubeconfig, "KUBECONFIG": kubeconfig})
    yield stack
    if stack.state():
        stack.destroy()
