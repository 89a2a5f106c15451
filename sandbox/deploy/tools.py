"""Finds the engine and its plugins: what is installed, what can be installed, and stand-ins for the rest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import golang
from sandbox.deploy.workspace import engine_home
from sandbox.steps import Steps

HERE = Path(__file__).resolve().parent.parent
STAND_IN_PROVIDERS = HERE / "plugins" / "bin"
STAND_IN_LANGUAGE = HERE / "language" / "bin"
# Plugin -> the package whose version it must have.
PLUGINS = {"kubernetes": "pulumi-kubernetes", "tls": "pulumi-tls"}
INSTALL_PATIENCE = 60  # seconds for one plugin
ASK_AGAIN_AFTER = 3600  # seconds after a download that did not work


@dataclass(frozen=True, slots=True)
class Tools:
    """The engine, and the folders that come first on its PATH."""

    program: Path
    folders: tuple[Path, ...]

    @property
    def uses_stand_ins(self) -> bool:
        """Whether a stand-in serves in the place of the official plugins."""
        return STAND_IN_PROVIDERS in self.folders


def sandbox_tools(steps: Steps) -> Tools:
    """The installed engine or one built from source, with the official plugins if possible."""
    installed = shutil.which("pulumi")
    program = Path(installed) if installed else golang.ensure(golang.PULUMI, steps)
    folders: list[Path] = []
    if not _official_plugins(program, steps):
        folders.append(STAND_IN_PROVIDERS)
        steps.note(
            "the official kubernetes and tls plugins cannot be had here: the sandbox's stand-ins serve,"
            " which refuse every other cluster"
        )
    beside = program.resolve().parent / "pulumi-language-python"
    if not beside.exists() and not shutil.which("pulumi-language-python"):
        folders.append(STAND_IN_LANGUAGE)
    return Tools(program, tuple(folders))


def _official_plugins(program: Path, steps: Steps) -> bool:
    wanted = {name: importlib.metadata.version(package) for name, package in PLUGINS.items()}
    environment = {**os.environ, "PULUMI_HOME": str(engine_home()), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    listed = subprocess.run(
        [program, "plugin", "ls", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    present = {(found["name"], found["version"]) for found in json.loads(listed.stdout or "[]")}
    lacking = {name: version for name, version in wanted.items() if (name, version) not in present}
    refused = engine_home() / ".plugins-not-to-be-had"
    if lacking and refused.exists() and time.time() - refused.stat().st_mtime < ASK_AGAIN_AFTER:
        return False
    for name, version in lacking.items():
        with steps.step(f"look for the official {name} plugin {version}"):
            if not _install(program, name, version, environment):
                refused.touch()
                return False
    return True


def _install(program: Path, name: str, version: str, environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            [program, "plugin", "install", "resource", name, version],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
