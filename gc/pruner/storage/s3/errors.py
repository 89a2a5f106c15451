"""What an S3 server answers, as errors of the operating system with a sentence on what to do.

What is not there is a FileNotFoundError, a condition that did not hold a FileExistsError, and anything else
an OSError of the kind EIO: a failure to read is never taken for "nothing there".
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from pruner.errors import ConfigError

T = TypeVar("T")
_TORN = 3
_RIGHTS = (
    "give the pruner's key s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, "
    "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload on this bucket"
)
_UNKNOWN_KEY = "the server does not know this access key: correct the key"
_OTHER_REGION = "the bucket lies in another region: correct storage.s3.region"
_WHAT_TO_DO = {
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": "the bucket's owner has switched it off",
    "ExpiredToken": "the credentials ran out: give ones that are renewed, or that last longer than a run",
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "XAdminUserNotFound": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": "the secret key is wrong, or a proxy changes requests: correct the secret key",
    "NoSuchBucket": "no bucket has this name: correct storage.s3.bucket, or make the bucket",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes off the server's: set the clock",
    "SlowDown": "the server asks for fewer requests, and kept asking: try again later",
}
_OF_OTHER_REGIONS = frozenset(code for code, told in _WHAT_TO_DO.items() if told == _OTHER_REGION)
_ABSENT = frozenset({"NoSuchKey", "404", "NoSuchUpload", "NoSuchVersion"})
_UNMET = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_UNKNOWN = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})
_OF_STATUS = {301: "PermanentRedirect", 403: "AccessDenied"}
TRANSIENT = frozenset(
    {"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "RequestTimeout"}
)
"""What may be answered to one key of many, and not the next time."""


class NotOffered(OSError):
    """The server does not know this kind of request."""


class Torn(OSError):
    """The connection was cut within an answer."""


def is_absent(code: str) -> bool:
    """Whether an answer says that there was nothing to act upon."""
    return code in _ABSENT


def error_of(code: str, message: str, url: str) -> OSError:
    """The error that an answer's code stands for."""
    if code in _ABSENT:
        return FileNotFoundError(errno.ENOENT, "it is not there", url)
    if code in _UNMET:
        return FileExistsError(errno.EEXIST, "somebody else wrote it meanwhile", url)
    if code in _UNKNOWN:
        return NotOffered(errno.ENOTSUP, f"the server does not offer this ({message or code})", url)
    return OSError(errno.EIO, f"the server says {code or 'nothing'}: {_WHAT_TO_DO.get(code, message)}", url)


def refuse_another_region(answer: Any, status: int, bucket: str, region: str) -> None:
    """Raises ConfigError when an answer, as botocore reads it, says that the bucket is not in `region`.

    botocore would follow to where it is, and the registry does not: so nothing is asked there.
    """
    told = answer.get("Error", {})
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    theirs = str(told.get("Region") or headers.get("x-amz-bucket-region") or "")
    code = str(told.get("Code", ""))
    # The answer to a HEAD has no body, but says the region in a header.
    of_head = code == "400" and theirs not in ("", region)
    if code in _OF_OTHER_REGIONS or status in (301, 302, 307) or of_head:
        where = f"in the region {theirs}" if theirs not in ("", region) else "in another region"
        raise ConfigError(f"s3://{bucket} lies {where}, not in {region}: correct storage.s3.region")


@contextmanager
def answers(url: str) -> Generator[None]:
    """Turns botocore's errors of a request about `url` into these, once it gave up sending it again."""
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    try:
        yield
    except exceptions.ClientError as error:
        told: Any = error.response
        code = str(told.get("Error", {}).get("Code", ""))
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # The answer to a HEAD has no body, so only its status says what is wrong.
        code = _OF_STATUS.get(status, code) if code.isdigit() else code
        raise error_of(code, str(told.get("Error", {}).get("Message", "")), url) from error
    except (HTTPError, ConnectionError, exceptions.ResponseStreamingError) as error:
        raise Torn(errno.EIO, f"the connection was cut: {error}", url) from error
    except exceptions.IncompleteReadError as error:
        raise Torn(errno.EIO, "the server sent less than it said", url) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise OSError(errno.EIO, f"the server cannot be reached: {error}", url) from error
    except exceptions.NoCredentialsError as error:
        hint = "set accesskey and secretkey, or give the service account a role"
        raise OSError(errno.EIO, f"no credentials were found: {hint}", url) from error
    except exceptions.BotoCoreError as error:
        raise OSError(errno.EIO, f"the request could not be made: {error}", url) from error


def ask(url: str, action: Callable[[], T]) -> T:
    """What `action` gives, a request that may be sent twice; once more when the answer was cut."""
    for _ in range(_TORN - 1):
        try:
            with answers(url):
                return action()
        except Torn:
            continue
    with answers(url):
        return action()
