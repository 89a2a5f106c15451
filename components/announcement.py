"""What tells others in the cluster of the registry: whom to trust for it, and, for tools, where it is."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
import yaml

from . import storage, trust
from .labels import Labels
from .settings import Settings

# KEP-1755: where tools of developers look for a registry of the cluster, and in which form.
_PUBLIC, _HOSTING, _KEY = "kube-public", "local-registry-hosting", "localRegistryHosting.v1"


class Announcement(pulumi.ComponentResource):
    """ConfigMaps in namespaces of others, each by choice."""

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        labels: Labels,
        ca_pem: pulumi.Input[str],
        address: pulumi.Input[str],
        internal_address: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("docker-registry:index:Announcement", name, {"address": address}, opts)
        child = pulumi.ResourceOptions(parent=self)
        marks = labels.of("trust")
        for namespace in settings.ca_namespaces:
            trust.config_map(f"{name}-{namespace}", ca_pem, settings.namespace, namespace, marks, child)
        if settings.local_registry_hosting != "none":
            hosting = pulumi.Output.all(
                host=address,
                hostFromContainerRuntime=address,
                hostFromClusterNetwork=internal_address,
                help=settings.local_registry_hosting,
            )
            # By a server-side apply: kind and others make one beforehand, which is taken over.
            k8s.core.v1.ConfigMapPatch(
                f"{name}-hosting",
                metadata=k8s.meta.v1.ObjectMetaPatchArgs(
                    name=_HOSTING, namespace=_PUBLIC, annotations=storage.TAKE_UP
                ),
                data={_KEY: hosting.apply(lambda fields: yaml.safe_dump(fields, sort_keys=False))},
                opts=child,
            )
        self.register_outputs({"address": address})
