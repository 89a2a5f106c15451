"""What the user has is used as it is: an engine and plugins on PATH, plugins in Pulumi's own folder."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from deploy.tools import LANGUAGE_HOST, sandbox_tools
from sandbox import golang
from sandbox.steps import Steps


@pytest.fixture(autouse=True)
def building(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The modules that were built in the place of what is not installed."""
    built: list[str] = []

    def ensure(program: golang.Program, _steps: Steps) -> Path:
        built.append(program.module)
        return tmp_path / "cache" / program.module / program.module

    monkeypatch.setattr(golang, "ensure", ensure)
    return built


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\nexit 1\n")
    (folder / name).chmod(0o755)
    return folder


def tools_with(home: Path, *path: Path) -> tuple[Path, tuple[Path, ...]]:
    found = sandbox_tools(Steps(), {"HOME": str(home), "PATH": ":".join(map(str, path))})
    return found.program, found.folders


def test_with_nothing_installed_all_is_built(tmp_path: Path, building: list[str]) -> None:
    cache = tmp_path / "cache"
    engine, folders = tools_with(tmp_path, tmp_path)
    assert building == ["pulumi-resource-kubernetes", "pulumi-resource-tls", "pulumi"]
    assert engine == cache / "pulumi" / "pulumi"
    plugins = (cache / "pulumi-resource-kubernetes", cache / "pulumi-resource-tls")
    assert folders == (*plugins, LANGUAGE_HOST)


def test_what_is_on_the_path_is_used(tmp_path: Path, building: list[str]) -> None:
    own = tmp_path / "own"
    for name in (
        "pulumi",
        "pulumi-language-python",
        "pulumi-resource-kubernetes",
        "pulumi-resource-tls",
    ):
        program(own, name)
    assert tools_with(tmp_path, own) == (own / "pulumi", (own, own, own))
    assert building == []


def test_a_plugin_that_pulumi_has_installed_is_used_in_the_version_asked_for(
    tmp_path: Path, building: list[str]
) -> None:
    plugins = tmp_path / ".pulumi" / "plugins"
    version = importlib.metadata.version("pulumi-tls")
    tls = program(plugins / f"resource-tls-v{version}", "pulumi-resource-tls")
    program(plugins / "resource-kubernetes-v1.0.0", "pulumi-resource-kubernetes")
    _, folders = tools_with(tmp_path, tmp_path)
    assert folders[1] == tls
    assert building == ["pulumi-resource-kubernetes", "pulumi"]


def test_the_language_host_is_the_one_beside_the_engine(tmp_path: Path) -> None:
    own = program(tmp_path / "pulumi" / "bin", "pulumi")
    program(own, "pulumi-language-python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").symlink_to(own / "pulumi")
    engine, folders = tools_with(tmp_path, tmp_path / "bin")
    assert (engine, folders[-1]) == (tmp_path / "bin" / "pulumi", own)
