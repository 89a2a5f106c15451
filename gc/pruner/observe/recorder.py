"""Around a run: whatever comes of it is written into the record, and nothing about that can make it fail."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pruner.clock import Stopped
from pruner.errors import Busy, PrunerError
from pruner.observe import measure, record
from pruner.observe.record import Record
from pruner.sweep import state
from pruner.sweep.place import Place
from pruner.sweep.run import Outcome
from pruner.tree import layout

_log = logging.getLogger("pruner")


def recorded(place: Place, work: Callable[[], Outcome]) -> Outcome:
    """Do `work`, a run, and write what it came to; raises what `work` raises.

    A run that met another pruner is not written: the record is the other's at that moment.
    """
    began, start = place.clock.now(), place.clock.monotonic()
    try:
        outcome = work()
    except Busy:
        raise
    except (PrunerError, Stopped, OSError) as error:
        run = measure.failure(error, began, place.clock.monotonic() - start)
        _write(place, lambda known: known.plus(run))
        raise
    keep(place, outcome, began)
    return outcome


def keep(place: Place, outcome: Outcome, began: float = 0.0) -> None:
    """Write what a plan, or a run that began then, came to."""
    trash_time = place.settings.trash
    _write(place, lambda known: measure.of_outcome(known, place.storage, outcome, began, trash_time))


def _write(place: Place, more: Callable[[Record], Record]) -> None:
    try:
        place.storage.stat(layout.STATE)  # no folder is made where a mount may be missing
        with state.locked(place.storage, place.clock):
            known = record.load(place.storage)
            record.save(place.storage, more(known))
    except FileNotFoundError:
        return
    except (PrunerError, OSError) as error:
        _log.warning("the run is not in the record: %s", error)
