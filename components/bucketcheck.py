"""Whether the bucket answers and lets itself be listed, asked before anything is declared."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, cast

import pulumi

from .bucket import Bucket, Keys, is_of_the_cluster
from .inputs import known

# Seconds each, and one attempt: a preview waits for it.
_CONNECT, _READ = 5, 10

# The last as versitygw says it.
_OF_THE_KEY = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "XAdminUserNotFound",
)
_OF_ANOTHER_REGION = (
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
)
_RIGHTS = (
    "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucketMultipartUploads and "
    "s3:AbortMultipartUpload"
)


class BucketError(pulumi.RunError):
    """The bucket is not there, or refuses the key that is given."""


def check(storage: Bucket) -> None:
    """Raises BucketError for what the server itself says is wrong.

    What cannot be asked from here is only said: a key that is not known here, an endpoint that is not
    reached from here but may be from the cluster. The pod's first container asks again.
    """
    bucket, region, keys = known(storage.bucket), known(storage.region), _known(storage.keys)
    endpoint = known(storage.endpoint)
    if keys is None or bucket is None or region is None or (storage.endpoint is not None and not endpoint):
        pulumi.log.info("not checked: that the bucket lets itself be listed, as its key is not known here")
        return
    if is_of_the_cluster(storage):
        pulumi.log.info(f"not checked: the bucket {bucket}, as {endpoint} is a name of the cluster's")
        return
    authority = known(storage.ca_certificate)
    if storage.ca_certificate is not None and authority is None:
        pulumi.log.info("not checked: the bucket, as the authority of its server is not known here")
        return
    with _trusted(authority) as verify:
        _ask(_client(storage, region, endpoint, keys, verify), storage, bucket, region, endpoint)


def _ask(client: Any, storage: Bucket, bucket: str, region: str, endpoint: str | None) -> None:
    def refuse_another_region(**event: Any) -> None:
        # This client would follow there by itself, and the registry's does not.
        if event["response"] is not None and _code(event["response"][1]) in _OF_ANOTHER_REGION:
            raise BucketError(f"storage: {_sentence(event['response'][1], bucket, region)}")

    client.meta.events.register_first("needs-retry.s3", refuse_another_region)
    from botocore.exceptions import BotoCoreError, ClientError, SSLError

    try:
        client.list_objects_v2(Bucket=bucket, Prefix=storage.root, MaxKeys=1)
    except ClientError as error:
        raise BucketError(f"storage: {_sentence(cast('Any', error.response), bucket, region)}") from None
    except BotoCoreError as error:
        where = endpoint or f"Amazon's S3 in {region}"
        if isinstance(error, SSLError) and storage.ca_certificate is not None:
            raise BucketError(
                f"storage: the certificate of {where} is not to be trusted by caCertificate: give what signs "
                f"it, and an endpoint that it is made for ({error})"
            ) from None
        pulumi.log.warn(f"not checked: the bucket {bucket}, since {where} is not reached from here ({error})")


def _known(keys: Keys | None) -> tuple[str, str] | None:
    if keys is None:
        return None
    access, secret = known(keys.access), known(keys.secret)
    return (access, secret) if access and secret else None


@contextmanager
def _trusted(authority: str | None) -> Generator[str | None]:
    """A file with `authority` and the system's own; None for what botocore takes by itself."""
    if authority is None:
        yield None
        return
    system = ssl.get_default_verify_paths().cafile
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{Path(system).read_text(errors='replace') if system else ''}\n{authority}")
        file.flush()
        yield file.name


def _client(
    storage: Bucket, region: str, endpoint: str | None, keys: tuple[str, str], verify: str | None
) -> Any:
    # botocore is imported where a bucket is asked: most programs have none.
    from botocore.config import Config
    from botocore.session import Session

    session: Any = Session()
    session.set_credentials(*keys)
    config: Any = Config(
        region_name=region,
        signature_version="s3v4",
        connect_timeout=_CONNECT,
        read_timeout=_READ,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if storage.path_style else "auto"},
    )
    return session.create_client("s3", config=config, endpoint_url=endpoint, verify=verify)


def _sentence(answer: dict[str, Any], bucket: str, region: str) -> str:
    code = _code(answer)
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket}: make it, or give another's name"
    if code in _OF_THE_KEY:
        return (
            f"the server of the bucket {bucket} does not know the key ({code}): check accessKey and secretKey"
        )
    if code in _OF_ANOTHER_REGION:
        return _elsewhere(bucket, _region(answer) or "another", region)
    if code == "RequestTimeTooSkewed":
        return f"the server of the bucket {bucket} has another time than this machine: set its clock"
    if code in ("AccessDenied", "403"):
        return f"the key may not list the bucket {bucket}: it needs {_RIGHTS}"
    return f"the bucket {bucket} cannot be listed ({code or 'no reason given'}): see what its server says"


def _code(answer: Any) -> str:
    return str(answer.get("Error", {}).get("Code", ""))


def _region(answer: dict[str, Any]) -> str | None:
    """Where the bucket is, if the server says so."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")


def _elsewhere(bucket: str, theirs: str, region: str) -> str:
    return f"the bucket {bucket} is in the region {theirs}, not in {region}: set region to its own"
