"""The status of the address resource and the Events of the Deployment, on an API server of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pruner.delays import STATUS_RETRY, STATUS_SOON
from pruner.kubernetes import KubernetesApi
from pruner.observe.board import Now
from pruner.observe.record import Record, Run
from pruner.observe.status import Herald, State, status_of
from pruner.observe.words import concerns
from tests.gc.fakeapi import FakeApi
from tests.gc.observed import DAY, NOW, a_record, surroundings, waiting
from tests.gc.processdoubles import self_signed
from tests.gc.storagedoubles import FakeClock

ADDRESS = "apis/docker-registry.internal/v1/namespaces/registry/registryaddresses/main"
DEPLOYMENT = "apis/apps/v1/namespaces/registry/deployments/web"
EVENTS = "api/v1/namespaces/registry/events"


def state(record: Record | None = None, now: Now | None = None, **around: object) -> State:
    record = a_record() if record is None else record
    now, found = now or waiting(), surroundings(**around)
    return State(record, now, found, tuple(concerns(record, now, found, NOW, 7 * DAY, "")))


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    server = FakeApi(self_signed(tmp_path, "127.0.0.1"))
    (tmp_path / "token").write_text("first")
    server.single[ADDRESS] = {"metadata": {"name": "main"}, "spec": {"address": "10.0.0.5:32000"}}
    server.single[f"{ADDRESS}/status"] = {}
    server.single[DEPLOYMENT] = {"metadata": {"name": "web", "namespace": "registry", "uid": "u-1"}}
    yield server
    server.stop()


def herald(
    api: FakeApi, folder: Path, last: Run | None = None, deployment: str = "registry/web"
) -> tuple[Herald, FakeClock]:
    clock = FakeClock(NOW)

    def make() -> KubernetesApi:
        return KubernetesApi.of_pod(api.environ, clock, str(folder))

    return Herald(make, clock, "registry/main", deployment, last), clock


# what it says


def test_it_says_what_the_last_run_came_to_and_when_the_next_one_begins() -> None:
    record = a_record()
    said = status_of(state(record))
    last, snapshot = record.last, record.snapshot
    assert last is not None
    assert snapshot is not None
    assert said["phase"] == "waiting"
    assert said["lastResult"] == "done"
    assert said["lastMessage"] == last.message
    assert said["freedBytes"] == last.total.bytes
    assert said["storedBytes"] == snapshot.bytes
    assert said["nextRun"] == "2026-12-01 15:32:40 UTC".replace(" ", "T", 1).replace(" UTC", "Z")
    assert said["certificateEnds"].startswith("2028-01-0")
    assert conditions(said) == {
        "Ready": ("True", "RegistryAnswers"),
        "Pruning": ("True", "RunDone"),
        "Degraded": ("True", "KeptWhole"),
    }


def test_a_run_at_work_says_its_phase_and_since_when() -> None:
    said = status_of(state(now=Now("running", NOW - 90, None, "second look", NOW - 5, 7)))
    assert (said["phase"], said["phaseSince"]) == ("second look", "2026-11-24T17:56:35Z")
    assert said["nextRun"] is None


def test_conditions_say_what_is_wrong() -> None:
    assert conditions(status_of(state(trouble="it answers with status 503")))["Ready"] == (
        "False",
        "RegistryDown",
    )
    refused = a_record().plus(Run(NOW - 60, 5, "refused", 6, "a fuse"))
    assert conditions(status_of(state(refused)))["Pruning"] == ("False", "RunRefused")
    assert conditions(status_of(state(Record())))["Pruning"] == ("Unknown", "NoRunYet")
    assert conditions(status_of(state(Record())))["Degraded"] == ("False", "AsItShouldBe")
    long = Run(NOW - 60, 5, "failed", 7, "x" * 5000)
    for each in status_of(state(a_record().plus(long)))["conditions"]:
        assert len(each["message"]) <= 1000


# how it is written


def test_it_is_written_once_and_again_only_when_something_changed(api: FakeApi, tmp_path: Path) -> None:
    telling, clock = herald(api, tmp_path, a_record().last)
    telling.tell(state())
    written = api.single[f"{ADDRESS}/status"]["status"]
    assert written["lastResult"] == "done"
    since = {each["type"]: each["lastTransitionTime"] for each in written["conditions"]}
    before = len(api.requests)
    telling.tell(state())
    assert len(api.requests) == before, "nothing changed"
    clock.advance(3600)
    telling.tell(state(trouble="it answers with status 503"))
    written = api.single[f"{ADDRESS}/status"]["status"]
    later = {each["type"]: each["lastTransitionTime"] for each in written["conditions"]}
    assert later["Ready"] != since["Ready"]
    assert later["Pruning"] == since["Pruning"], "what did not change is as old as it was"
    assert "spec" not in api.single[f"{ADDRESS}/status"]


def test_a_new_process_knows_since_when_conditions_are_as_they_are(api: FakeApi, tmp_path: Path) -> None:
    before = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    api.single[ADDRESS]["status"] = {"conditions": [before]}
    herald(api, tmp_path, a_record().last)[0].tell(state())
    (ready,) = [
        each for each in api.single[f"{ADDRESS}/status"]["status"]["conditions"] if each["type"] == "Ready"
    ]
    assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def events(api: FakeApi) -> list[str]:
    return [request for request in api.requests if request == f"POST /{EVENTS}"]


def test_a_run_that_removed_something_is_an_event_of_the_deployment(api: FakeApi, tmp_path: Path) -> None:
    record = a_record()
    telling, _ = herald(api, tmp_path, record.runs[-2])
    telling.tell(state(record))
    telling.tell(state(record))
    assert len(events(api)) == 1
    event = api.single[EVENTS]
    assert event["involvedObject"]["uid"] == "u-1"
    assert (event["type"], event["reason"]) == ("Normal", "Pruned")
    assert event["message"] == record.runs[-1].message
    quiet = record.plus(Run(NOW - 5, 1, "done", 0, "nothing to remove in 3 repositories"))
    telling.tell(state(quiet))
    assert len(events(api)) == 1, "a run that removed nothing is no news"
    telling.tell(state(quiet.plus(Run(NOW - 1, 1, "refused", 6, "a fuse"))))
    assert (api.single[EVENTS]["type"], api.single[EVENTS]["reason"]) == ("Warning", "PruningRefused")


def test_short_runs_and_a_silent_cluster_cost_no_event(api: FakeApi, tmp_path: Path) -> None:
    """Found on a slow machine: an idle run followed the one that removed something before it was told."""
    record = a_record()
    idle = Run(NOW - 5, 1, "done", 0, "nothing to remove in 3 repositories")
    telling, clock = herald(api, tmp_path, record.runs[-2])
    telling.tell(state(record.plus(idle)))
    assert len(events(api)) == 1
    assert api.single[EVENTS]["message"] == record.runs[-1].message

    api.failures[EVENTS] = [(500, b"{}")]
    later = record.plus(idle).plus(Run(NOW - 4, 1, "refused", 6, "a fuse")).plus(replace(idle, began=NOW - 3))
    telling.tell(state(later))
    clock.advance(STATUS_RETRY)
    telling.tell(state(later))
    assert api.single[EVENTS]["reason"] == "PruningRefused"
    asked = len(events(api))
    telling.tell(state(later))
    assert len(events(api)) == asked


def test_without_the_right_to_it_it_says_so_once_and_goes_on(
    api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forbidden = (403, b'{"kind": "Status", "message": "registryaddresses is forbidden"}')
    api.failures[ADDRESS] = [forbidden, forbidden]
    telling, clock = herald(api, tmp_path)
    telling.tell(state())
    asked = len(api.requests)
    telling.tell(state())
    assert len(api.requests) == asked, "not again at once"
    clock.advance(STATUS_RETRY)
    telling.tell(state())
    assert len([record for record in caplog.records if "does not show" in record.message]) == 1
    clock.advance(STATUS_RETRY)
    telling.tell(state())
    assert api.single[f"{ADDRESS}/status"]["status"]["lastResult"] == "done", "the right was given"


def test_an_address_that_is_declared_a_moment_later_has_its_status_a_moment_later(
    api: FakeApi, tmp_path: Path
) -> None:
    """`up` declares it when the pod is ready: a pruner that looked first said nothing for minutes."""
    there = api.single.pop(ADDRESS)
    telling, clock = herald(api, tmp_path)
    telling.tell(state())
    clock.advance(STATUS_SOON)
    telling.tell(state())
    api.single[ADDRESS] = there
    clock.advance(STATUS_SOON)
    telling.tell(state())
    assert api.single[f"{ADDRESS}/status"] == {}, "each failure is followed by a longer pause"
    clock.advance(STATUS_SOON)
    telling.tell(state())
    assert api.single[f"{ADDRESS}/status"]["status"]["lastResult"] == "done"


def test_outside_of_a_cluster_nobody_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    telling = Herald(lambda: KubernetesApi.of_pod({}, clock, str(tmp_path)), clock, "a/b", "a/c", None)
    telling.tell(state())
    assert "does not show" in caplog.text


def test_a_state_of_nothing_can_be_told(api: FakeApi, tmp_path: Path) -> None:
    nothing = State(Record(), Now("starting", NOW), replace(surroundings(), certificate=None), ())
    herald(api, tmp_path)[0].tell(nothing)
    written = api.single[f"{ADDRESS}/status"]["status"]
    assert "lastRun" not in written
    assert written["phase"] == "waiting"
