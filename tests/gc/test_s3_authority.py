"""A bucket whose server has a certificate of a private authority, trusted by registry and pruner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pruner.storage.s3.client import connect
from sandbox.pki import Subject, issue, new_authority
from sandbox.s3 import S3, s3_server
from tests.gc.images import image, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry, Version
from tests.gc.s3place import BUCKET, parameters_of

SYSTEMS = "/etc/ssl/certs"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder as a ConfigMap is mounted: with a link to the file."""
    folder = tmp_path / "authority"
    (folder / "..data").mkdir(parents=True)
    (folder / "ca.crt").symlink_to("..data/ca.crt")
    return folder


@pytest.fixture
def server(tmp_path: Path, authority: Path) -> Iterator[S3]:
    ours = new_authority("of the tests")
    (authority / "..data" / "ca.crt").write_bytes(ours.certificate_pem)
    with s3_server(tmp_path / "s3", identity=issue(ours, Subject("s3", hosts=("127.0.0.1",)))) as running:
        (running.data / BUCKET).mkdir()
        yield running


def test_a_registry_and_its_pruner_work_on_it(
    version: Version, server: S3, authority: Path, tmp_path: Path
) -> None:
    trusting = {"SSL_CERT_DIR": f"{SYSTEMS}:{authority}"}
    gone = image([layer("gone")], "gone")
    with RealRegistry(version, tmp_path / "registry", s3=server, environment=trusting) as registry:
        with registry.client() as client:
            client.push("app", image([layer("kept")], "kept"), "kept")
            client.push("app", gone, "gone")
            client.delete_manifest("app", gone.digest)
        wary = PrunerProcess(registry.config, {"SSL_CERT_DIR": SYSTEMS}).start("plan")
        _, errors = wary.communicate(timeout=120)
        assert wary.returncode == 7
        assert "the server cannot be reached: SSL validation failed" in errors
        PrunerProcess(registry.config, trusting).prune_at_once()
        with registry.client() as client:
            assert not client.has_blob("app", gone.digest)
            client.check("app", "kept", image([layer("kept")], "kept"))


def test_what_systems_trust_is_trusted_as_well(
    server: S3, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = tmp_path / "systems.pem"
    systems.write_bytes((authority / "ca.crt").read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    (other / "README").write_text("no certificate")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(systems))
    monkeypatch.setenv("SSL_CERT_DIR", f"{other}:{tmp_path / 'nothing'}")
    parameters = replace(parameters_of(server.endpoint, server.access_key, server.secret_key), secure=True)
    assert connect(parameters).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
