"""The containers that have to succeed before the registry of their pod starts."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from . import access, pod, storage
from .cluster import SERVICE
from .settings import Settings


def first_config(settings: Settings, program: pod.Shared) -> k8s.core.v1.ContainerArgs:
    """The configuration lies where the pruner can rewrite it."""
    source = f"{pod.PRISTINE_CONFIG_FOLDER}/{pod.CONFIG_FILE}"
    mounts = [
        pod.mount(pod.PRISTINE_CONFIG, pod.PRISTINE_CONFIG_FOLDER, read_only=True),
        pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=False),
    ]
    command = ["prune", "init-config", source, f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"]
    return _container("config", settings, [*command], program.and_(pod.Shared([], mounts, [])))


def claim(
    settings: Settings,
    program: pod.Shared,
    shared: pod.Shared,
    namespace: pulumi.Input[str],
    record: pulumi.Input[str],
) -> k8s.core.v1.ContainerArgs:
    """The tree is this registry's, and the one it had."""
    # Who owns it is known by what lasts: no name of a stack, a project or an organization.
    command: list[pulumi.Input[str]] = [
        "prune",
        "claim",
        pulumi.Output.concat("--owner=", namespace, "/", SERVICE),
        pulumi.Output.concat("--record=", namespace, "/", record),
        pulumi.Output.concat("--called=", storage.called(settings.storage)),
        "--message=/dev/termination-log",
    ]
    if settings.storage.adopt:
        command.append(f"--adopt={settings.storage.adopt}")
    mounts = [
        pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=True),
        pod.mount(access.TOKEN, access.TOKEN_FOLDER, read_only=True),
    ]
    return _container("claim", settings, command, program.and_(shared).and_(pod.Shared([], mounts, [])))


def _container(
    name: str, settings: Settings, command: list[pulumi.Input[str]], shared: pod.Shared
) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=command,
        env=[*pod.variables({"GC_CONFIG": f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"}), *shared.variables],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "10m", "memory": "40Mi"}, limits={"cpu": "1", "memory": "128Mi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=shared.mounts,
    )
