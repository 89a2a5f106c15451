"""Random trees: sound ones as registries leave them, and what may happen to one that no registry does."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.gc.images import Image, artifact, cosign_tag, digest_of, image, index, layer, signature
from tests.gc.treebuilder import TreeBuilder, walk, write

NAMES = ("app", "app/web", "application", "team/a/b", "x")
AGES = (5.0, 300.0, 7200.0, 2592000.0)
"""Seconds: some younger than any grace, some between the delays, most beyond all of them."""


def _layer(dice: random.Random) -> bytes:
    """No layer begins as a manifest does, by which the slow way tells them apart."""
    return b"layer " + layer(f"{dice.random()}", 24)


def images(dice: random.Random, *, plain: bool = False) -> list[Image]:
    """Images that share layers, indexes over some; if not `plain`, artifacts and signatures about others."""
    layers = [_layer(dice) for _ in range(6)]
    made = [
        image(dice.sample(layers, dice.randint(1, 4)), f"image {number}", oci=dice.random() < 0.5)
        for number in range(dice.randint(2, 6))
    ]
    for number in range(dice.randint(0, 3)):
        made.append(index(dice.sample(made, min(len(made), dice.randint(1, 3)))))
        if not plain:
            made.append(artifact(f"{number}", subject=dice.choice(made)))
            made.append(signature(dice.choice(made)))
    return made


def sound(tree: TreeBuilder, dice: random.Random, now: float, *, plain: bool = False) -> None:
    """Pushes, tags that move on, untagged pushes, signatures, and blobs that nothing refers to.

    What one push wrote has one age, and later ones are younger. `now` is before this moment, in seconds since
    the epoch.
    """
    made = images(dice, plain=plain)
    moments = sorted((now - age for age in dice.choices((*AGES, AGES[-1], AGES[-1]), k=100)), reverse=True)
    names = dice.sample(NAMES, dice.randint(1, 4))
    for name in names:
        for pushed in dice.sample(made, dice.randint(1, len(made))):
            tags = dice.sample(("1", "2", "latest"), dice.choice((0, 0, 1, 1, 2)))
            if not plain and dice.random() < 0.2:
                tags = [cosign_tag(dice.choice(made).digest)]
            tree.push(name, pushed, *tags)
            _settle(tree.root, now, moments.pop())
        for _ in range(dice.randint(0, 2)):
            tree.link_layer(name, tree.blob(_layer(dice)))
            _settle(tree.root, now, moments.pop())
        if dice.random() < 0.2 and (tags := sorted(tree.repository(name).glob("_manifests/tags/*"))):
            shutil.rmtree(dice.choice(tags) / "current")
    tree.blob(_layer(dice))
    _settle(tree.root, now, moments.pop())


def _settle(root: Path, now: float, moment: float) -> None:
    """Give one time to what was written since the last call."""
    for path in (*walk(root), root):
        if path.lstat().st_mtime > now:
            os.utime(path, (moment, moment), follow_symlinks=False)


def grow_old(root: Path, now: float, dice: random.Random) -> None:
    """Give everything in the tree one of the ages, each for itself."""
    for path in sorted(walk(root)):
        moment = now - dice.choice((*AGES, AGES[-1], AGES[-1]))
        os.utime(path, (moment, moment), follow_symlinks=False)


def go_on(tree: TreeBuilder, dice: random.Random) -> None:
    """What clients do in the middle of a run: a few pushes, tags and deletions."""
    for _ in range(dice.randint(0, 3)):
        dice.choice((_push, _link, _retag, _untag, _delete))(tree, dice)


def _push(tree: TreeBuilder, dice: random.Random) -> None:
    pushed = image([_layer(dice)], f"{dice.random()}")
    with suppress(OSError):  # something else lies on the way: the push ends half done
        tree.push(dice.choice(NAMES), pushed, *dice.sample(("1", "new"), dice.randint(0, 2)))


def _link(tree: TreeBuilder, dice: random.Random) -> None:
    """A blob that is there is linked once more, as a layer or as a manifest, perhaps in an empty folder."""
    blob = _any(tree, dice, *_DATA)
    if blob is not None and blob.parent.parent.parent.name == "sha256":
        place = dice.choice((tree.layer_path, tree.revision_path))
        digest = f"sha256:{blob.parent.name}"
        path = place(dice.choice(NAMES), digest)
        if not os.path.lexists(path) and not path.parent.is_symlink():
            with suppress(OSError):  # something else lies on the way
                write(path, digest.encode())


def _retag(tree: TreeBuilder, dice: random.Random) -> None:
    revision = _any(tree, dice, "repositories/**/_manifests/revisions/sha256/*/link")
    if revision is not None:
        name = str(revision.parents[4].relative_to(tree.top / "repositories"))
        with suppress(OSError):
            tree.link_tag(name, dice.choice(("1", "latest")), f"sha256:{revision.parent.name}")


def _untag(tree: TreeBuilder, dice: random.Random) -> None:
    tag = _any(tree, dice, "repositories/**/_manifests/tags/*")
    if tag is not None and tag.is_dir() and not tag.is_symlink():
        shutil.rmtree(tag)


def _delete(tree: TreeBuilder, dice: random.Random) -> None:
    link = _any(
        tree, dice, "repositories/**/_layers/sha256/*/link", "repositories/**/revisions/sha256/*/link"
    )
    if link is not None and link.is_file():
        link.unlink()


def spoil(tree: TreeBuilder, dice: random.Random) -> None:
    """Do a few things to the tree that no registry does."""
    for _ in range(dice.randint(1, 4)):
        dice.choice(_MISCHIEF)(tree, dice)


def _any(tree: TreeBuilder, dice: random.Random, *patterns: str) -> Path | None:
    found = sorted(path for pattern in patterns for path in tree.top.glob(pattern))
    return dice.choice(found) if found else None


_LINKS = ("repositories/**/link",)
_DATA = ("blobs/*/*/*/data",)


def _rewrite(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, *_LINKS)
    if path is not None and path.is_file():
        other = digest_of(f"{dice.random()}".encode())
        path.write_bytes(dice.choice((b"", b" \n", b"sha256:0", path.read_bytes()[:40], other.encode())))


def _swap(tree: TreeBuilder, dice: random.Random) -> None:
    one, other = _any(tree, dice, *_LINKS), _any(tree, dice, *_LINKS)
    if one is not None and other is not None and one.is_file() and other.is_file():
        one.write_bytes(other.read_bytes())


def _flip(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, *_DATA)
    if path is not None and path.is_file():
        path.write_bytes(dice.choice((b"", b"{}", path.read_bytes().replace(b"a", b"b", 1))))


def _remove(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, *_LINKS, *_DATA)
    if path is not None:
        path.unlink() if not path.is_dir() else path.rmdir()


def _uproot(tree: TreeBuilder, dice: random.Random) -> None:
    parts = ("_manifests", "_manifests/tags", "_manifests/revisions/*", "_layers/*", "_manifests/tags/*")
    path = _any(tree, dice, *(f"repositories/**/{part}" for part in parts))
    if path is None or path.is_symlink() or not path.is_dir():
        return
    shutil.rmtree(path)
    dice.choice(_STAND_INS)(path)


_STAND_INS: tuple[Callable[[Path], object], ...] = (
    lambda path: path.mkdir(),
    lambda path: path.write_bytes(b"x"),
    lambda path: path.symlink_to(path),
    lambda path: path.symlink_to("/nowhere"),
    os.mkfifo,
    lambda _path: None,
)


def _replace(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, *_LINKS, *_DATA)
    if path is not None and path.is_file():
        path.unlink()
        dice.choice(_STAND_INS)(path)


def _litter(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, "**/")
    if path is not None:
        name = dice.choice(
            ("link.1f.tmp", "data.tmp", "foreign", "_odd", "sha256", "md5", "ab", "signatures")
        )
        place = path / name
        if not os.path.lexists(place):
            write(place, b"x") if dice.random() < 0.6 else place.mkdir()


def _alias(tree: TreeBuilder, dice: random.Random) -> None:
    name = dice.choice(NAMES)
    content = image([_layer(dice)], "alias").content
    path = _any(tree, dice, *_DATA)
    if path is not None and path.is_file():
        content = path.read_bytes()
    alias = digest_of(content, "sha512")
    target = dice.choice((alias, digest_of(content))).encode()
    part = dice.choice((tree.layer_path, tree.revision_path))
    write(part(name, alias), target)
    if dice.random() < 0.3:
        tree.blob(content, algorithm="sha512")


def _borrow(tree: TreeBuilder, dice: random.Random) -> None:
    path = _any(tree, dice, "repositories/**/_layers", "repositories/**/_manifests")
    target = dice.choice((".", "..", "/nowhere", "application", "app"))
    place = tree.repository(dice.choice(("lent", "app/lent")))
    if path is not None and not os.path.lexists(place) and place.parent.is_dir():
        place.symlink_to(target)


def _upload(tree: TreeBuilder, dice: random.Random) -> None:
    folder = tree.upload(dice.choice(NAMES), f"{dice.random()}", b"half")
    if dice.random() < 0.3:
        (folder / "odd").symlink_to("data")


_MISCHIEF = (
    *(_rewrite, _swap, _flip, _remove, _uproot, _replace, _litter, _litter, _alias, _borrow, _upload),
)
