from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.packages import install, missing


def test_only_what_is_not_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    wanted = {"sh": "dash", "no-such-program": "one", f"{tmp_path}/there": "two", f"{tmp_path}/gone": "three"}
    assert missing(wanted) == ["one", "three"]


def test_nothing_missing_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    install([])


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="these are missing: one two, and there is no apt-get here"):
        install(["one", "two"])


def test_without_root_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 1\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="run `sudo apt-get install one`"):
        install(["one"])
