"""When an object counts as ready, from what a cluster would say of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sandbox.plugins.kubernetes.cluster import Cluster
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.kubernetes.waiting import Progress, look_for
from sandbox.plugins.values import Properties


class Listed:
    """A cluster that has the objects it was given, by kind."""

    def __init__(self, **objects: list[Properties]) -> None:
        self.objects = objects

    def list(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Properties]:
        del namespace, label_selector
        return self.objects.get(kind.kind, [])

    def get(self, kind: Kind, namespace: str, name: str) -> Properties:
        del namespace
        return next(item for item in self.objects[kind.kind] if item["metadata"]["name"] == name)


def look(kind: Kind, live: Properties, seconds: float = 0.0, **objects: list[Properties]) -> Progress:
    found = look_for(kind)
    assert found is not None
    return found(cast("Cluster", Listed(**objects)), live, seconds)


def condition(kind: str, status: str = "True", **more: str) -> Properties:
    return {"type": kind, "status": status, **more}


DEPLOYMENT = Kind("apps", "v1", "Deployment")
SERVICE = Kind("", "v1", "Service")


def deployment(revision: str, *conditions: Properties, observed: int = 1) -> Properties:
    return {
        "metadata": {
            "name": "d",
            "namespace": "n",
            "uid": "deployment",
            "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "status": {"observedGeneration": observed, "conditions": list(conditions)},
    }


def replica_set(revision: str, ready: int) -> Properties:
    return {
        "metadata": {
            "name": f"d-{revision}",
            "uid": f"set-{revision}",
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": "deployment"}],
        },
        "spec": {"replicas": 1},
        "status": {"readyReplicas": ready},
    }


AVAILABLE = condition("Available")
ROLLED = condition("Progressing", reason="NewReplicaSetAvailable")
ROLLING = condition("Progressing", reason="ReplicaSetUpdated")


@pytest.mark.parametrize(
    ("live", "sets", "done"),
    [
        (deployment("1", AVAILABLE), [replica_set("1", 1)], True),
        (deployment("1", AVAILABLE, observed=0), [replica_set("1", 1)], False),
        (deployment("1", condition("Available", "False")), [replica_set("1", 0)], False),
        (deployment("1", AVAILABLE), [], False),
        # An old Pod may still serve: available alone says nothing of the new one.
        (deployment("2", AVAILABLE, ROLLING), [replica_set("1", 1), replica_set("2", 0)], False),
        (deployment("2", AVAILABLE, ROLLED), [replica_set("1", 0), replica_set("2", 1)], True),
    ],
)
def test_a_deployment_is_ready_when_its_newest_pods_are(
    live: Properties, sets: list[Properties], done: bool
) -> None:
    assert look(DEPLOYMENT, live, ReplicaSet=sets).done is done


def test_a_rollout_that_hangs_says_what_its_pods_say() -> None:
    pod: Any = {
        "metadata": {"name": "p", "namespace": "n", "ownerReferences": [{"uid": "set-1"}]},
        "status": {
            "conditions": [condition("Ready", "False", message="containers with unready status: [c]")],
            "containerStatuses": [
                {
                    "name": "c",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "no config"}},
                }
            ],
        },
    }
    stranger: Any = {**pod, "metadata": {"name": "q", "ownerReferences": [{"uid": "other"}]}}
    live = deployment("1", condition("Available", "False", reason="MinimumReplicas", message="too few"))
    progress = look(DEPLOYMENT, live, ReplicaSet=[replica_set("1", 0)], Pod=[pod, stranger])
    assert progress.reasons == (
        "[MinimumReplicas] too few",
        "Minimum number of live Pods was not attained",
        "[Pod n/p]: containers with unready status: [c]; [CrashLoopBackOff] back-off 10s; "
        "container 'c' ended with exit code 3 (Error) no config",
    )


def service(**spec: Any) -> Properties:
    return {"metadata": {"name": "s", "namespace": "n"}, "spec": {"selector": {"a": "b"}, **spec}}


def endpoints(*ready: bool) -> list[Properties]:
    return [{"endpoints": [{"conditions": {"ready": value}} for value in ready]}]


@pytest.mark.parametrize(
    ("live", "slices", "seconds", "done"),
    [
        (service(), endpoints(True), 0.0, True),
        (service(), endpoints(True, False), 100.0, False),
        (service(), endpoints(), 1.0, False),
        (service(), endpoints(), 10.0, True),
        (service(clusterIP="None"), [], 0.0, True),
        (service(selector={}), [], 0.0, True),
        (service(type="ExternalName"), [], 0.0, True),
        (service(type="LoadBalancer"), endpoints(True), 100.0, False),
    ],
)
def test_a_service_is_ready_when_what_stands_behind_it_is(
    live: Properties, slices: list[Properties], seconds: float, done: bool
) -> None:
    assert look(SERVICE, live, seconds, EndpointSlice=slices).done is done


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 2}, False),
        (
            {
                "observedGeneration": 1,
                "desiredNumberScheduled": 2,
                "numberReady": 2,
                "updatedNumberScheduled": 2,
            },
            True,
        ),
        ({"observedGeneration": 0}, False),
    ],
)
def test_a_daemon_set_is_ready_on_every_node(status: Properties, done: bool) -> None:
    live = {"metadata": {"name": "d", "uid": "u", "generation": 1}, "status": status}
    assert look(Kind("apps", "v1", "DaemonSet"), live).done is done


def test_a_job_completes_or_fails_for_good() -> None:
    job = Kind("batch", "v1", "Job")
    metadata = {"name": "j", "namespace": "n", "uid": "u"}
    complete = {"metadata": metadata, "status": {"conditions": [condition("Complete")]}}
    assert look(job, complete).done
    reason = condition("Failed", reason="BackoffLimitExceeded", message="too often")
    failed = look(job, {"metadata": metadata, "status": {"conditions": [reason]}})
    assert failed.failed and failed.reasons == ("[BackoffLimitExceeded] too often",)


def test_a_claim_that_waits_for_its_pod_is_ready() -> None:
    claim = Kind("", "v1", "PersistentVolumeClaim")
    live: Any = {
        "metadata": {"name": "c"},
        "spec": {"storageClassName": "late"},
        "status": {"phase": "Pending"},
    }
    late = [{"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}]
    early = [{"metadata": {"name": "late"}, "volumeBindingMode": "Immediate"}]
    assert look(claim, live, StorageClass=late).done
    assert not look(claim, live, StorageClass=early).done
    assert look(claim, {**live, "status": {"phase": "Bound"}}).done


def test_what_only_has_to_be_there_is_not_waited_for() -> None:
    assert look_for(Kind("", "v1", "ConfigMap")) is None
