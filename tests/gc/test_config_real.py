"""The pruner and real registries of both versions understand one configuration alike."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from pruner.errors import ConfigError
from pruner.registry import config
from tests.gc.realregistry import Redis, Version, binary, free_port

START = 20.0  # seconds a registry may take to answer or to give up


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen of a registry from outside: where it writes, its cache, whether it takes writes."""

    root: str | None  # unknown when it takes no writes
    cache: str
    readonly: bool
    port: int


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with Redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis.port


def observe(version: Version, text: str, environ: dict[str, str], port: int, folder: Path) -> Seen | None:
    """What the real registry makes of it; None when it refuses to start."""
    (folder / "config.yml").write_text(text)
    log = folder / "log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [binary(version), "serve", str(folder / "config.yml")],
            env=kept | {"OTEL_TRACES_EXPORTER": "none"} | environ,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + START
        while True:
            if process.poll() is not None:
                return None
            try:
                response = requests.post(f"http://127.0.0.1:{port}/v2/probe/blobs/uploads/", timeout=5)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert response.status_code in (202, 405), response.text
    roots = [
        str(root)
        for root in folder.glob("root*")
        if (root / "docker/registry/v2/repositories/probe").exists()
    ]
    lines = log.read_text()
    cache = next(
        (name for name in ("inmemory", "redis") if f"using {name} blob descriptor cache" in lines), "none"
    )
    return Seen(roots[0] if roots else None, cache, response.status_code == 405, port)


def understand(text: str, environ: dict[str, str]) -> Seen | None:
    try:
        read = config.parse(text.encode(), "config.yml", environ)
    except ConfigError:
        return None
    return Seen(None if read.readonly else read.root, read.cache, read.readonly, read.http.port)


FILES = {
    "plain": "storage: {filesystem: {rootdirectory: @1}}",
    "words": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {enabled: on}}}",
    "letter": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {enabled: y}}}",
    "quoted": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {enabled: 'true'}}}",
    "short": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: true}}",
    "empty": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {}}, cache: }",
    "nested": "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {enabled: false}}}",
    "cached": "storage: {filesystem: {rootdirectory: @1}, cache: {blobdescriptor: inmemory}}",
    "old": "storage: {filesystem: {rootdirectory: @1}, cache: {layerinfo: inmemory}}",
    "both": "storage: {filesystem: {rootdirectory: @1}, cache: {layerinfo: inmemory, blobdescriptor: none}}",
    "redis": "storage: {filesystem: {rootdirectory: @1}, cache: {blobdescriptor: redis}}\nredis: {@r}",
    "no redis": "storage: {filesystem: {rootdirectory: @1}, cache: {blobdescriptor: redis}}",
    "merged": "x: &x {rootdirectory: @1}\nstorage: {filesystem: {<<: *x, rootdirectory: @2}}",
    "twice": "storage: {filesystem: {rootdirectory: @1}}\nstorage: {filesystem: {rootdirectory: @2}}",
    "merged after (item 2)": "x: &x {rootdirectory: @1}\nstorage: {filesystem: {rootdirectory: @2, <<: *x}}",
    "merged between (item 2)": "x: &x {rootdirectory: @1}\n"
    "storage: {filesystem: {rootdirectory: @2, <<: *x, rootdirectory: @3}}",
    "driver merged after (item 2)": "x: &x {filesystem: {rootdirectory: @1}}\n"
    "storage: {filesystem: {rootdirectory: @2}, <<: *x}",
    "storage merged after (item 2)": "x: &x {storage: {filesystem: {rootdirectory: @1}}}\n"
    "storage: {filesystem: {rootdirectory: @2}}\n<<: *x",
    "several merged (item 2)": "x: &x {rootdirectory: @1}\ny: &y {rootdirectory: @2}\n"
    "storage: {filesystem: {<<: [*x, *y]}}",
    "merged, merging (item 2)": "x: &x {rootdirectory: @1}\ny: &y {rootdirectory: @2, <<: *x}\n"
    "storage: {filesystem: {rootdirectory: @3, <<: *y}}",
    "readonly merged after (item 2)": "x: &x {enabled: true}\n"
    "storage: {filesystem: {rootdirectory: @1}, maintenance: {readonly: {enabled: false, <<: *x}}}",
    "a struct merged after (item 2)": "x: &x {http: {draintimeout: 1s}}\n"
    "storage: {filesystem: {rootdirectory: @1}}\n<<: *x",
    "a struct twice (item 2)": "storage: {filesystem: {rootdirectory: @1}}\nhttp: {draintimeout: 1s}",
    "driver twice (item 2)": "storage: {filesystem: {rootdirectory: @1}, filesystem: {rootdirectory: @2}}",
    "storage twice (item 2)": "storage: {filesystem: {rootdirectory: @1}, "
    "cache: {blobdescriptor: inmemory}}\nstorage: {filesystem: {rootdirectory: @2}}",
    "redis twice (item 2)": "storage: {filesystem: {rootdirectory: @1}, cache: {blobdescriptor: redis}}\n"
    "redis: {@r}\nredis: {db: 1}",
    "redis, then none (item 2)": "storage: {filesystem: {rootdirectory: @1}, "
    "cache: {blobdescriptor: redis}}\nredis: {@r}\nredis: ",
    "merged from a word (item 2)": "storage: {filesystem: {rootdirectory: @1, <<: x}}",
    "merged into itself (item 2)": "storage: {filesystem: &x {rootdirectory: @1, <<: *x}}",
    "two drivers": "storage: {filesystem: {rootdirectory: @1}, inmemory: }",
    "documents": "storage: {filesystem: {rootdirectory: @1}}\n---\nstorage: {inmemory: }",
    "list": "storage: [filesystem]",
    "unknown": "storage: {ipfs: }",
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, version: Version, redis_port: int, tmp_path: Path) -> None:
    redis = (
        f"addr: 'localhost:{redis_port}'"
        if version.startswith("2.")
        else f"addrs: ['localhost:{redis_port}']"
    )
    compare(FILES[name].replace("@r", redis), {}, version, tmp_path)


