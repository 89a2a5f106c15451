"""A stack deployed before there was one component for all: every resource of it is found by an alias."""

from __future__ import annotations

from tests.unit.conftest import Deploy
from tests.unit.program import Graph, Resource

OWN = "docker-registry:index"
# What the engine held of a stack then, component by component.
# But for what is another kind of object by now: the ConfigMap of config.yml, a Secret since.
FORMER = {
    f"{OWN}:Certificates": {
        f"{OWN}:Certificates::certificates",
        f"{OWN}:Certificates$tls:index/privateKey:PrivateKey::certificates-ca-key",
        f"{OWN}:Certificates$tls:index/selfSignedCert:SelfSignedCert::certificates-ca",
        f"{OWN}:Certificates$tls:index/privateKey:PrivateKey::certificates-server-key",
        f"{OWN}:Certificates$tls:index/certRequest:CertRequest::certificates-server-request",
        f"{OWN}:Certificates$tls:index/locallySignedCert:LocallySignedCert::certificates-server",
    },
    f"{OWN}:Registry": {
        f"{OWN}:Registry::registry",
        f"{OWN}:Registry$kubernetes:core/v1:Namespace::registry-namespace",
        f"{OWN}:Registry$kubernetes:core/v1:Secret::registry-tls",
        f"{OWN}:Registry$kubernetes:core/v1:Secret::registry-http",
        f"{OWN}:Registry$tls:index/privateKey:PrivateKey::registry-http-secret",
        f"{OWN}:Registry$kubernetes:apps/v1:Deployment::registry",
        f"{OWN}:Registry$kubernetes:core/v1:Service::registry-service",
    },
    f"{OWN}:Pruner": {
        f"{OWN}:Registry${OWN}:Pruner::pruner",
        f"{OWN}:Registry${OWN}:Pruner$kubernetes:core/v1:ConfigMap::pruner-program",
        f"{OWN}:Registry${OWN}:Pruner$kubernetes:core/v1:ServiceAccount::pruner-account",
        f"{OWN}:Registry${OWN}:Pruner$kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
        "::docker-registry-pruner",
        f"{OWN}:Registry${OWN}:Pruner$kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
        "::docker-registry-pruner",
    },
    f"{OWN}:ExternalAddress": {
        f"{OWN}:ExternalAddress::address",
        f"{OWN}:ExternalAddress$kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
        "::address-definition",
        f"{OWN}:ExternalAddress$kubernetes:docker-registry.internal/v1:RegistryAddress::address",
    },
}


def identities(resource: Resource, graph: Graph) -> set[str]:
    """All that the engine takes a resource for, now and by its aliases, its parents' included.

    The engine's rule: under each identity of its parent a resource is looked for by its own type, and by its
    former names and the name that the parent's gives it.
    """
    parent = next((r for r in graph.resources if r.urn == resource.parent), None)
    if parent is None:
        return {f"{resource.type}::{resource.name}"}
    found = {f"{resource.type}::{name}" for name, under_stack in resource.aliases if under_stack}
    for identity in identities(parent, graph):
        chain, _, parent_name = identity.partition("::")
        derived = resource.name
        if derived.startswith(parent.name):
            derived = parent_name + derived[len(parent.name) :]
        names = {derived, *(name for name, under_stack in resource.aliases if not under_stack)}
        kinds = (resource.type, *resource.former_types)
        found |= {f"{chain}${kind}::{name}" for kind in kinds for name in names}
    return found


def test_every_former_resource_is_found_by_one_of_its_type(deploy: Deploy) -> None:
    graph = deploy()
    known = [(kind, identities(r, graph)) for r in graph.resources for kind in (r.type, *r.former_types)]
    for former in (urn for urns in FORMER.values() for urn in urns):
        chain = former.rpartition("::")[0]
        kind = chain.rpartition("$")[2]
        assert [type_ for type_, names in known if former in names and type_ == kind] == [kind], former


def test_only_the_projects_own_registry_has_such_a_past(deploy: Deploy) -> None:
    # A second registry that claimed the former names too would take the first one's resources.
    top = deploy().one(f"{OWN}:DockerRegistry")
    assert top.name == "registry"
    assert top.aliases == ()
