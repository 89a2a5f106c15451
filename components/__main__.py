"""Serves the component to programs in any language: what the engine starts for `PulumiPlugin.yaml`."""

from pulumi.provider.experimental import component_provider_host

import pruner
from docker_registry_stack import DockerRegistry

if __name__ == "__main__":
    component_provider_host([DockerRegistry], "docker-registry", version=pruner.__version__)
