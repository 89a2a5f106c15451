"""Tokens on real registries with a stack's configuration: which of them let a client in, and to what."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.pki import Pair, Subject, issue, new_authority
from tests.gc.images import image, layer
from tests.gc.realregistry import RealRegistry, Version
from tests.gc.registryclient import RefusalError, RegistryClient
from tests.gc.stackregistry import registry_of_a_stack
from tests.gc.tokenserver import (
    ISSUER,
    SERVICE,
    Bearer,
    Claims,
    Fetching,
    Key,
    TokenServer,
    chain,
    claims,
    fingerprint,
    jwk,
    serving,
    signed,
    thumbprint,
)

AUTHORITY = new_authority("whom the registry knows")
SIGNER = issue(AUTHORITY, Subject("the token server"))
STRANGER = issue(new_authority("whom it does not know"), Subject("another token server"))
IMAGE = image([layer("by token", 1 << 12)], "by token")
TAGS = "/v2/team/app/tags/list"
NOWHERE = "http://127.0.0.1:9/token"
PULL = "repository:team/app:pull"


def pem(pair: Pair) -> str:
    return pair.certificate_pem.decode()


def certified(key: rsa.RSAPrivateKey) -> x509.Certificate:
    """A certificate that the key signs for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an older token server")])
    begin = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def by_chain(pair: Pair) -> dict[str, Any]:
    return chain(pair.certificate)


def usual() -> str:
    """What comes in where AUTHORITY, or the SIGNER itself, is known, for five minutes."""
    return signed(SIGNER.key, by_chain(SIGNER), claims(PULL))


@contextmanager
def demanding(
    version: Version, folder: Path, keys: Mapping[str, object], token: str, realm: str = NOWHERE
) -> Generator[RealRegistry]:
    """A registry with the stack's own configuration, which knows tokens by `keys`, such as `token`."""
    image = f"docker.io/library/registry:{version}"
    server = {"realm": realm, "service": SERVICE, "issuer": ISSUER, **keys}
    registry = registry_of_a_stack(version, folder, registryImage=image, auth="token", token=server)
    registry.clients = Bearer(token)
    with registry:
        yield registry


def ask(registry: RealRegistry, token: str | None, path: str = TAGS) -> tuple[int, str]:
    """The status of a request with that token, and how it is challenged."""
    with RegistryClient(registry.address) as client:
        client.session.auth = None if token is None else Bearer(token)
        answer = client.request("GET", path, 200, 401, 404)
    return answer.status_code, answer.headers.get("WWW-Authenticate", "")


def test_a_client_pushes_and_pulls_by_tokens_of_the_server_it_is_sent_to(
    version: Version, tmp_path: Path
) -> None:
    with (
        serving(TokenServer(lambda given: signed(SIGNER.key, by_chain(SIGNER), given))) as server,
        demanding(
            version, tmp_path / "registry", {"rootCertBundle": pem(AUTHORITY)}, usual(), server.realm
        ) as registry,
        RegistryClient(registry.address) as client,
    ):
        client.session.auth = Fetching(server.login)
        client.push("team/app", IMAGE, "1")
        client.check("team/app", "1", IMAGE)
        assert {query["service"] for query in server.asked} == {SERVICE}
        scopes = {tuple(sorted(query["scope"].split(":")[2].split(","))) for query in server.asked}
        assert scopes == {("pull",), ("pull", "push")}
        client.session.auth = Fetching(("anna", "wrong"))
        with pytest.raises(RefusalError, match="401"):
            client.check("team/app", "1", IMAGE)
        # Who may what is up to the server.
        server.given = ("pull",)
        client.session.auth = Fetching(server.login)
        client.check("team/app", "1", IMAGE)
        with pytest.raises(RefusalError, match="401"):
            client.push("team/app", image([layer("pushed", 1 << 10)], "pushed"), "2")


