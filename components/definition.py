"""The kind of the address resource: one definition in a cluster, which no stack's end removes.

Every registry declares it by a server-side apply on whatever is there, so that the first makes it and none
takes it along: it stays when it is not declared any more. Of two schemas the newer one wins. A registry that
finds a newer one than its own declares that one; schemas only ever gain fields that may be left out, so that
what an older program writes stays valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from . import labels, status

GROUP = "docker-registry.internal"
KIND = "RegistryAddress"
PLURAL = "registryaddresses"
VERSION = "v1"
NAME = f"{PLURAL}.{GROUP}"

SCHEMA = 3
"""Raised with every change of what `_spec` returns."""

SCHEMA_ANNOTATION = f"{GROUP}/schema"

_FORMER_TYPE = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def declare(name: str, found: Mapping[str, Any] | None, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Declares the definition, given the one that the cluster has, None for none."""
    schema, spec = _newer(found) or (SCHEMA, _spec())
    # Stacks of before were owners of a definition that went with them; the alias makes it one that stays.
    kept = pulumi.ResourceOptions(retain_on_delete=True, aliases=[pulumi.Alias(type_=_FORMER_TYPE)])
    return k8s.apiextensions.v1.CustomResourceDefinitionPatch(
        name,
        metadata=k8s.meta.v1.ObjectMetaPatchArgs(
            name=NAME,
            # What somebody else set is set right, whoever owns the field by now.
            annotations={SCHEMA_ANNOTATION: str(schema), "pulumi.com/patchForce": "true"},
            labels=labels.SHARED,
        ),
        spec=cast("Any", spec),
        opts=pulumi.ResourceOptions.merge(opts, kept),
    )


def admitted(spec: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of an address resource's `spec` the API server takes, with the definition `found` in the cluster.

    All of it once the definition is ours. But a preview has the server check it by the one that is still
    there, which refuses fields that it does not know.
    """
    if found is None or not pulumi.runtime.is_dry_run():
        return dict(spec)
    versions = cast("list[dict[str, Any]]", found["spec"].get("versions") or [])
    schema: dict[str, Any] = {}
    for each in versions:
        if each["name"] == VERSION:
            schema = each.get("schema") or {}
    for part in ("openAPIV3Schema", "properties", "spec"):
        schema = schema.get(part) or {}
    known = cast("dict[str, Any]", schema.get("properties") or spec)
    return {field: value for field, value in spec.items() if field in known}


def _newer(found: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]] | None:
    """The schema and the specification of the definition that is there, if that is newer than ours."""
    if found is None:
        return None
    annotations = cast("dict[str, str]", found["metadata"].get("annotations") or {})
    text = annotations.get(SCHEMA_ANNOTATION, "")
    return (int(text), found["spec"]) if text.isdecimal() and int(text) > SCHEMA else None


def _spec() -> dict[str, Any]:
    return {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [
                    _column("Address", "string", ".spec.address", "Where to push to"),
                    _column("Auth", "string", ".spec.auth", "How clients log in"),
                    _column("Addresses", "string", ".spec.addresses", "Every address that leads there", 1),
                    _column("Service", "string", ".spec.serviceRef.name", "The Service behind it", 1),
                    *(_column(*column) for column in status.COLUMNS),
                    _column("Age", "date", ".metadata.creationTimestamp", "When it was published"),
                ],
                "subresources": status.SUBRESOURCES,
                "schema": {
                    "openAPIV3Schema": {
                        **_field(
                            "object",
                            "Where a Docker registry of this cluster is reached, and how it is trusted",
                        ),
                        "properties": {
                            "spec": _object("What its stack published", _fields(), "auth"),
                            "status": status.SCHEMA,
                        },
                        "required": ["spec"],
                    }
                },
            }
        ],
    }


def _fields() -> dict[str, Any]:
    return {
        "address": _field("string", "The address to push to, host:port"),
        "addresses": {
            **_field("array", "Every address that leads to the registry"),
            "items": _field("string", "host:port"),
        },
        "auth": _field("string", "How clients log in: htpasswd (name and password), token, or none"),
        "caBundle": _field("string", "The certificate authority to trust, PEM"),
        "serviceRef": _object(
            "The Service of the registry, for clients inside the cluster",
            {
                "name": _field("string", "Its name"),
                "namespace": _field("string", "Its namespace"),
                "port": _field("integer", "Its port, HTTPS"),
            },
        ),
    }


def _object(description: str, properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """An object that must have all of its properties but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {**_field("object", description), "properties": properties, "required": required}


def _field(kind: str, description: str) -> dict[str, Any]:
    return {"type": kind, "description": description}


def _column(name: str, kind: str, path: str, description: str, priority: int = 0) -> dict[str, Any]:
    """A column of `kubectl get`; with a priority of 1 it shows under `-o wide` alone."""
    found = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**found, "priority": priority} if priority else found
