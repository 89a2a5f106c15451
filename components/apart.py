"""The pruner in a pod of its own, which several registries need: one of it, whichever of them ends."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from . import pod, podoptions, storage
from .labels import selector
from .settings import Settings
from .sidecar import Pruner, deployment_of


def declare(
    name: str,
    *,
    pruner: Pruner,
    shared: pod.Shared,
    settings: Settings,
    namespace: pulumi.Input[str],
    marks: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declares the Deployment."""
    k8s.apps.v1.Deployment(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=deployment_of(settings), namespace=namespace, labels=dict(marks)
        ),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=1,
            revision_history_limit=2,
            # Never two at once; one that takes over waits for what the other began.
            strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector("pruner")),
            template=k8s.core.v1.PodTemplateSpecArgs(
                metadata=settings.pod.metadata(marks, pod.scraped(settings.seen.metrics)),
                spec=k8s.core.v1.PodSpecArgs(
                    service_account_name=pruner.service_account,
                    automount_service_account_token=False,
                    enable_service_links=False,
                    termination_grace_period_seconds=60,
                    security_context=storage.security(settings.storage),
                    **settings.pod.placement,
                    affinity=podoptions.affinity(settings.pod, None, {}),
                    init_containers=pruner.init_containers,
                    containers=[pruner.container],
                    volumes=[*shared.volumes, *pruner.volumes],
                ),
            ),
        ),
        opts=opts,
    )
