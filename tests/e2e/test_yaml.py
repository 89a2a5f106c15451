"""The example in YAML on the real engine: the component as programs in every other language have it."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploy.workspace import CHECKOUT
from sandbox import golang
from sandbox.images import PYTHON_REFERENCE, REGISTRY_REFERENCE
from sandbox.place import REGISTRY_STORAGE
from sandbox.steps import Steps
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.gc.images import image, layer

IMAGE = image([layer("yaml", 1 << 16)], "yaml")
PLUGIN = "pulumi-resource-docker-registry"


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The example with the sandbox's images, in its own project."""
    stack = make_stack("yaml")
    folder = tmp_path_factory.mktemp("yaml")
    project = yaml.safe_load((CHECKOUT / "examples" / "yaml" / "Pulumi.yaml").read_text())
    # The plugin is on PATH: an engine without the official language host cannot start it from its folder.
    del project["packages"]
    project["resources"]["images"]["properties"] |= {
        "namespace": stack.namespace,
        "nodePort": stack.node_port,
        "registryImage": REGISTRY_REFERENCE,
        "gcImage": PYTHON_REFERENCE,
        "storage": {"path": f"{REGISTRY_STORAGE}/{stack.engine.stack}"},
    }
    (folder / "Pulumi.yaml").write_text(json.dumps(project))
    plugin = folder / "bin" / PLUGIN
    plugin.parent.mkdir()
    command = f"PYTHONPATH={shlex.quote(str(CHECKOUT))} exec {shlex.quote(sys.executable)}"
    plugin.write_text(f'#!/bin/sh\n{command} -m docker_registry_stack "$@"\n')
    plugin.chmod(0o755)
    host: Path = golang.ensure(golang.PULUMI_YAML, Steps())
    environment = dict(stack.engine.environment)
    environment["PATH"] = f"{plugin.parent}:{host.parent}:{environment['PATH']}"
    engine = replace(stack.engine, project=folder, environment=environment)
    engine.select()
    return replace(stack, engine=engine)


def test_it_comes_up_takes_images_changes_nothing_again_and_goes(stack: Stack) -> None:
    stack.engine.up()
    outputs = stack.engine.outputs()
    assert outputs["address"] == stack.address_resource()["address"]
    assert outputs["caCertificate"] == stack.address_resource()["caBundle"]
    assert outputs["address"].endswith(f":{stack.node_port}")
    client = stack.client()
    client.push("ci/app", IMAGE, "1")
    client.check("ci/app", "1", IMAGE)
    (variable,) = [
        entry["value"]
        for container in stack.pod()["spec"]["containers"]
        for entry in container["env"]
        if entry["name"] == "GC_RETENTION"
    ]
    assert json.loads(variable) == [{"repositories": ["ci/*"], "keepLast": 10, "untagged": "after 2h"}]

    summary = stack.engine.up().partition("Resources:")[2]
    assert "unchanged" in summary
    for change in ("created", "updated", "replaced", "deleted"):
        assert f" {change}" not in summary, summary

    stack.engine.destroy()
    assert stack.namespace not in [found["metadata"]["name"] for found in stack.objects("namespaces")]
    assert stack.has_blob(IMAGE.blobs[0])
