"""A private Docker registry on Kubernetes: settings -> components -> stack outputs."""

from __future__ import annotations

import pulumi

from components.certificates import Certificates
from components.cluster import survey
from components.external_address import ExternalAddress
from components.registry import Registry, names_inside
from components.settings import stack_settings

settings = stack_settings()
stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
cluster = survey(settings, stack)
hosts = settings.external_hosts or cluster.addresses()

certificates = Certificates(
    "certificates",
    owner=pulumi.get_stack(),
    hosts=[*hosts, *names_inside(settings.namespace)],
)
registry = Registry("registry", settings=settings, certificates=certificates, stack=stack)
published = ExternalAddress(
    "address",
    hosts=hosts,
    node_port=settings.node_port,
    namespace=registry.namespace,
    service=registry.service,
    ca_pem=certificates.ca_pem,
    stack=stack,
    definition_owner=cluster.definition_owner,
)

pulumi.export("address", published.address)
pulumi.export("addresses", published.addresses)
pulumi.export("caCertificate", certificates.ca_pem)
pulumi.export("namespace", registry.namespace)
# Told while the stack stands: `pulumi destroy` leaves the images there and prints no outputs.
pulumi.export(
    "data", f"{settings.storage.path} on {settings.storage.node or 'the node that runs the registry'}"
)
