"""Plan -> execution: removes exactly what the plan says, so that a running registry loses nothing.

    put back from the trash what the look misses
    remove abandoned uploads and leftovers
    hold every link, journalled: rename it away, so that clients get 404 and upload again
    flush what caches descriptors
    look at once for what was acknowledged just before, and put back what it needs
    wait the grace, with the lock lent to trash commands
    look again: put back what something new needs
    decide (journalled): from here on an interrupted run is ended, not undone
    quarantine every blob that both looks found unreferenced: rename it away
    settle, and look a third time: put back what was linked meanwhile
    finish: what the run took away becomes a batch of the trash
    purge the batches that are due, and remove folders that are empty now

A link is renamed and not unlinked because a registry may write it at the same moment: what was written is
then in our hands and not lost, and goes back. Until `decide` every failure undoes the run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from pruner.decide.look import Look, Observer
from pruner.decide.plan import LINKS
from pruner.errors import PrunerError
from pruner.sweep import current, phases, state, tidy
from pruner.sweep.work import Caches, Execution, Work


def execute(first: Look, observer: Observer, caches: Caches, lock: state.Lock) -> Execution:
    """Carry out the plan of `first`, under the lock and after recovery.

    Raises WriteError, ReadError, RegistryError, ClockError, Busy or Stopped, with the run undone unless it
    had been decided (then the next run ends it); a note of the error says what became of it.
    """
    plan = first.plan
    expired = {removal.path: removal for removal in plan.of("trash")}
    work = Work(first, observer, caches, lock, expired)
    done = work.done
    with state.write_errors(work.storage, "what the run removed so far stays removed"):
        with work.phase("recover from the trash"):
            phases.heal(work, first)
        with work.phase("remove leftovers"):
            done.removed.extend(tidy.remove_leftovers(work.storage, plan))
        last = done.last = _sweep(work) if plan.removals.has(*LINKS, "blob") else first
        with work.phase("purge"):
            phases.purge(work, last)
        with work.phase("remove folders"):
            done.removed.extend(tidy.remove_folders(work.storage, done.removed, plan))
        state.reserve(work.storage)
    order = {(each.kind, each.path): number for number, each in enumerate(plan.removals)}
    done.removed.sort(key=lambda each: order[each.kind, each.path])
    return done


def _sweep(work: Work) -> Look:
    """Take away links and blobs, from the first of them to the batch of the trash; the last look."""
    with _failing(work, _undo):
        held = phases.hold(work)
        held = phases.flush(work, held)
        phases.wait(work)
        held, second = phases.look_again(work, held)
    with _failing(work, _put_blobs_back):
        quarantined = phases.quarantine(work, held, second)
        phases.settle(work, quarantined)
        held, third = phases.look_last(work, held, quarantined)
        phases.finish(work, held, quarantined, third)
    return third


@contextmanager
def _failing(work: Work, clean_up: Callable[[Work], str]) -> Generator[None]:
    """After a failure clean up, and say with the error what became of what the run had taken away."""
    try:
        yield
    except OSError as error:
        raise state.write_error(work.storage, error, clean_up(work)) from error
    except Exception as error:
        error.add_note(clean_up(work))
        raise


def _undo(work: Work) -> str:
    try:
        if not work.lock.held:
            work.lock.take()  # it did not come back to a run that failed while it waited
        if current.read_journal(work.storage, current.CURRENT).run not in ("", work.id):
            return "what this run held was put back by the other pruner, or is in the trash"
        current.undo(work.storage)
    except (OSError, PrunerError) as error:
        return f"what the run holds could not be put back ({error}): the next run does it"
    return "everything that the run had taken away is back in its place"


def _put_blobs_back(work: Work) -> str:
    """Without the last look nobody knows that no blob is missed."""
    links = "the links that nothing needed stay away, and the next run moves them to the trash"
    try:
        for blob in list(current.blobs_of(work.storage, current.CURRENT)):
            current.put_back_blob(work.storage, blob)
    except OSError as error:
        return f"blobs could not all be put back ({error}), so the next run finds them in the trash; {links}"
    return f"every blob is back in its place; {links}"