def test_wrong_tokens_are_refused_with_a_challenge(version: Version, tmp_path: Path) -> None:
    def token(
        key: Key = SIGNER.key, header: Mapping[str, Any] | None = None, given: Claims | None = None
    ) -> str:
        return signed(key, header or by_chain(SIGNER), given or claims(PULL))

    with demanding(version, tmp_path / "registry", {"rootCertBundle": pem(AUTHORITY)}, usual()) as registry:
        status, challenge = ask(registry, None)
        assert status == 401
        assert challenge.startswith(
            f'Bearer realm="http://127.0.0.1:9/token",service="{SERVICE}",scope="{PULL}"'
        )
        assert ask(registry, token())[0] == 404, "it comes in; there is no such repository"
        assert ask(registry, token(), "/v2/")[0] == 200
        wrong = {
            "of another's key": token(STRANGER.key, by_chain(STRANGER)),
            "of another's key under a known certificate": token(STRANGER.key),
            "for another registry": token(given=claims(PULL, aud="another.example.com")),
            "of another issuer": token(given=claims(PULL, iss="another.example.com")),
            "of yesterday": token(given=claims(PULL, exp=1_600_000_000)),
            "of tomorrow": token(given=claims(PULL, nbf=4_000_000_000)),
            "of nobody": token()[:-4] + "AAAA",
            "no token": "hush",
        }
        for name, each in wrong.items():
            status, challenge = ask(registry, each)
            assert status == 401, name
            assert challenge.startswith("Bearer realm="), name
        for scope in ("", "repository:team/app:push", "repository:team/other:pull", "registry:catalog:*"):
            status, challenge = ask(registry, token(given=claims(scope)))
            assert (status, 'error="insufficient_scope"' in challenge) == (401, True), scope


def test_tokens_of_an_rsa_key_are_taken(version: Version, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = certified(key)
    bundle = certificate.public_bytes(serialization.Encoding.PEM).decode()
    token = signed(key, chain(certificate), claims(PULL))
    with demanding(version, tmp_path / "registry", {"rootCertBundle": bundle}, token) as registry:
        assert ask(registry, token)[0] == 404
        assert ask(registry, signed(SIGNER.key, by_chain(SIGNER), claims(PULL)))[0] == 401


def test_a_key_that_a_token_only_names_has_another_name_in_each_version(
    version: Version, tmp_path: Path
) -> None:
    with demanding(version, tmp_path / "registry", {"rootCertBundle": pem(SIGNER)}, usual()) as registry:
        names = {"2.8.2": fingerprint(SIGNER.key), "3.1.2": thumbprint(SIGNER.key)}
        taken = {
            of: ask(registry, signed(SIGNER.key, {"kid": kid}, claims(PULL)))[0] for of, kid in names.items()
        }
        assert taken == {of: 404 if of == version else 401 for of in names}


def test_keys_as_jwks_are_known_by_their_names(tmp_path: Path) -> None:
    keys = json.dumps({"keys": [{**jwk(SIGNER.key), "kid": "of this year"}]})
    token = signed(SIGNER.key, {"kid": "of this year"}, claims(PULL))
    with demanding("3.1.2", tmp_path / "registry", {"jwks": keys}, token) as registry:
        assert ask(registry, token)[0] == 404
        assert ask(registry, signed(SIGNER.key, {"kid": "of last year"}, claims(PULL)))[0] == 401
        assert ask(registry, signed(STRANGER.key, {"kid": "of this year"}, claims(PULL)))[0] == 401


def test_version_2_does_not_start_on_jwks_alone(tmp_path: Path) -> None:
    """So the stack refuses them beside an image that says that it is of version 2."""
    keys = json.dumps({"keys": [{**jwk(SIGNER.key), "kid": "of this year"}]})
    server = {"realm": NOWHERE, "service": SERVICE, "issuer": ISSUER, "jwks": keys}
    registry = registry_of_a_stack("2.8.2", tmp_path / "registry", auth="token", token=server)
    with pytest.raises(AssertionError, match="the registry ended"):
        registry.start()
    assert "token auth requires a valid option string" in registry.log.read_text()
    assert "rootcertbundle" in registry.log.read_text()
