"""A private Docker registry on Kubernetes: configuration -> args -> outputs."""

from __future__ import annotations

import pulumi

from docker_registry_stack import DockerRegistry
from docker_registry_stack.config import stack_args
from docker_registry_stack.upgrade import former_names

registry = DockerRegistry("registry", stack_args(), pulumi.ResourceOptions(transformations=[former_names]))

pulumi.export("address", registry.address)
pulumi.export("addresses", registry.addresses)
pulumi.export("caCertificate", registry.ca_certificate)
pulumi.export("auth", registry.auth)
pulumi.export("user", registry.user)
pulumi.export("password", registry.password)
pulumi.export("namespace", registry.namespace)
# Told while the stack stands: `pulumi destroy` leaves the images there and prints no outputs.
pulumi.export("data", registry.data)
