"""Which addresses of the nodes are published when no host is configured: stable ones. Pure but for a knock.

What was published stays, to the last address, as long as the first of it, the one that people push to, still
serves: a node that joins or leaves renews no certificate and rolls no pod. Only then is the list made anew.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .connection import ClusterError

LIMIT = 16
"""Addresses that a certificate is made for without being asked to."""

_KNOCK = 3.0  # seconds; an address is no use to people that answers later

Knock = Callable[[str, int], bool]


@dataclass(frozen=True, slots=True)
class Node:
    """A node by name, with its addresses and its kubelet's version; whether the cluster counts on it."""

    name: str
    ready: bool
    external: tuple[str, ...]
    internal: tuple[str, ...]
    kubelet: str = ""


def node(item: Mapping[str, Any]) -> Node:
    """The node that the cluster describes by `item`."""
    status = cast("dict[str, Any]", item.get("status") or {})
    given = [(each["type"], each["address"]) for each in status.get("addresses") or ()]
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return Node(
        name=item["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        external=tuple(address for kind, address in given if kind == "ExternalIP"),
        internal=tuple(address for kind, address in given if kind == "InternalIP"),
        kubelet=cast("dict[str, str]", status.get("nodeInfo") or {}).get("kubeletVersion", ""),
    )


def answers(host: str, port: int) -> bool:
    """Whether something takes a connection there."""
    try:
        socket.create_connection((host, port), timeout=_KNOCK).close()
    except OSError:
        return False
    return True


def choose(
    nodes: Sequence[Node],
    published: Sequence[str],
    families: frozenset[str],
    port: int | None,
    knock: Knock = answers,
) -> tuple[str, ...]:
    """The hosts to publish, those for the outside first. Raises ClusterError if there is none, or too many.

    `published` is what the cluster says was published last; `families` are those of the Service, `IPv4` and
    `IPv6`, empty where they are not known. A published address of a node that is not ready still serves if it
    answers at `port`.
    """
    served = _addresses(nodes, families)
    ready = _addresses([node for node in nodes if node.ready], families)
    if published and published[0] in served:
        first = published[0]
        if first in ready or (port is not None and knock(first, port)):
            return tuple(published)
    kept = [host for host in published if host in ready]
    found = tuple(dict.fromkeys([*kept, *ready]))
    if not found:
        raise ClusterError(_nothing(nodes, families))
    if len(found) > LIMIT:
        raise ClusterError(
            f"the cluster's nodes have {len(found)} addresses, and no more than {LIMIT} are published "
            "unnamed: set externalHosts to the names or addresses that clients are to use"
        )
    return found


def _nothing(nodes: Sequence[Node], families: frozenset[str]) -> str:
    what = f" of {' and '.join(sorted(families))}" if families else ""
    state = "ready node" if any(node.external or node.internal for node in nodes) else "node"
    return f"no {state} of the cluster has an address{what}: set externalHosts to what leads there"


def _addresses(nodes: Sequence[Node], families: frozenset[str]) -> list[str]:
    found = [address for node in nodes for address in node.external]
    found += [address for node in nodes for address in node.internal]
    return [address for address in dict.fromkeys(found) if not families or _family(address) in families]


def _family(address: str) -> str:
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""
