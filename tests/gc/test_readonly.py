"""The read-only window: what is written when, and what happens in trouble."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pruner.clock import Stopped
from pruner.errors import ConfigError, RegistryError, WriteError
from pruner.registry import readonly
from pruner.registry.config import RegistryConfig, parse
from pruner.registry.readonly import enter, init_config, leave, recover

TEXT = b"# ours\nversion: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\nhttp: {addr: ':5000'}\n"
OWN = TEXT + b"log: {level: info}\n"
READONLY = TEXT.replace(b"}}", b"}, maintenance: {readonly: {enabled: true}}}")


class FakeRegistry:
    """A registry that reads its configuration when it starts, as a real one does."""

    def __init__(self, path: Path, *, login: bool = False) -> None:
        self.path = path
        self.login = login
        self.running: bytes | None = path.read_bytes()
        self.restarts = 0
        self.fail: list[BaseException | None] = []

    def present(self, config: RegistryConfig) -> bool:
        assert config.http.port == 5000
        return self.running is not None

    def restart(self, config: RegistryConfig) -> None:
        assert config.http.port == 5000
        failure = self.fail.pop(0) if self.fail else None
        if failure:
            raise failure
        self.restarts += 1
        self.running = self.path.read_bytes()

    def takes_writes(self, config: RegistryConfig) -> bool | None:
        assert config.http.port == 5000
        if self.running is None:
            raise RegistryError("no answer")
        return None if self.login else not parse(self.running, "x", {}).readonly


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "config.yml"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    path.chmod(0o640)
    return path


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_the_window_opens_and_closes(path: Path) -> None:
    registry = FakeRegistry(path)
    before = path.stat()
    assert enter(str(path), {}, registry) is None
    assert registry.takes_writes(parse(TEXT, "x", {})) is False
    assert files(path) == ["config.yml", "config.yml.writable"]
    assert (path.stat().st_mode, path.stat().st_uid) == (before.st_mode, before.st_uid)
    leave(str(path), {}, registry)
    assert registry.running == TEXT
    assert files(path) == ["config.yml"]
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert registry.restarts == 2


def test_a_closed_window_is_not_closed_again(path: Path) -> None:
    registry = FakeRegistry(path)
    assert recover(str(path), {}, registry) is False
    leave(str(path), {}, registry)
    assert registry.restarts == 0


def test_an_open_window_is_closed_before_it_is_opened_anew(path: Path) -> None:
    registry = FakeRegistry(path)
    enter(str(path), {}, registry)
    enter(str(path), {}, registry)
    assert recover(str(path), {}, registry) is True
    assert (registry.running, registry.restarts) == (TEXT, 4)


def test_a_registry_that_is_read_only_itself_stays_so(path: Path) -> None:
    path.write_bytes(READONLY)
    registry = FakeRegistry(path)
    assert enter(str(path), {}, registry) is None
    leave(str(path), {}, registry)
    assert (registry.restarts, path.read_bytes(), files(path)) == (0, READONLY, ["config.yml"])


def test_a_registry_with_a_login_cannot_be_verified(path: Path) -> None:
    registry = FakeRegistry(path, login=True)
    sentence = enter(str(path), {}, registry)
    assert sentence and "not verified" in sentence
    assert registry.running != TEXT
    leave(str(path), {}, registry)
    assert (registry.running, files(path)) == (TEXT, ["config.yml"])


def test_a_variable_that_masks_the_rewrite_is_refused(path: Path) -> None:
    registry = FakeRegistry(path)
    environ = {
        "REGISTRY_STORAGE_MAINTENANCE": "{uploadpurging: {enabled: false}}",
        "REGISTRY_HTTP_SECRET": "hush",
    }
    with pytest.raises(ConfigError, match="because REGISTRY_STORAGE_MAINTENANCE overrides it"):
        enter(str(path), environ, registry)
    assert (registry.restarts, path.read_bytes(), files(path)) == (0, TEXT, ["config.yml"])


def test_a_registry_that_does_not_follow_is_put_back(path: Path) -> None:
    registry = FakeRegistry(path)
    registry.path = path.parent.parent / "another.yml"
    registry.path.write_bytes(TEXT)
    with pytest.raises(RegistryError, match="still takes pushes"):
        enter(str(path), {}, registry)
    assert (path.read_bytes(), files(path)) == (TEXT, ["config.yml"])


def test_a_restart_that_fails_is_put_back(path: Path) -> None:
    registry = FakeRegistry(path)
    registry.fail = [RegistryError("did not end")]
    with pytest.raises(RegistryError, match="did not end"):
        enter(str(path), {}, registry)
    assert (path.read_bytes(), files(path), registry.running) == (TEXT, ["config.yml"], TEXT)


def test_a_stop_while_it_opens_leaves_it_to_the_next_start(path: Path) -> None:
    registry = FakeRegistry(path)

    def dies(config: RegistryConfig) -> None:
        FakeRegistry.restart(registry, config)
        raise Stopped("asked to end")

    registry.restart = dies
    with pytest.raises(Stopped):
        enter(str(path), {}, registry)
    assert (path.read_bytes(), files(path)) == (TEXT, ["config.yml", "config.yml.writable"])
    del registry.restart
    assert recover(str(path), {}, registry) is True
    assert (registry.running, files(path)) == (TEXT, ["config.yml"])


def test_a_window_that_cannot_be_closed_stays_open_for_the_next_try(path: Path) -> None:
    registry = FakeRegistry(path)
    enter(str(path), {}, registry)
    registry.fail = [RegistryError("did not come back")]
    with pytest.raises(RegistryError, match="did not come back"):
        leave(str(path), {}, registry)
    assert files(path) == ["config.yml", "config.yml.writable"]
    leave(str(path), {}, registry)
    assert (registry.running, files(path)) == (TEXT, ["config.yml"])


def test_a_registry_that_stays_read_only_is_an_error(path: Path) -> None:
    registry = FakeRegistry(path)
    enter(str(path), {}, registry)
    registry.path = path.parent.parent / "another.yml"
    registry.path.write_bytes(READONLY)
    with pytest.raises(RegistryError, match="still read-only"):
        leave(str(path), {}, registry)
    assert files(path) == ["config.yml", "config.yml.writable"]


def test_a_registry_that_is_yet_to_start_is_not_restarted(path: Path) -> None:
    registry = FakeRegistry(path)
    enter(str(path), {}, registry)
    registry.running = None
    assert recover(str(path), {}, registry) is True
    assert (registry.restarts, path.read_bytes(), files(path)) == (1, TEXT, ["config.yml"])


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY])
def test_a_folder_that_is_not_ours_names_the_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    registry = FakeRegistry(path)
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ConfigError, match="gcMode: readonly"):
        enter(str(path), {}, registry)
    assert (registry.restarts, path.read_bytes(), files(path)) == (0, TEXT, ["config.yml"])


def test_a_full_disk_opens_no_window(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    registry = FakeRegistry(path)
    with monkeypatch.context() as full:
        full.setattr(os, "fchmod", refuse)
        with pytest.raises(WriteError, match="No space left"):
            enter(str(path), {}, registry)
    assert (registry.restarts, path.read_bytes(), files(path)) == (0, TEXT, ["config.yml"])


def test_a_full_disk_keeps_no_window_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    registry = FakeRegistry(path)
    enter(str(path), {}, registry)
    monkeypatch.setattr(readonly, "_write", refuse)
    leave(str(path), {}, registry)
    assert (registry.running, files(path)) == (TEXT, ["config.yml"])


def test_a_configuration_behind_a_symlink_is_rewritten_where_it_is(path: Path) -> None:
    link = path.parent.parent / "config.yml"
    link.symlink_to(path)
    registry = FakeRegistry(link)
    enter(str(link), {}, registry)
    leave(str(link), {}, registry)
    assert link.is_symlink()
    assert (link.read_bytes(), files(path)) == (TEXT, ["config.yml"])


def test_the_configuration_is_copied_for_the_pod(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target" / "config.yml"
    target.parent.mkdir()
    init_config(str(path), str(target))
    assert (target.read_bytes(), target.stat().st_mode) == (TEXT, path.stat().st_mode)
    assert files(target) == ["config.yml"]


def test_a_pod_starts_writable_whatever_its_earlier_life_left(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target" / "config.yml"
    target.parent.mkdir()
    init_config(str(path), str(target))
    registry = FakeRegistry(target)
    enter(str(target), {}, registry)
    (target.parent / "config.yml.new").touch()
    path.write_bytes(OWN)
    init_config(str(path), str(target))
    assert (target.read_bytes(), files(target)) == (OWN, ["config.yml"])


def test_a_configuration_that_is_missing_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yml cannot be read"):
        init_config(str(tmp_path / "missing.yml"), str(path))
    assert path.read_bytes() == TEXT
    with pytest.raises(WriteError, match=r"gone/config\.yml cannot be rewritten: No such file"):
        init_config(str(path), str(tmp_path / "gone" / "config.yml"))
