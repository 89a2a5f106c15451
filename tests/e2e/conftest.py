"""The clusters of the end-to-end tests: fresh for every run, beside a person's own, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from deploy.throwaway import sandbox_engine
from deploy.tools import Tools, sandbox_tools
from sandbox.place import Place
from sandbox.steps import Steps
from tests.e2e.stack import Stack
from tests.freshcluster import fresh_cluster

MakeStack = Callable[..., Stack]
PORTS = count(32100)


@pytest.fixture(scope="package")
def cluster(worker_id: str) -> Iterator[Place]:
    """The cluster of this worker; tests/conftest.py shares the files out."""
    with fresh_cluster(f"e2e-{worker_id}") as place:
        yield place


@pytest.fixture(scope="session")
def tools() -> Tools:
    return sandbox_tools(Steps())


@pytest.fixture(scope="module")
def make_stack(cluster: Place, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeStack]:
    """Makes a stack by name and configuration, not yet deployed; its namespace goes after the module."""
    scratch = tmp_path_factory.mktemp("stacks")
    with ExitStack() as made:

        def make(name: str, **config: str) -> Stack:
            return made.enter_context(_stack(cluster, tools, name, scratch, config))

        yield make


@contextmanager
def _stack(place: Place, tools: Tools, name: str, scratch: Path, config: dict[str, str]) -> Generator[Stack]:
    stack = Stack(place, sandbox_engine(place, tools, name, quiet=True), next(PORTS), scratch)
    stack.create(config)
    try:
        yield stack
    finally:
        # No more than what keeps running: the rest goes with the cluster, and a destroy has its own test.
        stack.kubectl("delete", "namespace", stack.namespace, "--wait=false", "--ignore-not-found")
