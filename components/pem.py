"""Certificates and keys that people bring along, as PEM text: whether they are what they have to be.

Everything here raises ValueError with a sentence that names what is wrong and never quotes what was given,
since that may be a key. Pure, but for the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

Certificate = x509.Certificate

_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def certificates(text: object, called: str) -> list[Certificate]:
    """The certificates in `text`, one at least."""
    if not isinstance(text, str) or "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError(f"{called} is not a certificate: give it as PEM, with its BEGIN and END lines")
    if "PRIVATE KEY-----" in text:
        raise ValueError(f"{called} holds a private key, and is made public: give the certificate alone")
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError(f"{called} cannot be read: give certificates as PEM, one below the other") from None


def certificates_or_none(text: str) -> list[Certificate]:
    """The same of what was published, which may be nothing."""
    return certificates(text, "what was published") if text else []


def encoded(found: Iterable[Certificate]) -> str:
    """The PEM of certificates, whatever stood around them."""
    return "".join(each.public_bytes(_PEM).decode() for each in found)


def bundle(text: object, called: str) -> str:
    """Authorities to trust, none twice; empty for those that systems trust anyway."""
    if text == "":
        return ""
    found = list(dict.fromkeys(certificates(text, called)))
    for each in found:
        if not is_authority(each):
            raise ValueError(f"{called} has {name_of(each)}, which is not an authority: give what signs it")
    return encoded(found)


def pair(certificate: object, key: object) -> str:
    """A server's certificate with its chain, which must go with the key and be valid now."""
    chain = certificates(certificate, "certificate")
    if _key(key, "key") != _public(chain[0]):
        raise ValueError("key does not go with certificate: give the key that it was made for")
    _check_time(chain[0], "certificate")
    return encoded(chain)


def signer(ca: object, key: object) -> Certificate:
    """The authority of `ca` whose key is `key`."""
    public = _key(key, "caKey")
    for each in certificates(ca, "ca"):
        if _public(each) == public:
            _check_time(each, "the authority of caKey")
            return each
    raise ValueError("caKey goes with no certificate in ca: give the certificate of the authority that signs")


def is_authority(certificate: Certificate) -> bool:
    """Whether clients can trust by it: it may sign others, or answers for itself alone."""
    if certificate.issuer == certificate.subject:
        return True
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def signs_itself(text: str) -> bool:
    """Whether the certificate in `text` ends its chain."""
    return all(each.issuer == each.subject for each in certificates(text, "the authority"))


def name_of(certificate: Certificate) -> str:
    """What people know it by."""
    return certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number:x}"


def uncovered(certificate: Certificate, hosts: Sequence[str]) -> list[str]:
    """Those of `hosts`, names and addresses, that clients would not find in the certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return list(hosts)
    covered = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    covered |= {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return [host for host in hosts if not _is_in(host, covered)]


def check_covers(certificate: Certificate, hosts: Sequence[str], called: str) -> None:
    """Raises ValueError for hosts that clients would not find in it."""
    if missing := uncovered(certificate, hosts):
        raise ValueError(
            f"{called} is not made for {', '.join(missing)}: give one that has every published host, "
            "or leave those out of externalHosts"
        )


def _is_in(host: str, covered: set[str]) -> bool:
    # A star stands for the first label and no other (RFC 9525, section 6.3).
    return host in covered or (not host[-1].isdigit() and f"*.{host.partition('.')[2]}" in covered)


def _check_time(certificate: Certificate, called: str) -> None:
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise ValueError(f"{called} ended on {certificate.not_valid_after_utc:%Y-%m-%d}: give a renewed one")
    if now < certificate.not_valid_before_utc:
        raise ValueError(
            f"{called} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )


def _key(text: object, called: str) -> bytes:
    """The public half of a private key."""
    if not isinstance(text, str) or "PRIVATE KEY-----" not in text:
        raise ValueError(f"{called} is not a private key: give it as PEM, with its BEGIN and END lines")
    if "ENCRYPTED" in text:
        raise ValueError(f"{called} is encrypted, and nobody is there to type a passphrase: decrypt it")
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{called} cannot be read: give a private key as PEM") from None
    return key.public_key().public_bytes(_DER, _SPKI)


def _public(certificate: Certificate) -> bytes:
    return certificate.public_key().public_bytes(_DER, _SPKI)
