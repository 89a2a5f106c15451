"""Random trees under what people and disks do to them between and within runs: nothing that is needed goes.

The index of manifests is spoiled, exchanged and taken from an older run; trees are copied and restored with
their old times, also while a run waits; what is linked anew has the times of a backup. After each run what
must stay, by an implementation that shares no code with the pruner's, is there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pruner.settings.policies import parse_policies
from pruner.tree import index
from tests.gc import reference
from tests.gc.images import cosign_tag, digest_of, image, layer, signature
from tests.gc.inprocess import ONLINE, STATE, Pruner
from tests.gc.randomtree import REPOSITORIES, TAGS, grow
from tests.gc.storagedoubles import FakeClock
from tests.gc.twoimages import blobs_of

HOUR, DAY = 3600.0, 86400.0
SETTINGS = replace(ONLINE, trash=HOUR)
SEEDS = 4


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every time counts as past the grain of the clock, so that all that may be remembered is."""
    now = time.time
    later = SimpleNamespace(time=lambda: now() + 10)
    monkeypatch.setattr("pruner.storage.filesystem.time", later)


def files(pruner: Pruner) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(pruner.data)): (path.read_bytes(), path.stat().st_mtime)
        for path in pruner.data.rglob("*")
        if path.is_file() and not str(path.relative_to(pruner.data)).startswith(STATE)
    }


def must_stay(pruner: Pruner) -> set[str]:
    return reference.survivors(files(pruner), pruner.clock.now(), SETTINGS.untagged_after, SETTINGS.grace)


def a_tree(folder: Path, dice: random.Random) -> Pruner:
    pruner = Pruner(folder, SETTINGS)
    grow(pruner.tree, dice)
    pruner.old()
    return pruner


def grow_more(pruner: Pruner, dice: random.Random) -> None:
    """Pushes of the last days: what is new gets an age of its own, everything of one push the same."""
    old = {path for path in pruner.data.rglob("*") if path.is_file()}
    grow(pruner.tree, dice, 6)
    age = dice.choice([0.0, 60.0, 2 * HOUR, 3 * DAY])
    for path in pruner.data.rglob("*"):
        if path not in old and STATE not in str(path):
            moment = pruner.clock.now() - age
            os.utime(path, (moment, moment))


def run_and_compare(pruner: Pruner, said: object) -> None:
    """One run on a tree at rest: exactly what must stay does."""
    stays = must_stay(pruner)
    pruner.run()
    left = reference.links_and_blobs(files(pruner))
    assert stays - left == set(), said
    assert left - stays == set(), said
    assert pruner.verify().problems == (), said


# -- the index


def flipped(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]


def cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def of_other_files(content: bytes, _dice: random.Random) -> bytes:
    """Sound, and every entry is about a file that looks different: another size, time or version."""
    head = struct.Struct("<BBHIqdQ")
    body = bytearray(content[12:])
    at, number = 0, 0
    while at < len(body):
        length, kind, extra, blobs, size, mtime, version = head.unpack_from(body, at)
        told = [size, mtime, version]
        told[number % 3] += 1
        # What it says is empty of blobs: who believes it loses them all.
        head.pack_into(body, at, length, kind, extra, blobs, *told)
        start = at + head.size + length
        body[start : start + blobs] = bytes(blobs)
        at = start + blobs + extra
        number += 1
    assert number > 5
    return content[:8] + struct.pack("<I", zlib.crc32(body)) + bytes(body)


def of_other_lengths(content: bytes, _dice: random.Random) -> bytes:
    """Each image's blobs are said to be a byte shorter, and what follows them as much longer."""
    head = struct.Struct("<BBHIqdQ")
    body = bytearray(content[12:])
    at = 0
    while at < len(body):
        length, kind, extra, blobs, *told = head.unpack_from(body, at)
        if blobs:
            head.pack_into(body, at, length, kind, extra + 1, blobs - 1, *told)
        at += head.size + length + blobs + extra
    return content[:8] + struct.pack("<I", zlib.crc32(body)) + bytes(body)


def doubled(content: bytes, _dice: random.Random) -> bytes:
    return content + content


@pytest.mark.parametrize("spoil", [flipped, cut, of_other_files, of_other_lengths, doubled])
def test_a_spoiled_index_changes_nothing(
    tmp_path: Path, spoil: Callable[[bytes, random.Random], bytes]
) -> None:
    for seed in range(SEEDS):
        dice = random.Random(seed)
        pruner = a_tree(tmp_path / str(seed), dice)
        run_and_compare(pruner, seed)
        file = pruner.data / index.PATH
        assert len(index.Index.read(pruner.files)) > 2, "there is an index to be spoiled"
        file.write_bytes(spoil(file.read_bytes(), dice))
        grow_more(pruner, dice)
        run_and_compare(pruner, seed)
        shutil.rmtree(pruner.folder)


