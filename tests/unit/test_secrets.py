"""No secret is in plain text in anything that the program declares or gives out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.unit.conftest import Deploy
from tests.unit.parts import SECRET
from tests.unit.program import Graph

# What a Secret holds that everybody may know.
PUBLIC = {"tls.crt", "ca.crt", "root-certificates.pem", "jwks.json"}
# Which resources take a secret as an input of theirs, and know it for one.
MAY_HOLD = {
    SECRET: {"/stringData", "/data"},
    "docker-registry:index:DockerRegistry": {"/users"},
    "tls:index/selfSignedCert:SelfSignedCert": {"/privateKeyPem"},
    "tls:index/certRequest:CertRequest": {"/privateKeyPem"},
    "tls:index/locallySignedCert:LocallySignedCert": {"/caPrivateKeyPem"},
}
USERS = {"anna": "the first secret", "bert": "the second secret"}
CONFIGS: dict[str, dict[str, Any]] = {
    "the default": {},
    "pulling": {"pullSecrets": {"namespaces": ["default"]}},
    "users": {"users": USERS, "pullSecrets": {"namespaces": ["default"], "user": "bert"}},
    "read-only": {"gcMode": "readonly", "cache": "inmemory"},
    "all that is seen": {"alerts": "configMap", "dashboard": True, "repositoryMetrics": True},
}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The texts in a value, each with where it stands."""
    if isinstance(value, dict):
        for key, entry in cast("dict[str, Any]", value).items():
            yield from leaves(entry, f"{path}/{key}")
    elif isinstance(value, list):
        for entry in cast("list[Any]", value):
            yield from leaves(entry, path)
    elif isinstance(value, str):
        yield path, value


def secrets_of(graph: Graph) -> set[str]:
    """What must not be seen: what Secrets hold, what it is made of, and each in base64."""
    found = {value for name, value in graph.outputs.items() if name in graph.secret_outputs and value}
    found |= {f"private key of {key.name}" for key in graph.all("tls:index/privateKey:PrivateKey")}
    for secret in graph.all(SECRET):
        for path, text in leaves(secret.inputs.get("stringData", {})):
            key = path.rpartition("/")[2]
            if key in PUBLIC:
                continue
            found.add(text)
            if path.endswith(".dockerconfigjson"):
                found |= {login["auth"] for login in json.loads(text)["auths"].values()}
                found |= {login["password"] for login in json.loads(text)["auths"].values()}
            if key == "htpasswd":
                found |= {line.partition(":")[2] for line in text.splitlines()}
    return found | {base64.b64encode(text.encode()).decode() for text in found}


@pytest.mark.parametrize("config", CONFIGS)
def test_no_secret_is_in_plain_text(deploy: Deploy, config: str) -> None:
    given = CONFIGS[config]
    graph = deploy(**given)
    secrets = secrets_of(graph) | set(given.get("users", {}).values())
    assert len(secrets) > 10 and all(len(secret) > 10 for secret in secrets)
    for resource in graph.resources:
        allowed = MAY_HOLD.get(resource.type, set()) & resource.secret_paths
        for path, text in leaves(resource.inputs):
            if any(path.startswith(known) for known in allowed):
                continue
            for secret in secrets:
                assert secret not in text, f"{resource.type} {resource.name}{path}"
    for name, value in graph.outputs.items():
        if name not in graph.secret_outputs:
            for secret in secrets:
                assert secret not in json.dumps(value), name


def test_the_search_would_find_one(deploy: Deploy) -> None:
    """Each Secret holds something that the search looks for."""
    graph = deploy(**CONFIGS["users"])
    secrets = secrets_of(graph)
    for secret in graph.all(SECRET):
        texts = [text for _, text in leaves(secret.inputs["stringData"])]
        assert any(known in text for known in secrets for text in texts), secret.name
    assert set(USERS.values()) & secrets == {USERS["bert"]}, "the other's is nowhere but as a hash"
