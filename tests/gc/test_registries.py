"""The registries of our tree: found, checked and restarted."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.errors import ConfigError, RegistryError
from pruner.registry.config import RegistryConfig
from pruner.registry.registries import Registries
from tests.gc.processdoubles import Answering, FakeProc
from tests.gc.storagedoubles import FakeClock

FILE = "/etc/distribution/config.yml"
INMEMORY = {"REGISTRY_STORAGE_CACHE": "{blobdescriptor: inmemory}"}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))

    monkeypatch.setattr(os, "kill", kill)
    return sent


def nearby(proc: FakeProc, clock: FakeClock | None = None) -> Registries:
    return Registries(clock or FakeClock(), proc=str(proc), restart="allowed")


def cached(config: RegistryConfig) -> RegistryConfig:
    return replace(config, cache="inmemory")


def test_those_that_serve_the_tree_are_told_from_others(proc: FakeProc) -> None:
    given = proc.serve()
    (proc.root / "other").mkdir()
    elsewhere = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/other"}
    proc.add(7, "registry", "serve", FILE)
    proc.add(8, "registry", "serve", environ={"REGISTRY_CONFIGURATION_PATH": FILE})
    proc.add(9, "registry", "serve", FILE, environ=elsewhere)
    proc.add(10, "registry", "serve", "/etc/gone.yml")
    survey = nearby(proc).survey(given)
    assert [each.process.pid for each in survey.ours] == [7, 8]
    assert [each.process.pid for each in survey.others] == [9]
    assert [process.pid for process, _ in survey.doubts] == [10]


def test_item_2_a_reading_that_differs_is_said(proc: FakeProc) -> None:
    given = proc.serve()
    proc.add(7, "registry", "serve", FILE)
    assert nearby(proc).check(given) == []
    proc.add(7, "registry", "serve", FILE, environ=INMEMORY)
    (note,) = nearby(proc).check(given)
    assert "with its cache in memory, and not without a cache" in note


def test_item_2_no_password_of_redis_is_said(proc: FakeProc) -> None:
    given = proc.serve()
    redis = {
        "REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}",
        "REGISTRY_REDIS": "{addr: 'r:1', password: hush}",
    }
    proc.add(7, "registry", "serve", FILE, environ=redis)
    (note,) = nearby(proc).check(given)
    assert "redis at r:1, database 0" in note
    assert "hush" not in note
    (found,) = nearby(proc).redis(given)
    assert found.password == "hush"


def test_item_3_what_cannot_be_told_stops_a_run_unless_somebody_vouches(proc: FakeProc) -> None:
    given = proc.serve()
    proc.add(7, "registry", "serve", FILE)
    proc.add(8, "registry", "serve", given.path)
    with pytest.raises(RegistryError, match=r"process 8 .*--override other-registries"):
        nearby(proc).check(given)
    (note,) = nearby(proc).check(given, doubtful=True)
    assert "what is pruned may be lost" in note


@pytest.mark.parametrize(
    ("words", "may_be_ours"),
    [(("/etc/gone.yml",), False), (("gone.yml",), False), (("config.yml",), True), ((), True)],
)
def test_item_3_of_what_cannot_be_looked_into_the_name_of_its_file_counts(
    proc: FakeProc, words: tuple[str, ...], may_be_ours: bool
) -> None:
    """On a machine of many; in a pod all that runs beside us may be ours."""
    given = proc.serve()
    proc.add(8, "registry", "serve", *words, cwd="/nowhere")
    if may_be_ours:
        with pytest.raises(RegistryError, match="process 8"):
            nearby(proc).check(given)
    else:
        assert "process 8" in nearby(proc).check(given)[0]
    with pytest.raises(RegistryError, match="process 8"):
        Registries(FakeClock(), proc=str(proc), in_pod=True).check(given)


def test_a_registry_that_is_just_ending_is_not_in_the_way(proc: FakeProc) -> None:
    given = proc.serve()
    proc.add(8, "registry", "serve", given.path)
    clock = FakeClock(during=lambda: proc.end(8) if (proc.folder / "8").exists() else None)
    assert nearby(proc, clock).check(given) == []


def test_item_3_every_redis_is_forgotten_once(proc: FakeProc) -> None:
    given = proc.serve(redis="{addr: 'given:1'}")
    cache = {"REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}"}
    assert [each.place for each in nearby(proc).redis(given)] == ["given:1, database 0"], "none is in sight"
    proc.add(7, "registry", "serve", FILE, environ=cache | {"REGISTRY_REDIS_ADDR": "a:1"})
    proc.add(8, "registry", "serve", FILE, environ=cache | {"REGISTRY_REDIS_ADDR": "a:1"})
    proc.add(9, "registry", "serve", FILE, environ=cache | {"REGISTRY_REDIS_DB": "2"})
    assert sorted(each.place for each in nearby(proc).redis(given)) == [
        "a:1, database 0",
        "given:1, database 2",
    ]


def test_item_3_the_redis_of_a_registry_between_two_lives_is_forgotten(proc: FakeProc) -> None:
    given = proc.serve()
    cache = {"REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}", "REGISTRY_REDIS_ADDR": "a:1"}
    proc.add(7, "registry", "serve", FILE, environ=cache)
    nearest = nearby(proc)
    nearest.check(given)
    proc.end(7)
    assert [each.place for each in nearest.redis(given)] == ["a:1, database 0"]


def test_item_4_nothing_is_ended_that_nobody_starts_again(
    proc: FakeProc, signals: list[tuple[int, int]]
) -> None:
    given = proc.serve(addr=":5000")
    proc.add(7, "registry", "serve", FILE, environ=INMEMORY)
    careful = Registries(FakeClock(), proc=str(proc))
    for attempt in (careful.check, careful.refresh, careful.restart):
        with pytest.raises(RegistryError, match=r"process 7 .*must not be: nothing is seen"):
            attempt(given)
    assert signals == []


def test_a_cache_in_memory_that_is_out_of_sight_stops_a_run(proc: FakeProc) -> None:
    with Answering(200) as answering:
        given = cached(proc.serve(addr=f":{answering.port}"))
        for attempt in (nearby(proc).check, nearby(proc).refresh):
            with pytest.raises(RegistryError, match="needs shareProcessNamespace"):
                attempt(given)
    assert nearby(proc).check(given) == []
    assert "no registry is running" in nearby(proc).refresh(given)


def test_without_a_cache_in_memory_nothing_is_restarted(
    proc: FakeProc, signals: list[tuple[int, int]]
) -> None:
    given = proc.serve(addr=":5000")
    proc.add(7, "registry", "serve", FILE)
    assert nearby(proc).refresh(cached(given)) == "", "what it runs with counts, not what was given"
    assert signals == []


def test_a_registry_that_is_just_coming_back_is_waited_for(proc: FakeProc) -> None:
    given = proc.serve(addr=":5000")

    def comes() -> None:
        if clock.steady > 10 and not (proc.folder / str(2**22 + 1)).exists():
            proc.add(2**22 + 1, "registry", "serve", FILE)  # no such process: it ends by itself

    clock = FakeClock(during=comes)
    with pytest.raises(RegistryError, match="did not come back"):
        nearby(proc, clock).restart(given)
    assert clock.steady > 10


def test_a_restart_without_a_registry_says_what_is_missing(proc: FakeProc) -> None:
    with pytest.raises(RegistryError, match="shareProcessNamespace"):
        nearby(proc).restart(proc.serve(addr=":5000"))


def test_a_registry_that_does_not_end_is_left_alive(proc: FakeProc, signals: list[tuple[int, int]]) -> None:
    given = proc.serve(addr=":5000", draintimeout="1m")
    proc.add(7, "registry", "serve", FILE)
    clock = FakeClock()
    with pytest.raises(RegistryError, match=r"did not end within 90 s of SIGTERM"):
        nearby(proc, clock).restart(given)
    assert signals == [(7, signal.SIGTERM)]
    assert clock.steady == pytest.approx(90, abs=1)


def test_a_registry_of_another_user_cannot_be_restarted(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    given = proc.serve(addr=":5000")
    proc.add(7, "registry", "serve", FILE)
    with pytest.raises(RegistryError, match="must run as one user"):
        nearby(proc).restart(given)


def test_a_registry_without_a_port_is_not_ended(proc: FakeProc, signals: list[tuple[int, int]]) -> None:
    given = proc.serve()
    proc.add(7, "registry", "serve", FILE)
    with pytest.raises(ConfigError, match=r"http.addr names no port"):
        nearby(proc).restart(given)
    assert signals == []


@pytest.mark.parametrize("same_pid", [True, False])
def test_the_successor_is_told_from_the_old_one_and_from_others(
    proc: FakeProc, signals: list[tuple[int, int]], same_pid: bool
) -> None:
    def happens() -> None:
        if clock.steady > 20 and (proc.folder / "7").exists() and not same_pid:
            proc.end(7)
        if clock.steady > 25:
            proc.add(7 if same_pid else 8, "registry", "serve", FILE, started=200)

    clock = FakeClock(during=happens)
    with Answering(200) as answering:
        given = proc.serve(addr=f":{answering.port}")
        proc.add(7, "registry", "serve", FILE, started=100)
        proc.add(6, "registry", "serve", environ={"REGISTRY_CONFIGURATION_PATH": FILE}, started=90)
        nearest = nearby(proc, clock)
        old = next(each for each in nearest.survey(given).ours if each.process.pid == 7)
        successor = nearest.restart_one(old, given).process
    assert signals == [(7, signal.SIGTERM)]
    assert (successor.pid, successor.started) == (7 if same_pid else 8, 200)
    assert clock.steady > 25


def test_a_registry_is_there_when_its_process_is_or_something_answers(proc: FakeProc) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        given = proc.serve(addr=f":{unused.getsockname()[1]}")
        assert not nearby(proc).present(given)
        proc.add(7, "registry", "serve", FILE)
        assert nearby(proc).present(given)
        proc.end(7)
    with Answering(503) as answering:
        assert nearby(proc).present(proc.serve(addr=f":{answering.port}"))