def test_the_index_of_another_time_or_tree_changes_nothing(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        dice = random.Random(seed)
        pruner, other = a_tree(tmp_path / "one", dice), a_tree(tmp_path / "other", dice)
        run_and_compare(other, seed)
        run_and_compare(pruner, seed)
        first = (pruner.data / index.PATH).read_bytes()
        for content in (first, (other.data / index.PATH).read_bytes()):
            grow_more(pruner, dice)
            run_and_compare(pruner, seed)
            (pruner.data / index.PATH).write_bytes(content)
            pruner.clock.advance(2 * HOUR)
            run_and_compare(pruner, seed)
        shutil.rmtree(tmp_path / "one")
        shutil.rmtree(tmp_path / "other")


def test_a_manifest_that_was_written_over_under_its_old_time_is_read(tmp_path: Path) -> None:
    """Of the same size and mtime: the index does not hide that it does not hash to its name."""
    for seed in range(SEEDS):
        dice = random.Random(seed)
        pruner = a_tree(tmp_path / str(seed), dice)
        run_and_compare(pruner, seed)
        manifests = [
            path for path in (pruner.data / reference.BASE / "blobs").rglob("data") if _is_image(path)
        ]
        damaged = dice.choice(manifests)
        before, content = damaged.stat(), damaged.read_bytes()
        damaged.write_bytes(content[:-8] + b"0" + content[-7:])
        os.utime(damaged, (before.st_mtime, before.st_mtime))
        links = files(pruner)
        report = pruner.run()
        digest = f"sha256:{damaged.parent.name}"
        holders = {
            path for path, (link, _) in links.items() if "/revisions/" in path and link == digest.encode()
        }
        assert report.plan.skipped or not holders, seed
        for name in report.plan.skipped:
            here = {path for path in links if f"/repositories/{name}/_" in path}
            assert here <= files(pruner).keys(), "kept whole"
        shutil.rmtree(pruner.folder)


def _is_image(path: Path) -> bool:
    return path.read_bytes().startswith(b"{") and b'"layers"' in path.read_bytes()


# -- copies and backups


def test_a_tree_that_was_copied_with_its_times_is_pruned_like_the_first(tmp_path: Path) -> None:
    """The copy has the first one's index, trash and times, and other inodes."""
    for seed in range(SEEDS):
        dice = random.Random(seed)
        pruner = a_tree(tmp_path / str(seed), dice)
        pruner.run()
        grow_more(pruner, dice)
        copy = Pruner(tmp_path / f"{seed} copy", SETTINGS, FakeClock(pruner.clock.now()))
        shutil.rmtree(copy.data)
        shutil.copytree(pruner.data, copy.data, copy_function=shutil.copy2)
        for each in (pruner, copy):
            run_and_compare(each, seed)
        assert files(copy).keys() == files(pruner).keys()
        shutil.rmtree(pruner.folder)
        shutil.rmtree(copy.folder)


def test_a_backup_that_is_put_over_a_tree_with_its_old_times_is_kept_where_it_is_needed(
    tmp_path: Path,
) -> None:
    for seed in range(SEEDS):
        dice = random.Random(seed)
        pruner = a_tree(tmp_path / str(seed), dice)
        backup = tmp_path / f"{seed} backup"
        shutil.copytree(pruner.data, backup, copy_function=shutil.copy2)
        pruner.run()
        for _ in range(3):
            grow_more(pruner, dice)
        pruner.run()
        pruner.clock.advance(dice.choice([60.0, 2 * HOUR]))
        shutil.copytree(backup, pruner.data, copy_function=shutil.copy2, dirs_exist_ok=True)
        run_and_compare(pruner, seed)
        shutil.rmtree(pruner.folder)
        shutil.rmtree(backup)


@pytest.mark.parametrize("what", ["everything", "a tag", "a layer link", "a blob"])
def test_a_backup_that_comes_while_a_run_waits_loses_nothing_tagged(tmp_path: Path, what: str) -> None:
    """With the times of the backup, so that nothing looks new: the links are seen, whatever their times."""
    seen = 0
    for seed in range(2 * SEEDS):
        dice = random.Random(seed)
        pruner = a_tree(tmp_path / str(seed), dice)
        backup = tmp_path / f"{seed} backup"
        shutil.copytree(pruner.data, backup, copy_function=shutil.copy2)
        gone = _untag(pruner, dice)
        waits: list[float] = []

        def while_asleep(
            seconds: float,
            pruner: Pruner = pruner,
            backup: Path = backup,
            waits: list[float] = waits,
            dice: random.Random = dice,
        ) -> None:
            waits.append(seconds)
            if len(waits) == dice.choice([1, 1, 2]):
                _restore(backup, pruner.data, what, dice)

        pruner.clock.while_asleep = while_asleep
        pruner.run()
        pruner.clock.while_asleep = lambda _seconds: None
        after = files(pruner)
        stays = must_stay(pruner)
        assert stays <= after.keys(), (seed, sorted(stays - after.keys()))
        needed = {path for path in _needed_by_tags(after) if path not in after}
        assert needed == set(), (seed, needed)
        pruner.clock.advance(2 * HOUR)
        pruner.run()
        assert {path for path in _needed_by_tags(files(pruner)) if path not in files(pruner)} == set(), seed
        seen += bool(gone and waits)
        shutil.rmtree(pruner.folder)
        shutil.rmtree(backup)
    assert seen > SEEDS


def _untag(pruner: Pruner, dice: random.Random) -> int:
    """Delete some tags, as clients do: with all of their folder."""
    folders = [
        pruner.tree.repository(name) / "_manifests/tags" / tag for name in REPOSITORIES for tag in TAGS
    ]
    there = [folder for folder in folders if folder.exists()]
    for folder in dice.sample(there, len(there) * 2 // 3):
        shutil.rmtree(folder)
    return len(there)


def _restore(backup: Path, data: Path, what: str, dice: random.Random) -> None:
    repositories = f"{reference.BASE}/repositories"
    if what == "everything":
        shutil.copytree(backup, data, copy_function=shutil.copy2, dirs_exist_ok=True)
        return
    # A tag never comes back alone: as a person restores it, with its repository and all the blobs.
    folders = sorted({path.parent.parent.parent for path in (backup / repositories).rglob("_manifests/tags")})
    if what == "a tag":
        folder = dice.choice(folders).relative_to(backup)
        for part in (f"{reference.BASE}/blobs", str(folder)):
            shutil.copytree(backup / part, data / part, copy_function=shutil.copy2, dirs_exist_ok=True)
        return
    pattern = "*/_layers/sha256/*/link" if what == "a layer link" else "blobs/sha256/*/*/data"
    found = sorted(backup.rglob(pattern))
    for path in dice.sample(found, min(3, len(found))):
        target = data / path.relative_to(backup)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _needed_by_tags(found: dict[str, tuple[bytes, float]]) -> set[str]:
    """The blobs that the tags need, as far as the manifests are there to say so."""
    needed: set[str] = set()
    pending = [link.decode() for path, (link, _) in found.items() if path.endswith("/current/link")]
    while pending:
        digest = pending.pop()
        path = f"{reference.BASE}/blobs/sha256/{digest[7:9]}/{digest[7:]}/data"
        if path in needed:
            continue
        needed.add(path)
        content = found.get(path, (b"", 0.0))[0]
        if content.startswith(b"{"):
            said = json.dumps({**json.loads(content), "subject": None})
            pending.extend(reference.DESCRIBED.findall(said))
    return needed


@pytest.mark.parametrize("what", ["a tag by policy", "a tag that follows", "a revision", "a layer link"])
def test_hazard_38_a_link_that_comes_back_with_its_very_time_is_not_the_one_that_was_taken(
    tmp_path: Path, what: str
) -> None:
    """Nothing is left that names what is not there: the link stays, and with it all that it needs."""
    pruner = Pruner(tmp_path, replace(SETTINGS, retention=parse_policies([{"tags": "v*", "keepLast": 1}])))
    tree = pruner.tree
    subject, old = image([layer("subject")], "subject"), image([layer("old")], "old")
    tree.push("app", old, "v1")
    pruner.old(31 * DAY)
    kept = image([layer("kept")], "kept")
    tree.push("app", kept, "v2")
    tree.push("app", subject)
    tree.push("app", signature(subject), cosign_tag(subject.digest))
    untagged = image([layer("untagged")], "untagged")
    tree.push("app", untagged)
    for path in pruner.data.rglob("*"):
        moment = pruner.clock.now() - (31 if "/v1/" in str(path) else 30) * DAY
        os.utime(path, (moment, moment))
    backup = tmp_path / "backup"
    shutil.copytree(pruner.data, backup, copy_function=shutil.copy2)
    comes, needs = {
        "a tag by policy": (tree.tag_path("app", "v1"), old),
        "a tag that follows": (tree.tag_path("app", cosign_tag(subject.digest)), signature(subject)),
        "a revision": (tree.revision_path("app", untagged.digest), untagged),
        "a layer link": (tree.layer_path("app", digest_of(untagged.blobs[0])), untagged),
    }[what]
    waits: list[float] = []

    def while_asleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            assert not comes.exists(), "the run has taken it"
            shutil.copy2(backup / comes.relative_to(pruner.data), comes)

    pruner.clock.while_asleep = while_asleep
    pruner.run()
    assert comes.exists()
    left = {digest_of(untagged.blobs[0])} if what == "a layer link" else blobs_of(needs)
    assert left | blobs_of(kept) <= pruner.blobs()
    assert [problem.kind for problem in pruner.verify().problems] == []
    assert pruner.plan().plan.skipped == {}
    pruner.clock.while_asleep = lambda _seconds: None
    pruner.run()
    # By the next run it is as old as it says; a tag whose subject was never here is an ordinary one.
    stays = blobs_of(signature(subject)) if what == "a tag that follows" else set[str]()
    assert pruner.blobs() == blobs_of(kept) | stays
