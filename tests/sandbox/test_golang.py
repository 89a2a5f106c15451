from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path

import pytest

from sandbox import golang
from sandbox.cache import cache_root
from sandbox.errors import SandboxError
from sandbox.steps import Steps


def go_that_says(folder: Path, version: str) -> None:
    program = folder / "go"
    program.write_text(f'#!/bin/sh\ncase "$2" in GOVERSION) echo {version};; *) echo {folder};; esac\n')
    program.chmod(0o755)


def go_that_notes(folder: Path, *, fails: str = "") -> Path:
    """It writes down for which module it is asked what, in the file returned, and fails for one."""
    asked = folder / "asked"
    script = f'#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\necho ${{PWD##*/}} $1 >> {asked}\n'
    (folder / "go").write_text(f'{script}[ ${{PWD##*/}} != "{fails}" ]\n')
    (folder / "go").chmod(0o755)
    return asked


def disk_with(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)

    def told(_path: Path) -> object:
        return usage

    monkeypatch.setattr(shutil, "disk_usage", told)


@pytest.fixture(autouse=True)
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    disk_with(100 << 30, monkeypatch)  # the compiler is a double here: what the machine has is no matter


def test_without_go_the_way_out_is_told() -> None:
    with pytest.raises(SandboxError, match=r"Go is not on PATH: install Go 1\.26 or later"):
        golang.build(golang.PAUSE)


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.9", "go1.9"])
def test_an_old_go_is_told(tmp_path: Path, version: str) -> None:
    go_that_says(tmp_path, version)
    with pytest.raises(SandboxError, match=f"{version} is too old"):
        golang.build(golang.PAUSE)


def test_a_full_disk_is_told_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_that_says(tmp_path, "go1.26.0")
    disk_with(3 << 30, monkeypatch)
    with pytest.raises(SandboxError, match=r"has 3\.0 GiB free and a build from source needs 12\.0 GiB"):
        golang.build(golang.PAUSE)
    kept = cache_root() / "go" / "modules"
    kept.mkdir(parents=True)

    def measured(path: Path) -> int:
        return 10 << 30 if path == kept.parent else 0

    monkeypatch.setattr(golang, "size", measured)
    golang.build(golang.PAUSE)
    disk_with(1 << 30, monkeypatch)
    with pytest.raises(SandboxError, match=r"has 1\.0 GiB free and a build from source needs 2\.0 GiB"):
        golang.build(golang.REGISTRY)


def test_modules_are_fetched_in_a_step_of_their_own_and_only_those_that_are_built(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "go").write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\necho $1 >> {asked}\n')
    (tmp_path / "go").chmod(0o755)
    steps = Steps(io.StringIO())
    golang.ensure(golang.PAUSE, steps)
    assert [what for what, _ in steps.taken] == ["fetch the modules of pause", "build pause from source"]
    assert asked.read_text().split() == ["list", "build"]
    golang.ensure(golang.PAUSE, steps)
    assert len(steps.taken) == 2


def test_modules_are_fetched_ahead_and_a_failure_is_met_by_who_needs_them(tmp_path: Path) -> None:
    asked = go_that_notes(tmp_path, fails="versitygw")
    golang.build(golang.PAUSE)
    golang.begin_ahead([golang.PAUSE, golang.REGISTRY, golang.VERSITYGW, golang.PULUMI])
    join_what_was_begun()
    assert asked.read_text().splitlines() == ["pause build", "registry list", "versitygw list"]
    with pytest.raises(SandboxError, match="fetching the modules of versitygw"):
        golang.ensure(golang.VERSITYGW, Steps(io.StringIO()))


def test_what_is_compiled_for_speed_is_built_ahead_once_all_modules_are_there(tmp_path: Path) -> None:
    asked = go_that_notes(tmp_path)
    golang.begin_ahead([golang.PULUMI, golang.REGISTRY, golang.KUBERNETES])
    join_what_was_begun()
    assert asked.read_text().splitlines() == [
        "pulumi list",
        "registry list",
        "kubernetes list",
        "registry build",
    ]


def join_what_was_begun() -> None:
    for thread in threading.enumerate():
        if thread.name == "ahead":
            thread.join(30)


def test_a_program_is_another_when_a_file_of_its_module_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(golang.SOURCES, tmp_path / "go-modules")
    monkeypatch.setattr(golang, "SOURCES", tmp_path / "go-modules")
    before = golang.PAUSE.inputs
    with (tmp_path / "go-modules" / "pause" / "main.go").open("a") as source:
        source.write("// changed\n")
    assert golang.PAUSE.inputs != before


def test_builds_leave_the_users_own_caches_alone(tmp_path: Path) -> None:
    told = tmp_path / "told"
    (tmp_path / "go").write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\nenv > {told}\n')
    (tmp_path / "go").chmod(0o755)
    golang.build(golang.PAUSE)
    environment = dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)
    for name in ("GOCACHE", "GOMODCACHE"):
        assert Path(environment[name]).is_relative_to(cache_root()), name


@pytest.mark.parametrize(
    ("program", "optimised"), [(golang.REGISTRY, True), (golang.KUBERNETES, False), (golang.PULUMI, False)]
)
def test_only_what_is_measured_is_compiled_for_speed(
    tmp_path: Path, program: golang.Program, optimised: bool
) -> None:
    told = tmp_path / "told"
    (tmp_path / "go").write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go1.26.0 && exit\necho "$@" > {told}\n')
    (tmp_path / "go").chmod(0o755)
    golang.build(program)
    assert ("-gcflags=all=-N -l" not in told.read_text()) == optimised


def test_what_the_builds_take_is_said_once_there_was_one() -> None:
    out = io.StringIO()
    steps = Steps(out)
    golang.note_disk(steps)
    assert out.getvalue() == ""
    with steps.step("build pause from source"):
        pass
    golang.note_disk(steps)
    assert "`make clean` gives it back" in out.getvalue()
