"""Item 3: pods of the namespace that may serve the same tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pruner.errors import RegistryError
from pruner.registry import config
from pruner.registry.pods import refuse_unminded, seen_by
from tests.gc.processdoubles import Answering, self_signed, server_tls
from tests.gc.storagedoubles import FakeClock

CLAIM = {"persistentVolumeClaim": {"claimName": "images"}}
FILE = {"configMap": {"name": "registry-config"}}


def given(cache: str = "none") -> config.RegistryConfig:
    text = (
        "version: 0.1\nredis: {addr: 'r:1'}\nstorage: {filesystem: {rootdirectory: /var/lib/registry}, "
        f"cache: {{blobdescriptor: {cache}}}}}\n"
    )
    return config.parse(text.encode(), "/etc/distribution/config.yml", {})


def pod(
    name: str,
    data: dict[str, Any] = CLAIM,
    *,
    told: bool = False,
    node: str = "n1",
    phase: str = "Running",
    mount: dict[str, Any] | None = None,
    at: str = "/var/lib/registry",
    **container: Any,
) -> dict[str, Any]:
    mounts = [{"name": "data", "mountPath": at} | (mount or {})]
    mounts += [{"name": "config", "mountPath": "/etc/distribution"}] if told else []
    return {
        "metadata": {"name": name},
        "status": {"phase": phase},
        "spec": {
            "nodeName": node,
            "volumes": [{"name": "data"} | data, *([{"name": "config"} | FILE] if told else [])],
            "containers": [{"name": "main", "volumeMounts": mounts} | container],
        },
    }


OWN = pod("prune-1", told=True, command=["prune", "serve"])


def check(*pods: dict[str, Any], cache: str = "none", own: dict[str, Any] = OWN) -> None:
    refuse_unminded([own, *pods], "prune-1", given(cache))


@pytest.mark.parametrize(
    "other",
    [
        pod("another", {"persistentVolumeClaim": {"claimName": "others"}}),
        pod("another", {"emptyDir": {}}),
        pod("another", phase="Succeeded"),
        pod("another", phase="Failed"),
        pod("another", mount={"readOnly": True}),
        pod("another", CLAIM | {"persistentVolumeClaim": {"claimName": "images", "readOnly": True}}),
        pod("another", command=["/opt/prune/bin/prune", "run"]),
        pod("another", told=True),
        {"metadata": {"name": "odd"}, "spec": {"containers": [None, {"volumeMounts": "x"}], "volumes": 3}},
    ],
)
def test_pods_that_do_no_harm(other: dict[str, Any]) -> None:
    check(other)


@pytest.mark.parametrize(
    "other",
    [
        pod("another"),
        pod("another", phase="Pending"),
        pod("another", at="/elsewhere"),
        pod(
            "another", told=True, env=[{"name": "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "value": "inmemory"}]
        ),
        pod("another", told=True, envFrom=[{"secretRef": {"name": "s"}}]),
        pod("another", mount={"subPath": "docker"}),
    ],
)
def test_a_pod_that_may_have_a_cache_of_its_own_is_named(other: dict[str, Any]) -> None:
    with pytest.raises(RegistryError, match=r"main of the pod another may write to .*other-registries"):
        check(other)


def test_a_cache_in_memory_in_another_pod_cannot_be_emptied() -> None:
    with pytest.raises(RegistryError, match=r"pod another serves .* its cache is in memory"):
        check(pod("another", told=True), cache="inmemory")
    check(pod("another", told=True), cache="redis")


def test_an_init_container_ends_before_a_registry_begins_unless_it_is_a_sidecar() -> None:
    other = pod("another", {"emptyDir": {}})
    other["spec"]["volumes"] = [{"name": "data"} | CLAIM]
    first = other["spec"]["containers"].pop()
    other["spec"]["initContainers"] = [first]
    check(other)
    first["restartPolicy"] = "Always"
    with pytest.raises(RegistryError):
        check(other)


def test_one_folder_of_one_node_is_not_that_of_another() -> None:
    host = {"hostPath": {"path": "/srv/registry/"}}
    own = pod("prune-1", {"hostPath": {"path": "/srv/registry"}}, told=True, command=["prune"])
    check(pod("another", host, node="n2"), own=own)
    with pytest.raises(RegistryError):
        check(pod("another", host), own=own)


def test_other_folders_of_one_volume_do_no_harm() -> None:
    own = pod("prune-1", mount={"subPath": "registry"}, command=["prune"])
    check(pod("another", mount={"subPath": "registry-2"}), own=own)
    for below in ("registry", "registry/docker", ""):
        with pytest.raises(RegistryError):
            check(pod("another", mount={"subPath": below}), own=own)


def test_without_our_own_pod_among_them_nothing_is_known() -> None:
    refuse_unminded([pod("another")], "prune-1", given())


def test_the_api_is_asked_where_there_is_a_token(tmp_path: Path) -> None:
    self_signed(tmp_path, "127.0.0.1")
    (tmp_path / "namespace").write_text("images\n")
    assert seen_by({}, FakeClock(), str(tmp_path)) is None
    with Answering(200, context=server_tls(tmp_path)) as api:
        environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(api.port),
            "HOSTNAME": "prune-1",
        }
        assert seen_by(environ, FakeClock(), str(tmp_path)) is None
        (tmp_path / "token").write_text("secret")
        refuse = seen_by(environ, FakeClock(), str(tmp_path))
        assert refuse
        with pytest.raises(RegistryError, match="could not be asked") as error:
            refuse(given())
        assert "secret" not in str(error.value)
        api.body = json.dumps({"items": [OWN, pod("another")]}).encode()
        with pytest.raises(RegistryError, match="pod another may write"):
            refuse(given())
        assert api.requests[-1] == "GET /api/v1/namespaces/images/pods?limit=250"
