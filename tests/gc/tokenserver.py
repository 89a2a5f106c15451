"""A token server, and clients that get their tokens there: the protocol that registries demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlparse

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

ISSUER, SERVICE = "auth.example.com", "registry.example.com"
PATIENCE = 10.0  # seconds, of a client
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"')
Claims = Mapping[str, Any]


def signed(key: Key, header: Mapping[str, Any], claims: Claims) -> str:
    """A token: ES256 by a key of P-256, RS256 by one of RSA."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    parts = [
        _encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": algorithm, **header}, claims)
    ]
    text = ".".join(parts).encode()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return ".".join([*parts, _encoded(signature)])


def claims(scope: str, **others: Any) -> dict[str, Any]:
    """What a token says that gives `scope`, TYPE:NAME:ACTION,ACTION and more after spaces; then `others`."""
    access: list[dict[str, Any]] = []
    for entry in scope.split():
        kind, name, actions = entry.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 300}
    return {"iss": ISSUER, "sub": "anna", "aud": SERVICE, **times, "access": access, **others}


def chain(*certificates: x509.Certificate) -> dict[str, Any]:
    """The header by which a token brings its certificates along, the one that signs it first."""
    encoding = serialization.Encoding.DER
    return {"x5c": [base64.b64encode(each.public_bytes(encoding)).decode() for each in certificates]}


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The public key as a JWK, without a name."""
    numbers = key.public_key().public_numbers()
    x, y = (_encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    """What RFC 7638 calls the key."""
    text = json.dumps(jwk(key), sort_keys=True, separators=(",", ":"))
    return _encoded(hashlib.sha256(text.encode()).digest())


def fingerprint(key: ec.EllipticCurvePrivateKey) -> str:
    """What libtrust calls the key: 240 bits of a hash of it, in groups of four letters."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    hashed = hashlib.sha256(key.public_key().public_bytes(encoding, form)).digest()
    text = base64.b32encode(hashed[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class TokenServer:
    """It gives whoever has `login` a token that `sign` makes of what was asked, less what is not `given`."""

    sign: Callable[[Claims], str]
    login: tuple[str, str] = ("anna", "a password")
    given: tuple[str, ...] = ("pull", "push", "delete")
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    port: int = 0

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def answer(self, query: dict[str, str], authorization: str | None) -> tuple[int, dict[str, str]]:
        self.asked.append(query)
        login = base64.b64encode(":".join(self.login).encode()).decode()
        if authorization != f"Basic {login}":
            return 401, {}
        given = claims(query.get("scope", ""), aud=query["service"])
        for entry in given["access"]:
            entry["actions"] = [action for action in entry["actions"] if action in self.given]
        return 200, {"token": self.sign(given)}


@contextmanager
def serving(server: TokenServer) -> Generator[TokenServer]:
    """The server at its port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {key: " ".join(values) for key, values in parse_qs(urlparse(self.path).query).items()}
            status, body = server.answer(query, self.headers["Authorization"])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@dataclass
class Fetching(AuthBase):
    """A client that, when it is refused, gets a token where it is told to, and asks again with it."""

    login: tuple[str, str]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        cast("Any", request).register_hook("response", self._again)
        return request

    def _again(self, response: requests.Response, **options: Any) -> requests.Response:
        challenge = response.headers.get("WWW-Authenticate", "")
        if response.status_code != 401 or not challenge.startswith("Bearer "):
            return response
        asked = dict(_PARAMETER.findall(challenge))
        query = {key: value for key, value in asked.items() if key in ("service", "scope")}
        given = requests.get(asked["realm"], params=query, auth=self.login, timeout=PATIENCE)
        if given.status_code != 200:
            return response
        again = response.request.copy()
        again.headers["Authorization"] = f"Bearer {given.json()['token']}"
        adapter = HTTPAdapter()
        try:
            return adapter.send(again, **options)
        finally:
            adapter.close()


@dataclass
class Bearer(AuthBase):
    """A client with this token, which it has from somewhere."""

    token: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request
