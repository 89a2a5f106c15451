"""A private Docker registry on Kubernetes as a Pulumi component, which any program can import.

from docker_registry_stack import DockerRegistry, DockerRegistryArgs

registry = DockerRegistry("images", DockerRegistryArgs(node_port=32100, namespace="images"))
pulumi.export("address", registry.address)
"""

from .args import DockerRegistryArgs
from .connection import ClusterError
from .docker_registry import DockerRegistry
from .objects import (
    Container,
    Exposure,
    Htpasswd,
    NetworkPolicy,
    Pod,
    PullSecrets,
    Resources,
    RetentionPolicy,
    Storage,
    Token,
    Toleration,
)
from .settings import SettingsError

__all__ = [
    "ClusterError",
    "Container",
    "DockerRegistry",
    "DockerRegistryArgs",
    "Exposure",
    "Htpasswd",
    "NetworkPolicy",
    "Pod",
    "PullSecrets",
    "Resources",
    "RetentionPolicy",
    "SettingsError",
    "Storage",
    "Token",
    "Toleration",
]
