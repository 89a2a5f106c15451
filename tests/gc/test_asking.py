"""The registry asked over HTTP."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from pruner.errors import ConfigError, RegistryError
from pruner.registry import config
from pruner.registry.asking import Asker
from pruner.registry.config import HttpConfig, ca_file
from tests.gc.processdoubles import Answering, self_signed, server_tls, settings


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def http(**given: object) -> HttpConfig:
    return settings(**given).http


@pytest.mark.parametrize("status", [200, 401])
def test_200_and_401_are_answers(status: int) -> None:
    with Answering(status) as answering:
        assert Asker().trouble(http(addr=f":{answering.port}", prefix="/hub")) == ""
        assert answering.requests == ["GET /"]


def test_503_is_not_one() -> None:
    with Answering(503) as answering:
        assert Asker().trouble(http(addr=f"127.0.0.1:{answering.port}")).endswith("answers with status 503")


def test_nobody_there_is_trouble() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        trouble = Asker().trouble(http(addr=f":{unused.getsockname()[1]}"))
    assert trouble.startswith("http://localhost:")
    assert "refused" in trouble


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    where = http(net="unix", addr=str(tmp_path / "s"))
    with Answering(200, path=tmp_path / "s") as answering:
        assert Asker().trouble(where) == ""
        assert answering.requests == ["GET /"]
    (tmp_path / "s").unlink()
    assert Asker().trouble(where).startswith(f"the socket {tmp_path}/s gives")


def test_without_a_ca_any_certificate_will_do(identity: Path) -> None:
    with Answering(200, context=server_tls(identity)) as answering:
        assert Asker().trouble(http(addr=f":{answering.port}", tls={"certificate": "c"})) == ""


def test_with_a_ca_the_certificate_must_be_its_own(identity: Path, tmp_path: Path) -> None:
    with Answering(200, context=server_tls(identity)) as answering:
        where = http(addr=f":{answering.port}", tls={"certificate": "c"})
        assert Asker(str(identity / "ca.crt")).trouble(where) == ""
        stranger = self_signed(tmp_path)
        assert "CERTIFICATE_VERIFY_FAILED" in Asker(str(stranger / "ca.crt")).trouble(where)
        with pytest.raises(ConfigError, match="check GC_CA"):
            Asker(str(tmp_path / "missing")).trouble(where)


def test_a_registry_that_wants_a_client_certificate_is_there(identity: Path) -> None:
    context = server_tls(identity)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(identity / "ca.crt")
    with Answering(200, context=context) as answering:
        where = http(addr=f":{answering.port}", tls={"certificate": "c", "clientcas": ["a"]})
        # What the server has to say may be cut short when it hangs up.
        assert any(Asker().trouble(where) == "" for _ in range(20))


def test_a_glance_shows_the_certificate_whoever_made_it(identity: Path, tmp_path: Path) -> None:
    stranger = self_signed(tmp_path)
    with Answering(503, context=server_tls(identity)) as answering:
        where = http(addr=f":{answering.port}", tls={"certificate": "c"})
        glance = Asker(str(stranger / "ca.crt")).glance(where)
    shown = ssl.PEM_cert_to_DER_cert((identity / "ca.crt").read_text())
    assert (glance.status, glance.certificate) == (503, shown)


def test_a_registry_without_a_port_cannot_be_asked() -> None:
    with pytest.raises(ConfigError, match=r"http.addr names no port"):
        Asker().trouble(http())


@pytest.mark.parametrize(("status", "writable"), [(400, True), (405, False), (401, None), (403, None)])
def test_what_a_push_is_answered_says_if_writes_are_taken(status: int, writable: bool | None) -> None:
    with Answering(status) as answering:
        assert Asker().takes_writes(http(addr=f":{answering.port}")) is writable
        assert answering.requests == ["PUT /v2/pruner-probe/manifests/probe"]


def test_an_odd_answer_to_a_push_is_an_error() -> None:
    with Answering(500) as answering:
        where = http(addr=f":{answering.port}")
        with pytest.raises(RegistryError, match="odd status 500"):
            Asker().takes_writes(where)
    with pytest.raises(RegistryError, match="does not answer"):
        Asker().takes_writes(where)


def test_whether_something_answers_at_all(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not Asker().answers(http(addr=f":{unused.getsockname()[1]}"))
    assert not Asker().answers(http(net="unix", addr=str(tmp_path / "missing")))
    assert not Asker().answers(http())
    with Answering(503) as answering:
        assert Asker().answers(http(addr=f":{answering.port}"))
        assert Asker().answers(http(addr=f":{answering.port}", tls={"certificate": "c"}))


def test_the_ca_is_the_one_named_or_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ca_file({"GC_CA": "/my/ca"}) == "/my/ca"
    monkeypatch.setattr(config, "DEFAULT_CA", str(tmp_path / "ca.crt"))
    assert ca_file({}) is None
    (tmp_path / "ca.crt").touch()
    assert ca_file({}) is None, "an empty one is for what systems trust anyway"
    (tmp_path / "ca.crt").write_text("an authority")
    assert ca_file({}) == str(tmp_path / "ca.crt")
