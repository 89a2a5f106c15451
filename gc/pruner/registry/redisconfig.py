"""Where the registry keeps its descriptor cache in redis, as each version of the registry takes it.

Version 2 knows one address, a password and a database. Version 3 has the UniversalOptions of its client,
go-redis: one address is a server, several are a cluster, and with a master's name they are its sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pruner.errors import ConfigError
from pruner.registry.goyaml import Schema

_TLS: Mapping[str, Schema] = {"certificate": "string", "key": "string", "rootcas": "strings"}
_OPTIONS: Mapping[str, Schema] = {
    "addrs": "strings",
    "username": "string",
    "password": "string",
    "db": "int",
    "mastername": "string",
    "sentinelusername": "string",
    "sentinelpassword": "string",
}
_VERSION_3: Mapping[str, Schema] = {"options": _OPTIONS, "tls": _TLS}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How versions of the registry find redis: the fields of `redis`, and how a variable reaches them.

    With `inline`, REGISTRY_REDIS_ADDRS is obeyed beside REGISTRY_REDIS_OPTIONS_ADDRS.
    """

    version: str
    schema: Mapping[str, Schema]
    inline: bool


DIALECTS = (
    Dialect("3.1", _VERSION_3, inline=True),
    Dialect("3.0", _VERSION_3, inline=False),
    Dialect("2", {"addr": "string", "password": "string", "db": "int"}, inline=False),
)
"""The newest first: of two that find the same redis, its credentials are what counts."""


class NoRedisError(ConfigError):
    """The cache is to be in redis, and nothing says where that is: the registry does not start with that."""


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """Where the registry keeps its descriptor cache: one server, a cluster, or the sentinels of `master`.

    `certificate`, `key` and `root_cas` are paths; TLS is spoken when any of them is given.
    """

    addresses: tuple[tuple[str, int], ...]
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    master: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    root_cas: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the cache is, whoever asks: servers and database, without any secret."""
        servers = ", ".join(f"{host}:{port}" for host, port in self.addresses)
        return f"{servers}{f' of {self.master}' if self.master else ''}, database {self.db}"

    @property
    def tls(self) -> bool:
        """Whether the registry speaks TLS to redis."""
        return bool(self.certificate or self.key or self.root_cas)


def redis_config(redis: Mapping[str, Any], path: str) -> RedisConfig:
    """What `redis`, decoded in some dialect, says; raises ConfigError, NoRedisError without an address."""
    options = redis.get("options", redis)
    addresses = options.get("addrs") or [address for address in (options.get("addr"),) if address]
    if not addresses:
        raise NoRedisError(
            f"{path}: storage.cache is redis but neither redis.addr nor redis.addrs says where it is"
        )
    tls = redis.get("tls", {})
    return RedisConfig(
        addresses=tuple(host_port(address, "redis.addrs", path) for address in addresses),
        username=options.get("username", ""),
        password=options["password"],
        db=options["db"],
        master=options.get("mastername", ""),
        sentinel_username=options.get("sentinelusername", ""),
        sentinel_password=options.get("sentinelpassword", ""),
        certificate=tls.get("certificate", ""),
        key=tls.get("key", ""),
        root_cas=tuple(tls.get("rootcas", ())),
    )


def host_port(address: str, key: str, path: str) -> tuple[str, int]:
    """A host and port as Go writes them, in which the host may be empty; raises ConfigError."""
    host, colon, port = address.rpartition(":")
    wrong = ConfigError(
        f"{path}: {key} is {address!r} and must be a host and a port, such as :5000 or redis:6379"
    )
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise wrong
    try:
        number = int(port) if port.isdecimal() else _service(port)
    except OSError as error:
        raise wrong from error
    if number > 65535:
        raise wrong
    return host.strip("[]"), number


def _service(name: str) -> int:
    """Go takes a service's name for a port as well; raises OSError for an unknown one."""
    import socket  # only here: few name a port so

    return socket.getservbyname(name, "tcp")
