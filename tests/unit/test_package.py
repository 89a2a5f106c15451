"""What others get: the wheels of the components and of the pruner, and the package of the component."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import yaml
from pulumi.provider.experimental.analyzer import Analyzer
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

import pruner
from docker_registry_stack import (
    DockerRegistry,
    DockerRegistryArgs,
    RetentionPolicy,
    Storage,
    bundle,
    editors,
)
from docker_registry_stack.settings import settle
from tests.unit import program

SCHEMA = Path(__file__).with_name("schema.json")
EDITORS = program.ROOT / "Pulumi.schema.json"


def build_wheel(source: Path, target: Path) -> Path:
    """The wheel of a folder, built with what is installed and nothing from an index."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(target), str(source)], check=True
    )
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the components, unpacked, as site-packages would hold it."""
    wheel = build_wheel(program.ROOT, tmp_path_factory.mktemp("wheel"))
    unpacked = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return unpacked


def sources(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py") if "venv" not in path.parts}


def test_the_wheel_has_the_components_and_the_pruner_under_their_names(site: Path) -> None:
    assert sources(site / "docker_registry_stack") == sources(program.ROOT / "components")
    assert sources(site / "pruner") == sources(program.ROOT / "gc" / "pruner")
    assert {path.name for path in site.iterdir()} == {
        "docker_registry_stack",
        "pruner",
        f"docker_registry_stack-{pruner.__version__}.dist-info",
    }
    assert (site / "docker_registry_stack" / "PulumiPlugin.yaml").exists()


def test_the_wheel_bundles_the_very_same_pruner(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "prune"
    environment = os.environ | {"PYTHONPATH": str(site)}
    subprocess.run(
        [sys.executable, "-m", "docker_registry_stack.bundle", str(target)],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert target.read_bytes() == bundle.build(bundle.ARCHIVES)


def test_the_pruner_is_a_distribution_of_its_own_with_its_command(tmp_path: Path) -> None:
    wheel = build_wheel(program.ROOT / "gc", tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "prune = pruner.__main__:main" in archive.read(points).decode()
    assert {name.removeprefix("pruner/") for name in names if name.endswith(".py")} == sources(
        program.ROOT / "gc" / "pruner"
    )


def test_every_file_of_requirements_can_be_installed_by_its_hash() -> None:
    # pip takes no folder where hashes are asked for, and the language host installs this very file.
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (program.ROOT / name).read_text().replace("\\\n", " ").splitlines()
        for line in lines:
            if line.strip() and not line.strip().startswith("#"):
                assert "--hash=sha256:" in line, f"{name}: {line}"
                assert "docker-registry" not in line.partition(" ")[0], line


def test_the_package_serves_every_language_the_same_schema() -> None:
    """What `pulumi package add` makes SDKs of; it is held, since it is a promise to programs of others.

    After a change that is meant: `python -m tests.unit.test_package` writes it anew.
    """
    assert json.loads(SCHEMA.read_text()) == schema(), "python -m tests.unit.test_package writes it anew"


def test_every_arg_and_output_of_the_schema_says_what_it_is() -> None:
    spec = schema()
    resource = spec["resources"]["docker-registry:index:DockerRegistry"]
    held = [resource, *spec["types"].values()]
    for properties in [resource["inputProperties"], *(one["properties"] for one in held)]:
        for name, field in properties.items():
            assert field.get("description"), name
    assert resource["isComponent"] is True
    assert resource.get("requiredInputs", []) == []


def test_the_plugin_is_found_and_installs_the_package_that_it_serves() -> None:
    folder = program.ROOT / "components"
    assert yaml.safe_load((folder / "PulumiPlugin.yaml").read_text()) == {"runtime": "python"}
    wanted = [
        line for line in (folder / "requirements.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert wanted == [".."]
    assert (folder / ".." / "pyproject.toml").exists()


def test_the_engine_starts_the_plugin_from_its_folder_and_gets_the_schema(site: Path, tmp_path: Path) -> None:
    # Python looks first in the folder that it runs: none of our modules may have the name of a library.
    with subprocess.Popen(
        [sys.executable, str(program.ROOT / "components"), "127.0.0.1:1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                provider = cast("Any", provider_pb2_grpc.ResourceProviderStub(channel))
                served = provider.GetSchema(provider_pb2.GetSchemaRequest(version=0)).schema
        finally:
            process.kill()
    assert json.loads(served) == schema()


def test_what_other_languages_send_is_what_the_args_mean() -> None:
    definition = Analyzer("docker-registry").analyze([DockerRegistry])["component_definitions"][
        "DockerRegistry"
    ]
    provider = ComponentProvider([DockerRegistry], "docker-registry")
    sent = {
        "nodePort": 31000.0,
        "storage": {"path": "/srv"},
        "gcMaxFraction": 0.25,
        "retention": [{"repositories": ["ci/*"], "keepLast": 3.0, "untagged": "after 2h"}],
    }
    args = DockerRegistryArgs(
        node_port=31000,
        storage=Storage(path="/srv"),
        gc_max_fraction=0.25,
        retention=[RetentionPolicy(repositories=["ci/*"], keep_last=3, untagged="after 2h")],
    )
    assert settle(provider.map_inputs(sent, definition)) == settle(args)


def schema() -> dict[str, Any]:
    provider = ComponentProvider([DockerRegistry], "docker-registry", version=pruner.__version__)
    return json.loads(provider.schema or "{}")


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n")
    EDITORS.write_text(editors.text())
