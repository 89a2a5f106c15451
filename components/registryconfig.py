"""The registry's configuration, made of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import yaml

from . import bucket, caching, overlay, pod, several
from .bucket import Bucket
from .keeping import Kept
from .settings import Settings

# Seconds. On SIGTERM the registry takes no new request and lets those in flight end.
DRAIN = 30


def _driver(storage: Kept) -> dict[str, Any]:
    if not isinstance(storage, Bucket):
        return {"filesystem": {"rootdirectory": pod.DATA_FOLDER}}
    return {"s3": bucket.parameters(storage), "redirect": {"disable": not storage.redirect}}


def text(
    settings: Settings, redis: caching.GivenServer | None, auth: Mapping[str, Any]
) -> pulumi.Output[str]:
    """The registry's config.yml, read alike by 2.8 and 3.x; it may hold the password of `redis`.

    `auth` is its section of that name, empty where no login is demanded. What is set over all of it comes
    last, and may have passwords too.
    """
    cache = {} if settings.cache == "none" else {"cache": {"blobdescriptor": settings.cache}}
    drain = several.DRAIN if settings.replicas > 1 else DRAIN
    content: pulumi.Output[Any] = pulumi.Output.from_input(
        {
            "version": 0.1,
            # Each request has its line in the log proper; an access log would only say it again.
            "log": {"level": "info", "accesslog": {"disabled": True}, "fields": {"service": "registry"}},
            "storage": {
                **_driver(settings.storage),
                "delete": {"enabled": True},
                # Abandoned uploads are the pruner's: it also finds those that never wrote when they started,
                # and one tree is better cleaned by one program.
                "maintenance": {"uploadpurging": {"enabled": False}},
                **cache,
            },
            "http": {
                "addr": f":{pod.PORT}",
                "draintimeout": f"{drain}s",
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "tls": {
                    "certificate": f"{pod.TLS_FOLDER}/tls.crt",
                    "key": f"{pod.TLS_FOLDER}/tls.key",
                    "minimumtls": "tls1.2",
                },
                "debug": {
                    "addr": f"127.0.0.1:{pod.DEBUG_PORT}",
                    "prometheus": {"enabled": True, "path": "/metrics"},
                },
            },
            **({"auth": dict(auth)} if auth else {}),
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
            **({} if redis is None else {"redis": caching.configured(redis)}),
        }
    )
    over = pulumi.Output.secret(dict(settings.registry_config))
    return pulumi.Output.all(content, over).apply(
        lambda both: yaml.safe_dump(overlay.merged(both[0], both[1]), sort_keys=False)
    )
