"""The registry's own configuration: config.yml and its `REGISTRY_*` overrides, of versions 2 and 3.

The pruner finds storage, caches and the registry's address exactly as the registry does. Whatever it cannot
be sure of is a ConfigError: to prune the wrong tree, or with the wrong cache in mind, loses images.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pruner.errors import ConfigError
from pruner.registry.configyaml import NOT_DRIVERS, Schema, Source, StringMap, override, with_true

LOCATIONS = ("/etc/distribution/config.yml", "/etc/docker/registry/config.yml")

_OTHER_DRIVERS = frozenset({"azure", "gcs", "inmemory", "oss", "s3", "s3aws", "swift"})
_DEFAULT_ROOT = "/var/lib/registry"
_SCHEMA: dict[str, Schema] = {
    "version": "string",
    "storage": "storage",
    "auth": "auth",
    "http": {
        "addr": "string",
        "net": "string",
        "prefix": "string",
        "draintimeout": "duration",
        "tls": {
            "certificate": "string",
            "key": "string",
            "clientcas": "strings",
            "clientauth": "string",
            "letsencrypt": {"cachefile": "string"},
        },
        "debug": {"addr": "string"},
    },
    "redis": {
        "addr": "string",  # version 2
        "addrs": "strings",  # version 3
        "username": "string",
        "password": "string",
        "db": "int",
        "mastername": "string",
        "sentinelusername": "string",
        "sentinelpassword": "string",
        "tls": {"certificate": "string", "key": "string", "rootcas": "strings"},
    },
    "proxy": {"remoteurl": "string"},
}


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
    def tls(self) -> bool:
        """Whether the registry speaks TLS to redis."""
        return bool(self.certificate or self.key or self.root_cas)


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Where the registry listens: `host` (empty: every address) and `port`, or the unix socket `path`.

    `prefix` starts and ends with a slash; `drain_timeout` is in seconds, 0 when connections are cut at once.
    """

    net: Literal["tcp", "unix"]
    host: str
    port: int
    path: str
    prefix: str
    tls: bool
    certificate: str
    letsencrypt: bool
    client_certificates: bool
    drain_timeout: float
    debug_addr: str


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """What of the registry's configuration matters to a pruner.

    `path` is the file it came from, `proxy` the upstream of a pull-through cache; `redis` is set when `cache`
    is "redis". `raw` is the configuration after the overrides, as far as it is read here; it holds secrets.
    """

    path: str
    driver: str
    root: str
    cache: Literal["none", "inmemory", "redis"]
    redis: RedisConfig | None
    readonly: bool
    proxy: str | None
    http: HttpConfig
    auth: bool
    raw: Mapping[str, Any] = field(repr=False)


def load(path: str | None, environ: Mapping[str, str]) -> RegistryConfig:
    """Read the configuration at `path`, or where the registry itself looks when that is None.

    Raises ConfigError, naming file and line where it can, for what cannot be read, does not parse, or names a
    storage this pruner does not serve.
    """
    path = path or environ.get("REGISTRY_CONFIGURATION_PATH") or _existing()
    return parse(read(path), path, environ)


