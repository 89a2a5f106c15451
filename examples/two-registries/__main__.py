"""Two registries on one cluster: what one keeps for good, and what another forgets after a fortnight."""

import pulumi

from docker_registry_stack import DockerRegistry, DockerRegistryArgs, RetentionPolicy, Storage

releases = DockerRegistry(
    "releases",
    DockerRegistryArgs(
        namespace="releases",
        node_port=32001,
        storage=Storage(path="/var/lib/releases"),
    ),
)
builds = DockerRegistry(
    "builds",
    DockerRegistryArgs(
        namespace="builds",
        node_port=32002,
        storage=Storage(path="/var/lib/builds"),
        gc_period="1d",
        retention=[RetentionPolicy(keep_within="14d", untagged="after 2h")],
    ),
)

pulumi.export("releases", releases.address)
pulumi.export("builds", builds.address)
