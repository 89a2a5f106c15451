"""Sound trees at random, with everything that refers to something, as registries write them over time."""

from __future__ import annotations

import random

from tests.gc.images import Image, artifact, cosign_tag, fallback_tag, image, index, layer, signature
from tests.gc.treebuilder import TreeBuilder

REPOSITORIES = ("a/one", "a/two", "b", "b/one", "c")
TAGS = ("latest", "v1", "v2", "edge")
_LAYERS = 14


def grow(tree: TreeBuilder, dice: random.Random, pushes: int = 25) -> None:
    """Push images, indexes, referrers and signatures, each maybe over an older tag or without one."""
    pushed: dict[str, list[Image]] = {name: [] for name in REPOSITORIES}
    everywhere: list[Image] = []
    for number in range(pushes):
        repository = dice.choice(REPOSITORIES)
        here = pushed[repository]
        made, tags = _made(dice, number, here, everywhere)
        tree.push(repository, made, *tags)
        here.append(made)
        everywhere.append(made)
    for number in range(dice.randrange(4)):
        tree.layer(dice.choice(REPOSITORIES), b"a layer that nothing needs, %d" % dice.randrange(3))
        tree.blob(b"an orphan, %d %d" % (number, dice.randrange(99)))
    for repository, there in pushed.items():
        if there and dice.random() < 0.4:
            tree.link_tag(repository, dice.choice(TAGS), dice.choice(there).digest)


def _made(
    dice: random.Random, number: int, here: list[Image], everywhere: list[Image]
) -> tuple[Image, tuple[str, ...]]:
    tags = (dice.choice(TAGS),) if dice.random() < 0.6 else ()
    kind = dice.random()
    if here and kind < 0.12:
        return artifact(f"sbom {number}", subject=dice.choice(here)), ()
    if here and kind < 0.24:
        subject = dice.choice(here)
        name = cosign_tag(subject.digest) if dice.random() < 0.7 else fallback_tag(subject.digest)
        return signature(subject), (name,)
    if everywhere and kind < 0.45:
        children = dice.sample(everywhere, min(len(everywhere), dice.randrange(1, 3)))
        return index(children), tags
    if everywhere and kind < 0.55:
        return dice.choice(everywhere), tags  # the same image in another place, or under another tag
    layers = [layer(f"pool {dice.randrange(_LAYERS)}", 64) for _ in range(dice.randrange(1, 4))]
    return image(layers, f"image {dice.randrange(40)}"), tags