def read(path: str) -> bytes:
    """The bytes of the configuration file; raises ConfigError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"the registry's configuration {path} cannot be read: {error.strerror}") from error


def parse(text: bytes, path: str, environ: Mapping[str, str]) -> RegistryConfig:
    """The configuration that `text`, the content of `path`, and `environ` make; raises ConfigError."""
    raw: dict[str, Any] = Source(text, path).decode(_SCHEMA)
    if raw["version"] != "0.1":
        raise ConfigError(f"{path}: version is {raw['version']!r}, and the registry knows only 0.1")
    override(raw, _SCHEMA, environ)
    storage = cast("StringMap", raw["storage"])
    driver = _driver(storage, path)
    cache = _cache(storage)
    auth_type = next(iter(raw["auth"]), "")
    return RegistryConfig(
        path=path,
        driver=driver,
        root=_root(storage[driver], path),
        cache=cache,
        redis=_redis(raw["redis"], path) if cache == "redis" else None,
        readonly=_readonly(storage, path),
        proxy=raw["proxy"]["remoteurl"] or None,
        http=_http(raw["http"], path),
        auth=auth_type.lower() not in ("", "none"),
        raw=raw,
    )


def with_readonly(text: bytes) -> bytes:
    """The configuration `text` with `storage.maintenance.readonly.enabled: true`, its meaning else the same.

    Comments and layout are lost. Raises ConfigError when `text` is no configuration of a registry.
    """
    return with_true(text, ["storage", "maintenance", "readonly", "enabled"])


def _existing() -> str:
    for location in LOCATIONS:
        if os.path.exists(location):
            return location
    raise ConfigError(
        f"there is no registry configuration at {' or '.join(LOCATIONS)}: name it with --config or GC_CONFIG"
    )


def _driver(storage: StringMap, path: str) -> str:
    drivers = sorted(set(storage) - NOT_DRIVERS)
    if len(drivers) != 1:
        found = "no driver" if not drivers else " and ".join(drivers)
        raise ConfigError(
            f"{path}: storage names {found}, with the REGISTRY_STORAGE variables applied; give one"
        )
    driver = drivers[0]
    if driver in _OTHER_DRIVERS:
        raise ConfigError(
            f"{path}: the storage driver {driver} is not supported by this pruner, only filesystem is"
        )
    if driver != "filesystem":
        raise ConfigError(
            f"{path}: {driver!r} is no storage driver of the registry; this pruner serves filesystem"
        )
    return driver


def _root(parameters: StringMap, path: str) -> str:
    root: object = parameters.get("rootdirectory", _DEFAULT_ROOT)
    # A relative root depends on the folder the registry was started in, which is not known here.
    if not isinstance(root, str) or not root.startswith("/"):
        raise ConfigError(
            f"{path}: storage.filesystem.rootdirectory is {root!r} and must be an absolute path"
        )
    return os.path.normpath(root)


def _cache(storage: StringMap) -> Literal["none", "inmemory", "redis"]:
    cache = cast("StringMap", storage.get("cache", StringMap()))
    value: object = cache["blobdescriptor"] if "blobdescriptor" in cache else cache.get("layerinfo")
    return value if value in ("inmemory", "redis") else "none"


def _readonly(storage: StringMap, path: str) -> bool:
    maintenance = cast("StringMap", storage.get("maintenance", StringMap()))
    if "readonly" not in maintenance:
        return False
    setting: object = maintenance["readonly"]
    hint = f"{path}: storage.maintenance.readonly must be a mapping such as {{enabled: true}}"
    if isinstance(setting, StringMap):
        raise ConfigError(
            f"{hint}; give it in the file or as the YAML value of REGISTRY_STORAGE_MAINTENANCE_READONLY"
        )
    if not isinstance(setting, dict):
        raise ConfigError(f"{hint}, and is {setting!r}")
    enabled: object = cast("dict[object, object]", setting).get("enabled", False)
    if not isinstance(enabled, bool):
        raise ConfigError(
            f"{path}: storage.maintenance.readonly.enabled must be true or false, and is {enabled!r}"
        )
    return enabled


def _http(http: Mapping[str, Any], path: str) -> HttpConfig:
    net, tls = http["net"] or "tcp", http["tls"]
    if net not in ("tcp", "unix"):
        raise ConfigError(f"{path}: http.net is {net!r} and must be tcp or unix")
    host, port = ("", 0) if net == "unix" or not http["addr"] else _host_port(http["addr"], "http.addr", path)
    letsencrypt = bool(tls["letsencrypt"]["cachefile"])
    optional = tls["clientauth"] in ("request-client-cert", "verify-client-cert-if-given")
    return HttpConfig(
        net=net,
        host=host,
        port=port,
        path=http["addr"] if net == "unix" else "",
        prefix=f"/{http['prefix'].strip('/')}/".replace("//", "/"),
        tls=bool(tls["certificate"]) or letsencrypt,
        certificate=tls["certificate"],
        letsencrypt=letsencrypt,
        client_certificates=bool(tls["clientcas"]) and not optional,
        drain_timeout=http["draintimeout"],
        debug_addr=http["debug"]["addr"],
    )


def _redis(redis: Mapping[str, Any], path: str) -> RedisConfig:
    addresses = [redis["addr"]] if redis["addr"] else []
    if redis["addrs"]:
        if addresses and addresses != redis["addrs"]:
            raise ConfigError(
                f"{path}: redis.addr (version 2) and redis.addrs (version 3) differ; give one of them"
            )
        addresses = redis["addrs"]
    if not addresses:
        raise ConfigError(
            f"{path}: storage.cache is redis but neither redis.addr nor redis.addrs says where it is"
        )
    return RedisConfig(
        addresses=tuple(_host_port(address, "redis.addrs", path) for address in addresses),
        username=redis["username"],
        password=redis["password"],
        db=redis["db"],
        master=redis["mastername"],
        sentinel_username=redis["sentinelusername"],
        sentinel_password=redis["sentinelpassword"],
        certificate=redis["tls"]["certificate"],
        key=redis["tls"]["key"],
        root_cas=tuple(redis["tls"]["rootcas"]),
    )


def _host_port(address: str, key: str, path: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    wrong = ConfigError(
        f"{path}: {key} is {address!r} and must be a host and a port, such as :5000 or redis:6379"
    )
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise wrong
    try:
        # Go takes a service's name for a port as well.
        number = int(port) if port.isdecimal() else socket.getservbyname(port, "tcp")
    except OSError as error:
        raise wrong from error
    if number > 65535:
        raise wrong
    return host.strip("[]"), number
