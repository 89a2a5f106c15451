"""The labels that every object carries, and the few of them that objects are selected by."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

_PREFIX = "app.kubernetes.io/"
_NAME = "docker-registry"
# What a label's value may have, and how many characters of it.
_STRANGE = re.compile(r"[^A-Za-z0-9._-]")
_LENGTH = 63

SELECTOR = {f"{_PREFIX}name": _NAME, f"{_PREFIX}component": "registry"}
"""What the Service and the Deployment find the pod by.

A Deployment's selector can never be changed, so nothing is in it that may change, and these two stay as they
are: another selector would be another Deployment."""


def selector(component: str) -> dict[str, str]:
    """What another component's pods are found by."""
    return {**SELECTOR, f"{_PREFIX}component": component}


SHARED = {f"{_PREFIX}name": _NAME, f"{_PREFIX}part-of": _NAME, f"{_PREFIX}managed-by": "pulumi"}
"""What an object carries that several registries of a cluster share."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one registry's objects.

    Its instance is its namespace, of which the cluster has one, and which stays when a stack is renamed; its
    version is the registry's.
    """

    namespace: pulumi.Input[str]
    image: pulumi.Input[str]

    def of(self, component: str) -> dict[str, pulumi.Input[str]]:
        """The labels of an object of `component`."""
        return {
            **SHARED,
            f"{_PREFIX}component": component,
            f"{_PREFIX}instance": self.namespace,
            f"{_PREFIX}version": pulumi.Output.from_input(self.image).apply(version),
        }


def version(image: str) -> str:
    """What an image reference says of its version: its tag, else the start of its digest, else latest."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    said = tag if colon else digest.partition(":")[2][:12] or "latest"
    return _STRANGE.sub("-", said)[:_LENGTH].strip("._-") or "unknown"
