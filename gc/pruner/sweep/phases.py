"""The phases of a run: each takes what the one before it gives, and says in `work.done` what it did."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace

from pruner.decide.compare import misses, pushed_and_deleted
from pruner.decide.look import Look
from pruner.decide.plan import LINKS, Removal
from pruner.decide.taken import Trashed, is_due
from pruner.delays import SETTLE
from pruner.errors import Busy
from pruner.settings.durations import format_duration
from pruner.storage import Move, Stat, Storage
from pruner.sweep import current, journal, state, trash
from pruner.sweep.journal import Held
from pruner.sweep.work import Holding, Work

STRETCH = 1000
"""Links that are written to the journal at once: on a full disk a run holds as many as there is room for."""
LOOKED_AT = 100
"""Links that are looked at together right after they were taken away."""


# -- until it is decided


def hold(work: Work) -> Holding:
    """Take away the links of the plan; on a full disk, those that there is room for."""
    links = tuple(work.first.plan.of(*LINKS))
    away: list[Held] = []
    emptied: dict[str, float] = {}
    taken: list[Held] = []

    def look_at_taken() -> None:
        looked_at = _looked_at(work, taken)
        away.extend(looked_at.links)
        emptied.update(looked_at.emptied)
        taken.clear()

    with work.phase("hold links"):
        current.begin(work.storage, work.id, links[:STRETCH])
        for number, removal in enumerate(links):
            try:
                if number % STRETCH == 0:
                    stretch = links[number : number + STRETCH]
                    if number:
                        current.extend(work.storage, number, stretch)
                    work.storage.ahead([_way(number + at, each) for at, each in enumerate(stretch)])
                held = Held(journal.place(current.CURRENT, number), removal)
                if current.hold(work.storage, held):
                    taken.append(held)
            except OSError as error:
                if not ((away or taken) and state.is_full(error)):
                    raise
                look_at_taken()
                return _held_as_far(work, Holding(tuple(away), emptied), links[number:])
            if len(taken) == LOOKED_AT:
                look_at_taken()
        look_at_taken()
    return Holding(tuple(away), emptied)


def _looked_at(work: Work, taken: Sequence[Held]) -> Holding:
    """What was just taken away; what the registry wrote to since the look goes back at once."""
    holding = Holding(tuple(taken), {})
    if not work.storage.has_folders:
        return holding
    links = _unless_changed(work, holding).links
    folders = [held.removal.path.rpartition("/")[0] for held in links if held.removal.kind == "revision"]
    stats = zip(folders, work.storage.stat_many(folders), strict=True)
    return Holding(links, {folder: stat.mtime for folder, stat in stats if stat is not None})


def _way(number: int, removal: Removal) -> Move:
    mtime = removal.link.mtime if removal.link is not None else None
    return Move(removal.path, journal.place(current.CURRENT, number), mtime)


def _held_as_far(work: Work, holding: Holding, rest: Sequence[Removal]) -> Holding:
    """The disk is full: go on with what is held, but never with a part of a tag, which would dangle."""
    cut = (rest[0].repository, rest[0].tag) if rest[0].tag else None
    work.done.notes.append(
        f"the disk is full: {len(rest)} links more were to be taken away than there is room for in the "
        "journal; the next run goes on with them"
    )
    return _unless(work, holding, lambda held: (held.removal.repository, held.removal.tag) != cut)


def flush(work: Work, held: Holding) -> Holding:
    """Make the registry see that they are away, and look for what came just before that."""
    with work.phase("flush caches"):
        note = work.caches.flush(held.removals, work.first.plan.of("blob"))
        if note:
            work.done.notes.append(note)
    if work.observer.grace > 0:
        with work.phase("look at what came meanwhile"):
            # An image acknowledged just before the hold must not stay unreadable for the whole grace.
            held, _ = _look(work, held)
    return held


def wait(work: Work) -> None:
    """Wait the grace; meanwhile trash commands may have the lock."""
    grace, clock = work.observer.grace, work.observer.time.clock
    with work.phase("wait the grace"):
        work.observer.progress(f"wait the grace, {format_duration(grace)}", 0)
        if grace > 0:
            with work.lock.lent():
                clock.sleep(grace)
            if not current.is_of(work.storage, work.id):
                raise Busy(f"another pruner took over {work.storage.root} while this run waited its grace")
        else:
            clock.sleep(0)
        work.observer.time.check()


def look_again(work: Work, held: Holding) -> tuple[Holding, Look]:
    """The second look, and the decision that what it leaves away stays so."""
    with work.phase("second look"):
        held, second = _look(work, held)
        current.decide(work.storage)
    return held, second


# -- from then on


def quarantine(work: Work, held: Holding, second: Look) -> tuple[Removal, ...]:
    """Take away the blobs that both looks found unreferenced."""
    going = second.plan.of("blob").paths()
    touched = pushed_and_deleted(work.first, second, held.emptied)
    taken: list[Removal] = []
    with work.phase("quarantine"):
        blobs = [
            blob for blob in work.first.plan.of("blob") if blob.path in going and blob.digest not in touched
        ]
        for blob in _as_seen(work.storage, blobs):
            try:
                if current.quarantine(work.storage, blob.digest):
                    taken.append(blob)
            except OSError as error:
                if not (taken and state.is_full(error)):
                    raise
                work.done.notes.append("the disk is full: the next run goes on with the blobs that are left")
                break
        if work.storage.has_folders or not taken:
            work.caches.forget(held.removals, tuple(taken))
        else:
            # Nothing shows there what was pushed and deleted meanwhile, which a cache may remember.
            work.caches.flush(held.removals, tuple(taken))
    return tuple(taken)


def _as_seen(storage: Storage, blobs: list[Removal]) -> Iterator[Removal]:
    """The blobs that lie there as the first look saw them, a stretch at a time, each about to be taken.

    Later looks do not look at them themselves, and one that was uploaded again is not taken.
    """
    for number in range(0, len(blobs), STRETCH):
        stretch = blobs[number : number + STRETCH]
        if storage.has_folders:
            stats = storage.stat_many([blob.path for blob in stretch])
            stretch = [blob for blob, stat in zip(stretch, stats, strict=True) if _looks_so(blob, stat)]
        storage.ahead([current.to_quarantine(blob.digest) for blob in stretch])
        yield from stretch


def _looks_so(blob: Removal, stat: Stat | None) -> bool:
    seen = blob.stat
    return stat is not None and seen is not None and (stat.size, stat.mtime) == (seen.size, seen.mtime)


def settle(work: Work, quarantined: tuple[Removal, ...]) -> None:
    """Wait for requests that found a blob in its place."""
    with work.phase("settle"):
        if quarantined:
            work.observer.time.clock.sleep(min(work.observer.grace, SETTLE))


def look_last(work: Work, held: Holding, quarantined: tuple[Removal, ...]) -> tuple[Holding, Look]:
    """The third look, which puts back what was linked or uploaded around the quarantine."""
    with work.phase("third look"):
        held, third = _look(work, held)
        away = current.digests_of(work.storage, current.CURRENT)
        pushed = pushed_and_deleted(work.first, third, held.emptied)
        # Asked of each blob: a set of all that is marked would be made as text, digest by digest.
        marked = third.marks.blobs
        wanted = {digest for digest in away if digest in marked or digest in pushed}
        if wanted:
            _put_back_wanted(work, list(current.blobs_of(work.storage, current.CURRENT)), wanted)
        # A push that died meanwhile may have left its entry in redis.
        work.caches.forget(held.removals, quarantined)
    return held, third


def finish(work: Work, held: Holding, quarantined: tuple[Removal, ...], third: Look) -> None:
    """Make a batch of the trash of what is away: in it since the last look that wanted none of it."""
    kept = set(current.digests_of(work.storage, current.CURRENT))
    current.finish(work.storage, third.rules.now, work.id)
    work.done.removed.extend((*held.removals, *(blob for blob in quarantined if blob.digest in kept)))


def purge(work: Work, last: Look) -> None:
    """Destroy what was in the trash for long enough, once the last look has its own back."""
    if last is not work.first:
        heal(work, last)
    if work.observer.time.jump():
        work.done.notes.append("the clock jumped, so nothing left the trash")
        return
    for batch in trash.batches(work.storage):
        if last.rules.repositories and not current.is_batch_of(batch, work.id):
            continue  # a run of some repositories leaves what others removed
        if is_due(current.since_of(batch), last.rules.now, work.observer.settings.trash):
            gone = list(current.blobs_of(work.storage, batch))
            current.destroy(work.storage, batch)
            for blob in gone:
                _note_purged(work, blob)


# -- looks, and what goes back


def _look(work: Work, holding: Holding) -> tuple[Holding, Look]:
    """A later look, and what stays away after it: links that nobody wrote to and that it wants gone."""
    holding = _unless_changed(work, holding)
    look = work.observer.look(holding.removals)
    going = look.plan.of(*LINKS).paths()
    holding = _unless(work, holding, lambda held: held.removal.path in going)
    return _unless_changed(work, holding), look


def _unless_changed(work: Work, holding: Holding) -> Holding:
    unchanged = {held.place for held in current.unchanged(work.storage, holding.links)}
    return _unless(work, holding, lambda held: held.place in unchanged)


def _unless(work: Work, holding: Holding, stays_away: Callable[[Held], bool]) -> Holding:
    """What of it stays away; all else goes back, in the order in which it was taken."""
    back = [held for held in holding.links if not stays_away(held)]
    if not back:
        return holding
    work.storage.ahead([Move(held.place, held.removal.path) for held in back])
    for held in back:
        work.done.put_back += current.put_back_link(work.storage, held, of_run=True)
    gone = {held.place for held in back}
    return replace(holding, links=tuple(held for held in holding.links if held.place not in gone))


def heal(work: Work, look: Look) -> None:
    """Put back from the trash what the look misses: a killed run may not have lived to do it.

    Of what this run itself took away its last look has said already what it wants.
    """
    batches = [each for each in trash.batches(work.storage) if not current.is_batch_of(each, work.id)]
    _put_back_wanted(work, trash.blobs_in(work.storage, batches), look.marks.blobs)
    # A copy of a blob that is in its place again goes, or the run would take the blob for the copy.
    left = trash.blobs_in(work.storage, batches)
    _put_back_wanted(work, left, look.tree.blobs.there(blob.digest for blob in left))
    for batch in batches:
        for held in current.read_journal(work.storage, batch).held:
            if misses(look, held.removal):
                work.done.put_back += current.put_back_link(work.storage, held)


def _put_back_wanted(work: Work, blobs: Iterable[Trashed], wanted: Container[str]) -> None:
    for blob in blobs:
        if blob.digest in wanted:
            if current.put_back_blob(work.storage, blob):
                work.done.restored += 1
            else:
                _note_purged(work, blob)


def _note_purged(work: Work, blob: Trashed) -> None:
    work.done.purged.append(blob)
    if blob.path in work.expired:
        work.done.removed.append(work.expired[blob.path])
