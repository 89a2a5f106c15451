"""The last words of `make up`: where the registry is and how to use it, as one pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Handover:
    """What a user needs; `extra` are further lines that hold for this cluster alone.

    `outputs` are the stack's, without its secrets; `read_password` is the command that prints the password.
    """

    outputs: Mapping[str, Any]
    ca_file: Path
    read_password: str
    extra: Sequence[str] = ()


def words(handover: Handover) -> str:
    """The text to print."""
    address, ca = handover.outputs["address"], handover.ca_file
    others = [other for other in handover.outputs["addresses"] if other != address]
    lines = [
        "",
        f"Registry:     https://{address}",
        *([f"also at:      {', '.join(others)}"] if others else []),
        f"CA:           {ca}",
        *_login(handover),
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
        *_from_a_pod(handover),
        "",
        "anything else:",
        f"    curl --cacert {ca}{' --user NAME' if handover.outputs['auth'] == 'htpasswd' else ''}"
        f" https://{address}/v2/_catalog",
        "    kubectl get registryaddresses -A",
    ]
    return "\n".join([*lines, *(["", *handover.extra] if handover.extra else [])])


def _login(handover: Handover) -> list[str]:
    address, user = handover.outputs["address"], handover.outputs.get("user")
    if handover.outputs["auth"] == "none":
        return [
            "Log in:       not needed, since auth is none: whoever reaches it may push and delete.",
            "              Trusting its CA is enough:",
        ]
    if user:
        return [
            f"Log in:       as {user}, once its CA is trusted (below); podman and skopeo as docker here:",
            f"    {handover.read_password} |",
            f"        docker login {address} --username {user} --password-stdin",
        ]
    return [
        "Log in:       once its CA is trusted (below); podman and skopeo as docker here:",
        f"    docker login {address} --username NAME",
    ]


def _from_a_pod(handover: Handover) -> list[str]:
    address, namespace = handover.outputs["address"], handover.outputs["namespace"]
    if handover.outputs["auth"] == "none":
        return ["from a pod:", f"    kubectl run NAME --image={address}/IMAGE"]
    secret = f'{{"spec": {{"imagePullSecrets": [{{"name": "{namespace}-pull"}}]}}}}'
    return [
        "from a pod of a namespace that pullSecrets names (docs/logins.md):",
        f"    kubectl run NAME --image={address}/IMAGE --overrides='{secret}'",
    ]
