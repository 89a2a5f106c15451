"""The namespace of a registry, which goes with the stack unless something in it has to stay."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from . import storage
from .cluster import SECURITY_LEVEL
from .settings import Settings

_OWN = "kubernetes:core/v1:Namespace"


def declare(
    name: str, settings: Settings, marks: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Declares the namespace with its Pod Security level, and returns its name.

    The ways to declare it are one resource to the engine: a change of storage moves no namespace, and one
    that the stack is to make no more is not deleted.
    """
    if not settings.create_namespace:
        # Applied, it changes nothing of it.
        return _kept(name, settings, k8s.meta.v1.ObjectMetaPatchArgs(name=settings.namespace), opts)
    labels = {**marks, SECURITY_LEVEL: storage.security_level(settings.storage)}
    if not storage.stays(settings.storage):
        own = k8s.core.v1.Namespace(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=settings.namespace, labels=labels),
            opts=_formerly(f"{_OWN}Patch", opts),
        )
        return own.metadata.name
    # By a server-side apply on whatever is there: a claim that was kept is found again with its namespace.
    metadata = k8s.meta.v1.ObjectMetaPatchArgs(
        name=settings.namespace, labels=labels, annotations=storage.TAKE_UP
    )
    return _kept(name, settings, metadata, opts)


def _kept(
    name: str, settings: Settings, metadata: k8s.meta.v1.ObjectMetaPatchArgs, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    kept = k8s.core.v1.NamespacePatch(
        name,
        metadata=metadata,
        opts=pulumi.ResourceOptions.merge(
            _formerly(_OWN, opts), pulumi.ResourceOptions(retain_on_delete=True)
        ),
    )
    return pulumi.Output.from_input(settings.namespace).apply(lambda name: kept.id.apply(lambda _: name))


def _formerly(type_: str, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=type_)]))
