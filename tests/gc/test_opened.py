"""What a registry's process runs with, read through a /proc below a temporary folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pruner.errors import RegistryError
from pruner.registry import config
from pruner.registry.opened import Opened, folders_of, inside, look_into, tree_of
from pruner.registry.process import serving
from tests.gc.processdoubles import FakeProc


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def found(proc: FakeProc) -> Opened | None:
    return look_into(serving(str(proc))[0], str(proc))


@pytest.mark.parametrize(
    ("argv", "cwd", "variable"),
    [
        (("registry", "serve", "/etc/distribution/config.yml"), None, None),
        (("registry", "serve", "--flag", "config.yml"), "/etc/distribution", None),
        (("registry", "serve"), None, "/etc/distribution/config.yml"),
        (("something", "serve", "/etc/distribution/config.yml"), None, "/nowhere"),
    ],
)
def test_item_4_its_file_is_the_one_it_names_in_its_own_root(
    proc: FakeProc, argv: tuple[str, ...], cwd: str | None, variable: str | None
) -> None:
    given = proc.serve(addr=":5001")
    environ = {"REGISTRY_CONFIGURATION_PATH": variable} if variable else {}
    proc.add(7, *argv, cwd=cwd, environ=environ)
    opened = found(proc)
    assert opened
    assert (opened.config.path, opened.config.http.port) == ("/etc/distribution/config.yml", 5001)
    assert opened.config.root == "/data"
    assert opened.folders == folders_of(given.root)


def test_item_2_its_variables_override_its_file(proc: FakeProc) -> None:
    proc.serve()
    proc.add(
        7,
        "registry",
        "serve",
        "/etc/distribution/config.yml",
        environ={"REGISTRY_STORAGE_CACHE": "{blobdescriptor: inmemory}", "REGISTRY_HTTP_PREFIX": "/hub"},
    )
    opened = found(proc)
    assert opened and (opened.cache, opened.config.http.prefix) == ("inmemory", "/hub/")


def test_a_file_changed_after_it_began_may_not_be_what_it_runs_with(proc: FakeProc) -> None:
    proc.serve()
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml", started=1)
    opened = found(proc)
    assert opened and opened.stale and (opened.config.cache, opened.cache) == ("none", "inmemory")


def test_what_it_runs_with_is_sure_while_nothing_took_the_place_of_its_file(proc: FakeProc) -> None:
    """As at the end of a read-only window: what comes back is older than the process that reads another."""
    proc.serve()
    file = proc.root / "etc/distribution/config.yml"
    os.utime(file, (1000, 1000))
    os.link(file, file.with_name("saved"))
    moment = time.clock_gettime(time.CLOCK_BOOTTIME)
    began = int((moment + 0.1) * os.sysconf("SC_CLK_TCK"))
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml", started=began)
    time.sleep(0.2)
    opened = found(proc)
    assert opened and opened.sure
    os.link(file.with_name("saved"), file.with_name("new"))
    os.replace(file.with_name("new"), file)
    opened = found(proc)
    assert opened and not opened.sure and not opened.stale


def test_the_tree_is_the_same_when_only_the_folder_below_the_root_is(proc: FakeProc, tmp_path: Path) -> None:
    """Another root directory, into which the tree is mounted (here: linked)."""
    given = proc.serve()
    (Path(given.root) / "docker/registry/v2").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "docker").symlink_to(Path(given.root) / "docker")
    assert folders_of(given.root) & folders_of(str(tmp_path / "other"))


def test_a_root_that_is_still_to_be_made_is_known_by_the_folder_it_will_be_in(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    missing = folders_of(str(tmp_path / "missing/root"))
    assert missing == folders_of(str(tmp_path / "link/missing/root"))
    assert not missing & folders_of(str(tmp_path / "missing/other"))
    assert not missing & folders_of(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["version: 0.1\nstorage: {gcs: {bucket: b}}\n", "version: 0.1\nstorage: inmemory\n"]
)
def test_a_registry_with_another_storage_is_none_of_ours(proc: FakeProc, text: str) -> None:
    proc.serve()
    (proc.root / "etc/distribution/config.yml").write_text(text)
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml")
    assert found(proc) is None


def test_a_registry_on_a_bucket_is_known_by_that(proc: FakeProc) -> None:
    text = "version: 0.1\nstorage: {s3: {bucket: b, region: r, rootdirectory: /%s}}\n"
    proc.serve()
    (proc.root / "etc/distribution/config.yml").write_text(text % "one")
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml")
    registry = found(proc)
    assert registry is not None
    assert registry.folders == tree_of(config.parse((text % "one").encode(), "ours.yml", {}))
    assert not registry.folders & tree_of(config.parse((text % "two").encode(), "other.yml", {}))
    at = "version: 0.1\nstorage: {s3: {bucket: b, regionendpoint: 'http://%s', rootdirectory: /one}}\n"
    trees = [
        tree_of(config.parse((at % where).encode(), "ours.yml", {}))
        for where in ("127.0.0.1:9000", "localhost:9000", "127.0.0.1:9001")
    ]
    assert trees[0] & trees[1], "one server by two names"
    assert not trees[0] & trees[2] and not trees[0] & registry.folders


@pytest.mark.parametrize("text", ["]", "version: 0.1\nstorage: {filesystem: {rootdirectory: data}}\n"])
def test_a_registry_that_is_not_understood_may_be_ours(proc: FakeProc, text: str) -> None:
    proc.serve()
    (proc.root / "etc/distribution/config.yml").write_text(text)
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml")
    with pytest.raises(RegistryError, match=r"process 7 .* cannot be looked into"):
        found(proc)
    proc.add(7, "hugo", "serve", "/etc/distribution/config.yml")
    assert found(proc) is None, "what only serves something is not a registry because it is not understood"


def test_a_registry_whose_file_is_gone_may_be_ours(proc: FakeProc) -> None:
    proc.serve()
    proc.add(7, "registry", "serve", "/etc/gone.yml")
    with pytest.raises(RegistryError, match=r"cannot be looked into \(No such file"):
        found(proc)
    proc.add(7, "registry", "serve")
    with pytest.raises(RegistryError, match=r"cannot be looked into \(it names no configuration"):
        found(proc)


def test_a_process_that_ends_while_it_is_looked_into_is_none(proc: FakeProc) -> None:
    proc.serve()
    proc.add(7, "registry", "serve", "/etc/distribution/config.yml")
    process = serving(str(proc))[0]
    proc.end(7)
    assert look_into(process, str(proc)) is None


@pytest.mark.parametrize(
    ("links", "path", "expected"),
    [
        ({}, "/a/b", "a/b"),
        ({"a": "/c"}, "/a/b", "c/b"),
        ({"a": "c"}, "/a/../b", "b"),
        ({"a": "../../c"}, "/a", "c"),
        ({"a": "/b", "b": "c"}, "/a/.//d", "c/d"),
    ],
)
def test_links_are_followed_as_the_process_follows_them(
    tmp_path: Path, links: dict[str, str], path: str, expected: str
) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    assert inside(str(tmp_path), path) == f"{tmp_path}/{expected}"


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/a")
    with pytest.raises(OSError, match="too many symbolic links"):
        inside(str(tmp_path), "/a")
