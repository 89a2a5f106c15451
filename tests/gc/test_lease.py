"""A lease: one holder at a time, taken over from a dead one only, and never by comparing clocks."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from pruner.errors import Busy, ClusterError
from pruner.kubernetes import KubernetesApi
from pruner.storage.clusterlease import ClusterLease
from pruner.storage.lease import LENGTH, RENEWAL, Lease, LeaseLost, Note, is_gone, this_process
from tests.gc.fakeapi import FakeApi
from tests.gc.fakeclock import SteppedClock
from tests.gc.prunerprocess import ROOT


@dataclass
class Store:
    """A lease in memory."""

    bound: float = 100.0
    aftermath: float = 30.0
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
            assert store.note is not None and store.note.holder.startswith(f"{name} [")
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


def test_a_process_of_this_machine_that_is_gone_is_waited_for_no_longer_than_what_it_sent(
    clock: SteppedClock,
) -> None:
    ended = subprocess.Popen(
        [sys.executable, "-c", "from pruner.storage.lease import this_process as t; print(t())"],
        env={"PYTHONPATH": str(ROOT / "gc")},
        stdout=subprocess.PIPE,
        text=True,
    )
    process = ended.communicate()[0].strip()
    assert is_gone(process) and not is_gone(this_process())
    assert not is_gone("") and not is_gone("elsewhere:pid:[1]:7:99") and not is_gone("nothing")
    store = Store(note=Note(f"host, pid 7 [{process}]", "v0"), versions=itertools.count(1))
    gone: dict[str, float] = {}
    began = clock.monotonic()
    with Lease(store, "two", clock, gone).held():
        assert store.aftermath <= clock.monotonic() - began <= store.aftermath + 1
    other = Store(note=Note(f"host, pid 7 [{process}]", "v0"), versions=itertools.count(1))
    began = clock.monotonic()
    with Lease(other, "two", clock, gone).held():
        assert clock.monotonic() - began <= 1, "it was gone for long enough already"


def test_a_lease_of_a_cluster_is_written_on_the_condition_of_its_version(
    server: FakeApi, api: KubernetesApi
) -> None:
    lease = ClusterLease(api, "team", "s3://bucket/registry", "pruner/run", 10, 5)
    other = ClusterLease(api, "team", "s3://bucket/registry", "pruner/run", 10, 5)
    assert lease.name == other.name != ClusterLease(api, "team", "s3://b/r", "pruner/run", 10, 5).name
    assert lease.read() is None
    path = f"apis/coordination.k8s.io/v1/namespaces/team/leases/{lease.name}"
    server.single[path] = {"metadata": {"resourceVersion": "1"}, "spec": {}}
    first = lease.read()
    assert first == Note("", "1")
    assert lease.write("me", "1") == "1", "the server here counts no versions"
    assert server.single[path]["spec"]["holderIdentity"] == "me"
    assert server.single[path]["metadata"]["resourceVersion"] == "1", "it is part of what is sent"
    server.failures[path] = [(409, b'{"message": "the object has been modified"}')]
    assert other.write("them", "1") is None
    server.failures[path] = [(403, b'{"message": "leases is forbidden"}')]
    with pytest.raises(ClusterError, match="forbidden; the pruner's service account must be allowed to"):
        other.write("them", "1")
