"""Finds the engine and its plugins: what the user has is used as it is, the rest is built from source."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import golang
from sandbox.steps import Steps

LANGUAGE_HOST = Path(__file__).resolve().parent.parent / "sandbox" / "language" / "bin"
# Plugin -> where it is built from; the program asks for the version of the package pulumi-PLUGIN.
PLUGINS = {"kubernetes": golang.PULUMI_KUBERNETES, "tls": golang.PULUMI_TLS}


@dataclass(frozen=True, slots=True)
class Tools:
    """The engine, and the folders of plugins that come first on its PATH."""

    program: Path
    folders: tuple[Path, ...]


def sandbox_tools(steps: Steps, environment: Mapping[str, str] = os.environ) -> Tools:
    """The engine, the plugins and the language host of a sandbox, built where they are not installed."""
    path = environment.get("PATH", os.defpath)
    folders = [
        _plugin(name, environment) or golang.ensure(program, steps).parent
        for name, program in PLUGINS.items()
    ]
    installed = shutil.which("pulumi", path=path)
    engine = Path(installed) if installed else golang.ensure(golang.PULUMI, steps)
    host = "pulumi-language-python"
    beside = engine.resolve().parent / host
    folders.append(beside.parent if beside.exists() else _on_path(host, path) or LANGUAGE_HOST)
    return Tools(engine, tuple(folders))


def to_build(environment: Mapping[str, str] = os.environ) -> list[golang.Program]:
    """What `sandbox_tools` builds, in its order: all of it that is not installed."""
    plugins = [program for name, program in PLUGINS.items() if not _plugin(name, environment)]
    installed = shutil.which("pulumi", path=environment.get("PATH", os.defpath))
    return [*plugins, *([] if installed else [golang.PULUMI])]


def _plugin(name: str, environment: Mapping[str, str]) -> Path | None:
    version = importlib.metadata.version(f"pulumi-{name}")
    return _installed(f"resource-{name}-v{version}", environment) or _on_path(
        f"pulumi-resource-{name}", environment.get("PATH", os.defpath)
    )


def _installed(plugin: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of a plugin that the user's Pulumi has installed."""
    home = environment.get("PULUMI_HOME") or Path(environment.get("HOME", "/")) / ".pulumi"
    folder = Path(home) / "plugins" / plugin
    return folder if folder.is_dir() else None


def _on_path(program: str, path: str) -> Path | None:
    found = shutil.which(program, path=path)
    return Path(found).parent if found else None