VARIABLES = {
    "deep": {"STORAGE_FILESYSTEM_ROOTDIRECTORY": "@2"},
    "driver": {"STORAGE_FILESYSTEM": "{rootdirectory: @2}"},
    "whole": {"STORAGE": "{filesystem: {rootdirectory: @2}}"},
    "name, then deep": {"STORAGE": "filesystem", "STORAGE_FILESYSTEM_ROOTDIRECTORY": "@2"},
    "lower case": {"STORAGE_filesystem_ROOTDIRECTORY": "@2"},
    "too deep": {"STORAGE_FILESYSTEM_ROOTDIRECTORY_X": "@2"},
    "another driver": {"STORAGE_INMEMORY": "{}"},
    "unlike a map": {"STORAGE_FILESYSTEM": "@2"},
    "service links": {"PORT": "tcp://10.0.0.1:5000", "PORT_5000_TCP": "x", "SERVICE_HOST": "10.0.0.1"},
    "cache": {"STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory"},
    "cache, whole": {"STORAGE_CACHE": "{blobdescriptor: inmemory}"},
    "readonly, deepest": {"STORAGE_MAINTENANCE_READONLY_ENABLED": "true"},
    "readonly, map": {"STORAGE_MAINTENANCE_READONLY": "{enabled: true}"},
    "readonly, maintenance": {"STORAGE_MAINTENANCE": "{readonly: {enabled: true}}"},
    "not YAML": {"STORAGE": "{filesystem: "},
}


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("file", ["plain", "nested"])
def test_variables(name: str, file: str, version: Version, tmp_path: Path) -> None:
    compare(
        FILES[file], {f"REGISTRY_{key}": value for key, value in VARIABLES[name].items()}, version, tmp_path
    )


REDIS_VARIABLES: list[tuple[Version, dict[str, str]]] = [
    ("2.8.2", {"REGISTRY_REDIS_ADDR": "localhost:@r"}),
    ("2.8.2", {"REGISTRY_REDIS": "{addr: 'localhost:@r'}"}),
    ("3.1.2", {"REGISTRY_REDIS_ADDRS": "['localhost:@r']"}),
    ("3.1.2", {"REGISTRY_REDIS_OPTIONS_ADDRS": "['localhost:@r']"}),
    ("3.1.2", {"REGISTRY_REDIS_OPTIONS": "{addrs: ['localhost:@r']}"}),
    ("3.1.2", {"REGISTRY_REDIS": "{addrs: ['localhost:@r']}"}),
]


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(("of", "environ"), REDIS_VARIABLES)
def test_item_2_variables_that_say_where_redis_is(
    of: Version, environ: dict[str, str], right: bool, redis_port: int, tmp_path: Path
) -> None:
    """What one version obeys, the other does not know: a registry that lacks its address does not start."""
    environ = {name: value.replace("@r", str(redis_port)) for name, value in environ.items()}
    port = free_port()
    text = (
        f"version: 0.1\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/root1}}, cache: {{blobdescriptor: redis}}}}\n"
    )
    version: Version = of if right else "2.8.2" if of == "3.1.2" else "3.1.2"
    seen = observe(version, text, environ, port, tmp_path)
    assert (seen is not None) == right
    redis = config.parse(text.encode(), "config.yml", environ).redis
    assert redis and redis.addresses == (("localhost", redis_port),)


def compare(text: str, environ: dict[str, str], version: Version, folder: Path) -> None:
    def filled(value: str) -> str:
        for number in "123":
            value = value.replace(f"@{number}", str(folder / f"root{number}"))
        return value

    port = free_port()
    text = f"version: 0.1\nhttp: {{addr: '127.0.0.1:{port}'}}\n{filled(text)}\n"
    environ = {name: filled(value) for name, value in environ.items()}
    assert understand(text, environ) == observe(version, text, environ, port, folder)
