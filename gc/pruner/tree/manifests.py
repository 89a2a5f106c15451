"""Bytes of a manifest -> what it refers to, for every media type.

Descriptors are found wherever they stand in the document (`config`, `layers`, `manifests`, `blobs`,
`fsLayers`, or a field of some later spec), so a manifest of a kind yet unknown still pins what it names.
"""

from __future__ import annotations

import hashlib
import json
import re
from binascii import unhexlify
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pruner.tree import layout
from pruner.tree.digests import Key

READING = 2
"""Which reading of manifests this is: one higher whenever the same bytes come to say something else here, so
that nobody trusts what an earlier version wrote down of them."""

SIZE_LIMIT = 8 * 1024 * 1024
"""Bytes; the registry refuses a manifest over 4 MiB, so nothing larger is one."""

_MANIFEST_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
    }
)
_IMAGE_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_DIGEST = b'"sha256:'
_SIZE = re.compile(rb'"size": ?(?:0|[1-9]\d{0,17})(?!\d)')
_MOST_SHAPES = 1000
_shapes: set[bytes] = set()
"""Manifests that `plain` took apart, without their digests and sizes: one of which the same is left has its
digests and sizes in the same places, and else the same text."""

_HASHERS = {32: hashlib.sha256, 48: hashlib.sha384, 64: hashlib.sha512}
_REFERRING = frozenset(
    ("blobs", "blobsum", "config", "digest", "fslayers", "layers", "manifests", "mediatype", "subject")
)
"""Keys, in lower case, that say what a manifest refers to."""

_LAYER_HINTS = ("+gzip", "+zstd", ".tar", "tar.", "/octet-stream")


class Damaged(ValueError):
    """The bytes are not a manifest; what it referred to cannot be known."""


class Mismatch(Damaged):
    """The bytes are not those of the digest, whatever they are."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest refers to.

    `children` may be manifests themselves (an entry of an index, or a descriptor with a manifest's media
    type), `blobs` are the other digests. `subject` is not among them: a referrer does not keep its subject.
    `foreign` are those of the blobs that have `urls`: clients fetch them elsewhere, so they may be missing.
    `explained` is False for a document of a kind this version does not know.
    """

    children: tuple[str, ...]
    blobs: tuple[str, ...]
    subject: str | None
    explained: bool
    foreign: frozenset[str] = frozenset()


def check(content: bytes, key: Key) -> None:
    """Raises Mismatch unless `content` is what its digest says, and Damaged when it is too large to tell."""
    hasher = _HASHERS[len(key)]
    if len(content) >= SIZE_LIMIT:
        raise Damaged("it is larger than any manifest")
    if hasher(content).digest() != key:
        raise Mismatch("its bytes do not hash to it")


def plain(content: bytes) -> bytes | None:
    """The blobs of an image's manifest as everybody writes it, one key after the other.

    None for all that needs `parse`: an index, a subject, an unknown kind, any key or value beyond those named
    here. Most manifests differ from one that was taken apart before in digests and sizes alone.
    """
    if b"\\" in content:
        return None
    before, *pieces = content.split(_DIGEST)
    names = b"".join([piece[:64] for piece in pieces])
    shape, sizes = _SIZE.subn(b'"size":#', _DIGEST.join([before, *[piece[64:] for piece in pieces]]))
    if shape not in _shapes or sizes != len(pieces):
        found = _taken_apart(content)
        if found is not None and found.hex().encode() == names and len(_shapes) < _MOST_SHAPES:
            _shapes.add(shape)
        return found
    try:
        keys = unhexlify(names)
    except ValueError:
        return None
    return keys if keys.hex().encode() == names else None


