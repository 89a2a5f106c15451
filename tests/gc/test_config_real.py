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
    return Seen(roots[0] if roots else None, cache, response.status_code == 405)


def understand(text: str, environ: dict[str, str]) -> Seen | None:
    try:
        read = config.parse(text.encode(), "config.yml", environ)
    except ConfigError:
        return None
    return Seen(None if read.readonly else read.root, read.cache, read.readonly)


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


def compare(text: str, environ: dict[str, str], version: Version, folder: Path) -> None:
    def filled(value: str) -> str:
        return value.replace("@1", str(folder / "root1")).replace("@2", str(folder / "root2"))

    port = free_port()
    text = f"version: 0.1\nhttp: {{addr: '127.0.0.1:{port}'}}\n{filled(text)}\n"
    environ = {name: filled(value) for name, value in environ.items()}
    assert understand(text, environ) == observe(version, text, environ, port, folder)
