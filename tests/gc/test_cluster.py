"""The images that a cluster runs or names: asked of a real HTTPS server that speaks the list API."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from pruner.clock import Stopped
from pruner.decide.running import RunningImages, running_images
from pruner.errors import ClusterError
from pruner.kubernetes import KubernetesApi, NotFound
from tests.gc.fakeapi import FakeApi
from tests.gc.processdoubles import self_signed
from tests.gc.storagedoubles import FakeClock

SHA = "sha256:" + "ab" * 32
OTHER = "sha512:" + "cd" * 64


def pod(*images: str, **more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": image} for image in images], **more}}


def workload(*images: str, **more: Any) -> dict[str, Any]:
    return {"spec": {"template": pod(*images, **more)}}


def test_every_kind_and_every_container_counts(server: FakeApi, api: KubernetesApi) -> None:
    server.objects = {
        "api/v1/pods": [
            pod(
                "h:1/pod:1",
                initContainers=[{"image": "h:1/init:1"}],
                ephemeralContainers=[{"image": "h:1/debug:1"}],
            )
            | {
                "status": {
                    "containerStatuses": [
                        {"image": "h:1/pod:1", "imageID": f"h:1/pod@{SHA}"},
                        {"imageID": ""},
                    ],
                    "initContainerStatuses": [{"image": OTHER, "imageID": OTHER}],
                }
            },
            pod(
                "h:1/files:1",
                volumes=[{"name": "v", "image": {"reference": "h:1/volume:1"}}, {"emptyDir": {}}],
            ),
            {"spec": {}},
        ],
        "apis/apps/v1/deployments": [workload("h:1/deployment:1")],
        "apis/apps/v1/replicasets": [workload("h:1/deployment:0")],
        "apis/apps/v1/statefulsets": [workload("h:1/stateful:1")],
        "apis/apps/v1/daemonsets": [workload("h:1/daemon:1")],
        "apis/apps/v1/controllerrevisions": [{"data": workload("h:1/daemon:0")}],
        "apis/batch/v1/jobs": [workload("h:1/job:1")],
        "api/v1/replicationcontrollers": [workload("h:1/controller:1")],
        "api/v1/podtemplates": [{"template": pod("h:1/template:1")}],
        "apis/batch/v1/cronjobs": [{"spec": {"jobTemplate": workload("h:1/cron:1")}}],
    }
    running = running_images(api)
    assert running.tags == {
        ("pod", "1"),
        ("init", "1"),
        ("debug", "1"),
        ("files", "1"),
        ("volume", "1"),
        ("deployment", "1"),
        ("deployment", "0"),
        ("stateful", "1"),
        ("daemon", "1"),
        ("daemon", "0"),
        ("job", "1"),
        ("controller", "1"),
        ("template", "1"),
        ("cron", "1"),
    }
    assert running.digests == {SHA, OTHER}


def test_an_empty_cluster_runs_nothing(api: KubernetesApi) -> None:
    assert running_images(api) == RunningImages()


def test_a_list_comes_in_pages(server: FakeApi, api: KubernetesApi) -> None:
    server.objects["api/v1/pods"] = [pod(f"app:{number}") for number in range(5)]
    assert len(list(api.items("api/v1/pods"))) == 5
    assert server.requests == [
        "/api/v1/pods?limit=250",
        "/api/v1/pods?limit=250&continue=2",
        "/api/v1/pods?limit=250&continue=4",
    ]


def test_a_list_that_expired_between_pages_is_taken_anew(server: FakeApi, api: KubernetesApi) -> None:
    server.objects["api/v1/pods"] = [pod(f"app:{number}") for number in range(5)]
    items = api.items("api/v1/pods")
    first = [next(items), next(items)]
    server.failures["api/v1/pods"] = [(410, b"{}")]
    names = {item["spec"]["containers"][0]["image"] for item in [*first, *items]}
    assert names == {f"app:{number}" for number in range(5)}
    assert server.requests[-1] == "/api/v1/pods?limit=0"


def test_the_token_is_read_anew_for_every_request(server: FakeApi, api: KubernetesApi, account: Path) -> None:
    list(api.items("api/v1/pods"))
    server.token = "second"
    (account / "token").write_text("second")
    list(api.items("api/v1/pods"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: FakeApi, api: KubernetesApi, status: int) -> None:
    server.failures["api/v1/pods"] = [(status, b"{}")] * 3
    assert list(api.items("api/v1/pods")) == []


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (503, b'{"message": "etcd is away"}', "503 for apis/batch/v1/jobs: etcd is away"),
        (
            403,
            b'{"message": "jobs is forbidden"}',
            "403 .*: jobs is forbidden; .* must be allowed to list them",
        ),
        (401, b"not json", "401 .*must be allowed"),
        (404, b"{}", "404 for apis/batch/v1/jobs"),
        (302, b"", "302"),
        (410, b"{}", "410"),
        (200, b"<html>", "no JSON for apis/batch/v1/jobs"),
        (200, b"[]", "no list of apis/batch/v1/jobs"),
        (200, b"{}", "no list of apis/batch/v1/jobs"),
    ],
)
def test_half_an_answer_is_none(
    server: FakeApi, api: KubernetesApi, status: int, body: bytes, sentence: str
) -> None:
    server.failures["apis/batch/v1/jobs"] = [(status, body)] * 9
    with pytest.raises(ClusterError, match=sentence) as refusal:
        running_images(api)
    assert "first" not in str(refusal.value)


def test_a_server_that_is_away_is_an_error(server: FakeApi, account: Path) -> None:
    clock = FakeClock()
    environ = server.environ | {"KUBERNETES_SERVICE_PORT": "1"}
    with pytest.raises(ClusterError, match=r"cannot be reached: .*refused"):
        running_images(KubernetesApi.of_pod(environ, clock, str(account)))
    assert clock.steady == 7


def test_a_server_of_another_ca_is_not_trusted(server: FakeApi, account: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = self_signed(tmp_path / "other", "127.0.0.1")
    (account / "ca.crt").write_bytes((stranger / "ca.crt").read_bytes())
    with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
        running_images(KubernetesApi.of_pod(server.environ, FakeClock(), str(account)))
    assert server.requests == []


def test_a_stop_ends_the_waiting(server: FakeApi, account: Path) -> None:
    def stop() -> None:
        raise Stopped("asked to end")

    server.failures["api/v1/pods"] = [(503, b"{}")]
    with pytest.raises(Stopped):
        running_images(KubernetesApi.of_pod(server.environ, FakeClock(during=stop), str(account)))


def test_outside_of_a_cluster_the_way_out_is_named(account: Path) -> None:
    with pytest.raises(ClusterError, match="set GC_PROTECT_RUNNING to false"):
        KubernetesApi.of_pod({}, FakeClock(), str(account))


def test_a_missing_token_or_ca_is_an_error(server: FakeApi, account: Path) -> None:
    api = KubernetesApi.of_pod(server.environ, FakeClock(), str(account))
    (account / "token").unlink()
    with pytest.raises(ClusterError, match=r"token.*No such file"):
        running_images(api)
    (account / "ca.crt").unlink()
    with pytest.raises(ClusterError, match=r"ca\.crt cannot be read"):
        KubernetesApi.of_pod(server.environ, FakeClock(), str(account))


def test_an_ipv6_address_makes_a_url(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *_: object) -> None:
        raise OSError(f"asked {host}")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    api = KubernetesApi.of_pod({"KUBERNETES_SERVICE_HOST": "fd00::1"}, FakeClock(), str(account))
    with pytest.raises(ClusterError, match=r"https://\[fd00::1\]:443 cannot be reached: asked fd00::1"):
        running_images(api)


# Single objects


CONFIG_MAP = "api/v1/namespaces/images/configmaps/record"


def test_an_object_is_read_and_merged_into(server: FakeApi, api: KubernetesApi) -> None:
    server.single[CONFIG_MAP] = {"metadata": {"name": "record"}, "data": {"a": "1", "b": "2"}}
    assert api.get(CONFIG_MAP)["data"] == {"a": "1", "b": "2"}
    assert api.patch(CONFIG_MAP, {"data": {"b": None, "c": "3"}})["data"] == {"a": "1", "c": "3"}
    assert api.get(CONFIG_MAP)["data"] == {"a": "1", "c": "3"}


def test_an_object_is_made(server: FakeApi, api: KubernetesApi) -> None:
    api.post("api/v1/namespaces/images/events", {"reason": "Pruned"})
    assert server.single["api/v1/namespaces/images/events"] == {"reason": "Pruned"}


def test_an_object_that_is_not_there_is_told_apart_from_a_refusal(
    server: FakeApi, api: KubernetesApi
) -> None:
    with pytest.raises(NotFound, match=f"404 for {CONFIG_MAP}"):
        api.get(CONFIG_MAP)
    with pytest.raises(NotFound):
        api.patch(CONFIG_MAP, {})
    server.failures[CONFIG_MAP] = [(403, b'{"message": "no"}')] * 2
    for call, may in ((lambda: api.get(CONFIG_MAP), "get"), (lambda: api.patch(CONFIG_MAP, {}), "patch")):
        with pytest.raises(ClusterError, match=f"403 .*: no; .* must be allowed to {may} it") as refusal:
            call()
        assert not isinstance(refusal.value, NotFound)


def test_a_busy_server_is_asked_again_to_patch(server: FakeApi, api: KubernetesApi) -> None:
    server.single[CONFIG_MAP] = {}
    server.failures[CONFIG_MAP] = [(503, b"{}")] * 3
    assert api.patch(CONFIG_MAP, {"data": {"a": "1"}}) == {"data": {"a": "1"}}
