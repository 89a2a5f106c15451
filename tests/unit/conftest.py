"""The program's fixtures: a cluster that answers, and a run of the whole program against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit import fakecluster, program
from tests.unit.fakecluster import FakeCluster
from tests.unit.program import Graph

Deploy = Callable[..., Graph]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """A running cluster to which KUBECONFIG leads."""
    with fakecluster.running() as running:
        path = tmp_path / "kubeconfig"
        path.write_text(running.kubeconfig())
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield running


@pytest.fixture(scope="session")
def deploy() -> Iterator[Deploy]:
    """Runs the program with stack configuration keys as keyword arguments, over the defaults.

    A run takes about a second, so each configuration is run once; nobody changes a graph.
    """
    graphs: dict[str, Graph] = {}
    with fakecluster.running() as running:
        provider = {"kubeconfig": running.kubeconfig()}

        def run(**config: object) -> Graph:
            key = json.dumps(config, sort_keys=True)
            if key not in graphs:
                graphs[key] = program.run(config, provider)
            return graphs[key]

        yield run
