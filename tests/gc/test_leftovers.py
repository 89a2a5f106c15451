"""What is nobody's any more: abandoned uploads, signatures of old trees, folders that are empty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.gc.images import image, layer
from tests.gc.inprocess import GRACE, ONLINE, Pruner, kinds
from tests.gc.treebuilder import write

KEPT = image([layer("base"), layer("kept")], "kept")
DELAY = ONLINE.uploads_after


@pytest.fixture
def pruner(tmp_path: Path) -> Pruner:
    pruner = Pruner(tmp_path, ONLINE)
    pruner.tree.push("app", KEPT, "kept")
    pruner.old()
    return pruner


def touch(pruner: Pruner, folder: Path, age: float) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (pruner.clock.now() - age, pruner.clock.now() - age))


def upload(pruner: Pruner, name: str, age: float, *, started: str | None = "2023-11-01T00:00:00Z") -> Path:
    folder = pruner.tree.upload("app", name, b"part of a layer", started=started)
    write(folder / "hashstates/sha256/15", b"state")
    touch(pruner, folder, age)
    return folder


def test_uploads_are_abandoned_after_their_own_delay_with_and_without_startedat(pruner: Pruner) -> None:
    going_on = [upload(pruner, "a", DELAY - 1), upload(pruner, "b", GRACE + 1, started=None)]
    abandoned = [upload(pruner, "c", DELAY + 1), upload(pruner, "d", DELAY + 1, started=None)]
    only_state = upload(pruner, "e", 10 * DELAY)
    os.utime(only_state / "hashstates/sha256/15", (pruner.clock.now() - 5, pruner.clock.now() - 5))
    report = pruner.run()
    assert {removal.path.rpartition("/")[2] for removal in report.removals} == {"c", "d"}
    assert all((folder / "data").read_bytes() for folder in (*going_on, only_state))
    assert not any(folder.exists() for folder in abandoned)
    assert report.summary()["removable_bytes"] == 2 * len(b"part of a layer") + 2 * 5 + 20
    assert report.summary()["kept"]["an upload that may go on"] == 3


def test_an_upload_that_somebody_comes_back_to_before_it_goes_stays(pruner: Pruner) -> None:
    folder = upload(pruner, "a", 2 * DELAY)

    looked: list[str] = []

    def before(operation: str, path: str) -> None:
        if operation == "stat" and path.endswith("a/data"):
            if looked:
                write(folder / "data", b"part of a layer and more")
                os.utime(folder / "data", (pruner.clock.now(), pruner.clock.now()))
            looked.append(path)

    pruner.storage.before = before
    assert kinds(pruner.run()) == {}
    assert (folder / "data").read_bytes() == b"part of a layer and more"


def test_signatures_of_old_trees_go_and_their_manifests_stay(pruner: Pruner) -> None:
    folder = pruner.tree.revision_path("app", KEPT.digest).with_name("signatures")
    write(folder / "sha256/ab12/link", b"sha256:ab12")
    pruner.old()
    assert kinds(pruner.run()) == {"signatures": 1}
    assert not folder.exists()
    assert pruner.verify().problems == ()


def test_empty_folders_and_repositories_go_when_they_are_old(pruner: Pruner) -> None:
    top = pruner.tree.top
    empty = [
        top / "repositories/never/pushed",
        pruner.tree.blob_path("sha256:" + "0" * 64).parent,
        pruner.tree.layer_path("app", "sha256:" + "0" * 64).parent,
        pruner.tree.repository("only") / "_uploads",
        pruner.tree.repository("deep/only") / "_layers/sha256",
    ]
    for folder in empty:
        folder.mkdir(parents=True)
    touch(pruner, top, GRACE - 1)
    pruner.run()
    assert all(folder.is_dir() for folder in empty)
    pruner.old()
    report = pruner.run()
    assert kinds(report) == {"folder": 3, "repository": 2}
    assert not any(folder.exists() for folder in empty)
    assert {path.name for path in (top / "repositories").iterdir()} == {"app"}
    assert pruner.run().removals == ()


@pytest.mark.parametrize("place", ["layer", "revision", "tag", "blob", "repository", "all there is"])
def test_a_folder_that_a_push_has_just_made_stays_whatever_is_around_it(pruner: Pruner, place: str) -> None:
    """The registry makes the folder and then writes into it, so it must not go in between."""
    digest = "sha256:" + "0" * 64
    folder = {
        "layer": pruner.tree.layer_path("app", digest).parent,
        "revision": pruner.tree.revision_path("app", digest).parent,
        "tag": pruner.tree.tag_path("app", "new").parent,
        "blob": pruner.tree.blob_path(digest).parent,
        "repository": pruner.tree.top / "repositories/new",
        "all there is": pruner.tree.layer_path("new", digest).parent,
    }[place]
    folder.mkdir(parents=True)
    pruner.old()
    os.utime(folder, (pruner.clock.now() - 1, pruner.clock.now() - 1))
    assert kinds(pruner.run()) == {}
    assert folder.is_dir()
    pruner.old()
    pruner.run()
    assert not folder.exists()


def test_a_folder_that_a_push_begins_to_fill_is_not_in_its_way(pruner: Pruner) -> None:
    folder = pruner.tree.repository("new") / "_uploads"
    folder.mkdir(parents=True)
    pruner.old()

    def before(operation: str, path: str) -> None:
        if operation == "remove_folder" and path.endswith("repositories/new/_uploads"):
            write(folder / "fresh/data", b"")

    pruner.storage.before = before
    assert kinds(pruner.run()) == {}
    assert (folder / "fresh/data").exists()
