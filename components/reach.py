"""Who may reach which port: what is accepted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from . import accepted
from .inputs import made
from .objects import NetworkPolicy

_PEERS = ("ipBlock", "namespaceSelector", "podSelector")

Peers = tuple[Mapping[str, Any], ...]
_EVERY_POD: Peers = ({"namespaceSelector": {}},)


@dataclass(frozen=True, slots=True)
class Reach:
    """Peers as a NetworkPolicy has them: who may reach the registry, empty for everyone, and its metrics."""

    clients: Peers
    metrics: Peers


def read(value: Any) -> Reach | None:
    """What `value` describes, as args or as a mapping; None for no policy. Raises ValueError."""
    given = made(NetworkPolicy, value)
    enabled = given.enabled is None or accepted.boolean(given.enabled)
    clients = _peers("clients", given.clients)
    metrics = _peers("metrics", given.metrics) or _EVERY_POD
    return Reach(clients, metrics) if enabled else None


def _peers(field: str, value: object) -> Peers:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise ValueError(f"{field} is {value!r}: give a list of peers, each with some of {', '.join(_PEERS)}")
    for peer in cast("list[object]", value):
        if not isinstance(peer, Mapping) or not peer:
            raise ValueError(f"{field} has {peer!r}: give an object with some of {', '.join(_PEERS)}")
        for name, entry in cast("Mapping[object, object]", peer).items():
            if name not in _PEERS or not isinstance(entry, Mapping):
                raise ValueError(f"{field} has {name!r}: give objects under {', '.join(_PEERS)}")
        if "ipBlock" in peer and len(cast("Mapping[str, object]", peer)) > 1:
            raise ValueError(f"{field} has ipBlock beside a selector, which is no peer: give each its own")
    return tuple(cast("list[Mapping[str, Any]]", value))
