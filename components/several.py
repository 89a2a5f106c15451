"""Several pods for one registry: what they ask of the rest, how they roll, and where they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from .keeping import HostPath, Kept, NewClaim
from .labels import SELECTOR

SHARED_MODE = "ReadWriteMany"

# Seconds. A pod that is to end first waits until nobody is led to it any more, then lets requests end: an
# upload of a large layer takes minutes, and the other pods serve meanwhile.
UNLED = 10
DRAIN = 300
TERMINATION = UNLED + DRAIN + 20

_ZONE = "topology.kubernetes.io/zone"
_NODE = "kubernetes.io/hostname"


def problems(replicas: int, storage: Kept, cache: str, mode: str) -> Iterator[tuple[str, str]]:
    """Fields, each with a sentence on why `replicas` pods cannot go with them."""
    if replicas == 1:
        return
    if isinstance(storage, HostPath):
        yield (
            "replicas",
            f"{replicas} pods cannot share a hostPath: set storage to s3 or to a claim with {SHARED_MODE}",
        )
    if isinstance(storage, NewClaim) and SHARED_MODE not in storage.access_modes:
        yield (
            "replicas",
            f"{replicas} pods cannot share a claim of {' and '.join(storage.access_modes)}: give "
            f"storage.accessModes [{SHARED_MODE}] and a class that provides it",
        )
    if cache == "inmemory":
        yield (
            "cache",
            f"inmemory cannot be cleared in {replicas} pods, which would vouch for what was pruned: give "
            "redis or none",
        )
    if mode == "readonly":
        yield "gc_mode", f"readonly closes one registry, and there are {replicas}: give online"


def strategy(replicas: int) -> k8s.apps.v1.DeploymentStrategyArgs:
    """Of one pod never two at once on one tree; of several never fewer than there are to be."""
    if replicas == 1:
        return k8s.apps.v1.DeploymentStrategyArgs(type="Recreate")
    return k8s.apps.v1.DeploymentStrategyArgs(
        type="RollingUpdate",
        rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
    )


def last_moments() -> k8s.core.v1.LifecycleArgs:
    """Every node has heard of the pod's end before SIGTERM, on which it takes no new connection."""
    return k8s.core.v1.LifecycleArgs(
        pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=UNLED))
    )


def apart() -> Mapping[str, Any]:
    """Rather on nodes that have none of the pods yet: an affinity as Kubernetes has it."""
    term = {"topologyKey": _NODE, "labelSelector": {"matchLabels": SELECTOR}}
    weighted = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}


def spread() -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Over the zones, where the nodes have any."""
    return [
        k8s.core.v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=_ZONE,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=SELECTOR),
            # Of a rollout, each generation by itself: the old pods are about to go.
            match_label_keys=["pod-template-hash"],
        )
    ]


def budget(
    name: str,
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declares that those who empty nodes take one pod at a time."""
    k8s.policy.v1.PodDisruptionBudget(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=dict(marks)),
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=k8s.meta.v1.LabelSelectorArgs(match_labels=SELECTOR)
        ),
        opts=opts,
    )
