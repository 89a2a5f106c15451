"""A real registry that is configured as a stack configures it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.gc.realregistry import RealRegistry, Version
from tests.unit import fakecluster, program
from tests.unit.parts import SECRET, mounts, registry_config
from tests.unit.program import Graph


def registry_of_a_stack(version: Version, folder: Path, **config: object) -> RealRegistry:
    """The registry with a stack's config.yml, but for paths and ports of this machine, and TLS.

    Tokens are demanded if the stack does, by the keys of its Secret; no other login.
    """
    with fakecluster.running() as cluster:
        graph = program.run(config, {"kubeconfig": cluster.kubeconfig()})
    document = registry_config(graph)
    registry = RealRegistry(version, folder)
    registry.data.mkdir(parents=True)
    document["storage"]["filesystem"]["rootdirectory"] = str(registry.data)
    document["http"] |= {"addr": registry.address, "secret": "a secret of the tests"}
    for key in ("tls", "debug"):
        del document["http"][key]
    demanded = document.pop("auth", {})
    if "token" in demanded:
        document["auth"] = {"token": _token(graph, folder, demanded["token"])}
    registry.config.write_text(yaml.safe_dump(document))
    return registry


def _token(graph: Graph, folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    """The section, with the files of the pod's volume of keys in `folder`."""
    (mounted,) = [path for path, (volume, _) in mounts(graph, "registry").items() if volume == "auth"]
    for file, content in graph.one(SECRET, "registry-token-keys").inputs["stringData"].items():
        (folder / file).write_text(content)
    return {option: value.replace(mounted, str(folder)) for option, value in section.items()}
