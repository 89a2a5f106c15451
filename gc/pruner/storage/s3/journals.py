"""Journals that are appended to, where an object can only be written whole: by further objects."""

from __future__ import annotations

from pruner.storage.s3.bucket import Bucket

PART = "~"
"""What comes between the key of a journal and the number of a part of it."""


class Journals:
    """Parts of journals, by the journal's key."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._numbers: dict[str, int] = {}

    def forget(self) -> None:
        """Count anew: others may have been at work."""
        self._numbers.clear()

    def append(self, key: str, content: bytes) -> None:
        """Write one more part."""
        if key not in self._numbers:
            self._numbers[key] = len(self.parts(key))
        self._bucket.put(f"{key}{PART}{self._numbers[key]:08}", content)
        self._numbers[key] += 1

    def parts(self, key: str) -> list[str]:
        """The keys of the parts, in order."""
        return [part.name for page in self._bucket.pages(f"{key}{PART}") for part in page]

    def rest(self, key: str) -> bytes:
        """What all parts hold."""
        return b"".join(self._bucket.get(part, 1 << 40)[0] for part in self.parts(key))
