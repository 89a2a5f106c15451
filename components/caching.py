"""Where the registry remembers blob descriptors when its cache is redis, and what is accepted of that."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import pulumi

from . import accepted, pod
from .inputs import comes, later, made
from .objects import Redis

Cache = Literal["none", "inmemory", "redis"]
KINDS: tuple[Cache, ...] = ("none", "inmemory", "redis")

IMAGE = "docker.io/valkey/valkey:8.1-alpine"
"""What the stack runs if nothing else is chosen: free software that speaks Redis' protocol."""

PORT = 6379

CA = "redis-ca"
"""The volume with the authority of a server that speaks TLS."""

CA_FOLDER = "/etc/redis-ca"

# Seconds, for connecting and for each answer: a server that is gone must not hold up a push.
_TIMEOUT = "2s"
# What version 2 keeps open; version 3 has such bounds by itself.
_POOL = {"maxidle": 16, "maxactive": 64, "idletimeout": "300s"}

_ADDRESS = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_OF_A_SERVER = tuple(field.name for field in dataclasses.fields(Redis) if field.name != "image")


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server that the stack runs from `image`, with a password of its own."""

    image: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class GivenServer:
    """A server of somebody's, or its sentinels; None where a value is not given."""

    addresses: pulumi.Input[tuple[str, ...]]
    database: pulumi.Input[int]
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None
    sentinel_master: pulumi.Input[str] | None
    sentinel_username: pulumi.Input[str] | None
    sentinel_password: pulumi.Input[str] | None
    ca_certificate: pulumi.Input[str] | None


Server = OwnServer | GivenServer


def read(value: Any, cache: str | None) -> Server | None:
    """The server of `value`, as args or as a mapping, for the `cache` of that kind. Raises ValueError."""
    redis = made(Redis, value)
    if cache != "redis":
        if redis != Redis():
            raise ValueError("it is only for the cache redis: set cache to redis, or leave this out")
        return None
    if redis.addresses is None:
        for field in _OF_A_SERVER:
            if getattr(redis, field) is not None:
                raise ValueError(
                    f"{accepted.camel_case(field)} is of a server of your own: give its addresses, or leave "
                    "it out for the one that the stack runs"
                )
        return OwnServer(later(IMAGE if redis.image is None else redis.image, accepted.image))
    if redis.image is not None:
        raise ValueError("image is of the server that the stack runs: leave it or addresses out")
    login = (redis.sentinel_username, redis.sentinel_password)
    if redis.sentinel_master is None and login != (None, None):
        raise ValueError("sentinelMaster is missing: give the name under which the sentinels know the master")
    return GivenServer(
        addresses=_addresses(redis.addresses),
        database=later(0 if redis.database is None else redis.database, _database),
        username=_text(redis.username, "username"),
        password=_text(redis.password, "password"),
        sentinel_master=_text(redis.sentinel_master, "sentinelMaster"),
        sentinel_username=_text(redis.sentinel_username, "sentinelUsername"),
        sentinel_password=_text(redis.sentinel_password, "sentinelPassword"),
        ca_certificate=None
        if redis.ca_certificate is None
        else later(redis.ca_certificate, accepted.certificate),
    )


def needs_version_3(server: Server | None) -> str | None:
    """The key of `server` that version 2 of the registry does not know, None if there is none."""
    if not isinstance(server, GivenServer):
        return None
    for field in ("username", "sentinel_master", "ca_certificate"):
        if getattr(server, field) is not None:
            return accepted.camel_case(field)
    several = isinstance(server.addresses, tuple) and len(server.addresses) > 1
    return "several addresses" if several else None


def configured(server: GivenServer) -> dict[str, Any]:
    """The section `redis` of the registry's configuration, read alike by 2.8 and 3.x; values may be Outputs.

    One address stands there twice, under the key of each version; the timeouts are both versions'.
    """
    options: dict[str, Any] = {
        "addrs": pulumi.Output.from_input(server.addresses).apply(list),
        "db": server.database,
        "dialtimeout": _TIMEOUT,
        "readtimeout": _TIMEOUT,
        "writetimeout": _TIMEOUT,
        "pool": _POOL,
    }
    if server.sentinel_master is None:
        options["addr"] = pulumi.Output.from_input(server.addresses).apply(lambda several: several[0])
    named = {
        "username": server.username,
        "password": _hidden(server.password),
        "mastername": server.sentinel_master,
        "sentinelusername": server.sentinel_username,
        "sentinelpassword": _hidden(server.sentinel_password),
    }
    options |= {key: value for key, value in named.items() if value is not None}
    if server.ca_certificate is not None:
        options["tls"] = {"rootcas": [f"{CA_FOLDER}/{pod.CA_FILE}"]}
    return options


def _hidden(password: pulumi.Input[str] | None) -> pulumi.Output[str] | None:
    return None if password is None else pulumi.Output.secret(password)


def _addresses(value: Any) -> pulumi.Input[tuple[str, ...]]:
    if any(map(comes, [value, *_entries(value)])):
        return pulumi.Output.from_input(value).apply(_all_addresses)
    return _all_addresses(value)


def _entries(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _all_addresses(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("addresses is not a list: give host:port, one or more")
    for address in cast("list[object]", value):
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None or not 1 <= int(found[2]) <= 65535:
            raise ValueError(f"addresses has {address!r}: give host:port, such as redis.example.com:6379")
    return tuple(cast("list[str]", value))


def _database(value: object) -> int:
    text = accepted.text(value)
    if text.isdecimal() and int(text) < 1 << 31:
        return int(text)
    raise ValueError(f"database is {value!r}: give its number, 0 or above")


def _text(value: pulumi.Input[str] | None, key: str) -> pulumi.Input[str] | None:
    return None if value is None else later(value, lambda given: accepted.secret(given, key))
