"""The registry's descriptor cache in redis, where what was pruned must be forgotten.

Otherwise the registry still says that it has the blob, clients skip its upload, and what they push cannot be
pulled. Source of the key scheme: distribution's registry/storage/cache/redis, the same in versions 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from pruner.delays import REDIS_TIMEOUT
from pruner.errors import RegistryError
from pruner.registry.redisconfig import RedisConfig

_BATCH = 1000  # pairs a round trip


def forget_redis(config: RedisConfig, removed: Iterable[tuple[str | None, str]]) -> None:
    """Make the cache forget every (repository, digest) of `removed`; None for the repository means the blob.

    Can be done twice. What is forgotten needlessly costs the registry one look at its storage. Raises
    RegistryError when redis cannot be reached or refuses; it may still know some of the pairs then.
    """
    # Most registries have no redis, and those that have rarely something to forget.
    try:
        import redis
    except ImportError as error:
        raise RegistryError(
            f"the registry's cache is in redis, and the library that speaks to it is missing ({error}): "
            "install redis beside the pruner (`pip install redis`), or mount the stack's archive of it"
        ) from error

    pairs = iter(removed)
    try:
        client = _client(config)
        try:
            while batch := list(islice(pairs, _BATCH)):
                pipeline = client.pipeline(transaction=False)
                for repository, digest in batch:
                    pipeline.delete(f"blobs::{digest}")
                    if repository is not None:
                        pipeline.srem(f"repository::{repository}::blobs", digest)
                        pipeline.delete(f"repository::{repository}::blobs::{digest}")
                pipeline.execute()
        finally:
            client.close()
    except (redis.RedisError, OSError) as error:
        servers = ", ".join(f"{host}:{port}" for host, port in config.addresses)
        raise RegistryError(
            f"the registry's cache in redis ({servers}) could not be made to forget what was pruned: {error}"
        ) from error


def _client(config: RedisConfig) -> Any:
    # The registry's client picks between sentinels, a cluster and a single server in the same way.
    from redis import Redis
    from redis.backoff import ExponentialBackoff
    from redis.cluster import ClusterNode, RedisCluster
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    options: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
        "retry": Retry(ExponentialBackoff(cap=1, base=0.1), retries=3),
    } | _tls(config)
    login: dict[str, Any] = {"username": config.username or None, "password": config.password or None}
    if config.master:
        sentinel_login = {
            "username": config.sentinel_username or None,
            "password": config.sentinel_password or None,
        }
        sentinels: Any = Sentinel(list(config.addresses), sentinel_kwargs=options | sentinel_login, **options)
        return sentinels.master_for(config.master, db=config.db, **login)
    if len(config.addresses) > 1:
        nodes = [ClusterNode(host, port) for host, port in config.addresses]
        return RedisCluster(startup_nodes=nodes, **options, **login)
    host, port = next(iter(config.addresses))
    return Redis(host=host or "localhost", port=port, db=config.db, **options, **login)


def _tls(config: RedisConfig) -> dict[str, Any]:
    if not config.tls:
        return {}
    authorities: list[str] = []
    for path in config.root_cas:
        with open(path, encoding="ascii") as file:
            authorities.append(file.read())
    own = (
        {"ssl_certfile": config.certificate, "ssl_keyfile": config.key}
        if config.certificate and config.key
        else {}
    )
    return {"ssl": True, "ssl_ca_data": "\n".join(authorities) or None} | own
