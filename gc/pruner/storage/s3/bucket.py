"""One bucket as operations on keys, each a request or a few. Nothing here knows of a registry."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pruner.registry.s3parameters import S3Parameters
from pruner.storage.parallel import side_by_side
from pruner.storage.s3.client import ATTEMPTS
from pruner.storage.s3.errors import TRANSIENT, NotOffered, Torn, answers, ask, error_of, is_absent
from pruner.storage.s3.keys import ORIGIN, Key, Upload, etag_of, found, key_of

PAGE = 1000
"""Keys that one listing or one deletion takes at the most."""

_SINGLE_COPY = 5 << 30  # bytes that one CopyObject copies at the most
_COPIED_PART = 1 << 30  # bytes of a part of a copy above that
_PARTS = 10_000


class Bucket:
    """The bucket of `parameters` through `client`; keys are whole, with the root before them.

    `conditional` is whether the server is known to obey conditions of a write: None as long as it was not
    tried.
    """

    def __init__(self, client: Any, parameters: S3Parameters) -> None:
        self._client = client
        self._parameters = parameters
        self._name = parameters.bucket
        self._written = _how_objects_are_written(parameters)
        self._date = ""
        self.conditional: bool | None = None
        self.fence: Callable[[], None] = lambda: None
        """Asked at the moment that a change is sent, also when it is sent again; may raise."""
        self.pace: Callable[[], None] = lambda: None
        """Waits before each request."""
        self._pacing = threading.Lock()
        self._unfenced = threading.local()
        client.meta.events.register("after-call.s3", self._note_date)
        client.meta.events.register("before-send.s3", self._before_send)

    def _before_send(self, **event: Any) -> None:
        with self._pacing:
            self.pace()
        if event["request"].method not in ("GET", "HEAD") and not getattr(self._unfenced, "is_so", False):
            self.fence()

    @contextmanager
    def unfenced(self) -> Generator[None]:
        """For what is written on a condition that fences it itself."""
        self._unfenced.is_so = True
        try:
            yield
        finally:
            self._unfenced.is_so = False

    def _note_date(self, **event: Any) -> None:
        headers = event["parsed"].get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self._date = headers.get("date", self._date)

    def now(self) -> float:
        """The server's time at its last answer, in seconds since the epoch (whole ones)."""
        return parsedate_to_datetime(self._date).timestamp() if self._date else time.time()

    def url(self, name: str) -> str:
        """A key as people write it."""
        return f"s3://{self._name}/{name}"

    # -- reading

    def pages(self, prefix: str, after: str = "", until: str = "") -> Iterator[list[Key]]:
        """Keys that start with `prefix`, in order, a page a request: after `after` and before `until`."""
        more: dict[str, str] = {"StartAfter": after} if after else {}
        while True:
            answer = self._list(prefix, more)
            keys = [key_of(item) for item in answer.get("Contents", ())]
            if until and keys and keys[-1].name >= until:
                yield [key for key in keys if key.name < until]
                return
            yield keys
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def first(self, prefix: str, most: int = 1) -> list[Key]:
        """The first keys that start with `prefix`."""
        return [key_of(item) for item in self._list(prefix, {}, most).get("Contents", ())]

    def children(self, prefix: str) -> Iterator[tuple[str, bool]]:
        """The names up to the next slash that follow `prefix`, and whether each is a folder."""
        more: dict[str, str] = {}
        while True:
            answer = self._list(prefix, {"Delimiter": "/", **more})
            for item in answer.get("Contents", ()):
                yield item["Key"][len(prefix) :], False
            for item in answer.get("CommonPrefixes", ()):
                yield item["Prefix"][len(prefix) : -1], True
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _list(self, prefix: str, more: Mapping[str, str], most: int = PAGE) -> Any:
        return ask(
            self.url(prefix),
            lambda: self._client.list_objects_v2(Bucket=self._name, Prefix=prefix, MaxKeys=most, **more),
        )

    def head(self, name: str) -> Key:
        """What is known of one key."""
        with answers(self.url(name)):
            return found(name, self._client.head_object(Bucket=self._name, Key=name))

    def get(self, name: str, limit: int) -> tuple[bytes, Key]:
        """At most `limit` bytes of an object."""

        def read() -> tuple[bytes, Key]:
            answer = self._client.get_object(Bucket=self._name, Key=name)
            key = found(name, answer)
            with answer["Body"] as body:
                content = body.read(min(limit, key.size) or None)[:limit]
            if len(content) < min(limit, key.size):
                raise Torn(errno.EIO, "the server sent less than it said", self.url(name))
            return content, key

        return ask(self.url(name), read)

    def chunks(self, name: str, size: int) -> Iterator[bytes]:
        """The content of an object, `size` bytes at a time."""
        with answers(self.url(name)):
            answer = self._client.get_object(Bucket=self._name, Key=name)
            with answer["Body"] as body:
                while chunk := body.read(size):
                    yield chunk

    # -- writing

    def put(
        self,
        name: str,
        content: bytes,
        *,
        only_if_absent: bool = False,
        if_match: str = "",
        origin: float | None = None,
    ) -> str:
        """Write an object whole, and return its ETag; raises FileExistsError when a condition is not met.

        A server without conditional writes ignores the condition, or does not know it (then NotOffered).
        """
        condition = {"IfNoneMatch": "*"} if only_if_absent else {"IfMatch": if_match} if if_match else {}
        metadata = {} if origin is None else {"Metadata": {ORIGIN: f"{origin:.0f}"}}
        with answers(self.url(name)):
            answer = self._client.put_object(
                Bucket=self._name, Key=name, Body=content, **self._written, **condition, **metadata
            )
        return etag_of(answer)

    def copy(self, source: Key, target: str) -> None:
        """Copy an object within the bucket, whatever its size; FileExistsError if it is another now."""
        if source.size > min(self._parameters.copy_threshold, _SINGLE_COPY):
            self._copy_in_parts(source, target)
            return
        ask(
            self.url(source.name),
            lambda: self._client.copy_object(
                Bucket=self._name,
                Key=target,
                CopySource={"Bucket": self._name, "Key": source.name},
                CopySourceIfMatch=f'"{source.etag}"',
                **self._written,
            ),
        )

    def _copy_in_parts(self, source: Key, target: str) -> None:
        largest = _COPIED_PART if source.size > _SINGLE_COPY else self._parameters.copy_chunk
        size = max(largest, -(-source.size // _PARTS))
        with answers(self.url(target)):
            begun = self._client.create_multipart_upload(Bucket=self._name, Key=target, **self._written)
        upload = {"Bucket": self._name, "Key": target, "UploadId": begun["UploadId"]}

        def part(number: int) -> dict[str, Any]:
            last = min(number * size, source.size) - 1
            answer: Any = ask(
                self.url(source.name),
                lambda: self._client.upload_part_copy(
                    **upload,
                    PartNumber=number,
                    CopySource={"Bucket": self._name, "Key": source.name},
                    CopySourceIfMatch=f'"{source.etag}"',
                    CopySourceRange=f"bytes={(number - 1) * size}-{last}",
                ),
            )
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        try:
            parts = list(side_by_side(part, range(1, -(-source.size // size) + 1), workers=8))
            with answers(self.url(target)):
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self.abort(Upload(target, begun["UploadId"], 0.0))
            raise

    def delete(self, name: str, if_match: str = "") -> None:
        """Delete an object; fine when it is not there.

        With `if_match` raises FileExistsError when another content is there, on servers that look.
        """
        condition = {"IfMatch": f'"{if_match}"'} if if_match and self.conditional else {}
        try:
            with answers(self.url(name)):
                self._client.delete_object(Bucket=self._name, Key=name, **condition)
        except NotOffered:
            if not condition:
                raise
            self.delete(name)
        except FileNotFoundError:
            return

    def delete_many(self, names: Sequence[str]) -> dict[str, OSError]:
        """Delete objects, a thousand a request; those that could not be deleted, each with its error."""
        failed: dict[str, OSError] = {}
        for at in range(0, len(names), PAGE):
            failed |= self._delete_page(names[at : at + PAGE])
        return failed

    def _delete_page(self, names: Sequence[str]) -> dict[str, OSError]:
        errors: list[Any] = []
        for attempt in range(ATTEMPTS):
            wanted: Any = {"Objects": [{"Key": name} for name in names], "Quiet": True}
            answer: Any = ask(
                self.url(names[0]),
                lambda wanted=wanted: self._client.delete_objects(Bucket=self._name, Delete=wanted),
            )
            errors = [e for e in answer.get("Errors", ()) if not is_absent(e.get("Code", ""))]
            names = [error["Key"] for error in errors if error.get("Code") in TRANSIENT]
            if not names or len(names) < len(errors) or attempt == ATTEMPTS - 1:
                break
            time.sleep(2.0**attempt / 4)
        return {
            error["Key"]: error_of(error.get("Code", ""), error.get("Message", ""), self.url(error["Key"]))
            for error in errors
        }

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Multipart uploads below `prefix` that nobody has completed; none where the server does not say."""
        marker: dict[str, str] = {}
        while True:
            try:
                answer: Any = ask(
                    self.url(prefix),
                    lambda marker=marker: self._client.list_multipart_uploads(
                        Bucket=self._name, Prefix=prefix, **marker
                    ),
                )
            except NotOffered:
                return
            for item in answer.get("Uploads", ()):
                began = item.get("Initiated", datetime.now(UTC))
                yield Upload(item["Key"], item["UploadId"], began.timestamp())
            if not answer.get("IsTruncated"):
                return
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def abort(self, upload: Upload) -> None:
        """End a multipart upload and free its parts; fine when it is not there."""
        try:
            with answers(self.url(upload.name)):
                self._client.abort_multipart_upload(Bucket=self._name, Key=upload.name, UploadId=upload.id)
        except FileNotFoundError:
            return

    def is_versioned(self) -> bool:
        """Whether a deletion leaves the bytes as an old version; False where the server does not say."""
        try:
            with answers(self.url("")):
                answer = self._client.get_bucket_versioning(Bucket=self._name)
        except OSError:
            return False
        return answer.get("Status") == "Enabled"


def _how_objects_are_written(parameters: S3Parameters) -> dict[str, str]:
    """What the driver says of each object that it writes, so that ours are no different."""
    written = {"ACL": parameters.acl, "ContentType": "application/octet-stream"}
    if parameters.storage_class:
        written["StorageClass"] = parameters.storage_class
    if parameters.encrypt:
        written["ServerSideEncryption"] = "aws:kms" if parameters.key_id else "AES256"
    if parameters.key_id:
        written["SSEKMSKeyId"] = parameters.key_id
    return written
