"""Private keys: made, read, and written in the forms that the tls provider documents."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sandbox.plugins.protocol import PluginError
from sandbox.plugins.values import Properties

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS = ("RSA", "ECDSA", "ED25519")
CURVES: dict[str, ec.EllipticCurve] = {
    "P224": ec.SECP224R1(),
    "P256": ec.SECP256R1(),
    "P384": ec.SECP384R1(),
    "P521": ec.SECP521R1(),
}


def generate(algorithm: str, rsa_bits: int, curve: str) -> PrivateKey:
    """A new key; `rsa_bits` counts for RSA alone and `curve` (P224 to P521) for ECDSA alone."""
    match algorithm:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
        case "ECDSA":
            return ec.generate_private_key(CURVES[curve])
        case "ED25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            raise PluginError(f"algorithm {algorithm!r} is none of {', '.join(ALGORITHMS)}")


def load(pem: str, what: str) -> PrivateKey:
    """The key in a PEM text; `what` names the property in the error."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise PluginError(f"{what} is no private key in PEM: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise PluginError(f"{what} is a key of a kind that is none of {', '.join(ALGORITHMS)}")
    return key


def algorithm_of(key: PrivateKey) -> str:
    """The key's algorithm, by the name that the provider gives it."""
    match key:
        case rsa.RSAPrivateKey():
            return "RSA"
        case ec.EllipticCurvePrivateKey():
            return "ECDSA"
        case _:
            return "ED25519"


def public_der(key: PrivateKey) -> bytes:
    """The public key as SubjectPublicKeyInfo in DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def describe(key: PrivateKey) -> Properties:
    """The output properties of a key: every private and public form, and the fingerprints.

    The traditional form is PKCS#1 or SEC 1, for ED25519 it is PKCS#8. OpenSSH knows no P-224: empty then.
    """
    traditional = (
        PrivateFormat.PKCS8
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else PrivateFormat.TraditionalOpenSSL
    )
    openssh = not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1))
    properties: Properties = {
        "privateKeyPem": _private(key, traditional),
        "privateKeyPemPkcs8": _private(key, PrivateFormat.PKCS8),
        "privateKeyOpenssh": _private(key, PrivateFormat.OpenSSH) if openssh else "",
        "publicKeyPem": key.public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "publicKeyOpenssh": "",
        "publicKeyFingerprintMd5": "",
        "publicKeyFingerprintSha256": "",
    }
    if openssh:
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        blob = base64.b64decode(line.split()[1])
        md5 = hashlib.md5(blob, usedforsecurity=False).hexdigest()
        sha256 = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        properties["publicKeyOpenssh"] = f"{line}\n"
        properties["publicKeyFingerprintMd5"] = ":".join(md5[i : i + 2] for i in range(0, len(md5), 2))
        properties["publicKeyFingerprintSha256"] = f"SHA256:{sha256}"
    return properties


def _private(key: PrivateKey, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
