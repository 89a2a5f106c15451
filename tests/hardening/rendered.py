"""The objects that a stack declares, as files that tools for manifests read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.unit.program import Graph, Resource


def manifests(graph: Graph) -> list[dict[str, Any]]:
    """Every object of the graph, as it is sent; one that the provider names has its resource's name."""
    return [_manifest(each) for each in graph.resources if each.type.startswith("kubernetes:")]


def write(graph: Graph, folder: Path) -> list[Path]:
    """A file for each object; returns them."""
    folder.mkdir(parents=True)
    files: list[Path] = []
    for manifest in manifests(graph):
        files.append(folder / f"{len(files):02}-{manifest['kind'].lower()}.yaml")
        files[-1].write_text(yaml.safe_dump(manifest))
    return files


def _manifest(resource: Resource) -> dict[str, Any]:
    version, _, kind = resource.type.removeprefix("kubernetes:").rpartition(":")
    content = {key: value for key, value in copy.deepcopy(resource.inputs).items() if key != "metadata"}
    metadata = {"name": resource.name, **copy.deepcopy(resource.inputs.get("metadata", {}))}
    return {
        **content,
        "apiVersion": version.removeprefix("core/"),
        "kind": kind.removesuffix("Patch"),
        "metadata": metadata,
    }
