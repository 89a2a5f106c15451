"""The smallest tree that a run changes: an image that stays and one that goes, with a layer in common."""

from __future__ import annotations

from tests.gc.images import Image, digest_of, image, layer
from tests.gc.inprocess import Pruner

BASE = layer("base")
KEPT = image([BASE, layer("kept")], "kept")
GONE = image([BASE, layer("gone")], "gone")


def blobs_of(*images: Image) -> set[str]:
    """The digests of every manifest and blob of the images."""
    manifests = [each for whole in images for each in whole.family()]
    return {each.digest for each in manifests} | {
        digest_of(blob) for each in manifests for blob in each.blobs
    }


def fill(pruner: Pruner, repository: str = "app") -> None:
    """Push both images, the one without a tag, and make everything old."""
    pruner.tree.push(repository, KEPT, "kept")
    pruner.tree.push(repository, GONE)
    pruner.old()


def is_pruned(pruner: Pruner) -> bool:
    return blobs_of(KEPT) <= pruner.blobs() and not pruner.has_blob(GONE.digest)
