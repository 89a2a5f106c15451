"""Certificates and certificate requests from the tls provider's input properties."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sandbox.plugins.protocol import PluginError
from sandbox.plugins.tls.keys import PrivateKey
from sandbox.plugins.values import Properties

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

# allowed_uses that are bits of the key usage extension: RFC 5280, 4.2.1.3.
KEY_USAGES = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
# allowed_uses that are purposes of the extended key usage extension: RFC 5280, 4.2.1.12.
EXTENDED_KEY_USAGES = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft_server_gated_crypto": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": ObjectIdentifier("2.16.840.1.113730.4.1"),
    "microsoft_commercial_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
}
_NAMES = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate: PEM, its number, and its validity as RFC 3339 times."""

    pem: str
    serial: int
    start: str
    end: str


def subject(properties: Properties) -> x509.Name:
    """The distinguished name of a `subject` property; an absent one is empty."""
    attributes = [
        x509.NameAttribute(oid, cast("str", properties[key]))
        for key, oid in _NAMES.items()
        if properties.get(key)
    ]
    streets = cast("list[str]", properties.get("streetAddresses") or [])
    attributes.extend(x509.NameAttribute(NameOID.STREET_ADDRESS, street) for street in streets)
    return x509.Name(attributes)


def alternative_names(properties: Properties) -> x509.SubjectAlternativeName | None:
    """`dnsNames`, `ipAddresses` and `uris` as one extension; None when there are none."""
    names: list[x509.GeneralName] = [
        x509.DNSName(name) for name in cast("list[str]", properties.get("dnsNames") or [])
    ]
    for address in cast("list[str]", properties.get("ipAddresses") or []):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError as error:
            raise PluginError(f"ipAddresses: {address!r} is no IP address") from error
    names.extend(
        x509.UniformResourceIdentifier(uri) for uri in cast("list[str]", properties.get("uris") or [])
    )
    return x509.SubjectAlternativeName(names) if names else None


def request(properties: Properties, key: PrivateKey) -> x509.CertificateSigningRequest:
    """A certificate request for the subject and the names in the properties."""
    name = subject(properties.get("subject") or {})
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    names = alternative_names(properties)
    if names is not None:
        builder = builder.add_extension(names, critical=not name)
    return builder.sign(key, _digest(key))


def load_request(pem: str) -> x509.CertificateSigningRequest:
    """The request in a PEM text."""
    try:
        return x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise PluginError(f"certRequestPem is no certificate request in PEM: {error}") from error


def load_certificate(pem: str) -> x509.Certificate:
    """The certificate in a PEM text."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise PluginError(f"caCertPem is no certificate in PEM: {error}") from error


def self_signed(properties: Properties, key: PrivateKey, now: datetime) -> Issued:
    """A certificate that the key signs for itself."""
    name = subject(properties.get("subject") or {})
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = identifier if properties.get("setAuthorityKeyId") else None
    names = alternative_names(properties)
    return _issue(properties, _Party(name, name, names, key.public_key(), authority), key, now)


def locally_signed(
    properties: Properties,
    wanted: x509.CertificateSigningRequest,
    authority: x509.Certificate,
    key: PrivateKey,
    now: datetime,
) -> Issued:
    """A certificate for the request, signed by the authority's key."""
    names = _extension(wanted.extensions, x509.SubjectAlternativeName)
    identifier = _extension(authority.extensions, x509.SubjectKeyIdentifier)
    party = _Party(wanted.subject, authority.subject, names, wanted.public_key(), identifier)
    return _issue(properties, party, key, now)


@dataclass(frozen=True, slots=True)
class _Party:
    subject: x509.Name
    issuer: x509.Name
    names: x509.SubjectAlternativeName | None
    public_key: CertificatePublicKeyTypes
    authority: x509.SubjectKeyIdentifier | None


def _issue(properties: Properties, party: _Party, key: PrivateKey, now: datetime) -> Issued:
    end = now + timedelta(hours=cast("int", properties["validityPeriodHours"]))
    serial = secrets.randbits(128) or 1
    is_authority = bool(properties.get("isCaCertificate"))
    if is_authority and not party.subject:
        raise PluginError("subject: a certificate authority needs at least one name in its subject")
    builder = (
        x509.CertificateBuilder()
        .subject_name(party.subject)
        .issuer_name(party.issuer)
        .public_key(party.public_key)
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(end)
    )
    length = cast("int | None", properties.get("maxPathLength"))
    limited = length if is_authority and length is not None and length >= 0 else None
    builder = builder.add_extension(
        x509.BasicConstraints(ca=is_authority, path_length=limited), critical=True
    )
    uses = cast("Sequence[str]", properties["allowedUses"])
    usage = _key_usage(uses)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    purposes = [EXTENDED_KEY_USAGES[use] for use in uses if use in EXTENDED_KEY_USAGES]
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if is_authority or properties.get("setSubjectKeyId"):
        own = x509.SubjectKeyIdentifier.from_public_key(party.public_key)
        builder = builder.add_extension(own, critical=False)
    if party.authority is not None:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(party.authority)
        builder = builder.add_extension(issuer, critical=False)
    if party.names is not None:
        builder = builder.add_extension(party.names, critical=not party.subject)
    pem = builder.sign(key, _digest(key)).public_bytes(Encoding.PEM).decode()
    return Issued(pem, serial, _rfc3339(now), _rfc3339(end))


def _key_usage(uses: Iterable[str]) -> x509.KeyUsage | None:
    bits = {KEY_USAGES[use] for use in uses if use in KEY_USAGES}
    if not bits:
        return None
    # The last two mean something beside key_agreement only; the library takes them with it alone.
    agreement = "key_agreement" in bits
    return x509.KeyUsage(
        digital_signature="digital_signature" in bits,
        content_commitment="content_commitment" in bits,
        key_encipherment="key_encipherment" in bits,
        data_encipherment="data_encipherment" in bits,
        key_agreement=agreement,
        key_cert_sign="key_cert_sign" in bits,
        crl_sign="crl_sign" in bits,
        encipher_only=agreement and "encipher_only" in bits,
        decipher_only=agreement and "decipher_only" in bits,
    )


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _digest(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
