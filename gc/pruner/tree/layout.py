"""The registry's path scheme (distribution, registry/storage/paths.go), and nothing about I/O.

Every path is relative to the root directory of the storage and has no leading slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BASE = "docker/registry/v2"
BLOBS = f"{BASE}/blobs"
REPOSITORIES = f"{BASE}/repositories"
CLAIM = "registry-claim.json"
"""Whose tree it is, beside the registry's folder; a claim on its way there has a longer name."""

STATE = f"{BASE}/pruner"
"""The pruner's own folder: beside the blobs, because a rename must stay on one file system."""

GITLAB_LOCKFILES = (
    "docker/registry/lockfiles/database-in-use",
    f"{BASE}/lockfiles/database-in-use",
)
PULL_THROUGH_STATE = "scheduler-state.json"

ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""What the registry's digest library knows, with the length of the hex part."""

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_REFERRER_TAG = re.compile(r"(sha256|sha384|sha512)-([0-9a-f]{64})(\.(sig|att|sbom))?")


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of an algorithm that the registry knows."""
    return _DIGEST.fullmatch(text) is not None


def find_digests(text: str) -> list[str]:
    """Every digest that occurs anywhere in `text`."""
    return _DIGEST.findall(text)


def is_of_any_root(name: str) -> bool:
    """Whether what is called so in the root says nothing of what the root holds: a disk's own, or a claim."""
    return name == "lost+found" or name.startswith(CLAIM)


def digest_of(algorithm: str, name: str) -> str | None:
    """The digest that a folder `name` below a folder `algorithm` stands for; None when it stands for none."""
    digest = f"{algorithm}:{name}"
    return digest if is_digest(digest) else None


def blob_data(digest: str) -> str:
    """Where the bytes of a blob lie."""
    algorithm, name = digest.split(":")
    return f"{BLOBS}/{algorithm}/{name[:2]}/{name}/data"


def blob_path(name: str, length: int = 32) -> str:
    """The same from the hex part alone; `length` is that of the digest in bytes."""
    return f"{BLOBS}/sha{8 * length}/{name[:2]}/{name}/data"


_SHA256 = f"{BLOBS}/sha256"


def blob_paths(keys: Iterable[bytes]) -> list[str]:
    """The same for each of the keys, which are the hex parts as bytes."""
    names = [key.hex() for key in keys]
    return [
        f"{_SHA256}/{name[:2]}/{name}/data" if len(name) == 64 else blob_path(name, len(name) // 2)
        for name in names
    ]


def tag_folder(path: str) -> str | None:
    """The folder of the tag that a link belongs to; None for the links of layers and revisions."""
    tags, separator, below = path.partition("/_manifests/tags/")
    return f"{tags}{separator}{below.partition('/')[0]}" if separator else None


def layer_link(repository: str, digest: str) -> str:
    """Where the link of a layer lies in the folder `repository`."""
    return f"{repository}/_layers/{digest.replace(':', '/')}/link"


def revision_link(repository: str, digest: str) -> str:
    """Where the link of a manifest lies in the folder `repository`."""
    return f"{repository}/_manifests/revisions/{digest.replace(':', '/')}/link"


def revision_of_folder(path: str) -> str | None:
    """The digest of the manifest whose link lies in the folder `path`; None for other folders."""
    above, algorithm, name = path.rsplit("/", 2)
    return digest_of(algorithm, name) if above.endswith("/_manifests/revisions") else None


def referrer_subject(tag: str) -> tuple[str, str] | None:
    """The algorithm and the start of the hex of the subject that a tag is named after; None for other tags.

    `<alg>-<hex>` is the fallback tag of the OCI distribution spec (hex cut at 64 characters), and with one of
    the suffixes `.sig`, `.att`, `.sbom` cosign's. Other suffixes are names that people give to images.
    """
    match = _REFERRER_TAG.fullmatch(tag)
    return (match[1], match[2]) if match else None


def is_temporary(name: str) -> bool:
    """Whether a file is one that the registry writes before it renames it into place (v3.1 and later)."""
    return name.endswith(".tmp")


_MADE_FOR_WHAT_IS_BELOW = re.compile(
    rf"{REPOSITORIES}/[^_]((?!/_).)*"
    rf"|{REPOSITORIES}/((?!/_).)+/_manifests/(tags/.+|revisions/[^/]+/.+)"
    rf"|{REPOSITORIES}/((?!/_).)+/(_layers/[^/]+|_uploads)/.+"
    rf"|{BLOBS}/[^/]+/.+"
)


def is_made_for_what_is_below(folder: str) -> bool:
    """Whether a folder is needed no more once it is empty, unlike those that a repository always has."""
    return _MADE_FOR_WHAT_IS_BELOW.fullmatch(folder) is not None
