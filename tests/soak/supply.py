"""The images that the soak's clients push: small, sharing layers across images, clients and repositories."""

from __future__ import annotations

import random
import time
from functools import cache

from tests.gc.images import Image, attested, image, index, layer

LAYERS = 120  # shared layers altogether
WINDOW = 12  # of them are favoured at any time, so that a layer is garbage for a while and then wanted again
TURN = 4.0  # seconds until the window moves on
POOLED = 24  # images that every client pushes, byte for byte the same


@cache
def shared_layer(number: int) -> bytes:
    return layer(f"shared {number}", 1024 + 577 * (number % 13))


@cache
def pooled_image(number: int) -> Image:
    """An image that belongs to no client: one lets go of it while another pushes it."""
    layers = [shared_layer((7 * number + step) % LAYERS) for step in range(3)]
    return image(layers, f"pooled {number}", oci=bool(number % 2))


def is_pooled(candidate: Image) -> bool:
    return candidate.digest in _pooled_digests()


@cache
def _pooled_digests() -> frozenset[str]:
    return frozenset(pooled_image(number).digest for number in range(POOLED))


class Supply:
    """One client's source of images; the same seed gives the same choices, the clock moves the window."""

    def __init__(self, client: int, choices: random.Random) -> None:
        self.client = client
        self.choices = choices
        self.made = 0

    def any(self) -> Image:
        """An image, an index, or an index with an attestation."""
        pick = self.choices.random()
        if pick < 0.25:
            return self.pooled()
        if pick < 0.4:
            children = [self._child(), self._child()]
            self.made += 1
            name = f"client {self.client} index {self.made}"
            return index(children, oci=self.choices.random() < 0.7, annotations={"name": name})
        if pick < 0.47:
            return attested(self.unique(oci=True), f"{self.client} {self.made}")
        return self.unique(oci=self.choices.random() < 0.5)

    def pooled(self) -> Image:
        return pooled_image(self.choices.randrange(POOLED))

    def unique(self, *, oci: bool) -> Image:
        """An image that only this client ever makes, of shared layers and at times one of its own."""
        self.made += 1
        name = f"client {self.client} image {self.made}"
        layers = [self._layer() for _ in range(self.choices.randint(1, 3))]
        if self.choices.random() < 0.4:
            layers.append(layer(name, self.choices.randint(200, 20000)))
        return image(layers, name, oci=oci)

    def _child(self) -> Image:
        return self.pooled() if self.choices.random() < 0.4 else self.unique(oci=True)

    def _layer(self) -> bytes:
        if self.choices.random() < 0.4:
            return shared_layer(self.choices.randrange(LAYERS))
        return shared_layer((int(time.time() / TURN) * 5 + self.choices.randrange(WINDOW)) % LAYERS)
