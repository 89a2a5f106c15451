"""Plan -> execution: removes exactly what the plan says, so that a running registry loses nothing.

    remove abandoned uploads and leftovers
    journal, then hold every link: rename it away, so that clients get 404 and upload again
    flush what caches descriptors
    look at once for what was acknowledged just before, and put back what it needs
    wait the grace
    look again: put back what something new needs
    decide (journalled): from here on the run is finished, not undone
    quarantine every blob that both looks found unreferenced: rename it away
    wait a moment and look once more: put back what was linked meanwhile
    the run's takings become a batch of the trash; batches older than their delay are purged
    remove folders that are empty now

A link is renamed and not unlinked because a registry may write it at the same moment: what was written is
then in our hands and not lost, and goes back. Until `decide` every failure undoes the run.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pruner.decide.look import Look, Observer
from pruner.decide.plan import LEFTOVERS, LINKS, Removal
from pruner.decide.taken import Trashed
from pruner.delays import SETTLE
from pruner.errors import PrunerError
from pruner.settings.durations import format_duration
from pruner.sweep import state, tidy, trash
from pruner.tree import layout
from pruner.tree.model import Folder


class Caches(Protocol):
    """What remembers descriptors in front of the storage."""

    def flush(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> str:
        """Make the registry see the removals; a sentence on what was done, or empty. Raises RegistryError."""
        ...

    def forget(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> None:
        """Forget what is held and quarantined now, whatever was written back since; raises RegistryError."""
        ...


@dataclass(slots=True)
class Execution:
    """What a run did.

    `removed` are removals that were carried out, `put_back` links and `restored` blobs that something new
    needed, `purged` blobs whose bytes are gone from the trash, `phases` seconds by name.
    `last` is the last look that was taken.
    """

    removed: list[Removal] = field(default_factory=list[Removal])
    put_back: int = 0
    restored: int = 0
    purged: list[Trashed] = field(default_factory=list[Trashed])
    phases: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])
    last: Look | None = None


def execute(first: Look, observer: Observer, caches: Caches) -> Execution:
    """Carry out the plan of `first`, under the lock and after recovery.

    Raises WriteError, ReadError, RegistryError, ClockError or Stopped, with the run undone unless it had been
    decided (then the next run finishes it).
    """
    return _Run(first, observer, caches).go()


class _Run:
    def __init__(self, first: Look, observer: Observer, caches: Caches) -> None:
        self.first = first
        self.observer = observer
        self.storage = observer.storage
        self.caches = caches
        self.done = Execution()
        self.id = uuid.uuid4().hex[:8]
        self.held: dict[str, Removal] = {}
        self.emptied: dict[str, float] = {}
        self.batch = ""
        self.expired = {removal.path: removal for removal in first.plan.of("trash")}

    def go(self) -> Execution:
        plan = self.first.plan
        last = self.first
        with state.write_errors(self.storage):
            with self._phase("recover from the trash"):
                self._recover()
            with self._phase("remove leftovers"):
                for removal in plan.of(*LEFTOVERS):
                    if removal.leftover is not None and tidy.remove_leftover(self.storage, removal.leftover):
                        self.done.removed.append(removal)
            links, blobs = plan.of(*LINKS), plan.of("blob")
            if links or blobs:
                last = self._sweep(links, blobs)
            self.done.last = last
            with self._phase("purge"):
                self._purge(last)
            with self._phase("remove folders"):
                gone = tidy.remove_folders(self.storage, self.done.removed, plan)
                self.done.removed.extend(gone)
            state.reserve(self.storage)
        order = {removal: number for number, removal in enumerate(plan.removals)}
        self.done.removed.sort(key=order.__getitem__)
        return self.done

    # -- links and blobs

    def _sweep(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> Look:
        try:
            second = self._until_decided(links, blobs)
        except Exception as error:
            self._undo(error)
            raise
        try:
            return self._finish(second, blobs)
        except Exception as error:
            self._bring_back(error)
            raise

    def _finish(self, second: Look, blobs: tuple[Removal, ...]) -> Look:
        second_paths = {removal.path for removal in second.plan.removals}
        touched = self._touched(second)
        with self._phase("quarantine"):
            quarantined = tuple(
                blob
                for blob in blobs
                if blob.path in second_paths and blob.digest not in touched and self._quarantine(blob)
            )
            self.caches.forget(tuple(self.held.values()), quarantined)
        with self._phase("settle"):
            if quarantined:
                self.observer.time.clock.sleep(min(self.observer.grace, SETTLE))
        with self._phase("third look"):
            self._put_back_changed()
            third = self.observer.look(tuple(self.held.values()))
            self._put_back_wanted(third)
            quarantine = list(trash.blobs_of(self.storage, trash.CURRENT))
            self._restore(quarantine, third.marks.blobs | self._touched(third))
            # A push that died meanwhile may have left its entry in redis.
            self.caches.forget(tuple(self.held.values()), quarantined)
        kept = {trashed.digest for trashed in trash.blobs_of(self.storage, trash.CURRENT)}
        self.done.removed.extend(self.held.values())
        self.done.removed.extend(blob for blob in quarantined if blob.digest in kept)
        self.batch = state.finish(self.storage, self.observer.time.now(), self.id)
        return third

    def _until_decided(self, links: tuple[Removal, ...], blobs: tuple[Removal, ...]) -> Look:
        with self._phase("hold links"):
            state.begin(self.storage, self.id, links)
            for number, removal in enumerate(links):
                self._hold(f"{trash.CURRENT}/held/{number}", removal)
        with self._phase("flush caches"):
            note = self.caches.flush(tuple(self.held.values()), blobs)
            if note:
                self.done.notes.append(note)
        if self.observer.grace > 0:
            with self._phase("look at what came meanwhile"):
                # An image acknowledged just before the hold must not stay unreadable for the whole grace.
                self._put_back_wanted(self.observer.look(tuple(self.held.values())))
        with self._phase("wait the grace"):
            self.observer.progress(f"wait the grace, {format_duration(self.observer.grace)}", 0)
            self.observer.time.clock.sleep(self.observer.grace)
            self.observer.time.check()
        with self._phase("second look"):
            self._put_back_changed()
            second = self.observer.look(tuple(self.held.values()))
            self._put_back_wanted(second)
            state.decide(self.storage)
        return second

    def _hold(self, place: str, removal: Removal) -> None:
        """Take a link away; what the registry wrote to it since the look goes back at once."""
        try:
            state.with_space(self.storage, lambda: self.storage.rename(removal.path, place))
        except FileNotFoundError:
            return  # removed by a client meanwhile
        self.held[place] = removal
        if not self._is_unchanged(place, removal):
            self._put_back(place, removal)
        elif removal.kind == "revision":
            folder = removal.path.rpartition("/")[0]
            self.emptied[folder] = self.storage.stat(folder).mtime

    def _is_unchanged(self, place: str, removal: Removal) -> bool:
        return removal.link is not None and self.storage.stat(place).mtime == removal.link.mtime

    def _put_back(self, place: str, removal: Removal) -> None:
        link = trash.HeldLink(place, removal.path, removal.digest, 0.0)
        if trash.restore_link(self.storage, link, of_run=True):
            self.done.put_back += 1
        del self.held[place]

    def _put_back_changed(self) -> None:
        """A registry that opened a link before it was renamed wrote into the file that is held."""
        for place, removal in list(self.held.items()):
            if not self._is_unchanged(place, removal):
                self._put_back(place, removal)

    def _put_back_wanted(self, look: Look) -> None:
        """Put back every held link that the look does not want gone."""
        self._put_back_changed()
        going = {removal.path for removal in look.plan.of(*LINKS)}
        for place, removal in list(self.held.items()):
            if removal.path not in going:
                self._put_back(place, removal)

    def _quarantine(self, blob: Removal) -> bool:
        place = f"{trash.CURRENT}/blobs/{trash.blob_name(blob.digest)}"
        try:
            state.with_space(self.storage, lambda: self.storage.rename(blob.path, place))
        except FileNotFoundError:
            return False
        return True

    def _touched(self, look: Look) -> set[str]:
        """Manifests that a client pushed and deleted again since the links were held.

        A registry with a cache in memory still knows them and would not store their bytes when they come once
        more. All that is left of them in the tree is that their folder has changed.
        """
        known = {folder.path: folder.mtime for folder in _empty_folders(self.first)} | self.emptied
        return {
            digest
            for folder in _empty_folders(look)
            if known.get(folder.path) != folder.mtime
            and (digest := layout.revision_of_folder(folder.path)) is not None
        }

    def _recover(self) -> None:
        """Take back from the trash what the first look misses: a killed run may not have lived to do it."""
        # A copy of a blob that is in its place again goes, or the run would take the blob for the copy.
        self._restore(trash.listing(self.storage), self.first.marks.blobs | self.first.tree.blobs)
        missing: set[str] = set()
        for name, marks in self.first.marks.repositories.items():
            repository = self.first.tree.repositories[name]
            layers, revisions = marks.needed_layers, marks.revisions
            path = repository.path
            missing.update(layout.layer_link(path, digest) for digest in layers - repository.layers.keys())
            missing.update(
                layout.revision_link(path, digest) for digest in revisions - repository.revisions.keys()
            )
        for batch in trash.batches(self.storage) if missing else ():
            for link in trash.held_links(self.storage, batch)[0]:
                if link.path in missing and trash.restore_link(self.storage, link):
                    self.done.put_back += 1

    def _restore(self, trashed: list[Trashed], wanted: set[str]) -> None:
        for blob in trashed:
            if blob.digest in wanted:
                if trash.restore_blob(self.storage, blob):
                    self.done.restored += 1
                else:
                    self._note_purged(blob)

    def _note_purged(self, blob: Trashed) -> None:
        self.done.purged.append(blob)
        if blob.path in self.expired:
            self.done.removed.append(self.expired[blob.path])

    def _undo(self, error: BaseException) -> None:
        try:
            state.undo(self.storage)
        except (OSError, PrunerError) as second:
            error.add_note(f"putting back what was held failed too ({second}); the next run does it")

    def _bring_back(self, error: BaseException) -> None:
        """After the decision, put all blobs back: without the last look nobody knows that none is missed."""
        try:
            for blob in list(trash.blobs_of(self.storage, trash.CURRENT)):
                trash.restore_blob(self.storage, blob)
        except OSError as second:
            error.add_note(f"putting blobs back failed too ({second}); they are in the trash")

    # -- trash

    def _purge(self, last: Look) -> None:
        """Destroy what was in the trash for long enough, unless the last look wants it back."""
        now = self.observer.time.now()
        if self.observer.time.jump():
            self.done.notes.append("the clock jumped, so nothing left the trash")
            return
        for batch in trash.batches(self.storage):
            blobs = list(trash.blobs_of(self.storage, batch))
            since = trash.since_of(batch)
            # What a killed run left may be linked by a request that it did not live to wait for.
            settled = batch == self.batch or last.rules.now - since >= min(self.observer.grace, SETTLE)
            if settled and now - since >= self.observer.settings.trash:
                self._restore(blobs, last.marks.blobs)
                gone = list(trash.blobs_of(self.storage, batch))
                trash.purge_batch(self.storage, batch)
            else:
                gone = [blob for blob in blobs if self._is_back(blob, last)]
                for blob in gone:
                    self.storage.remove(blob.path)
            for blob in gone:
                self._note_purged(blob)

    def _is_back(self, blob: Trashed, last: Look) -> bool:
        """Whether the blob was uploaded again: then the new one wins."""
        if blob.digest not in last.tree.blobs:
            return False
        try:
            self.storage.stat(layout.blob_data(blob.digest))
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _phase(self, name: str) -> Generator[None]:
        self.observer.progress(name, 0)
        start = self.observer.time.clock.monotonic()
        try:
            yield
        finally:
            taken = self.observer.time.clock.monotonic() - start
            self.done.phases[name] = round(self.done.phases.get(name, 0.0) + taken, 3)


def _empty_folders(look: Look) -> Iterator[Folder]:
    return (folder for repository in look.tree.repositories.values() for folder in repository.empty_folders)
