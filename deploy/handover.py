"""The last words of `make up`: where the registry is and how to use it, as one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Handover:
    """What a user needs; `extra` are further lines that hold for this cluster alone."""

    address: str
    addresses: tuple[str, ...]
    ca_file: Path
    extra: Sequence[str] = ()


def words(handover: Handover) -> str:
    """The text to print."""
    address, ca = handover.address, handover.ca_file
    others = [other for other in handover.addresses if other != address]
    lines = [
        "",
        f"Registry:     https://{address}",
        *([f"also at:      {', '.join(others)}"] if others else []),
        f"CA:           {ca}",
        "Log in:       not needed, the registry asks for no name or password; trusting its CA is enough:",
        "",
        "docker (as root, once; no restart):",
        f"    install -D -m 644 {ca} /etc/docker/certs.d/{address}/ca.crt",
        f"    docker tag IMAGE {address}/IMAGE && docker push {address}/IMAGE",
        f"    docker pull {address}/IMAGE",
        "",
        "podman, buildah, skopeo (as root, once):",
        f"    install -D -m 644 {ca} /etc/containers/certs.d/{address}/ca.crt",
        f"    podman push IMAGE {address}/IMAGE",
        f"    podman pull {address}/IMAGE",
        f"    skopeo copy docker-archive:IMAGE.tar docker://{address}/IMAGE",
        "",
        "from a pod:",
        f"    kubectl run NAME --image={address}/IMAGE",
        "",
        "anything else:",
        f"    curl --cacert {ca} https://{address}/v2/_catalog",
        "    kubectl get registryaddresses -A",
    ]
    return "\n".join([*lines, *(["", *handover.extra] if handover.extra else [])])
