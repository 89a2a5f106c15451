"""When a certificate ends, read from its DER: the standard library has no public reader for one.

Source: RFC 5280, section 4.1, and X.690 for the encoding. Certificate and tbsCertificate are sequences; the
validity is the fifth field of the latter, or the fourth where the version is left out.
"""

from __future__ import annotations

import calendar
import time

from pruner.registry.renewal import first_certificate

_SEQUENCE, _VERSION, _UTC, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18


def ends(der: bytes) -> float:
    """The moment (seconds since the epoch) after which the certificate is no longer valid.

    Raises ValueError when the bytes are not a certificate.
    """
    try:
        certificate, _ = _open(der, 0, _SEQUENCE)
        tbs, _ = _open(certificate, 0, _SEQUENCE)
        at = 0
        if tbs[0] == _VERSION:
            at = _after(tbs, at)
        for _ in ("serial number", "signature", "issuer"):
            at = _after(tbs, at)
        validity, _ = _open(tbs, at, _SEQUENCE)
        at = _after(validity, 0)
        tag = validity[at]
        text, _ = _open(validity, at, tag)
        if tag not in (_UTC, _GENERALIZED):
            raise ValueError("its end is not a time")
        digits = text.decode("ascii").removesuffix("Z")
        if tag == _UTC:
            digits = ("20" if int(digits[:2]) < 50 else "19") + digits
        return float(calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%S")))
    except (IndexError, ValueError) as error:
        raise ValueError(f"this is not a certificate: {error}") from error


def ends_of_file(path: str) -> float:
    """The same for the first certificate of a PEM file; raises OSError or ValueError."""
    return ends(first_certificate(path))


def _open(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """The content of the value at `at`, which must have the tag, and where the next one begins."""
    if data[at] != tag:
        raise ValueError(f"tag {data[at]:#x} where {tag:#x} was expected")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("a length that no certificate has")
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + length > len(data):
        raise ValueError("it ends too early")
    return data[start : start + length], start + length


def _after(data: bytes, at: int) -> int:
    return _open(data, at, data[at])[1]
