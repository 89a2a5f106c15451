"""The parameters of the registry's s3 driver, read as the driver reads them.

Source of the rules: distribution's registry/storage/driver/s3-aws/s3.go (v2.8 and v3).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pruner.errors import ConfigError

# strconv.ParseBool of Go, which the driver hands text to.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})

_COPY_THRESHOLD = 32 << 20
_COPY_CHUNK = 32 << 20
_LARGEST_COPY = 5 << 30  # what one CopyObject may copy


@dataclass(frozen=True, slots=True)
class S3Parameters:
    """Where the bucket is and how objects are written there.

    `endpoint` is empty for Amazon's own. `access_key` and `secret_key` are both empty where the environment
    brings the credentials (a service account's role, an instance's role). `root` is the key prefix, without
    slashes at its ends. `copy_threshold` and `copy_chunk` are bytes: above the one, copies are multipart.
    """

    bucket: str
    region: str
    endpoint: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    path_style: bool = False
    root: str = ""
    secure: bool = True
    verify: bool = True
    encrypt: bool = False
    key_id: str = ""
    storage_class: str = ""
    acl: str = "private"
    dual_stack: bool = False
    fips: bool = False
    accelerate: bool = False
    copy_threshold: int = _COPY_THRESHOLD
    copy_chunk: int = _COPY_CHUNK

    @property
    def url(self) -> str:
        """The tree's root as people write it."""
        return "/".join(part for part in (f"s3://{self.bucket}", self.root) if part)

    def servers(self) -> set[str]:
        """What tells the server from others: the endpoint's name, and every address it has."""
        if not self.endpoint:
            return {"amazon"}
        found = urlsplit(self.endpoint)
        host = found.hostname or ""
        port = found.port or (443 if found.scheme == "https" else 80)
        names = {host}
        # Without an answer the name alone has to do: the same server may have another, too.
        with suppress(OSError):
            names |= {str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        return {f"{name}:{port}" for name in names}


def read_parameters(given: Mapping[str, object], path: str) -> S3Parameters:
    """The parameters in the map `storage.s3` of the configuration at `path`; raises ConfigError."""
    reader = _Reader({key.lower(): value for key, value in given.items()}, path)
    if not reader.boolean("v4auth", True):
        raise reader.wrong("v4auth", "the pruner signs requests with version 4 only: leave it out")
    bucket, region, endpoint = reader.text("bucket"), reader.text("region"), reader.text("regionendpoint")
    if not bucket:
        raise reader.wrong("bucket", "it is not set: give the bucket's name")
    if not region and not endpoint:
        raise reader.wrong("region", "it is not set: give the bucket's region")
    access, secret = reader.text("accesskey"), reader.text("secretkey")
    if bool(access) != bool(secret):
        missing = "secretkey" if access else "accesskey"
        raise reader.wrong(missing, "it is not set, and the other half of the key is: give both, or neither")
    secure = reader.boolean("secure", True)
    if endpoint and "://" not in endpoint:
        endpoint = f"{'https' if secure else 'http'}://{endpoint}"
    storage_class = reader.text("storageclass").upper()
    return S3Parameters(
        bucket=bucket,
        region=region or "us-east-1",
        endpoint=endpoint,
        access_key=access,
        secret_key=secret,
        session_token=reader.text("sessiontoken") if access else "",
        path_style=reader.boolean("forcepathstyle", False),
        root=reader.text("rootdirectory").strip("/"),
        secure=secure,
        verify=not reader.boolean("skipverify", False),
        encrypt=reader.boolean("encrypt", False),
        key_id=reader.text("keyid"),
        storage_class="" if storage_class == "NONE" else storage_class,
        acl=reader.text("objectacl") or "private",
        dual_stack=reader.boolean("usedualstack", False),
        fips=reader.boolean("usefipsendpoint", False),
        accelerate=reader.boolean("accelerate", False),
        copy_threshold=min(reader.size("multipartcopythresholdsize", _COPY_THRESHOLD), _LARGEST_COPY),
        copy_chunk=reader.size("multipartcopychunksize", _COPY_CHUNK),
    )


class _Reader:
    def __init__(self, given: Mapping[str, object], path: str) -> None:
        self._given = given
        self._path = path

    def wrong(self, key: str, sentence: str) -> ConfigError:
        return ConfigError(f"{self._path}: storage.s3.{key}: {sentence}")

    def text(self, key: str) -> str:
        value = self._given.get(key)
        if value is None:
            return ""
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value)
        raise self.wrong(key, "it must be text")  # the value may be a secret, so it is not quoted

    def boolean(self, key: str, default: bool) -> bool:
        value = self._given.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _TRUE | _FALSE:
            return value in _TRUE
        raise self.wrong(key, f"it must be true or false, and is {value!r}")

    def size(self, key: str, default: int) -> int:
        value = self._given.get(key)
        if value is None:
            return default
        try:
            size = int(str(value))
        except ValueError:
            size = -1
        if size < 0:
            raise self.wrong(key, f"it must be a number of bytes, and is {value!r}")
        return size
