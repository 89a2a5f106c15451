"""Where the images are kept, as the pod sees it."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from . import pod
from .settings import HostPath


def volume(storage: HostPath) -> k8s.core.v1.VolumeArgs:
    """The volume `pod.DATA`."""
    return k8s.core.v1.VolumeArgs(
        name=pod.DATA,
        host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=storage.path, type="DirectoryOrCreate"),
    )


def affinity(storage: HostPath) -> k8s.core.v1.AffinityArgs | None:
    """Where a pod has to be that uses it; None for anywhere."""
    if storage.node is None:
        return None
    return k8s.core.v1.AffinityArgs(
        node_affinity=k8s.core.v1.NodeAffinityArgs(
            required_during_scheduling_ignored_during_execution=k8s.core.v1.NodeSelectorArgs(
                node_selector_terms=[
                    k8s.core.v1.NodeSelectorTermArgs(
                        match_fields=[
                            k8s.core.v1.NodeSelectorRequirementArgs(
                                key="metadata.name", operator="In", values=[storage.node]
                            )
                        ]
                    )
                ]
            )
        )
    )
