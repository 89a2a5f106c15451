"""The examples: each is run, and does what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit import program
from tests.unit.fakecluster import FakeCluster
from tests.unit.program import Graph

EXAMPLES = program.ROOT / "examples"
PYTHON = sorted(path.parent.name for path in EXAMPLES.glob("*/__main__.py"))
FACADE = "docker-registry:index:DockerRegistry"


def run(name: str, **config: object) -> Graph:
    return program.run(config, {}, EXAMPLES / name / "__main__.py")


def test_each_folder_is_listed_and_is_a_project() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    listed = (EXAMPLES / "README.md").read_text()
    assert sorted([*PYTHON, "yaml"]) == folders
    for folder in folders:
        assert f"[{folder}]({folder})" in listed
        assert yaml.safe_load((EXAMPLES / folder / "Pulumi.yaml").read_text())["runtime"]


@pytest.mark.parametrize("name", PYTHON)
def test_each_program_runs_and_exports_where_to_push(cluster: FakeCluster, name: str) -> None:
    assert cluster.nodes
    graph = run(name, network="acme/network/prod")
    assert graph.all(FACADE)
    assert any(str(value).endswith(tuple("0123456789")) for value in graph.outputs.values())


def test_two_registries_share_nothing(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graph = run("two-registries")
    assert {registry.name for registry in graph.all(FACADE)} == {"releases", "builds"}
    services = {
        service.inputs["metadata"]["namespace"]: service
        for service in graph.all("kubernetes:core/v1:Service")
    }
    ports = [service.inputs["spec"]["ports"][0]["nodePort"] for service in services.values()]
    assert sorted(services) == ["builds", "releases"]
    assert len(set(ports)) == 2
    folders = [
        volume["hostPath"]["path"]
        for deployment in graph.all("kubernetes:apps/v1:Deployment")
        for volume in deployment.inputs["spec"]["template"]["spec"]["volumes"]
        if "hostPath" in volume
    ]
    assert len(folders) == len(set(folders)) == 2


def test_inside_a_program_the_host_comes_from_elsewhere_and_the_address_goes_on(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graph = run("inside-a-program", network="acme/network/prod")
    web = graph.one("kubernetes:apps/v1:Deployment", "web")
    (container,) = web.inputs["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com:32000/team/web:1"
    (secret,) = web.inputs["spec"]["template"]["spec"]["imagePullSecrets"]
    pulling = graph.one("kubernetes:core/v1:Secret", "images-pull-default").inputs["metadata"]
    assert (pulling["namespace"], pulling["name"]) == ("default", secret["name"])
    assert len({r.provider for r in graph.resources if r.type.startswith("kubernetes:")}) == 1


def test_the_yaml_program_is_one_that_the_schema_takes() -> None:
    project = yaml.safe_load((EXAMPLES / "yaml" / "Pulumi.yaml").read_text())
    schema = json.loads(Path(__file__).with_name("schema.json").read_text())
    (plugin,) = project["packages"].values()
    assert (EXAMPLES / "yaml" / plugin / "PulumiPlugin.yaml").exists()
    (resource,) = project["resources"].values()
    package, _, name = resource["type"].partition(":")
    declared = schema["resources"][f"{package}:index:{name}"]
    for key, value in resource["properties"].items():
        assert_fits(value, declared["inputProperties"][key], schema, key)
    for output in project["outputs"].values():
        assert output.removeprefix("${images.").removesuffix("}") in declared["properties"]


def assert_fits(value: Any, declared: dict[str, Any], schema: dict[str, Any], where: str) -> None:
    """The value is of the declared type."""
    if "$ref" in declared:
        properties = schema["types"][declared["$ref"].removeprefix("#/types/")]["properties"]
        for key, entry in value.items():
            assert_fits(entry, properties[key], schema, f"{where}.{key}")
    elif declared["type"] == "array":
        for entry in value:
            assert_fits(entry, declared["items"], schema, f"{where}[]")
    else:
        kinds = {"string": str, "integer": int, "boolean": bool, "number": float}
        assert type(value) is kinds[declared["type"]], where