def _taken_apart(content: bytes) -> bytes | None:
    try:
        document = cast("dict[str, Any]", json.loads(content.decode()))
        if document["mediaType"] not in _IMAGE_TYPES or document["schemaVersion"] != 2:
            return None
        descriptors = cast("list[dict[str, Any]]", [document["config"], *document["layers"]])
        digests: list[str] = []
        for descriptor in descriptors:
            media_type, digest = descriptor["mediaType"], descriptor["digest"]
            if type(descriptor["size"]) is not int or len(descriptor) != 3 or media_type in _MANIFEST_TYPES:
                return None
            if type(media_type) is not str or digest[:7] != "sha256:" or len(digest) != 71:
                return None
            digests.append(digest[7:])
        joined = "".join(digests)
        keys = bytes.fromhex(joined)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
    # Of a key that stands twice the decoder keeps one; then the text has more strings than the document.
    if len(document) != 4 or content.count(b'"') != 2 * (5 + 5 * len(descriptors)):
        return None
    return keys if keys.hex() == joined else None


def parse(content: bytes) -> Manifest:
    """The references of the manifest in `content`; raises Damaged when it is none."""
    if len(content) >= SIZE_LIMIT:
        raise Damaged("it is larger than any manifest")
    try:
        document: object = json.loads(content, object_pairs_hook=_folded)
    except Damaged:
        raise
    except (ValueError, RecursionError) as error:
        raise Damaged(f"it is not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise Damaged("it is not a JSON object")
    fields = cast("dict[str, Any]", document)
    explained = _is_known(fields)
    subject = _digest_in(fields.get("subject"))
    children: dict[str, None] = {}
    blobs: dict[str, None] = {}
    foreign: set[str] = set()
    for entry in _entries(fields.get("manifests")):
        digest = _digest_in(entry)
        if digest is not None:
            (blobs if _is_layer_type(entry.get("mediatype")) else children)[digest] = None
    for descriptor in _objects({key: value for key, value in fields.items() if key != "subject"}):
        digest = _digest_in(descriptor)
        if digest is not None and digest not in children:
            is_manifest = _is_manifest_type(descriptor.get("mediatype"))
            if descriptor.get("urls"):
                foreign.add(digest)
            (children if is_manifest else blobs)[digest] = None
    if not explained:
        for digest in layout.find_digests(content.decode(errors="replace")):
            if digest not in children and digest != subject:
                blobs[digest] = None
    others = tuple(digest for digest in blobs if digest not in children)
    return Manifest(tuple(children), others, subject, explained, frozenset(foreign))


def _folded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its keys in lower case, as the registry's JSON decoder takes keys in any case.

    Source: Go's encoding/json, which prefers an exact match but accepts a case-insensitive one. Of a key that
    stands twice the registry takes the last; which one a client takes cannot be known.
    """
    fields: dict[str, Any] = {}
    for key, value in pairs:
        name = key.casefold()
        if name in fields and name in _REFERRING:
            raise Damaged(f"it has {key!r} twice")
        fields[name] = value
    return fields


def _is_known(fields: dict[str, Any]) -> bool:
    media_type = fields.get("mediatype")
    if media_type is not None:
        return _is_manifest_type(media_type)
    return (
        isinstance(fields.get("manifests"), list)
        or (isinstance(fields.get("layers"), list) and isinstance(fields.get("config"), dict))
        or isinstance(fields.get("fslayers"), list)
    )


def _is_manifest_type(media_type: object) -> bool:
    return isinstance(media_type, str) and media_type in _MANIFEST_TYPES


def _is_layer_type(media_type: object) -> bool:
    return isinstance(media_type, str) and any(hint in media_type for hint in _LAYER_HINTS)


def _entries(value: object) -> list[dict[str, Any]]:
    entries: list[object] = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]


def _digest_in(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    for key in ("digest", "blobsum"):
        digest = fields.get(key)
        if isinstance(digest, str) and layout.is_digest(digest):
            return digest
    return None


def _objects(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object in a document, however deep, without recursion."""
    pending: list[object] = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            yield fields
            pending.extend(fields.values())
        elif isinstance(value, list):
            pending.extend(cast("list[object]", value))
