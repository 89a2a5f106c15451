"""Which processes serve a registry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pruner.errors import RegistryError
from pruner.registry.process import RegistryProcess, serving
from tests.gc.processdoubles import FakeProc


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("registry", "serve", "/etc/distribution/config.yml"), True),
        (("/bin/registry", "serve", "/etc/docker/registry/config.yml"), True),
        (("/usr/bin/docker-registry", "serve"), True),
        (("/opt/our-registry", "serve", "config.yml"), False),
    ],
)
def test_a_registry_is_known_by_its_command_line(proc: FakeProc, argv: tuple[str, ...], named: bool) -> None:
    proc.add(1, "/pause")
    proc.add(7, *argv, started=4711)
    assert serving(str(proc)) == [RegistryProcess(7, 4711, argv)]
    assert serving(str(proc))[0].named is named


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("registry",),
        ("registry", "garbage-collect", "/etc/distribution/config.yml"),
        ("registry", "--version", "serve"),
        ("/bin/sh", "/entrypoint.sh", "serve", "/etc/distribution/config.yml"),
        ("python3", "/opt/prune/bin/prune", "serve"),
        ("vi", "registry", "serve"),
    ],
)
def test_nothing_else_is_taken_for_a_registry(proc: FakeProc, argv: tuple[str, ...]) -> None:
    proc.add(7, *argv)
    assert serving(str(proc)) == []


def test_a_process_that_ended_is_not_a_registry(proc: FakeProc) -> None:
    proc.add(7, "registry", "serve", state="Z")
    (proc.folder / "8").mkdir()
    assert serving(str(proc)) == []


def test_we_are_never_the_registry(proc: FakeProc) -> None:
    proc.add(os.getpid(), "registry", "serve")
    assert serving(str(proc)) == []


def test_a_process_that_cannot_be_looked_at_is_an_error(proc: FakeProc) -> None:
    (proc.folder / "7" / "cmdline").mkdir(parents=True)
    with pytest.raises(RegistryError, match="process 7 cannot be looked at"):
        serving(str(proc))
