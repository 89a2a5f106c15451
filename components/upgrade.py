"""Under which names a stack has its resources that was deployed before there was one component for all.

By these aliases its certificates, its address and its namespace are the same resources to the engine, and so
are kept by the `pulumi up` that brings a newer program. Only the project's own program has such a past.
"""

from __future__ import annotations

import pulumi

_TOP = pulumi.ROOT_STACK_RESOURCE
_OWN = "docker-registry:index"
_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"

# Type and name -> the former name, and the former parent where that is another. What is not here is called
# after its parent, and its former name follows from its parent's.
_FORMER = {
    ("docker-registry:index:Certificates", "registry-certificates"): pulumi.Alias(
        "certificates", parent=_TOP
    ),
    ("docker-registry:index:Registry", "registry"): pulumi.Alias("registry", parent=_TOP),
    ("docker-registry:index:ExternalAddress", "registry-address"): pulumi.Alias("address", parent=_TOP),
    ("docker-registry:index:Pruner", "registry-pruner"): pulumi.Alias("pruner"),
    (_ROLE, "registry-pruner-reader"): pulumi.Alias("docker-registry-pruner"),
    (f"{_ROLE}Binding", "registry-pruner-reader"): pulumi.Alias("docker-registry-pruner"),
}


def former_names(
    resource: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult | None:
    """Adds the alias, for `ResourceOptions(transformations=[former_names])` of the registry `registry`."""
    alias = _FORMER.get((resource.type_, resource.name))
    if alias is None:
        return None
    options = pulumi.ResourceOptions.merge(resource.opts, pulumi.ResourceOptions(aliases=[alias]))
    return pulumi.ResourceTransformationResult(resource.props, options)
