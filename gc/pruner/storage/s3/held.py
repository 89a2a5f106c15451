"""What is away, by listings of its folders: of links that this process took itself, also whether anybody
touched them since."""

from __future__ import annotations

from collections.abc import Iterable

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
        """Know the time of one more link; `origin` in seconds since the epoch."""
        self._origins[key] = origin

    def look(self, keys: Iterable[str]) -> None:
        """List the folders of those keys as they are now."""
        folders = {key.rpartition("/")[0] for key in keys}
        pages = (page for folder in folders for page in self._bucket.pages(f"{folder}/"))
        self._now = {key.name: key for page in pages for key in page}
        for name in self._origins.keys() & self._now.keys():
            self._first.setdefault(name, self._now[name])

    def stat(self, key: str) -> Stat | str | None:
        """What the last look says: None when it is not there (any more), "ask" when it does not tell."""
        now = self._now.get(key)
        if now is None:
            return None
        if key in self._origins:
            return Stat(now.size, self._origins[key], 1) if now == self._first[key] else "ask"
        is_link = key.rpartition("/")[0].endswith("/held")
        return "ask" if is_link else Stat(now.size, now.mtime, 1)
