"""When an object is what it was made for: the conditions that an update waits for, kind by kind.

Facts: the official plugin's page "Kubernetes resources are ready", and the API's own documentation of status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.plugins.kubernetes.cluster import Cluster
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.kubernetes.objects import identity_of
from sandbox.plugins.values import Properties, as_dict, as_list

_REVISION = "deployment.kubernetes.io/revision"
_POD = Kind("", "v1", "Pod")
_REPLICA_SET = Kind("apps", "v1", "ReplicaSet")
_ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice")
_STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass")

# Seconds after which a Service is taken for ready though nothing serves behind it.
_SETTLED = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an object is: done, or for ever `failed`, or why not yet."""

    done: bool
    status: str = ""
    reasons: tuple[str, ...] = ()
    failed: bool = False


Look = Callable[[Cluster, Properties, float], Progress]


def look_for(kind: Kind) -> Look | None:
    """How to tell the progress of a kind's objects; None when being there is all they do.

    A Look takes the cluster, the object as it is, and the seconds since the wait began.
    """
    return _LOOKS.get((kind.group, kind.kind))


def _deployment(cluster: Cluster, live: Properties, _: float) -> Progress:
    status = as_dict(live.get("status"))
    revision = as_dict(live["metadata"].get("annotations")).get(_REVISION)
    if revision is None or status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return Progress(False, "Waiting for the Deployment's controller")
    conditions = _conditions(live)
    available = conditions.get("Available", {}).get("status") == "True"
    progressing = conditions.get("Progressing", {})
    rolled = revision == "1" or (
        progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"
    )
    namespace = identity_of(live).namespace
    sets = [item for item in cluster.list(_REPLICA_SET, namespace) if _owned(item, live)]
    current = next(
        (item for item in sets if as_dict(item["metadata"].get("annotations")).get(_REVISION) == revision),
        None,
    )
    if current is None:
        return Progress(False, "Waiting for the Deployment's ReplicaSet")
    wanted = as_dict(current.get("spec")).get("replicas", 1)
    ready = as_dict(current.get("status")).get("readyReplicas", 0)
    if available and rolled and ready >= wanted:
        return Progress(True)
    reasons = [
        f"[{condition.get('reason')}] {condition.get('message')}"
        for name, condition in conditions.items()
        if name in ("Available", "Progressing") and condition.get("status") != "True"
    ]
    if not available:
        reasons.append("Minimum number of live Pods was not attained")
    elif revision != "1":
        reasons.append(
            "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live"
        )
    reasons.extend(_pod_reasons(cluster, namespace, current))
    return Progress(False, f"Waiting for the Deployment's Pods ({ready}/{wanted} ready)", tuple(reasons))


def _daemon_set(cluster: Cluster, live: Properties, _: float) -> Progress:
    status = as_dict(live.get("status"))
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return Progress(False, "Waiting for the DaemonSet's controller")
    wanted = status.get("desiredNumberScheduled", 0)
    updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    strategy = as_dict(as_dict(live.get("spec")).get("updateStrategy")).get("type")
    if ready >= wanted and (updated >= wanted or strategy == "OnDelete"):
        return Progress(True)
    reasons = (f"{ready} of {wanted} Pods are ready, {updated} of them up to date",)
    reasons += _pod_reasons(cluster, identity_of(live).namespace, live)
    return Progress(False, f"Waiting for the DaemonSet's Pods ({ready}/{wanted} ready)", reasons)


def _stateful_set(cluster: Cluster, live: Properties, _: float) -> Progress:
    status = as_dict(live.get("status"))
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return Progress(False, "Waiting for the StatefulSet's controller")
    wanted = as_dict(live.get("spec")).get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    if ready >= wanted and status.get("currentRevision") == status.get("updateRevision"):
        return Progress(True)
    reasons = (f"{ready} of {wanted} Pods are ready",)
    reasons += _pod_reasons(cluster, identity_of(live).namespace, live)
    return Progress(False, f"Waiting for the StatefulSet's Pods ({ready}/{wanted} ready)", reasons)


