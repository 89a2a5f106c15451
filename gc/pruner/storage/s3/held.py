"""The links that this process holds: of what it took itself a listing shows whether it is untouched."""

from __future__ import annotations

from pruner.storage import Stat
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.keys import Key


class Held:
    """Keys of held links, each with the time of what it is a copy of, and as it was first listed."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._origins: dict[str, float] = {}
        self._first: dict[str, Key] = {}
        self._now: dict[str, Key] = {}

    def took(self, key: str, origin: float) -> None:
        """Know one more; `origin` in seconds since the epoch."""
        self._origins[key] = origin

    def look(self) -> None:
        """List them as they are now."""
        self._now = {}
        for folder in {key.rpartition("/")[0] for key in self._origins}:
            for page in self._bucket.pages(f"{folder}/"):
                self._now.update((key.name, key) for key in page if key.name in self._origins)
        for name, key in self._now.items():
            self._first.setdefault(name, key)

    def stat(self, key: str) -> Stat | str | None:
        """What the last listing says: None when it is not there any more, "ask" when it does not tell."""
        if key not in self._origins:
            return "ask"
        now = self._now.get(key)
        if now is None:
            return None
        return Stat(now.size, self._origins[key], 1) if now == self._first[key] else "ask"
