"""How much a look does, counted: what stays is listed, what may go is looked at; a second look is cheap."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from pruner.clock import RunTime
from pruner.tree.index import PATH, Index
from pruner.tree.library import Library
from tests.gc.images import image, layer
from tests.gc.inprocess import Pruner
from tests.gc.twoimages import KEPT, blobs_of

KEPT_IMAGES, GONE_IMAGES, LAYERS = 12, 3, 4


@pytest.fixture
def pruner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pruner:
    """A tree of which no folder is entered, as of a large one all but a few are not."""
    monkeypatch.setattr("pruner.tree.scan.ENTERED", 0)
    pruner = Pruner(tmp_path)
    for number in range(KEPT_IMAGES + GONE_IMAGES):
        layers = [layer(f"{number} {each}") for each in range(LAYERS)]
        tags = (f"v{number}",) if number < KEPT_IMAGES else ()
        pruner.tree.push(f"app{number % 2}", image(layers, f"image {number}"), *tags)
    pruner.old()
    return pruner


def count(pruner: Pruner) -> Counter[str]:
    """What was asked of the storage since the last count, by the kind of thing that it was about."""
    counted: Counter[str] = Counter()
    for operation, path in pruner.storage.calls:
        if "/pruner" in path or operation == "stamp":
            continue
        part = "blobs" if "/blobs/" in path else "tags" if "/tags/" in path else "links"
        counted[f"{operation} {part}"] += 1
    pruner.storage.calls.clear()
    return counted


def test_a_plan_reads_each_manifest_and_tag_once_and_else_what_may_go(pruner: Pruner) -> None:
    count(pruner)
    assert len(pruner.plan().removals) == GONE_IMAGES * (1 + (LAYERS + 1) + (LAYERS + 2))
    assert "stamp" not in dict(pruner.storage.calls), "nobody looks again"
    counted = count(pruner)
    assert counted["read blobs"] == KEPT_IMAGES + GONE_IMAGES
    assert counted["read tags"] == KEPT_IMAGES
    assert counted["read links"] == GONE_IMAGES * (1 + LAYERS + 1)
    assert counted["stat blobs"] == GONE_IMAGES * (LAYERS + 2)
    prefixes = len({digest[7:9] for digest in pruner.blobs()})
    assert counted["list blobs"] <= 1 + prefixes


def test_what_an_earlier_run_knew_of_manifests_is_not_read_again(pruner: Pruner) -> None:
    time.sleep(2.1)  # until the times of what was just written tell something
    library = Library(pruner.files)
    observer = pruner.place(pruner.files).observer(RunTime(pruner.clock), library)
    look = observer.look()
    pruner.files.make_folder(PATH.rpartition("/")[0])
    library.save(pruner.files, look.tree)
    assert len(Index.read(pruner.files)) == KEPT_IMAGES + GONE_IMAGES
    count(pruner)
    before = pruner.plan().removals
    assert count(pruner)["read blobs"] == 0
    # One flipped digit is found, as the file does not look as it did.
    manifest = image([layer(f"0 {each}") for each in range(LAYERS)], "image 0")
    path = pruner.tree.blob_path(manifest.digest)
    path.write_bytes(manifest.content.replace(b"0", b"1", 1))
    report = pruner.plan()
    assert count(pruner)["read blobs"] == 1
    assert set(report.plan.skipped) == {"app0"}
    path.write_bytes(manifest.content)
    # An index that is cut, changed or of another version counts for nothing.
    file = Path(pruner.files.root, PATH)
    whole = file.read_bytes()
    for spoiled in (b"", whole[:-1], whole[:40] + b"\xff" + whole[41:], b"\x00" + whole[1:]):
        file.write_bytes(spoiled)
        assert len(Index.read(pruner.files)) == 0
        assert pruner.plan().removals == before
        assert count(pruner)["read blobs"] == KEPT_IMAGES + GONE_IMAGES


def test_a_later_look_lists_no_folder_that_did_not_change(pruner: Pruner) -> None:
    time.sleep(2.1)
    observer = pruner.place().observer(RunTime(pruner.clock), Library(pruner.storage))
    observer.look()
    count(pruner)
    observer.look(held=())
    counted = count(pruner)
    assert counted["list blobs"] == 0
    assert counted["read blobs"] == 0
    assert counted["stat blobs"] == 0, "each is looked at when it is taken"
    assert counted["list tags"] == 0
    assert counted["read tags"] == 0
    assert counted["stat tags"] == KEPT_IMAGES, "tags are always looked at themselves"
    pruner.tree.push("app0", KEPT, "new")
    look = observer.look(held=())
    assert "new" in look.tree.repositories["app0"].tags
    assert blobs_of(KEPT) <= look.marks.blobs
