"""Whom clients are to trust, in the cluster: the objects that say so, and what is checked beforehand.

Nobody may be cut off: what signs the certificate was published by an earlier `up`, so that clients could take
it up. What the cluster is asked for is a check, and of a Secret that others keep, the authority it names.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from . import pem, pod
from .connection import ClusterError
from .definition import GROUP
from .identity import Given, Identity, InSecret, SignedByGiven, SignedByOwn, check_hosts
from .inputs import known

AUTHORITIES = f"{GROUP}/authorities"
"""The annotation of the address resource with the numbers of the stack's own authorities in it."""

CA = "ca"
"""The pod's volume with whom to trust."""

CA_FILE = "ca.crt"

_FILES = ("tls.crt", "tls.key")


@dataclass(frozen=True, slots=True)
class Published:
    """What the address resource of a registry says: its hosts, and whom to trust, as numbers and as PEM."""

    hosts: tuple[str, ...] = ()
    authorities: tuple[int, ...] = ()
    ca: str = ""


def published(resource: Mapping[str, Any]) -> Published:
    """What an address resource says."""
    spec = cast("dict[str, Any]", resource.get("spec") or {})
    annotations = cast("dict[str, str]", resource.get("metadata", {}).get("annotations") or {})
    # Before there was a choice, each had the first.
    numbers = annotations.get(AUTHORITIES, "1").split(",")
    return Published(
        hosts=tuple(address.rpartition(":")[0].strip("[]") for address in spec.get("addresses") or ()),
        authorities=tuple(int(number) for number in numbers if number.isdecimal()),
        ca=spec.get("caBundle") or "",
    )


def check(
    identity: Identity, found: Published, secret: Mapping[str, Any] | None, hosts: Sequence[str]
) -> str | None:
    """What the Secret of the identity names for an authority, None where another counts.

    `secret` is that Secret, None where it is not there; `hosts` are what is to be published, empty where they
    are not known. Raises ClusterError for a certificate that clients would refuse.
    """
    served = identity.served
    try:
        if isinstance(served, Given):
            check_hosts(served, hosts)
        if isinstance(served, InSecret):
            return _check_secret(identity, known(served.secret), secret, hosts)
    except ValueError as error:
        raise ClusterError(f"tls: {error}") from None
    if found.hosts:
        _check_signer(served, found)
    return None


def _check_signer(served: object, found: Published) -> None:
    """Raises ClusterError where an authority is to sign that clients cannot trust yet."""
    if isinstance(served, SignedByOwn) and served.number not in found.authorities:
        now = ", ".join(map(str, found.authorities))
        first = f"[{now}, {served.number}]" if now else "them beside what is there"
        raise ClusterError(
            f"tls.authorities begins with {served.number}, which nobody published yet: publish it "
            f"first, by `pulumi up` with {first}, and let it sign by a second one once clients trust it"
        )
    if isinstance(served, SignedByGiven) and (signer := known(served.signer)):
        (wanted,) = pem.certificates(signer, "ca")
        if wanted not in pem.certificates_or_none(found.ca):
            raise ClusterError(
                f"tls.caKey is that of {pem.name_of(wanted)}, which nobody published yet: publish "
                "it first, by `pulumi up` with it in tls.ca and without its key; a second one lets it sign"
            )


def _check_secret(
    identity: Identity, name: str | None, secret: Mapping[str, Any] | None, hosts: Sequence[str]
) -> str | None:
    if secret is None:
        if identity.ca is None:
            raise ValueError(
                f"secretName is {name!r}, which the namespace does not have, so whom clients are to trust is "
                "not known: make the Secret first, or give ca (empty for what systems trust anyway)"
            )
        pulumi.log.warn(f"the Secret {name!r} of tls.secretName is not there: the registry starts once it is")
        return None
    encoded = cast("dict[str, str]", secret.get("data") or {})
    data = {key: base64.b64decode(text) for key, text in encoded.items()}
    if missing := [file for file in _FILES if not data.get(file)]:
        raise ValueError(f"the Secret {name!r} has nothing in {' and '.join(missing)}: it is not one for TLS")
    certificate = data[_FILES[0]].decode(errors="replace")
    pem.check_covers(pem.certificates(certificate, f"{name}: tls.crt")[0], hosts, f"the Secret {name!r}")
    if identity.ca is not None:
        return None
    authority = data.get(CA_FILE, b"").decode(errors="replace")
    return pem.bundle(authority.strip() and authority, f"the Secret {name!r}: {CA_FILE}")


def config_map(
    name: str,
    ca_pem: pulumi.Input[str],
    registry: pulumi.Input[str],
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Declares a ConfigMap in `namespace` with whom to trust for the one in `registry`; returns its name.

    The name stays, so that others find it, and the content changes in place where the provider allows it.
    """
    made = k8s.core.v1.ConfigMap(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=pulumi.Output.concat(registry, "-ca"), namespace=namespace, labels=dict(marks)
        ),
        data={CA_FILE: ca_pem},
        opts=opts,
    )
    return made.metadata.name


def mounted(
    name: str,
    served: Sequence[pulumi.Output[str]] | InSecret,
    ca: pulumi.Input[str],
    metadata: k8s.meta.v1.ObjectMetaArgs,
    opts: pulumi.ResourceOptions,
) -> tuple[pulumi.Input[str], k8s.core.v1.VolumeArgs]:
    """The name of the Secret that the registry serves from, and the volume `CA` with whom to trust for it.

    `ca` is the ConfigMap, for a Secret that is not others'. The stack's own is named by the provider: another
    certificate is another name, which rolls the pod.
    """
    if isinstance(served, InSecret):
        # Without the key in it. It follows a renewal, and is empty where the Secret names no authority.
        return served.secret, pod.secret_volume(CA, served.secret, 0o444, (CA_FILE,), optional=True)
    secret = k8s.core.v1.Secret(
        name,
        metadata=metadata,
        type="kubernetes.io/tls",
        string_data=dict(zip(_FILES, served, strict=True)),
        immutable=True,
        opts=opts,
    )
    source = k8s.core.v1.ConfigMapVolumeSourceArgs(name=ca, default_mode=0o444)
    return secret.metadata.name, k8s.core.v1.VolumeArgs(name=CA, config_map=source)
