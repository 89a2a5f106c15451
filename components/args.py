"""What a registry is made from: the one place where a key's type, meaning and default stand.

A key of the stack configuration is a field here in camel case (`gcPeriod` is `gc_period`). Its default is the
field's; the pruner's keys have the pruner's own. None anywhere stands for the default, since that is what other
languages pass for what they leave out. Values are checked by `settings.settle`.

No annotation here is text (so no `from __future__ import annotations`): Pulumi's analyzer makes the package's
schema of these classes, and of their docstrings the descriptions that other languages show.
"""

from dataclasses import dataclass, field
from typing import Any

import pulumi

from pruner.settings.durations import format_duration
from pruner.settings.table import Settings as PrunerSettings

from .objects import (
    Exposure,
    Htpasswd,
    NetworkPolicy,
    NodeTrust,
    Pod,
    PullSecrets,
    Redis,
    RetentionPolicy,
    Storage,
    Tls,
    Token,
)

_PRUNER = PrunerSettings()

SECRETS = frozenset(
    {"users", "password", "registry_config", "secret_key", "sentinel_password", "key", "ca_key"}
)
"""The fields, of whichever object, that nothing shows in plain text."""


@dataclass(frozen=True, kw_only=True)
class DockerRegistryArgs:
    """Everything that can be set; durations are seconds, or text such as 90s, 15m, 24h, 7d, 2w, 1h30m."""

    node_port: pulumi.Input[int] | None = 32000
    """The port of every node on which the registry answers, from 30000 to 32767"""
    external_hosts: pulumi.Input[list[pulumi.Input[str]]] | None = None
    """DNS names or IP addresses under which clients reach the nodes; if left out, the addresses of the nodes"""
    exposure: Exposure | None = Exposure()
    """How clients outside the cluster reach it; the nodes' port if left out"""
    tls: Tls | None = Tls()
    """The certificate and whom clients trust for it, by default an authority of the stack's own"""
    node_trust: NodeTrust | None = NodeTrust()
    """Have every node trust the registry, so that pods pull from it"""
    ca_namespaces: list[str] | None = None
    """Other namespaces that get the ConfigMap with whom to trust, such as trust-manager's"""
    local_registry_hosting: str | None = "none"
    """Tell tools of the registry in kube-public, as KEP-1755 has it: a link to what people read of it, or none"""
    namespace: pulumi.Input[str] | None = "docker-registry"
    """The namespace that is filled"""
    create_namespace: bool | None = True
    """Whether the stack makes the namespace; with false one that is there is filled, and stays"""
    auth: str | None = "htpasswd"
    """Who may come in: htpasswd for users with passwords, token, or none for everybody, to push and delete too"""
    users: pulumi.Input[dict[str, pulumi.Input[str]]] | None = field(default=None, repr=False)
    """The users' passwords by name, a secret; if left out, one user, admin, with a password that is made"""
    password_generation: int | None = 1
    """Another number is another password of the user that is made"""
    htpasswd: Htpasswd | None = None
    """In place of users, a file of names and hashes that somebody else keeps"""
    token: Token | None = None
    """Whose tokens let people in, of auth token"""
    pull_secrets: PullSecrets | None = None
    """Where Secrets are made for the cluster's pods to pull with"""
    registry_image: pulumi.Input[str] | None = "docker.io/library/registry:3.1.2"
    """The image of the registry, 2.8 or 3.x"""
    gc_image: pulumi.Input[str] | None = "docker.io/library/python:3.13-slim"
    """The image the pruner runs on, any with Python 3.11 or later; one built from gc/Dockerfile brings the pruner along"""
    storage: Storage | None = Storage()
    """Where the images are kept"""
    replicas: int | None = 1
    """How many pods serve it; above one needs storage that several can write to, and the cache none or redis"""
    cache: str | None = "none"
    """The registry's cache of blob descriptors, none, inmemory or redis; inmemory makes the pruner restart the registry in place"""
    redis: Redis | None = Redis()
    """Where cache redis is; if left out, in a small server that the stack runs"""
    registry_config: dict[str, Any] | None = None
    """More of the registry's own configuration, merged over the stack's; `proxy` makes it a pull-through cache"""
    pod: Pod | None = Pod()
    """Where the pod runs, and what is added to it"""
    network_policy: NetworkPolicy | None = NetworkPolicy()
    """Who may reach which port of the pod"""
    gc_mode: str | None = _PRUNER.mode
    """online prunes while the registry takes pushes; readonly makes it read-only for the length of a run"""
    gc_period: str | None = format_duration(_PRUNER.period)
    """The time from the end of one run of the pruner to the next"""
    gc_initial_delay: str | None = format_duration(_PRUNER.initial_delay)
    """The time from the start of the pruner to its first run"""
    gc_grace: str | None = format_duration(_PRUNER.grace)
    """Nothing younger than this is touched; longer than any push takes"""
    gc_untagged_after: str | None = format_duration(_PRUNER.untagged_after)
    """An untagged manifest older than this may go"""
    gc_uploads_after: str | None = format_duration(_PRUNER.uploads_after)
    """An upload that nobody has continued for this long is abandoned and may go"""
    gc_trash: str | None = format_duration(_PRUNER.trash)
    """How long a removed blob can still be restored"""
    gc_max_fraction: float | None = _PRUNER.max_fraction
    """A run that would remove more than this fraction of the blobs is refused, above 0 and at most 1"""
    gc_ops_per_second: int | None = _PRUNER.ops_per_second
    """How many things a second the pruner lists, reads or removes at most, 0 for no limit; for a disk that is slow"""
    gc_protect_running: bool | None = True
    """Keep every image that a workload of the cluster runs or names; gives the pruner read access to workloads"""
    gc_dangling_tags: str | None = _PRUNER.dangling_tags
    """What to do with a tag whose manifest is gone, keep or remove"""
    retention: list[RetentionPolicy] | None = None
    """Which tags stay, the first policy that matches decides; if left out, every tag stays"""
    metrics: str | None = "annotations"
    """How a Prometheus of the cluster finds the metrics: annotations, podMonitor or none"""
    repository_metrics: bool | None = False
    """Have metrics of each repository too, the 200 largest"""
    alerts: str | None = "none"
    """In which form alerts are made: prometheusRule, configMap or none"""
    dashboard: bool | None = False
    """Make a ConfigMap with a dashboard, as Grafana's sidecar looks for it"""
