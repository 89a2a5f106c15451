"""What the pruner's tests share: real registries of both versions, and a redis for their cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gc.realregistry import VERSIONS, Cache, RealRegistry, Redis, Version

StartRegistry = Callable[..., RealRegistry]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    return request.param


@pytest.fixture
def start_registry(version: Version, tmp_path: Path) -> Iterator[StartRegistry]:
    """Starts the test's registry, with RealRegistry's options; a redis comes with the cache that needs it."""
    with ExitStack() as running:

        def start(cache: Cache = "none", *, supervised: bool = False, delete: bool = True) -> RealRegistry:
            redis_port = running.enter_context(Redis(tmp_path / "redis")).port if cache == "redis" else None
            registry = RealRegistry(
                version, tmp_path / "registry", cache, redis_port, delete=delete, supervised=supervised
            )
            return running.enter_context(registry)

        yield start


@pytest.fixture
def registry(start_registry: StartRegistry) -> RealRegistry:
    """A registry without a cache."""
    return start_registry()
