"""The claim around the decision: the record in the cluster, the command of a pod, real registries."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pruner.claim import tree
from pruner.claim.decision import Owner
from pruner.claim.record import ConfigMapRecord, NoRecord
from pruner.claim.start import start
from pruner.errors import ClusterError
from pruner.kubernetes import KubernetesApi
from pruner.storage.filesystem import FileSystem
from tests.gc.conftest import StartRegistry
from tests.gc.fakeapi import FakeApi
from tests.gc.images import image, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import binary
from tests.gc.storagedoubles import FakeClock
from tests.gc.treebuilder import TreeBuilder, snapshot

FILE = "registry-claim.json"
CALLED = "hostPath /srv/images"
US = Owner("images/registry", "cluster-1")
IMAGE = image([layer("claimed")], "claimed")


# The record in the cluster


CONFIG_MAP = "api/v1/namespaces/images/configmaps/registry-storage"
CLUSTER = {"metadata": {"name": "kube-system", "uid": "cluster-1"}}


@pytest.fixture
def record(api: KubernetesApi, server: FakeApi) -> ConfigMapRecord:
    server.single[CONFIG_MAP] = {"metadata": {"name": "registry-storage"}}
    return ConfigMapRecord(api, "images", "registry-storage")


def test_the_record_keeps_places_apart(record: ConfigMapRecord, server: FakeApi) -> None:
    assert record.read("hostPath /a") == ""
    record.write("hostPath /a", "1111")
    record.write("hostPath /b", "2222")
    record.write("hostPath /a", "3333")
    assert (record.read("hostPath /a"), record.read("hostPath /b"), record.read("/a")) == ("3333", "2222", "")
    assert "hostPath /a" in json.dumps(server.single[CONFIG_MAP]["data"]), "for people"


def test_a_record_that_is_gone_or_not_one_is_told(record: ConfigMapRecord, server: FakeApi) -> None:
    record.write(CALLED, "1111")
    data = server.single[CONFIG_MAP]["data"]
    for damage in ("", "7", "{}", '{"claim": 3}'):
        server.single[CONFIG_MAP]["data"] = dict.fromkeys(data, damage)
        with pytest.raises(ClusterError, match=f"says .* of {CALLED}, which is not a record"):
            record.read(CALLED)
    del server.single[CONFIG_MAP]
    with pytest.raises(ClusterError, match="is gone: `pulumi up --refresh` makes it again"):
        record.read(CALLED)


# The command, as a pod runs it


@dataclass(frozen=True, slots=True)
class Pod:
    """Runs `prune claim` with the service account in `account`."""

    process: PrunerProcess
    message: Path

    def claim(self, *options: str) -> subprocess.CompletedProcess[str]:
        words = ["--owner", "images/registry", "--called", CALLED, "--message", str(self.message), *options]
        command = self.process.command("claim", *words)
        return subprocess.run(
            command, env=self.process.variables(), capture_output=True, text=True, check=False
        )


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    (tmp_path / "data").mkdir()
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n")
    return Pod(PrunerProcess(config), tmp_path / "termination-log")


def test_the_command_claims_and_refuses_with_a_message(pod: Pod, tmp_path: Path) -> None:
    ended = pod.claim("--output", "json")
    assert ended.returncode == 0, ended.stderr
    claim = json.loads(ended.stdout)["claim"]
    assert pod.message.read_text() == f"{CALLED} is this registry's from now on (claim {claim})"
    written = json.loads((tmp_path / "data" / FILE).read_text())
    assert (written["id"], written["owner"], written["cluster"]) == (claim, "images/registry", "")
    refused = pod.claim("--owner", "shop/registry")
    assert refused.returncode == 14
    assert pod.message.read_text().startswith(f"{CALLED} belongs to the registry images/registry")
    assert "Traceback" not in refused.stderr
    assert pod.claim("--owner", "shop/registry", "--adopt", claim).returncode == 0
    assert json.loads((tmp_path / "data" / FILE).read_text())["owner"] == "shop/registry"


def test_in_a_cluster_the_record_and_the_cluster_count(
    pod: Pod, server: FakeApi, account: Path, tmp_path: Path
) -> None:
    server.single |= {CONFIG_MAP: {}, "api/v1/namespaces/kube-system": CLUSTER}
    # A pod's account lies at a path of its own, which a test has no right to.
    code = """
import sys
from pruner.cli.main import main
from pruner.kubernetes import KubernetesApi

KubernetesApi.of_pod.__func__.__defaults__ = (sys.argv.pop(1),)
raise SystemExit(main())
"""

    def claim(record: str = "images/registry-storage") -> subprocess.CompletedProcess[str]:
        words = pod.process.command("claim", "--owner", "images/registry", "--record", record)[3:]
        return subprocess.run(
            [sys.executable, "-c", code, str(account), *words, "--message", str(pod.message)],
            env=pod.process.variables() | server.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    assert claim().returncode == 0
    written = json.loads((tmp_path / "data" / FILE).read_text())
    assert written["cluster"] == "cluster-1"
    assert written["id"] in json.dumps(server.single[CONFIG_MAP])
    (tmp_path / "data" / FILE).unlink()
    assert claim().returncode == 14
    assert "is empty, but this registry had its images there" in pod.message.read_text()
    assert claim("registry-storage").returncode == 2


# Real registries


def test_a_claim_disturbs_no_registry_and_no_pruner(start_registry: StartRegistry, tmp_path: Path) -> None:
    data = tmp_path / "registry" / "data"
    data.mkdir(parents=True)
    assert start(FileSystem(str(data)), CALLED, US, NoRecord(), "", FakeClock()).claim
    registry = start_registry()
    assert Path(registry.data) == data
    client = registry.client()
    nothing = PrunerProcess(registry.config).report("run")
    assert nothing["summary"]["removable_blobs"] == 0
    client.push("app", IMAGE, "v1")
    client.check("app", "v1", IMAGE)
    assert client.session.get(f"{client.base}/v2/_catalog").json() == {"repositories": ["app"]}
    assert PrunerProcess(registry.config).prune_at_once()["summary"]["removable_blobs"] == 0
    assert PrunerProcess(registry.config).report("verify")["problems"] == []
    collected = subprocess.run(
        [binary(registry.version), "garbage-collect", str(registry.config)], capture_output=True, check=False
    )
    assert collected.returncode == 0, collected.stderr
    client.check("app", "v1", IMAGE)
    assert tree.read(FileSystem(str(data))) is not None


def test_a_tree_of_before_the_claims_is_claimed_with_its_images(tmp_path: Path) -> None:
    TreeBuilder(tmp_path).push("app", IMAGE, "v1")
    before = snapshot(tmp_path)
    begun = start(FileSystem(str(tmp_path)), CALLED, US, NoRecord(), "", FakeClock())
    assert begun.claim is not None
    (tmp_path / FILE).unlink()
    assert snapshot(tmp_path) == before
