"""The registry's s3 driver, seen from beside it: a storage without folders and without rename.

A look lists every key once and is answered from that. To take away or to put back is a copy and a deletion,
between which a registry may write; docs/s3.md says what each of their meetings leads to.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pruner.clock import Clock
from pruner.storage import Content, Entry, Move, OneByOne, Stat, View
from pruner.storage.parallel import side_by_side
from pruner.storage.s3 import moves
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.client import CONNECTIONS
from pruner.storage.s3.guard import Guard, LeasesOf
from pruner.storage.s3.held import Held
from pruner.storage.s3.journals import PART, Journals
from pruner.storage.s3.looker import Areas, Looker
from pruner.storage.s3.takings import Takings
from pruner.storage.s3.times import Times
from pruner.storage.s3.view import stat_of, time_of


class S3Storage(OneByOne):
    """The tree below `root` (a key prefix without slashes at its ends) of `bucket`; `url` is its name.

    `leases` is where one pruner is kept apart from another; None for objects in the bucket. With one of
    `workers` requests follow each other.
    """

    def __init__(
        self,
        bucket: Bucket,
        url: str,
        root: str,
        areas: Areas,
        clock: Clock,
        leases: LeasesOf | None = None,
        workers: int = CONNECTIONS,
    ) -> None:
        self.root = url
        self._bucket = bucket
        self._above = f"{root}/" if root else ""
        self._areas = areas
        self._workers = workers
        self._takings = Takings(bucket, self._above, areas.state, areas.current, areas.trash)
        self._times = Times(bucket, self._above, f"{areas.state}/times", workers)
        self._guard = Guard(bucket, self._above + areas.state, clock, leases)
        self._looker = Looker(bucket, url, self._above, areas, self._times, workers)
        self._outcomes: dict[tuple[str, str], bool | OSError] = {}
        self._journals = Journals(bucket)
        self._held = Held(bucket)

    @property
    def has_folders(self) -> bool:
        """They are what keys have in common."""
        return False

    def _key(self, path: str) -> str:
        return self._takings.key(path)

    # -- reading

    def view(self) -> View:
        """Every key as it is now."""
        return self._looker.look(may_write=self._guard.is_held)

    def list(self, path: str) -> list[Entry]:
        """The entries of a folder, sorted by name; raises FileNotFoundError when nothing lies below it."""
        prefix = f"{self._key(path)}/" if path else self._above
        entries: dict[str, Entry] = {}
        for name, is_folder in self._bucket.children(prefix):
            inner = f"{path}/{name}" if path else name
            if not name or PART in name:
                continue
            is_taken = self._takings.folder_of(inner) == inner
            entries[name] = Entry(name, "folder" if is_folder or is_taken else "file")
        if not entries and path:
            raise self._absent(path)
        return sorted(entries.values())

    def read(self, path: str, limit: int) -> Content:
        """At most `limit` bytes of an object, and what was appended to it."""
        key = self._key(path)
        content, found = self._bucket.get(key, limit)
        if self._is_journal(path) and len(content) < limit:
            content += self._journals.rest(key)
        return Content(content[:limit], time_of(found), stat_of(found).version)

    def stat(self, path: str) -> Stat:
        """An object as a file. A folder is there as long as an object lies below it, and has no time."""
        key = self._key(path)
        if moves.is_link(path) or self._takings.folder_of(path) not in (None, path):
            with suppress(FileNotFoundError):
                return stat_of(self._bucket.head(key))
        found = self._bucket.first(key)
        if found and found[0].name == key:
            return stat_of(found[0])
        if found and not found[0].name.startswith(f"{key}/"):
            found = self._bucket.first(f"{key}/")
        if not found and self._takings.folder_of(path) != path:
            raise self._absent(path)
        return Stat(0, 0.0, 1, 0, "folder")

    def stat_many(self, paths: Iterable[str]) -> Iterator[Stat | None]:
        """`stat` for each path, in order, side by side; of what is away by a listing where that tells."""

        def one(path: str) -> Stat | None:
            try:
                return self.stat(path)
            except FileNotFoundError:
                return None

        wanted = list(paths)
        away = {path: self._key(path) for path in wanted if self._takings.folder_of(path) is not None}
        self._held.look(away.values())
        told = [self._held.stat(away[path]) if path in away else "ask" for path in wanted]
        unknown = [path for path, each in zip(wanted, told, strict=True) if isinstance(each, str)]
        asked = iter(side_by_side(one, unknown, self._workers))
        for each in told:
            yield next(asked) if isinstance(each, str) else each

    def chunks(self, path: str, size: int) -> Iterator[bytes]:
        """The content of an object, `size` bytes at a time."""
        return self._bucket.chunks(self._key(path), size)

    # -- taking away and putting back

    def ahead(self, coming: Sequence[Move]) -> None:
        """Do these renames side by side now, and note the times of what is put back.

        What makes a tag be there goes before its history: a push writes them the other way round, so that of
        one that lost its tag to us a young history is left.
        """
        back = [move for move in coming if self._takings.folder_of(move.source) is not None]
        if back:
            found = self.stat_many(move.source for move in back)
            times = zip(back, found, strict=True)
            self._guard.check()
            self._times.note({move.target: stat.mtime for move, stat in times if stat and _small(move)})
            return
        later = [move for move in coming if "/_manifests/tags/" in move.source and "/index/" in move.source]
        late = set(later)
        for group in ([move for move in coming if move not in late], later):
            for move, outcome in zip(group, side_by_side(self._take, group, self._workers), strict=True):
                self._outcomes[move.source, move.target] = outcome
                if outcome is True and move.mtime is not None and _small(move):
                    self._held.took(self._key(move.target), move.mtime)

    def _take(self, move: Move) -> bool | OSError:
        try:
            self._guard.check()
            return moves.take(
                self._bucket,
                self._key(move.source),
                self._key(move.target),
                small=_small(move),
                mtime=move.mtime,
            )
        except OSError as error:
            return error

    def rename(self, source: str, target: str) -> None:
        """Take an object away to a `target` that is free, or give a folder of takings another name.

        Not in one step. What is written again meanwhile stays, and counts as not there (FileNotFoundError).
        """
        if self._takings.folder_of(source) == source:
            self._guard.check()
            self._takings.move(source, target)
            return
        outcome = self._outcomes.pop((source, target), None)
        if outcome is None:
            outcome = self._take(Move(source, target))
        if isinstance(outcome, OSError):
            raise outcome
        if not outcome:
            raise self._absent(source)

    def put_back(self, source: str, target: str) -> bool:
        """Move an object to where it was; False, and nothing done, when a newer `target` exists."""
        self._guard.check()
        move = Move(source, target)
        if _small(move) and (origin := self._bucket.head(self._key(source)).origin) is not None:
            self._times.note({target: origin})
        done = moves.put_back(self._bucket, self._key(source), self._key(target), small=_small(move))
        if done and _small(move):
            self._times.written(target)
        return done

    # -- changing

    def remove(self, path: str) -> None:
        """Remove an object, and what of it was uploaded in parts; raises FileNotFoundError for neither."""
        self._guard.check()
        uploads = self._looker.uploads.pop(path, [])
        for upload in uploads:
            self._bucket.abort(upload)
        key = self._key(path)
        try:
            self._bucket.head(key)
        except FileNotFoundError:
            if not uploads:
                raise
            return
        self.remove_many((path,))

    def remove_many(self, paths: Iterable[str]) -> None:
        """Remove objects, a thousand a request; those that are not there are no matter."""
        names: list[str] = []
        for path in paths:
            names.append(self._key(path))
            if self._is_journal(path):
                names += self._journals.parts(names[-1])
        self._guard.check()
        for error in self._bucket.delete_many(names).values():
            raise error

    def remove_folder(self, path: str) -> bool:
        """Whether nothing lies below it (any more): then it is gone."""
        if self._takings.folder_of(path) == path:
            self._guard.check()
            return self._takings.remove(path)
        try:
            return not self._bucket.first(f"{self._key(path)}/")
        except FileNotFoundError:
            return False

    def make_folder(self, path: str) -> None:
        """A folder is there with its first object, but for one of takings."""
        if self._takings.folder_of(path) is not None:
            self._guard.check()
            self._takings.make(path)

    def touch(self, path: str) -> None:
        """Give an object the present time as its time of writing."""
        self._guard.check()
        moves.touch(self._bucket, self._key(path))

    def write(self, path: str, content: bytes) -> None:
        """Write an object of the pruner's own; replaces."""
        self._guard.check()
        self._bucket.put(self._key(path), content)

    def append(self, path: str, content: bytes) -> None:
        """Append to a file of the pruner's own; to a journal by an object that is read after it."""
        self._guard.check()
        if self._is_journal(path):
            self._journals.append(self._key(path), content)
            return
        before = b""
        with suppress(FileNotFoundError):
            before, _ = self._bucket.get(self._key(path), 1 << 40)
        self._bucket.put(self._key(path), before + content)

    def _is_journal(self, path: str) -> bool:
        return self._takings.folder_of(path) is not None and path.endswith("/journal")

    def reserve(self, path: str, size: int) -> None:
        """Nothing to do: a bucket is never full."""

    # -- one at a time

    @contextmanager
    def lock(self, path: str, owner: str) -> Generator[None]:
        """Hold the lease while the context lasts; raises Busy with the holder's name."""
        with self._guard.held(self._above + path, path, owner):
            self._takings.forget()
            self._times.forget()
            self._outcomes.clear()
            self._journals.forget()
            self._takings.settle()
            for upload in self._bucket.uploads(f"{self._above}{self._areas.state}/"):
                self._bucket.abort(upload)  # of a copy that somebody did not live to end
            yield

    def renew(self) -> None:
        """Renew what is held, as it is renewed by itself every now and then; raises LeaseLost."""
        self._guard.check()

    def remarks(self) -> tuple[str, ...]:
        """What a report should say of the bucket."""
        if not self._bucket.is_versioned():
            return ()
        return (
            f"the bucket of {self.root} keeps versions: what is removed goes on taking room until a "
            "lifecycle rule of the bucket ends old versions",
        )

    def _absent(self, path: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, "it is not there", f"{self.root}/{path}")


def _small(move: Move) -> bool:
    return moves.is_link(move.source) or moves.is_link(move.target)
