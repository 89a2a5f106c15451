"""The registry next to us is asked and restarted."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruner.errors import ConfigError, RegistryError
from pruner.registry import process
from pruner.registry.config import RegistryConfig
from pruner.registry.process import RegistryProcess, RunningRegistry
from tests.gc.processdoubles import Answering, FakeProc, self_signed, server_tls, settings
from tests.gc.storagedoubles import FakeClock


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def waits(read: RegistryConfig, proc: FakeProc, ca: str | None = None) -> RegistryProcess:
    return RunningRegistry(FakeClock(), ca=ca, proc=str(proc)).wait(read)


@pytest.fixture
def running(proc: FakeProc) -> Iterator[FakeProc]:
    proc.add(7, "registry", "serve")
    yield proc


@pytest.mark.parametrize("status", [200, 401])
def test_200_and_401_are_answers(running: FakeProc, status: int) -> None:
    with Answering(status) as answering:
        assert waits(settings(addr=f":{answering.port}", prefix="/hub"), running).pid == 7
        assert answering.requests == ["GET /hub/v2/"]


def test_503_is_none(running: FakeProc) -> None:
    with (
        Answering(503) as answering,
        pytest.raises(RegistryError, match=r"within 420 s: .* answers with status 503"),
    ):
        waits(settings(addr=f"127.0.0.1:{answering.port}"), running)


def test_nobody_there_is_none(running: FakeProc) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(RegistryError, match=r"http://localhost:.* gives .*refused"):
            waits(settings(addr=f":{unused.getsockname()[1]}"), running)


def test_an_answer_without_a_process_is_none(proc: FakeProc) -> None:
    with Answering(200) as answering, pytest.raises(RegistryError, match="its process has not been started"):
        waits(settings(addr=f":{answering.port}"), proc)


def test_a_unix_socket_is_asked(running: FakeProc, tmp_path: Path) -> None:
    with Answering(200, path=tmp_path / "s") as answering:
        waits(settings(net="unix", addr=str(tmp_path / "s")), running)
        assert answering.requests == ["GET /v2/"]
    (tmp_path / "s").unlink()
    with pytest.raises(RegistryError, match=r"the socket .* gives .*No such file"):
        waits(settings(net="unix", addr=str(tmp_path / "s")), running)


def test_without_a_ca_any_certificate_will_do(running: FakeProc, identity: Path) -> None:
    with Answering(200, context=server_tls(identity)) as answering:
        waits(settings(addr=f":{answering.port}", tls={"certificate": "c"}), running)


def test_with_a_ca_the_certificate_must_be_its_own(
    running: FakeProc, identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COMEBACK", 1.0)
    with Answering(200, context=server_tls(identity)) as answering:
        read = settings(addr=f":{answering.port}", tls={"certificate": "c"})
        waits(read, running, str(identity / "ca.crt"))
        stranger = self_signed(tmp_path)
        with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
            waits(read, running, str(stranger / "ca.crt"))
        with pytest.raises(ConfigError, match="check GC_CA"):
            waits(read, running, str(tmp_path / "missing"))


def test_a_registry_that_wants_a_client_certificate_is_there(running: FakeProc, identity: Path) -> None:
    context = server_tls(identity)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(identity / "ca.crt")
    with Answering(200, context=context) as answering:
        waits(settings(addr=f":{answering.port}", tls={"certificate": "c", "clientcas": ["a"]}), running)


def test_a_registry_without_a_port_cannot_be_asked(running: FakeProc) -> None:
    with pytest.raises(ConfigError, match=r"http.addr names no port"):
        waits(settings(), running)


@pytest.mark.parametrize(("status", "writable"), [(400, True), (405, False), (401, None), (403, None)])
def test_what_a_push_is_answered_says_if_writes_are_taken(status: int, writable: bool | None) -> None:
    with Answering(status) as answering:
        read = settings(addr=f":{answering.port}")
        assert RunningRegistry(FakeClock()).takes_writes(read) is writable
        assert answering.requests == ["PUT /v2/pruner-probe/manifests/probe"]


def test_an_odd_answer_to_a_push_is_an_error() -> None:
    with Answering(500) as answering:
        read = settings(addr=f":{answering.port}")
        with pytest.raises(RegistryError, match="odd status 500"):
            RunningRegistry(FakeClock()).takes_writes(read)
    with pytest.raises(RegistryError, match="does not answer"):
        RunningRegistry(FakeClock()).takes_writes(read)


def test_a_registry_that_is_just_coming_back_is_waited_for(proc: FakeProc) -> None:
    def comes() -> None:
        if clock.steady > 10 and not (proc.folder / str(2**22 + 1)).exists():
            proc.add(2**22 + 1, "registry", "serve")  # no such process: it ends by itself

    clock = FakeClock(during=comes)
    with pytest.raises(RegistryError, match="did not come back"):
        RunningRegistry(clock, proc=str(proc)).restart(settings(addr=":5000"))
    assert clock.steady > 10


def test_a_restart_without_a_registry_says_what_is_missing(proc: FakeProc) -> None:
    with pytest.raises(RegistryError, match="shareProcessNamespace"):
        RunningRegistry(FakeClock(), proc=str(proc)).restart(settings(addr=":5000"))


def test_a_registry_that_does_not_end_is_left_alive(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        signals.append((pid, number))

    monkeypatch.setattr(os, "kill", kill)
    proc.add(7, "registry", "serve")
    clock = FakeClock()
    with pytest.raises(RegistryError, match=r"did not end within 90 s of SIGTERM"):
        RunningRegistry(clock, proc=str(proc)).restart(settings(addr=":5000", draintimeout="1m"))
    assert signals == [(7, signal.SIGTERM)]
    assert clock.steady == pytest.approx(90, abs=1)


def test_a_registry_of_another_user_cannot_be_restarted(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    proc.add(7, "registry", "serve")
    with pytest.raises(RegistryError, match="must run as one user"):
        RunningRegistry(FakeClock(), proc=str(proc)).restart(settings(addr=":5000"))


@pytest.mark.parametrize("same_pid", [True, False])
def test_the_successor_is_told_from_the_old_one(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, same_pid: bool
) -> None:
    def kill(_pid: int, _number: int) -> None:
        pass

    monkeypatch.setattr(os, "kill", kill)
    proc.add(7, "registry", "serve", started=100)
    clock = FakeClock()

    def happens() -> None:
        if clock.steady > 20 and (proc.folder / "7").exists() and not same_pid:
            proc.end(7)
        if clock.steady > 25:
            proc.add(7 if same_pid else 8, "registry", "serve", started=200)

    clock = FakeClock(during=happens)
    with Answering(200) as answering:
        successor = RunningRegistry(clock, proc=str(proc)).restart(settings(addr=f":{answering.port}"))
    assert (successor.pid, successor.started) == (7 if same_pid else 8, 200)


def present(proc: FakeProc, **http: object) -> bool:
    return RunningRegistry(FakeClock(), proc=str(proc)).present(settings(**http))


def test_a_registry_is_there_when_its_process_is_or_something_answers(proc: FakeProc, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f":{unused.getsockname()[1]}"
        assert not present(proc, addr=nobody)
        assert not present(proc, net="unix", addr=str(tmp_path / "missing"))
        assert not present(proc)
        with Answering(503) as answering:
            assert present(proc, addr=f":{answering.port}")
            assert present(proc, addr=f":{answering.port}", tls={"certificate": "c"})
        proc.add(7, "registry", "serve")
        assert present(proc, addr=nobody)
