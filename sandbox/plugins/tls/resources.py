"""The tls provider's resources: properties, defaults, what is wrong with inputs, and how each is made.

Facts: the provider's registry pages (PrivateKey, CertRequest, SelfSignedCert, LocallySignedCert).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.plugins.protocol import PluginError
from sandbox.plugins.tls import certificates, keys
from sandbox.plugins.values import UNKNOWN, Properties

Made = tuple[str, Properties]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type.

    `defaults` are inputs that stand in the state when the program leaves them out, `outputs` what making it
    adds, `secrets` the properties never shown, `in_place` the inputs whose change needs no replacement.
    """

    required: tuple[str, ...]
    outputs: tuple[str, ...]
    secrets: tuple[str, ...]
    make: Callable[[Properties, datetime], Made]
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_place: tuple[str, ...] = ()

    @property
    def certificate(self) -> bool:
        """Whether the resource has a validity, and so is renewed."""
        return "readyForRenewal" in self.outputs


def _private_key(inputs: Properties, _: datetime) -> Made:
    key = keys.generate(inputs["algorithm"], inputs["rsaBits"], inputs["ecdsaCurve"])
    return _checksum(keys.public_der(key)), keys.describe(key)


def _cert_request(inputs: Properties, _: datetime) -> Made:
    key = keys.load(_key_text(inputs, "privateKeyPem"), "privateKeyPem")
    request = certificates.request(inputs, key)
    outputs: Properties = {
        "keyAlgorithm": keys.algorithm_of(key),
        "certRequestPem": request.public_bytes(Encoding.PEM).decode(),
    }
    return _checksum(request.public_bytes(Encoding.DER)), outputs


def _self_signed_cert(inputs: Properties, now: datetime) -> Made:
    key = keys.load(_key_text(inputs, "privateKeyPem"), "privateKeyPem")
    issued = certificates.self_signed(inputs, key, now)
    return str(issued.serial), {"keyAlgorithm": keys.algorithm_of(key), **_validity(issued)}


def _locally_signed_cert(inputs: Properties, now: datetime) -> Made:
    key = keys.load(_key_text(inputs, "caPrivateKeyPem"), "caPrivateKeyPem")
    authority = certificates.load_certificate(inputs["caCertPem"])
    request = certificates.load_request(inputs["certRequestPem"])
    issued = certificates.locally_signed(inputs, request, authority, key, now)
    return str(issued.serial), {"caKeyAlgorithm": keys.algorithm_of(key), **_validity(issued)}


def _key_text(inputs: Properties, name: str) -> str:
    text = inputs.get(name)
    if not isinstance(text, str):
        raise PluginError(f"{name} is not set; the sandbox's tls plugin takes no write-only keys")
    return text


def _validity(issued: certificates.Issued) -> Properties:
    return {
        "certPem": issued.pem,
        "validityStartTime": issued.start,
        "validityEndTime": issued.end,
        "readyForRenewal": False,
    }


def _checksum(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


_CERTIFICATE_OUTPUTS = ("certPem", "readyForRenewal", "validityStartTime", "validityEndTime")
_CERTIFICATE_DEFAULTS = {"earlyRenewalHours": 0, "isCaCertificate": False, "setSubjectKeyId": False}

KINDS: dict[str, Kind] = {
    "tls:index/privateKey:PrivateKey": Kind(
        required=("algorithm",),
        outputs=(
            "privateKeyOpenssh",
            "privateKeyPem",
            "privateKeyPemPkcs8",
            "publicKeyFingerprintMd5",
            "publicKeyFingerprintSha256",
            "publicKeyOpenssh",
            "publicKeyPem",
        ),
        secrets=("privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"),
        make=_private_key,
        defaults={"ecdsaCurve": "P224", "rsaBits": 2048},
    ),
    "tls:index/certRequest:CertRequest": Kind(
        required=("privateKeyPem",),
        outputs=("certRequestPem", "keyAlgorithm"),
        secrets=("privateKeyPem",),
        make=_cert_request,
    ),
    "tls:index/selfSignedCert:SelfSignedCert": Kind(
        required=("privateKeyPem", "validityPeriodHours", "allowedUses"),
        outputs=("keyAlgorithm", *_CERTIFICATE_OUTPUTS),
        secrets=("privateKeyPem",),
        make=_self_signed_cert,
        defaults={**_CERTIFICATE_DEFAULTS, "setAuthorityKeyId": False},
        in_place=("earlyRenewalHours",),
    ),
    "tls:index/locallySignedCert:LocallySignedCert": Kind(
        required=("caCertPem", "caPrivateKeyPem", "certRequestPem", "validityPeriodHours", "allowedUses"),
        outputs=("caKeyAlgorithm", *_CERTIFICATE_OUTPUTS),
        secrets=("caPrivateKeyPem",),
        make=_locally_signed_cert,
        defaults=_CERTIFICATE_DEFAULTS,
        in_place=("earlyRenewalHours",),
    ),
}

_LEAST = {"validityPeriodHours": 0, "earlyRenewalHours": 0, "maxPathLength": -1}
_ONE_OF = {"algorithm": keys.ALGORITHMS, "ecdsaCurve": tuple(keys.CURVES)}


def wrong(kind: Kind, inputs: Properties) -> Iterator[tuple[str, str]]:
    """What the inputs, revealed, lack or have wrong: (property, sentence). Unknown values pass."""
    for name in kind.required:
        if inputs.get(name) is None:
            yield name, f"{name} is required"
    for name, accepted in _ONE_OF.items():
        value = inputs.get(name)
        if value is not None and value is not UNKNOWN and value not in accepted:
            yield name, f"{name} is {value!r}, and must be one of {', '.join(accepted)}"
    for name, least in _LEAST.items():
        value = inputs.get(name)
        if isinstance(value, int) and value < least:
            yield name, f"{name} is {value}, and must be at least {least}"
    uses = inputs.get("allowedUses")
    if isinstance(uses, list):
        known = certificates.KEY_USAGES.keys() | certificates.EXTENDED_KEY_USAGES.keys()
        for use in cast("list[Any]", uses):
            if use is not UNKNOWN and use not in known:
                yield "allowedUses", f"allowedUses has {use!r}, and takes {', '.join(sorted(known))}"
