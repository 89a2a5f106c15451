"""What serve has running beside its loop: it answers from memory, and its failures are not the loop's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pruner.clock import SystemClock
from pruner.delays import HUNG
from pruner.observe.record import Record, Run
from pruner.observe.service import Service
from pruner.observe.surroundings import Surroundings, Watch
from pruner.settings.table import Settings
from pruner.storage.filesystem import FileSystem
from tests.gc.observed import until
from tests.gc.realregistry import free_port


class Refusing:
    """A storage of which every call fails, once it is told to, and counts how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.files = FileSystem(str(folder))
        self.refuses = False
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.refuses:
            raise OSError(5, "Input/output error")
        return getattr(self.files, name)


class Still(Watch):
    """Nothing around it changes; asking fails if it is told to."""

    def __init__(self) -> None:
        self.fails = False

    def tick(self) -> None:
        if self.fails:
            raise RuntimeError("something unforeseen")

    def look(self) -> Surroundings:
        return Surroundings(trouble="")

    def registry_metrics(self) -> bytes:
        return b""


class Later(SystemClock):
    """The machine's clock, ahead by what a test likes."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Served:
    def __init__(self, folder: Path) -> None:
        self.clock = Later()
        self.storage = Refusing(folder)
        self.watch = Still()
        self.settings = Settings(metrics_port=free_port(), page_port=free_port(), grace=60)
        storage: Any = self.storage
        self.service = Service(storage, self.settings, self.clock, self.watch, {})
        self.service.start()
        self.service.wait(120)

    def get(self, path: str, *, page: bool = False) -> requests.Response:
        port = self.settings.page_port if page else self.settings.metrics_port
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.watch.fails = False  # its thread lives on, and would say so until the tests end


def test_a_request_never_asks_the_storage(served: Served) -> None:
    served.storage.refuses = True
    before = served.storage.asked
    for path, page in (("/metrics", False), ("/healthz", False), ("/", True), ("/record.json", True)):
        assert served.get(path, page=page).status_code == 200
    assert served.storage.asked == before


def test_a_loop_that_hangs_fails_its_probe_and_is_well_again_when_it_moves(served: Served) -> None:
    assert served.get("/healthz").status_code == 200
    served.clock.ahead = 120 + 60 + HUNG - 5
    assert served.get("/healthz").status_code == 200, "it may be silent for so long"
    served.clock.ahead += 10
    answer = served.get("/healthz")
    assert (answer.status_code, "no sign of life" in answer.text) == (503, True)
    assert "registry_gc_hung 1.0" in served.get("/metrics").text
    assert "no sign of life" in served.get("/", page=True).text
    served.service.begin()
    assert served.get("/healthz").status_code == 200


def test_a_run_that_could_not_be_written_down_is_shown(served: Served) -> None:
    served.service.begin()
    served.storage.refuses = True
    served.service.finish(7)
    assert 'registry_gc_last_run_failed{result="failed"} 1.0' in served.get("/metrics").text
    assert "exit code 7" in served.get("/", page=True).text


def test_what_the_storage_remembers_is_shown_from_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "docker/registry/v2/pruner"
    folder.mkdir(parents=True)
    from pruner.observe import record

    record.save(FileSystem(str(tmp_path)), Record().plus(Run(1.0, 2.0, "done", 0, "removed 3 blobs")))
    assert "removed 3 blobs" in Served(tmp_path).get("/", page=True).text


def test_what_goes_wrong_in_the_watch_is_told_and_it_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.watch.fails = True
    served.service.wait(60)
    until(lambda: "looking around failed" in caplog.text, "it is logged", 10)
    assert served.get("/metrics").status_code == 200


def test_without_a_port_or_a_name_nothing_runs(tmp_path: Path) -> None:
    storage: Any = Refusing(tmp_path)
    service = Service(storage, Settings(), Later(), Still(), {})
    service.start()
    service.begin()
    service.finish(0)
    with service.child() as (variables, pipes):
        assert variables["PRUNER_PULSE"] == str(pipes[0])
