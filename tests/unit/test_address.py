"""The Service, the address that is published, and the definition of its kind."""

from __future__ import annotations

from typing import Any

from pruner.observe.board import Now
from pruner.observe.record import Record, Run, Snapshot
from pruner.observe.status import State, status_of
from pruner.observe.surroundings import Surroundings
from tests.unit.conftest import Deploy
from tests.unit.parts import ADDRESS, DEFINITION, DEPLOYMENT, SERVICE


def test_the_service_opens_the_node_port(deploy: Deploy) -> None:
    graph = deploy(nodePort=31234)
    service = graph.one(SERVICE)
    assert service.inputs["metadata"]["name"] == "registry"
    assert service.inputs["spec"]["type"] == "NodePort"
    assert service.inputs["spec"]["publishNotReadyAddresses"], "whatever becomes of the pruner"
    assert service.inputs["spec"]["ports"] == [
        {"name": "https", "port": 5000, "targetPort": "https", "nodePort": 31234}
    ]
    template = graph.one(DEPLOYMENT).inputs["spec"]["template"]
    assert service.inputs["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert service.delete_before_replace


def test_the_address_is_published_in_the_cluster(deploy: Deploy) -> None:
    graph = deploy(externalHosts=["registry.example.com", "192.0.2.1"], namespace="images")
    address = graph.one(ADDRESS)
    assert address.inputs["metadata"]["name"] == "registry"
    assert address.inputs["apiVersion"] == "docker-registry.internal/v1"
    assert address.inputs["kind"] == "RegistryAddress"
    assert address.inputs["spec"] == {
        "address": "registry.example.com:32000",
        "addresses": ["registry.example.com:32000", "192.0.2.1:32000"],
        "caBundle": "certificate registry-certificates-ca",
        "auth": "htpasswd",
        "serviceRef": {"name": "registry", "namespace": "images", "port": 5000},
    }
    assert graph.one(DEFINITION).urn in address.dependencies
    assert address.inputs["spec"]["address"] == graph.outputs["address"]
    assert address.inputs["spec"]["addresses"] == graph.outputs["addresses"]
    assert address.inputs["spec"]["caBundle"] == graph.outputs["caCertificate"]


def test_the_definition_has_a_structural_schema_and_columns(deploy: Deploy) -> None:
    inputs = deploy().one(DEFINITION).inputs
    assert inputs["metadata"]["name"] == "registryaddresses.docker-registry.internal"
    spec = inputs["spec"]
    assert (spec["group"], spec["scope"]) == ("docker-registry.internal", "Namespaced")
    assert spec["names"] == {
        "kind": "RegistryAddress",
        "listKind": "RegistryAddressList",
        "plural": "registryaddresses",
        "singular": "registryaddress",
    }
    (version,) = spec["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1", True, True)
    assert [(c["name"], c["jsonPath"]) for c in version["additionalPrinterColumns"]] == [
        ("Address", ".spec.address"),
        ("Auth", ".spec.auth"),
        ("Addresses", ".spec.addresses"),
        ("Service", ".spec.serviceRef.name"),
        ("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        ("Doing", ".status.phase"),
        ("Since", ".status.phaseSince"),
        ("Last-Run", ".status.lastRun"),
        ("Result", ".status.lastResult"),
        ("Stored", ".status.stored"),
        ("Degraded", '.status.conditions[?(@.type=="Degraded")].reason'),
        ("Certificate", ".status.certificateEnds"),
        ("Age", ".metadata.creationTimestamp"),
    ]
    assert version["subresources"] == {"status": {}}, "the status is the pruner's, the rest the stack's"
    schema = version["schema"]["openAPIV3Schema"]
    _assert_structural(schema, "")
    assert schema["properties"]["spec"]["required"] == ["address", "addresses", "caBundle", "serviceRef"]
    assert schema["required"] == ["spec"]
    assert "required" not in schema["properties"]["status"]


def test_the_status_has_the_fields_that_the_pruner_writes(deploy: Deploy) -> None:
    (version,) = deploy().one(DEFINITION).inputs["spec"]["versions"]
    declared = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    record = Record(runs=(Run(1.0, 2.0, "done"),), snapshot=Snapshot())
    written = status_of(
        State(record, Now("waiting", 1.0, 2.0), Surroundings(trouble="", certificate=3.0), ())
    )
    assert set(declared) == set(written)
    kinds: dict[str, type] = {"string": str, "integer": int, "array": list}
    for name, value in written.items():
        assert isinstance(value, kinds[declared[name]["type"]]), name
    condition = declared["conditions"]["items"]["properties"]
    assert set(condition) == {*written["conditions"][0], "lastTransitionTime"}


def _assert_structural(schema: dict[str, Any], where: str) -> None:
    """Every field has a type, and every array its items: what the API server asks of a v1 definition."""
    assert schema["type"] in {"object", "array", "string", "integer"}, where
    assert schema["description"], where
    assert ("items" in schema) == (schema["type"] == "array"), where
    for name, field in schema.get("properties", {}).items():
        _assert_structural(field, f"{where}.{name}")
    if "items" in schema:
        _assert_structural(schema["items"], f"{where}[]")
