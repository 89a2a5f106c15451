"""A registry in a larger program: its host comes from another stack, and a workload pulls from it."""

import pulumi
import pulumi_kubernetes as k8s

from docker_registry_stack import DockerRegistry, DockerRegistryArgs, PullSecrets

network = pulumi.StackReference(pulumi.Config().require("network"))
cluster = k8s.Provider("cluster")

registry = DockerRegistry(
    "images",
    DockerRegistryArgs(
        namespace="images",
        external_hosts=[network.require_output("registryHost")],
        pull_secrets=PullSecrets(namespaces=["default"], name="images-pull"),
    ),
    # The one cluster that everything in this program is meant for.
    pulumi.ResourceOptions(provider=cluster),
)

labels = {"app": "web"}
k8s.apps.v1.Deployment(
    "web",
    spec=k8s.apps.v1.DeploymentSpecArgs(
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels),
            spec=k8s.core.v1.PodSpecArgs(
                image_pull_secrets=[k8s.core.v1.LocalObjectReferenceArgs(name="images-pull")],
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="web", image=pulumi.Output.concat(registry.address, "/team/web:1")
                    )
                ],
            ),
        ),
    ),
    opts=pulumi.ResourceOptions(provider=cluster),
)

pulumi.export("pushTo", registry.address)
