"""The registry's own configuration: config.yml and its `REGISTRY_*` overrides, of versions 2 and 3.

The pruner finds storage, caches and the registry's address exactly as the registry does. Whatever it cannot
be sure of is a ConfigError: to prune the wrong tree, or with the wrong cache in mind, loses images.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pruner.errors import ConfigError
from pruner.registry.goyaml import NOT_DRIVERS, Schema, Source, StringMap
from pruner.registry.overrides import override
from pruner.registry.redisconfig import DIALECTS, Dialect, NoRedisError, RedisConfig, host_port, redis_config

if TYPE_CHECKING:
    from pruner.registry.s3parameters import S3Parameters

LOCATIONS = ("/etc/distribution/config.yml", "/etc/docker/registry/config.yml")
DEFAULT_CA = "/etc/registry-tls/ca.crt"

_OTHER_DRIVERS = frozenset({"azure", "gcs", "inmemory", "oss", "swift"})
_S3 = ("s3", "s3aws")
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
    "proxy": {"remoteurl": "string"},
}


class OtherStorageError(ConfigError):
    """The registry keeps its blobs where this pruner does not look."""


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
    key: str
    letsencrypt: bool
    client_certificates: bool
    drain_timeout: float
    debug_addr: str


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """What of the registry's configuration matters to a pruner.

    `path` is the file it came from, `proxy` the upstream of a pull-through cache; `redis` is set when `cache`
    is "redis", and `s3` when the storage is a bucket, of which `root` is then the URL.
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
    s3: S3Parameters | None = None


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
    """The configuration that `text`, the content of `path`, and `environ` make; raises ConfigError.

    The versions of the registry differ in how they find redis. Which of them runs is not known here, so what
    some of them make of it counts, the newest first: the others would not start with it. If two would keep
    their caches in different places, neither can be taken.
    """
    source = Source(text, path)
    read: dict[str, RegistryConfig] = {}
    refusals: list[ConfigError] = []
    for dialect in DIALECTS:
        try:
            read[dialect.version] = _parse(source, path, environ, dialect)
        except ConfigError as error:
            refusals.append(error)
    if not read:
        raise next((error for error in refusals if not isinstance(error, NoRedisError)), refusals[0])
    places = {version: config.redis.place for version, config in read.items() if config.redis is not None}
    if len(set(places.values())) > 1:
        found = "; ".join(f"version {version}: {place}" for version, place in places.items())
        raise ConfigError(
            f"{path}: where the cache in redis is depends on the registry's version ({found}): "
            "say it once in the file, in redis.addrs for version 3 or redis.addr for version 2"
        )
    return next(iter(read.values()))


def _parse(source: Source, path: str, environ: Mapping[str, str], dialect: Dialect) -> RegistryConfig:
    schema = _SCHEMA | {"redis": dialect.schema}
    raw: dict[str, Any] = source.decode(schema)
    if raw["version"] != "0.1":
        raise ConfigError(f"{path}: version is {raw['version']!r}, and the registry knows only 0.1")
    override(raw, schema, environ, inline=dialect.inline)
    storage = cast("StringMap", raw["storage"])
    driver = _driver(storage, path)
    cache = _cache(storage)
    auth_type = next(iter(raw["auth"]), "")
    s3: S3Parameters | None = None
    if driver in _S3:
        from pruner.registry.s3parameters import read_parameters  # brings sockets, which few need

        s3 = read_parameters(storage[driver] or {}, path)
    return RegistryConfig(
        path=path,
        driver=driver,
        root=_root(storage[driver], path) if s3 is None else s3.url,
        cache=cache,
        redis=redis_config(raw["redis"], path) if cache == "redis" else None,
        readonly=_readonly(storage, path),
        proxy=raw["proxy"]["remoteurl"] or None,
        http=_http(raw["http"], path),
        auth=auth_type.lower() not in ("", "none"),
        s3=s3,
    )


def with_readonly(text: bytes) -> bytes:
    """The configuration `text` with `storage.maintenance.readonly.enabled: true`, its meaning else the same.

    Comments and layout are lost. Raises ConfigError when `text` is not a configuration of a registry.
    """
    from pruner.registry.rewrite import with_true  # only here: a plan is to start fast

    return with_true(text, ["storage", "maintenance", "readonly", "enabled"])


def ca_file(environ: Mapping[str, str]) -> str | None:
    """The CA to check the registry's certificate with: GC_CA, else the usual file if something is in it."""
    # Where systems trust the authority anyway, the file is empty.
    usual = DEFAULT_CA if os.path.exists(DEFAULT_CA) and os.path.getsize(DEFAULT_CA) else None
    return environ.get("GC_CA") or usual


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
        raise OtherStorageError(
            f"{path}: the storage driver {driver} is not supported by this pruner, only filesystem and s3 are"
        )
    if driver != "filesystem" and driver not in _S3:
        raise ConfigError(
            f"{path}: {driver!r} is not a storage driver of the registry; this pruner serves filesystem and "
            "s3"
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
    host, port = ("", 0) if net == "unix" or not http["addr"] else host_port(http["addr"], "http.addr", path)
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
        key=tls["key"],
        letsencrypt=letsencrypt,
        client_certificates=bool(tls["clientcas"]) and not optional,
        drain_timeout=http["draintimeout"],
        debug_addr=http["debug"]["addr"],
    )
