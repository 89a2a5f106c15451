"""What must be left after a run on a tree at rest: the slow and obvious way, sharing no code with the pruner.

For sound trees of sound images, with every tag kept (no retention policies) and grace, as always, at most the
time that an untagged manifest stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

BASE = "docker/registry/v2"
DESCRIBED = re.compile(r'"digest": "(sha(?:256|512):[0-9a-f]{64,128})"')

Files = Mapping[str, tuple[bytes, float]]
"""Content and mtime by path, relative to the storage's root."""


def survivors(files: Files, now: float, untagged_after: float, grace: float) -> set[str]:
    """The paths of the links and blobs that must be left, and no others of them may be."""
    age = {path: now - mtime for path, (_, mtime) in files.items()}
    digest_at = {path: content.decode() for path, (content, _) in files.items() if path.endswith("/link")}
    manifests = {
        "{}:{}".format(*path.split("/")[4:7:2]): json.loads(content)
        for path, (content, _) in files.items()
        if path.startswith(f"{BASE}/blobs/") and content.startswith(b"{")
    }
    revisions = [
        (path.removeprefix(f"{BASE}/repositories/").partition("/_manifests/")[0], path, digest)
        for path, digest in digest_at.items()
        if "/_manifests/revisions/" in path
    ]
    live = {path for path, _ in digest_at.items() if age[path] < grace}
    for path, digest in digest_at.items():
        tag, _, _ = path.partition("/index/")
        if "/index/" in path and f"{tag}/current/link" not in files:  # a dangling tag: its history stays
            revision = f"{tag.partition('/tags/')[0]}/revisions/{digest.replace(':', '/')}/link"
            live |= {path, revision}
    blobs: set[str] = set()
    needed: set[tuple[str, str]] = set()
    while True:
        before = (len(live), len(blobs), len(needed))
        for path, digest in digest_at.items():
            repository = path.removeprefix(f"{BASE}/repositories/").partition("/_")[0]
            if path.endswith("/current/link") and (
                path in live or _tag_is_live(path, digest, manifests, blobs, files)
            ):
                place = digest.replace(":", "/")
                live |= {path, path.replace("current/link", f"index/{place}/link")}
                needed.add((repository, digest))
            if "/_layers/" in path and (repository, digest) in needed:
                live.add(path)
            if path in live:
                blobs.add(digest)
        for repository, path, digest in revisions:
            subject = manifests.get(digest, {}).get("subject", {}).get("digest")
            if age[path] < untagged_after or (repository, subject) in needed:
                live.add(path)
            if path in live:
                needed.add((repository, digest))
        for repository, digest in list(needed):
            needs = _needs(manifests.get(digest, {}))
            needed |= {(repository, need) for need in needs}
            blobs |= needs | {digest}
            links = {(other, link) for other, link, theirs in revisions if theirs == digest}
            here = {link for other, link in links if other == repository}
            live |= here or {link for _, link in links}
        if before == (len(live), len(blobs), len(needed)):
            break
    young = {path for path in files if path.endswith("/data") and "/blobs/" in path and age[path] < grace}
    return (live & files.keys()) | ({_blob(digest) for digest in blobs} & files.keys()) | young


def links_and_blobs(files: Files) -> set[str]:
    """The paths that `survivors` speaks about."""
    ours = f"{BASE}/pruner/"
    return {
        path
        for path in files
        if not path.startswith(ours) and (path.endswith("/link") or path.startswith(f"{BASE}/blobs/"))
    }


def _tag_is_live(
    path: str, digest: str, manifests: Mapping[str, dict[str, object]], blobs: set[str], files: Files
) -> bool:
    """Ordinary tags are; one that is named after a subject is when that is, or never was here.

    A tag that is named after its own image, or a part of it, is an ordinary one.
    """
    tag = path.split("/")[-3]
    named = re.fullmatch(r"(sha256|sha512)-([0-9a-f]{64})(\.[a-z0-9]+)?", tag)
    if named is None:
        return True
    subject = f"{named[1]}:{named[2]}"
    own, parts = {digest}, {digest}
    while parts:
        parts = {part for known in parts for part in _needs(manifests.get(known, {}))} - own
        own |= parts
    if any(part.startswith(subject) for part in own):
        return True
    return any(blob.startswith(subject) for blob in blobs) or not any(
        path.startswith(f"{BASE}/blobs/{named[1]}/{named[2][:2]}/{named[2]}") for path in files
    )


def _needs(manifest: Mapping[str, object]) -> set[str]:
    """Every digest that a descriptor anywhere in the manifest has, but for its subject."""
    return set(DESCRIBED.findall(json.dumps({**manifest, "subject": None})))


def _blob(digest: str) -> str:
    algorithm, _, name = digest.partition(":")
    return f"{BASE}/blobs/{algorithm}/{name[:2]}/{name}/data"
