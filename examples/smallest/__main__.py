"""A registry with every default: in the namespace docker-registry, on port 32000 of every node."""

import pulumi

from docker_registry_stack import DockerRegistry, DockerRegistryArgs

registry = DockerRegistry("registry", DockerRegistryArgs())

pulumi.export("address", registry.address)
pulumi.export("caCertificate", registry.ca_certificate)
pulumi.export("user", registry.user)
pulumi.export("password", registry.password)
