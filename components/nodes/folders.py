"""Where the container runtimes of nodes look for whom to trust, and what is accepted of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from .. import accepted
from ..inputs import made
from ..objects import NodeTrust

# containerd, Docker, and CRI-O, Podman and their like. None of them minds the others' folder.
_USUAL = ("/etc/containerd/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d")

# What a kubelet's version has in it -> where the containerd that comes with it looks.
_RANCHER = {
    "+k3s": "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    "+rke2": "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
}


@dataclass(frozen=True, slots=True)
class Trusting:
    """That nodes are to trust the registry, in these `folders`; None for the usual ones of the cluster."""

    folders: tuple[str, ...] | None


def read(value: Any, namespace: object) -> Trusting | None:
    """What `value` describes, as args or as a mapping; None where nodes are left alone. Raises ValueError."""
    trust = made(NodeTrust, value)
    if trust.enabled is None or not accepted.boolean(trust.enabled):
        if trust.folders is not None:
            raise ValueError(
                "folders are given and it is not enabled: set enabled to true, or leave them out"
            )
        return None
    if isinstance(namespace, str) and not accepted.LABEL.fullmatch(f"{namespace}{SUFFIX}"):
        raise ValueError(
            f"its namespace, {namespace}{SUFFIX}, has more than 63 characters: shorten namespace"
        )
    return Trusting(None if trust.folders is None else _folders(trust.folders))


SUFFIX = "-nodes"
"""What the namespace of the DaemonSet is called, after the registry's."""


def usual(kubelets: Iterable[str]) -> tuple[str, ...]:
    """The folders of a cluster whose kubelets are of these versions."""
    versions = list(kubelets)
    return (
        *_USUAL,
        *(each for mark, each in _RANCHER.items() if any(mark in version for version in versions)),
    )


def _folders(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"folders is {value!r}: give a list of absolute paths, such as {_USUAL[0]}")
    found = tuple(accepted.host_path(each) for each in cast("list[object]", value))
    if len(set(found)) < len(found):
        raise ValueError("folders names one twice: name each once")
    return found
