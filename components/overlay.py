"""What people add to the registry's own configuration: merged last, and no contradiction of the stack's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_KEYS = (
    "version",
    "log",
    "loglevel",
    "storage",
    "auth",
    "middleware",
    "http",
    "notifications",
    "redis",
    "health",
    "proxy",
    "policy",
    "validation",
    "catalog",
    "compatibility",
    "reporting",
)
"""What the registry's configuration has at its top, in version 2.8, 3.x or both."""

_OF_STORAGE = ("cache", "delete", "maintenance", "redirect", "tag")
"""What stands beside the driver."""

_STORAGE = "is where the images are: set storage"
_CACHE = "is the cache, which the pruner has to know: set cache"
_TLS = "is how the registry serves HTTPS, which is the stack's: leave it out"
_REACHED = "is where the Service, the probes and the pruner reach it: leave it out"
_TAKEN: Mapping[tuple[str, ...], str] = {
    ("version",): "is the format's, 0.1: leave it out",
    ("auth",): "is who is let in: set auth",
    ("redis",): "is where the cache is: set redis",
    ("storage", "cache", "blobdescriptor"): _CACHE,
    ("storage", "maintenance", "uploadpurging"): "is the pruner's: set gcUploadsAfter",
    ("http", "addr"): _REACHED,
    ("http", "net"): _REACHED,
    ("http", "prefix"): _REACHED,
    ("http", "debug"): "serves the metrics to the pruner, and profiles to nobody else: leave it out",
    ("http", "secret"): "is made by the stack: leave it out",
    ("http", "draintimeout"): "is made for the time that the pod has to end: leave it out",
    ("http", "tls", "certificate"): _TLS,
    ("http", "tls", "key"): _TLS,
    ("http", "tls", "letsencrypt"): _TLS,
    ("http", "tls", "clientcas"): "would shut out the probes and the pruner: leave it out",
    ("http", "tls", "clientauth"): "would shut out the probes and the pruner: leave it out",
}
"""Path of a key that is not to be set -> why, and what to do."""


def read(value: object) -> Mapping[str, Any]:
    """The configuration to merge, empty for none. Raises ValueError, which names keys and quotes no value."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("it is not an object: give one with keys of the registry's configuration")
    given = cast("Mapping[str, Any]", value)
    for key in given:
        if key not in _KEYS:
            raise ValueError(f"{key!r} is not a key of the registry's configuration: give {', '.join(_KEYS)}")
    for path, why in _TAKEN.items():
        found = _touched(given, path)
        if found == path:
            raise ValueError(f"{'.'.join(path)} {why}")
        if found is not None:
            raise ValueError(f"{'.'.join(found)} is not an object: give one, or leave it out")
    for key in given.get("storage", ()):
        if key not in _OF_STORAGE:
            raise ValueError(f"storage.{key} {_STORAGE}")
    return given


def merged(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` over `base`: object by object; what is null goes, anything else stands in place of what was."""
    found = dict(base)
    for key, value in given.items():
        beneath = found.get(key)
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(beneath, Mapping):
            found[key] = merged(cast("Any", beneath), cast("Any", value))
        else:
            found[key] = value
    return found


def is_pull_through(given: Mapping[str, Any]) -> bool:
    """Whether the registry is a cache of another one, which expires what it holds by itself."""
    return given.get("proxy") is not None


def _touched(given: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The part of `path` at which `given` would change what stands there; None where it leaves it alone."""
    value: object = given
    for depth, key in enumerate(path):
        if not isinstance(value, Mapping):
            return path[:depth]
        below = cast("Mapping[str, object]", value)
        if key not in below:
            return None
        value = below[key]
    return path
