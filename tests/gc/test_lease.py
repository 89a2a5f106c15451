"""A lease: one holder at a time, taken over from a dead one only, and never by comparing clocks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from pruner.errors import Busy
from pruner.storage.lease import LENGTH, RENEWAL, Lease, LeaseLost, Note
from tests.gc.fakeclock import SteppedClock


@dataclass
class Store:
    """A lease in memory."""

    bound: float = 100.0
    note: Note | None = None
    writes: int = 0
    fails: bool = False
    versions: itertools.count[int] = field(default_factory=itertools.count)

    def read(self) -> Note | None:
        return self.note

    def write(self, holder: str, version: str | None) -> str | None:
        if self.fails:
            raise OSError("no answer")
        if version != (self.note.version if self.note else None):
            return None
        self.writes += 1
        self.note = Note(holder, f"v{next(self.versions)}")
        return self.note.version


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def test_a_lease_that_is_given_back_is_free_at_once(clock: SteppedClock) -> None:
    store = Store()
    for name in ("one", "two"):
        with Lease(store, name, clock).held():
            assert store.note is not None and store.note.holder == name
        assert store.note.holder == ""


def test_a_holder_at_work_is_named_as_soon_as_it_is_seen_to_renew(clock: SteppedClock) -> None:
    store = Store()
    began = clock.monotonic()
    with Lease(store, "host-1, pid 7", clock).held() as lease:

        def renew(remaining: float) -> float:
            lease.check()
            return remaining

        clock.step = renew
        clock.advance(RENEWAL + 1)
        with pytest.raises(Busy, match="host-1, pid 7"), Lease(store, "two", clock).held():
            pass
    assert clock.monotonic() - began < LENGTH


def test_a_dead_holder_loses_it_after_its_length_and_the_bound_of_a_request_and_not_before(
    clock: SteppedClock,
) -> None:
    store = Store(note=Note("dead", "v0"), versions=itertools.count(1))
    began = clock.monotonic()
    with Lease(store, "two", clock).held():
        assert LENGTH + store.bound <= clock.monotonic() - began < LENGTH + store.bound + RENEWAL


def test_one_that_was_paused_learns_before_its_next_change_that_another_has_it(clock: SteppedClock) -> None:
    store = Store()
    with pytest.raises(LeaseLost), Lease(store, "paused", clock).held() as lease:
        assert store.note is not None
        assert store.write("two", store.note.version) is not None
        clock.advance(RENEWAL + 1)
        lease.check()
    assert store.note and store.note.holder == "two", "what another holds is not given back"


def test_a_check_asks_the_store_only_when_a_renewal_is_due(clock: SteppedClock) -> None:
    store = Store()
    with Lease(store, "one", clock).held() as lease:
        for _ in range(100):
            lease.check()
        assert store.writes == 1
        clock.advance(RENEWAL + 1)
        lease.check()
        assert store.writes == 2


def test_nothing_is_changed_while_the_lease_cannot_be_renewed(clock: SteppedClock) -> None:
    store = Store()
    with Lease(store, "one", clock).held() as lease:
        store.fails = True
        clock.advance(RENEWAL + 1)
        with pytest.raises(OSError, match="no answer"):
            lease.check()
        store.fails = False
        lease.check()


def test_of_two_that_take_it_at_once_one_is_told(clock: SteppedClock) -> None:
    class Racing(Store):
        def read(self) -> Note | None:
            found = super().read()
            if found is None:
                self.note = Note("faster", "v9")
            return found

    with pytest.raises(Busy), Lease(Racing(), "slower", clock).held():
        pass
