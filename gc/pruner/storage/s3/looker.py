"""A look: every key listed once, with what is uploaded in parts, and the times of what was put back."""

from __future__ import annotations

from typing import NamedTuple

from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.keys import Key, Upload
from pruner.storage.s3.listing import Listing, blob_bounds, list_area, repository_bounds
from pruner.storage.s3.times import Times
from pruner.storage.s3.view import Contents, S3View


class Areas(NamedTuple):
    """Paths of what a look lists, and of the pruner's own: its state, in it a run's folder and the trash."""

    blobs: str
    repositories: str
    state: str
    current: str
    trash: str


class Looker:
    """Takes looks at the tree below `above`, which is empty or ends in a slash; `url` is its name.

    `uploads` are those in parts that the last look saw, by the path that it gave them.
    """

    def __init__(
        self, bucket: Bucket, url: str, above: str, areas: Areas, times: Times, workers: int
    ) -> None:
        self._bucket = bucket
        self._url = url
        self._above = above
        self._areas = areas
        self._times = times
        self._workers = workers
        self._contents: Contents = {}
        self.uploads: dict[str, list[Upload]] = {}

    def look(self, *, may_write: bool) -> S3View:
        """Every key as it is now, blobs first: only what was there before the links can be without one."""
        blobs = f"{self._above}{self._areas.blobs}/"
        repositories = f"{self._above}{self._areas.repositories}/"
        keys = self._list(blobs) + self._list(repositories)
        cut = len(self._above)
        own = self._times.told((key._replace(name=key.name[cut:]) for key in keys), may_write=may_write)
        own += self._unfinished()
        own.sort()
        return S3View(
            self._bucket,
            self._url,
            self._above,
            Listing(own),
            self._contents,
            lambda path: path.startswith(blobs[cut:]),
            self._workers,
        )

    def _list(self, prefix: str) -> list[Key]:
        def bounds() -> list[str]:
            if prefix.endswith(f"{self._areas.blobs}/"):
                return blob_bounds(prefix)
            return repository_bounds(self._bucket, prefix)

        return list_area(self._bucket, prefix, bounds, self._workers)

    def _unfinished(self) -> list[Key]:
        """Uploads in parts as the files that they would be: those of clients, and of copies as leftovers."""
        self.uploads = {}
        for upload in self._bucket.uploads(f"{self._above}{self._areas.state.rpartition('/')[0]}/"):
            path = upload.name[len(self._above) :]
            if path.startswith(f"{self._areas.state}/"):
                continue
            if "/_uploads/" not in path:
                path = f"{path}.{upload.id}.tmp"
            self.uploads.setdefault(path, []).append(upload)
        return [
            Key(path, 0, float(int(max(upload.began for upload in uploads))), "")
            for path, uploads in self.uploads.items()
        ]
