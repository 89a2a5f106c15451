"""A pull-through cache of another registry of the cluster, and what else registryConfig adds."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.commands import run
from sandbox.images import PAUSE_REFERENCE, REGISTRY_REFERENCE, build_image, images
from sandbox.processes import find_node
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack, until
from tests.gc.images import image, layer
from tests.gc.registryclient import RefusalError

UPSTREAM = "upstream"
IN_DEFAULT = ("--namespace=default",)
NAME = "team/pause:1"


def upstream() -> list[dict[str, Any]]:
    """A registry without login and TLS, as pod and configuration."""
    config: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/data"}},
        "http": {"addr": ":5000"},
    }
    metadata = {"name": UPSTREAM}
    container: dict[str, Any] = {
        "name": "registry",
        "image": REGISTRY_REFERENCE,
        "args": ["serve", "/etc/upstream/config.yml"],
        "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/upstream"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes: list[dict[str, Any]] = [
        {"name": "config", "configMap": metadata},
        {"name": "data", "emptyDir": {}},
    ]
    spec: dict[str, Any] = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"config.yml": yaml.safe_dump(config)},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


@pytest.fixture
def stack(make_stack: MakeStack, tmp_path: Path) -> Generator[tuple[Stack, str]]:
    """The cache, not yet deployed, and the address of its upstream, which has the image NAME."""
    made = make_stack("cache")
    path = tmp_path / "upstream.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": upstream()}))
    made.kubectl("apply", *IN_DEFAULT, f"--filename={path}")
    try:
        made.kubectl("wait", *IN_DEFAULT, f"pod/{UPSTREAM}", "--for=condition=Ready", "--timeout=60s")
        shown = made.kubectl("get", *IN_DEFAULT, f"pod/{UPSTREAM}", "--output=jsonpath={.status.podIP}")
        (pause,) = [each for each in images() if each.config.reference == PAUSE_REFERENCE]
        node = find_node(made.place)
        assert node
        on_node = ("nsenter", "--net", f"--target={node.pid}", "--")
        source, target = f"docker-archive:{build_image(pause)}", f"docker://{shown}:5000/{NAME}"
        run(
            [*on_node, "skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, target], what="pushing"
        )
        yield made, f"{shown}:5000"
    finally:
        made.kubectl("delete", *IN_DEFAULT, f"pod/{UPSTREAM}", f"configmap/{UPSTREAM}", "--ignore-not-found")


def test_a_cache_serves_what_its_upstream_has_and_goes_on_without_it(
    stack: tuple[Stack, str], tmp_path: Path
) -> None:
    cache, address = stack
    added = {
        "proxy": {"remoteurl": f"http://{address}"},
        "http": {"headers": {"X-Team": ["images"]}},
        "log": {"formatter": "json"},
    }
    said = cache.up(registryConfig=json.dumps(added))
    assert "makes this registry a pull-through cache" in said
    assert [each["name"] for each in cache.pod()["spec"]["containers"]] == ["registry"], "without a pruner"
    cache.skopeo_pull(NAME, tmp_path / "first.tar")
    client = cache.client()
    assert client.request("GET", "/v2/", 200).headers["X-Team"] == "images"
    with pytest.raises(RefusalError):
        client.push("team/app", image([layer("pushed", 1 << 10)], "pushed"), "1")
    lines = cache.kubectl("logs", "deployment/registry", "--container=registry").splitlines()
    assert json.loads(lines[-1])["service"] == "registry"
    layers = cache.data / "docker/registry/v2/repositories/team/pause/_layers/sha256"
    until(lambda: layers.is_dir() and len(list(layers.iterdir())) > 1, "the image is kept")
    cache.kubectl("delete", *IN_DEFAULT, f"pod/{UPSTREAM}")
    cache.skopeo_pull(NAME, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").stat().st_size == (tmp_path / "first.tar").stat().st_size
