"""Which process is the registry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pruner.errors import RegistryError
from pruner.registry import process
from pruner.registry.process import RegistryProcess, ca_file, find
from tests.gc.processdoubles import FakeProc


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


@pytest.mark.parametrize(
    "argv",
    [
        ("registry", "serve", "/etc/distribution/config.yml"),
        ("/bin/registry", "serve", "/etc/docker/registry/config.yml"),
        ("/usr/bin/docker-registry", "serve"),
    ],
)
def test_a_registry_is_known_by_its_command_line(proc: FakeProc, argv: tuple[str, ...]) -> None:
    proc.add(1, "/pause")
    proc.add(7, *argv, started=4711)
    assert find(str(proc)) == RegistryProcess(7, 4711, argv)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("registry",),
        ("registry", "garbage-collect", "/etc/distribution/config.yml"),
        ("registry", "--version", "serve"),
        ("/bin/sh", "/entrypoint.sh", "serve", "/etc/distribution/config.yml"),
        ("python3", "/opt/prune/bin/prune", "serve"),
        ("registry-ui", "serve"),
        ("vi", "registry", "serve"),
    ],
)
def test_nothing_else_is_taken_for_a_registry(proc: FakeProc, argv: tuple[str, ...]) -> None:
    proc.add(7, *argv)
    assert find(str(proc)) is None


def test_a_process_that_ended_is_no_registry(proc: FakeProc) -> None:
    proc.add(7, "registry", "serve", state="Z")
    (proc.folder / "8").mkdir()
    assert find(str(proc)) is None


def test_we_are_never_the_registry(proc: FakeProc) -> None:
    proc.add(os.getpid(), "registry", "serve")
    assert find(str(proc)) is None


def test_several_registries_are_named(proc: FakeProc) -> None:
    proc.add(7, "registry", "serve", "/a.yml")
    proc.add(8, "registry", "serve", "/b.yml")
    with pytest.raises(RegistryError, match=r"several registries.*(/a\.yml.*/b\.yml|/b\.yml.*/a\.yml)"):
        find(str(proc))


def test_a_registry_with_another_configuration_is_not_ours(proc: FakeProc) -> None:
    proc.add(7, "registry", "serve", "/a.yml")
    proc.add(8, "registry", "serve", "--flag", "b.yml", cwd="/etc/")
    proc.add(9, "registry", "serve", "c.yml")
    ours = find(str(proc), config="/etc/b.yml")
    assert ours and ours.pid == 8
    assert find(str(proc), config="/etc/c.yml") is None


def test_a_registry_that_names_no_configuration_may_be_ours(proc: FakeProc) -> None:
    proc.add(7, "registry", "serve")
    ours = find(str(proc), config="/etc/b.yml")
    assert ours and ours.pid == 7


def test_a_process_that_cannot_be_looked_at_is_an_error(proc: FakeProc) -> None:
    (proc.folder / "7" / "cmdline").mkdir(parents=True)
    with pytest.raises(RegistryError, match="process 7 cannot be looked at"):
        find(str(proc))


def test_the_ca_is_the_one_named_or_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ca_file({"GC_CA": "/my/ca"}) == "/my/ca"
    monkeypatch.setattr(process, "DEFAULT_CA", str(tmp_path / "ca.crt"))
    assert ca_file({}) is None
    (tmp_path / "ca.crt").touch()
    assert ca_file({}) == str(tmp_path / "ca.crt")
