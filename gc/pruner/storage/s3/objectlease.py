"""A lease that lies in the bucket itself."""

from __future__ import annotations

import json
import uuid

from pruner.storage.lease import Note
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.client import CONNECT_TIMEOUT, READ_TIMEOUT, REQUEST_BOUND

_LIMIT = 4096


class ObjectLease:
    """A LeaseStore (pruner.storage.lease) that is one object, written on the condition of its ETag."""

    bound = REQUEST_BOUND
    aftermath = CONNECT_TIMEOUT + READ_TIMEOUT

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name

    def read(self) -> Note | None:
        """What it says; an object that says nothing is a lease of nobody's."""
        try:
            content, key = self._bucket.get(self._name, _LIMIT)
        except FileNotFoundError:
            return None
        try:
            holder = str(json.loads(content)["holder"])
        except (ValueError, KeyError, TypeError):
            holder = ""
        return Note(holder, key.etag)

    def write(self, holder: str, version: str | None) -> str | None:
        """Write it if its ETag is still `version` (None: not there); the new one, None if it is not."""
        # An ETag is made of the content, so each writing needs a content of its own.
        content = json.dumps({"holder": holder, "writing": uuid.uuid4().hex}).encode()
        try:
            with self._bucket.unfenced():
                if version is None:
                    return self._bucket.put(self._name, content, only_if_absent=True)
                return self._bucket.put(self._name, content, if_match=f'"{version}"')
        except (FileExistsError, FileNotFoundError):
            return self._version_of(content)

    def _version_of(self, content: bytes) -> str | None:
        """A request whose answer was lost is sent again, and then meets what it wrote itself."""
        try:
            found, key = self._bucket.get(self._name, _LIMIT)
        except FileNotFoundError:
            return None
        return key.etag if found == content else None
