"""Taking objects away and putting them back, where that is a copy and a deletion.

A registry may write in between. What is compared right before the deletion is everything that tells one
writing from another: time, ETag, metadata. What is left is the time of one request, in which a link that is
written again with the content that it had is lost; docs/s3.md says what then comes of it.
"""

from __future__ import annotations

import errno

from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.errors import NotOffered
from pruner.storage.s3.keys import Key
from pruner.storage.s3.view import time_of

_TAG = "/current/link"
_SMALL = 65536  # bytes of a link, at the very most


def is_link(path: str) -> bool:
    """Whether it is small and its time matters; all else is bytes that their digest names."""
    return path.endswith("/link")


def take(bucket: Bucket, source: str, target: str, *, small: bool, mtime: float | None = None) -> bool:
    """Take an object away; False when it is not there, or was written since `mtime` or in the meantime.

    A small one keeps its time as metadata of the copy.
    """
    try:
        if small:
            content, found = bucket.get(source, _SMALL)
        else:
            content, found = b"", bucket.head(source)
    except FileNotFoundError:
        return False
    if mtime is not None and time_of(found) != mtime:
        return False
    try:
        if small:
            bucket.put(target, content, origin=time_of(found))
        else:
            bucket.copy(found, target)
        if _is_same(bucket, found):
            bucket.delete(source, if_match=found.etag)
            return True
    except (FileExistsError, FileNotFoundError):
        pass
    bucket.delete(target)
    return False


def _is_same(bucket: Bucket, found: Key) -> bool:
    now = bucket.head(found.name)
    return (now.mtime, now.etag, now.origin) == (found.mtime, found.etag, found.origin)


def put_back(bucket: Bucket, source: str, target: str, *, small: bool) -> bool:
    """Move an object to where it was; False, and nothing done, when something is there.

    A small one is written on the condition that nothing is there, and keeps its time as metadata. Of a large
    one whoever writes it meanwhile writes the same bytes.
    """
    if not small:
        if _is_there(bucket, target):
            return False
        bucket.copy(bucket.head(source), target)
    else:
        content, found = bucket.get(source, _SMALL)
        origin = found.origin
        if target.endswith(_TAG) and (younger := _pushed_since(bucket, target, time_of(found))) is not None:
            content, origin = younger, None
        if bucket.conditional is not True and _is_there(bucket, target):
            return False
        try:
            bucket.put(target, content, only_if_absent=bucket.conditional is not False, origin=origin)
        except FileExistsError:
            return False
        except NotOffered:
            bucket.put(target, content, origin=origin)
    bucket.delete(source)
    return True


def _pushed_since(bucket: Bucket, tag: str, mtime: float) -> bytes | None:
    """What a tag was given since, when a push wrote its history and lost the tag itself to us."""
    history = [key for page in bucket.pages(f"{tag.removesuffix(_TAG)}/index/") for key in page]
    youngest = max(history, key=lambda key: key.mtime, default=None)
    if youngest is None or youngest.mtime <= mtime:
        return None
    content, found = bucket.get(youngest.name, _SMALL)
    return content if time_of(found) > mtime else None


def touch(bucket: Bucket, name: str) -> None:
    """Write a small object once more, so that it has the present time."""
    # Not every server gives a copy onto itself a new time.
    content, found = bucket.get(name, _SMALL)
    if len(content) == _SMALL:
        raise OSError(errno.EFBIG, "it is too large to be written again", bucket.url(name))
    bucket.put(name, content, if_match=f'"{found.etag}"' if bucket.conditional else "")


def _is_there(bucket: Bucket, name: str) -> bool:
    try:
        bucket.head(name)
    except FileNotFoundError:
        return False
    return True
