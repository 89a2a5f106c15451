"""The storage that a registry's configuration names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pruner.clock import Clock
from pruner.registry.config import RegistryConfig
from pruner.storage import Storage
from pruner.storage.filesystem import FileSystem
from pruner.sweep import current
from pruner.tree import layout

if TYPE_CHECKING:
    from pruner.registry.s3parameters import S3Parameters
    from pruner.storage.lease import LeaseStore


def open_storage(
    config: RegistryConfig, environ: Mapping[str, str], clock: Clock, ops_per_second: float
) -> Storage:
    """The registry's storage, with at most so many operations a second if that is not 0; asks nobody yet.

    Raises ConfigError.
    """
    if config.s3 is None:
        storage = FileSystem(config.root)
        if not ops_per_second:
            return storage
        from pruner.storage.paced import at_pace  # only here: a plan is to start fast

        return at_pace(storage, ops_per_second, clock)
    return _bucket(config.s3, environ, clock, ops_per_second)


def _bucket(
    parameters: S3Parameters, environ: Mapping[str, str], clock: Clock, requests_per_second: float
) -> Storage:
    # Its client is large, and few need it.
    from pruner.kubernetes import ACCOUNT
    from pruner.storage.clusterlease import of_pod
    from pruner.storage.paced import Pace
    from pruner.storage.s3.bucket import Bucket
    from pruner.storage.s3.client import CONNECT_TIMEOUT, READ_TIMEOUT, REQUEST_BOUND, connect
    from pruner.storage.s3.looker import Areas
    from pruner.storage.s3.storage import S3Storage

    def of_cluster(name: str) -> LeaseStore:
        return of_pod(environ, clock, parameters.url, name, REQUEST_BOUND, CONNECT_TIMEOUT + READ_TIMEOUT)

    in_cluster = "KUBERNETES_SERVICE_HOST" in environ and os.path.exists(f"{ACCOUNT}/token")
    areas = Areas(layout.BLOBS, layout.REPOSITORIES, layout.STATE, current.CURRENT, current.TRASH)
    bucket = Bucket(connect(parameters), parameters)
    if requests_per_second:
        bucket.pace = Pace(requests_per_second, clock).take_anyhow
    leases = of_cluster if in_cluster else None
    return S3Storage(bucket, parameters.url, parameters.root, areas, clock, leases)
