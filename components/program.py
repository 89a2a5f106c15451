"""The pruner's program as a container finds it: one file, and beside it what only some storages need."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from . import bundle, pod
from .bucket import Bucket
from .settings import Settings

_BUNDLE = "prune"
_BUNDLE_FOLDER = "/opt/prune/bin"
_ARCHIVE = "library.zip"
_ARCHIVE_FOLDER = "/opt/prune/lib"
_SCRATCH = "scratch"

# The bundle comes last: an image built from gc/Dockerfile has a `prune` of its own, which wins.
_PATH = f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_BUNDLE_FOLDER}"


def declare(
    name: str,
    settings: Settings,
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> pod.Shared:
    """What a container needs to call `prune` on the tree of these settings."""

    def lying(suffix: str, file: str, content: bytes) -> k8s.core.v1.ConfigMap:
        # Named by the provider: another program is another name, which rolls the pod.
        return k8s.core.v1.ConfigMap(
            f"{name}-{suffix}",
            metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=dict(marks)),
            binary_data={file: base64.b64encode(content).decode()},
            immutable=True,
            opts=opts,
        )

    archives = _archives(settings)
    # Large, and needed by few: each in a ConfigMap of its own, of which one holds 1 MiB.
    libraries = [lying(archive, _ARCHIVE, bundle.archive(archive)) for archive in archives]
    path = ":".join(f"{_ARCHIVE_FOLDER}/{archive}/{_ARCHIVE}" for archive in archives)
    return pod.Shared(
        [
            pod.config_map_volume(_BUNDLE, lying("program", _BUNDLE, _program()), 0o555),
            *(
                pod.config_map_volume(f"{_BUNDLE}-{archive}", library, 0o444)
                for archive, library in zip(archives, libraries, strict=True)
            ),
            k8s.core.v1.VolumeArgs(
                name=_SCRATCH, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="64Mi")
            ),
        ],
        [
            pod.mount(_BUNDLE, _BUNDLE_FOLDER, read_only=True),
            *(
                pod.mount(f"{_BUNDLE}-{archive}", f"{_ARCHIVE_FOLDER}/{archive}", read_only=True)
                for archive in archives
            ),
            pod.mount(_SCRATCH, "/tmp", read_only=False),
        ],
        pod.variables({"PATH": _PATH, **({"PYTHONPATH": path} if path else {})}),
    )


def _archives(settings: Settings) -> list[str]:
    """The archives of libraries that the pruner needs of this stack's registry."""
    found = {"redis": settings.cache == "redis", "s3": isinstance(settings.storage, Bucket)}
    return [archive for archive, needed in found.items() if needed]


def _program() -> bytes:
    program = bundle.build()
    if len(program) > bundle.LIMIT:
        raise pulumi.RunError(
            f"the pruner's bundle has {len(program)} bytes, more than the {bundle.LIMIT} a ConfigMap holds: "
            "set gcImage to an image built from gc/Dockerfile and leave a library out of components/bundle.py"
        )
    return program