def _service(cluster: Cluster, live: Properties, seconds: float) -> Progress:
    spec = as_dict(live.get("spec"))
    if spec.get("type") == "LoadBalancer" and not _ingress(live):
        return Progress(
            False,
            "Waiting for the Service's load balancer",
            ("Service was not allocated an IP address; does your cloud provider support this?",),
        )
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return Progress(True)
    identity = identity_of(live)
    label = f"kubernetes.io/service-name={identity.name}"
    slices = cluster.list(_ENDPOINT_SLICE, identity.namespace, label)
    endpoints = [as_dict(item) for piece in slices for item in as_list(piece.get("endpoints"))]
    ready = sum(as_dict(item.get("conditions")).get("ready") is not False for item in endpoints)
    if ready == len(endpoints) and (ready or seconds >= _SETTLED):
        return Progress(True)
    return Progress(
        False,
        f"Waiting for Pods behind the Service ({ready}/{len(endpoints)} ready)",
        (
            "Service does not target any ready Pods: they may not be ready, or the field '.spec.selector' "
            "may not match labels on any Pods",
        ),
    )


def _job(cluster: Cluster, live: Properties, _: float) -> Progress:
    conditions = _conditions(live)
    if conditions.get("Complete", {}).get("status") == "True":
        return Progress(True)
    failed = conditions.get("Failed", {})
    reasons = _pod_reasons(cluster, identity_of(live).namespace, live)
    if failed.get("status") == "True":
        reasons = (f"[{failed.get('reason')}] {failed.get('message')}", *reasons)
        return Progress(False, "The Job failed", reasons, failed=True)
    return Progress(False, "Waiting for the Job to complete", reasons)


def _pod(_: Cluster, live: Properties, __: float) -> Progress:
    ready = _conditions(live).get("Ready", {}).get("status") == "True"
    if ready or as_dict(live.get("status")).get("phase") == "Succeeded":
        return Progress(True)
    return Progress(False, "Waiting for the Pod to be ready", _pod_troubles(live))


def _volume_claim(cluster: Cluster, live: Properties, _: float) -> Progress:
    phase = as_dict(live.get("status")).get("phase")
    if phase == "Bound":
        return Progress(True)
    name = as_dict(live.get("spec")).get("storageClassName")
    if phase == "Pending" and name:
        mode = cluster.get(_STORAGE_CLASS, "", name).get("volumeBindingMode")
        if mode == "WaitForFirstConsumer":
            return Progress(True)
    return Progress(False, "Waiting for a volume", (f"the claim is {phase}, not Bound",))


def _definition(_: Cluster, live: Properties, __: float) -> Progress:
    conditions = _conditions(live)
    if conditions.get("Established", {}).get("status") == "True":
        return Progress(True)
    refused = conditions.get("NamesAccepted", {})
    reasons = (str(refused.get("message")),) if refused.get("status") == "False" else ()
    return Progress(False, "Waiting for the definition to be established", reasons)


def _ingress(live: Properties) -> list[Any]:
    return as_list(as_dict(as_dict(live.get("status")).get("loadBalancer")).get("ingress"))


def _conditions(live: Properties) -> dict[str, Properties]:
    return {item["type"]: item for item in as_list(as_dict(live.get("status")).get("conditions"))}


def _owned(item: Properties, owner: Properties) -> bool:
    references = as_list(item["metadata"].get("ownerReferences"))
    return any(reference["uid"] == owner["metadata"]["uid"] for reference in references)


def _pod_reasons(cluster: Cluster, namespace: str, owner: Properties) -> tuple[str, ...]:
    pods = [pod for pod in cluster.list(_POD, namespace) if _owned(pod, owner)]
    return tuple(reason for pod in pods for reason in _pod_troubles(pod))


def _pod_troubles(pod: Properties) -> tuple[str, ...]:
    identity, status = identity_of(pod), as_dict(pod.get("status"))
    troubles = [
        str(condition["message"])
        for name, condition in _conditions(pod).items()
        if name in ("PodScheduled", "Ready")
        and condition.get("status") != "True"
        and condition.get("message")
    ]
    for container in (
        *as_list(status.get("initContainerStatuses")),
        *as_list(status.get("containerStatuses")),
    ):
        troubles.extend(_container_troubles(container))
    return (f"[Pod {identity.id}]: " + "; ".join(troubles),) if troubles else ()


def _container_troubles(status: Properties) -> list[str]:
    if status.get("ready"):
        return []
    troubles: list[str] = []
    waiting = as_dict(as_dict(status.get("state")).get("waiting"))
    if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
        troubles.append(f"[{waiting.get('reason')}] {waiting.get('message', '')}".rstrip())
    for state in ("state", "lastState"):
        ended = as_dict(as_dict(status.get(state)).get("terminated"))
        if ended.get("exitCode"):
            text = f"container {status['name']!r} ended with exit code {ended['exitCode']}"
            troubles.append(f"{text} ({ended.get('reason')}) {ended.get('message', '')}".rstrip())
    return troubles


_LOOKS: dict[tuple[str, str], Look] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("", "Service"): _service,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
