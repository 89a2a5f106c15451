"""What the pruner's tests share: real registries of both versions, and a redis for their cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pruner.kubernetes import KubernetesApi
from sandbox.s3 import s3_server
from tests.gc.fakeapi import FakeApi
from tests.gc.processdoubles import self_signed
from tests.gc.realregistry import VERSIONS, Cache, RealRegistry, Redis, Version
from tests.gc.storagedoubles import FakeClock


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-screenshots", action="store_true", help="make the pictures of the documentation anew"
    )


StartRegistry = Callable[..., RealRegistry]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    return request.param


@pytest.fixture
def start_registry(version: Version, tmp_path: Path) -> Iterator[StartRegistry]:
    """Starts the test's registry, with RealRegistry's options; a redis comes with the cache that needs it."""
    with ExitStack() as running:

        def start(
            cache: Cache = "none", *, supervised: bool = False, delete: bool = True, on_s3: bool = False
        ) -> RealRegistry:
            redis_port = running.enter_context(Redis(tmp_path / "redis")).port if cache == "redis" else None
            registry = RealRegistry(
                version,
                tmp_path / "registry",
                cache,
                redis_port,
                delete=delete,
                supervised=supervised,
                s3=running.enter_context(s3_server(tmp_path / "s3")) if on_s3 else None,
            )
            return running.enter_context(registry)

        yield start


@pytest.fixture
def registry(start_registry: StartRegistry) -> RealRegistry:
    """A registry without a cache."""
    return start_registry()


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback."""
    return self_signed(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture
def server(identity: Path) -> Iterator[FakeApi]:
    """The API server of a cluster."""
    server = FakeApi(identity)
    yield server
    server.stop()


@pytest.fixture
def account(tmp_path: Path, identity: Path) -> Path:
    """The folder of a service account, as it is mounted into a pod."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("first\n")
    (folder / "ca.crt").write_bytes((identity / "ca.crt").read_bytes())
    return folder


@pytest.fixture
def api(server: FakeApi, account: Path) -> KubernetesApi:
    """What asks it."""
    return KubernetesApi.of_pod(server.environ, FakeClock(), str(account))
