"""Packs a root file system into a one-layer image archive, with reproducible bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH = "1970-01-01T00:00:00Z"
# What `go env GOARCH` says for what `uname -m` says.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container made of the image starts with."""

    reference: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    architecture: str = "amd64"


def pack(rootfs: Path, config: ImageConfig, archive: Path) -> None:
    """Write `rootfs` to `archive` in the docker-archive format that containerd, skopeo and buildah read."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        for top in sorted(rootfs.iterdir()):
            tar.add(top, arcname=top.name, filter=_anonymous)
    with layer.open("rb") as packed:
        diff_id = "sha256:" + hashlib.file_digest(packed, "sha256").hexdigest()
    document = _document(config, [diff_id])
    config_name = hashlib.sha256(document).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [config.reference], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        _add(tar, config_name, document)
        tar.add(layer, arcname="layer.tar", filter=_anonymous)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    layer.unlink()


def _document(config: ImageConfig, diff_ids: Sequence[str]) -> bytes:
    return json.dumps(
        {
            "architecture": config.architecture,
            "os": "linux",
            "created": EPOCH,
            "config": {
                "Entrypoint": list(config.entrypoint) or None,
                "Cmd": list(config.command) or None,
                "Env": [f"PATH={PATH}"],
            },
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [{"created": EPOCH, "created_by": "docker-registry sandbox"}],
        },
        sort_keys=True,
    ).encode()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    return member


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
