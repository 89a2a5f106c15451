"""A bucket of an S3 server as the storage: what is accepted of it, and how registry and pruner find it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pulumi

from . import accepted, pem
from .inputs import known, later
from .objects import Storage

Encryption = Literal["none", "AES256", "aws:kms"]

ACCESS_KEY, SECRET_KEY = "accessKey", "secretKey"
"""The keys of the Secret with the credentials, whoever made it."""

CA = "s3-ca"
"""The volume with the authority of the server."""

CA_FOLDER = "/etc/s3-ca"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")
# What servers other than Amazon's take for theirs, unless they are told otherwise.
_USUAL_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials that are given."""

    access: pulumi.Input[str]
    secret: pulumi.Input[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is, and who asks: `keys`, or those of the Secret `secret`, or the pod's own role.

    `endpoint` is None for Amazon's own. `root` is the prefix of all keys, without slashes at its ends;
    `redirect` says that clients fetch blobs from the bucket itself. `ca_certificate` is PEM, None where
    systems know who signs for the server. `annotations` are the service account's.
    """

    bucket: pulumi.Input[str]
    region: pulumi.Input[str]
    endpoint: pulumi.Input[str] | None
    path_style: bool
    root: str
    encryption: Encryption
    kms_key: pulumi.Input[str] | None
    keys: Keys | None
    secret: pulumi.Input[str] | None
    redirect: bool
    ca_certificate: pulumi.Input[str] | None
    annotations: Mapping[str, str]
    adopt: str | None


def read(storage: Storage, adopt: str | None) -> Bucket:
    """The bucket that `storage` describes. Raises ValueError, which quotes no key."""
    if storage.bucket is None:
        raise ValueError("bucket is missing: give its name")
    if storage.region is None and storage.endpoint is None:
        raise ValueError(
            "region is missing: give the bucket's, or the endpoint of another server than Amazon's"
        )
    own = storage.endpoint is not None
    encryption: Encryption = accepted.choice(storage.encryption or "none", "none", "AES256", "aws:kms")
    if (encryption == "aws:kms") != (storage.kms_key is not None):
        raise ValueError("kmsKey and encryption aws:kms need each other: give both, or neither")
    return Bucket(
        bucket=later(storage.bucket, _bucket),
        region=later(_USUAL_REGION if storage.region is None else storage.region, _region),
        endpoint=None if storage.endpoint is None else later(storage.endpoint, _endpoint),
        path_style=own if storage.force_path_style is None else accepted.boolean(storage.force_path_style),
        root=_prefix(storage.root_directory or ""),
        encryption=encryption,
        kms_key=None if storage.kms_key is None else later(storage.kms_key, _kms_key),
        keys=_keys(storage),
        secret=None if storage.existing_secret is None else later(storage.existing_secret, accepted.dns_name),
        # A client follows to the server's own address, whose certificate it may not trust.
        redirect=not own if storage.redirect is None else accepted.boolean(storage.redirect),
        ca_certificate=_authority(storage),
        annotations={}
        if storage.service_account_annotations is None
        else accepted.texts(storage.service_account_annotations),
        adopt=adopt,
    )


def parameters(storage: Bucket) -> dict[str, Any]:
    """Those of the registry's driver, read alike by 2.8 and 3.x; the credentials are variables."""
    found: dict[str, Any] = {
        "bucket": storage.bucket,
        "region": storage.region,
        "forcepathstyle": storage.path_style,
    }
    if storage.endpoint is not None:
        found["regionendpoint"] = storage.endpoint
    if storage.root:
        found["rootdirectory"] = storage.root
    if storage.encryption != "none":
        found["encrypt"] = True
    if storage.kms_key is not None:
        found["keyid"] = storage.kms_key
    return found


def called(storage: Bucket) -> pulumi.Output[str]:
    """What people call it."""
    path = f"/{storage.root}" if storage.root else ""
    where = pulumi.Output.concat("s3://", storage.bucket, path)
    return where if storage.endpoint is None else pulumi.Output.concat(where, " at ", storage.endpoint)


def needs_version_3(storage: Bucket) -> str | None:
    """What of it version 2 of the registry cannot do, None for nothing."""
    if storage.endpoint is not None and not storage.path_style:
        return "forcePathStyle: false with an endpoint"
    web_identity = storage.keys is None and storage.secret is None and storage.annotations
    return "the role of a service account" if web_identity else None


def is_of_the_cluster(storage: Bucket) -> bool:
    """Whether the endpoint is a name that only pods resolve."""
    host = (known(storage.endpoint) or "").partition("://")[2].partition("/")[0].partition(":")[0]
    return host.endswith((".svc", ".cluster.local")) or (
        host != "" and "." not in host and host != "localhost"
    )


def _keys(storage: Storage) -> Keys | None:
    access, secret = storage.access_key, storage.secret_key
    if (access is None) != (secret is None):
        raise ValueError("accessKey and secretKey need each other: give both, or neither")
    if access is None:
        return None
    if storage.existing_secret is not None:
        raise ValueError("existingSecret is in place of accessKey and secretKey: leave it or them out")
    return Keys(
        later(access, lambda value: accepted.secret(value, ACCESS_KEY)),
        later(cast("Any", secret), lambda value: accepted.secret(value, SECRET_KEY)),
    )


def _authority(storage: Storage) -> pulumi.Input[str] | None:
    if storage.ca_certificate is None:
        return None
    if not (known(storage.endpoint) or "https://").startswith("https://") or storage.endpoint is None:
        raise ValueError("caCertificate is of a server of your own: give its endpoint, https://")
    # The server's own will do where it signed itself.
    return later(storage.ca_certificate, lambda given: pem.encoded(pem.certificates(given, "caCertificate")))


def _bucket(value: object) -> str:
    if isinstance(value, str) and _BUCKET.fullmatch(value):
        return value
    raise ValueError(
        f"bucket is {value!r}: give its name, 3 to 63 lower-case letters, digits, dashes and dots"
    )


def _region(value: object) -> str:
    if isinstance(value, str) and _REGION.fullmatch(value):
        return value
    raise ValueError(f"region is {value!r}: give one such as eu-central-1")


def _endpoint(value: object) -> str:
    if isinstance(value, str) and _ENDPOINT.fullmatch(value):
        return value.rstrip("/")
    raise ValueError(
        f"endpoint is {value!r}: give http:// or https://, a host, and a port if need be, without a path"
    )


def _prefix(value: object) -> str:
    if isinstance(value, str) and _PREFIX.fullmatch(value):
        parts = value.strip("/").split("/")
        if parts == [""] or not any(part in ("", ".", "..") for part in parts):
            return "/".join(parts)
    raise ValueError(f"rootDirectory is {value!r}: give a prefix of keys such as registries/one")


def _kms_key(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"kmsKey is {value!r}: give the id or the ARN of the key")
