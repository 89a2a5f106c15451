"""A check of the tree that changes nothing: does everything that is linked really lie there?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pruner.storage import Storage
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.manifests import Damaged, Manifest
from pruner.tree.model import Repository, Tree
from pruner.tree.scan import Progress

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `kind` is a short name, `detail` a sentence."""

    kind: str
    repository: str
    digest: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found; `sparse` counts entries of indexes that are not there, which a spec allows."""

    problems: tuple[Problem, ...]
    repositories: int
    manifests: int
    blobs: int
    sparse: int
    hashed_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "ok": not self.problems}

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{problem.kind}: {problem.repository or 'blobs'} {problem.detail}" for problem in self.problems
        ]
        found = f"{len(self.problems)} problems" if self.problems else "no problem"
        lines.append(
            f"{found} in {self.repositories} repositories, {self.manifests} manifests, {self.blobs} blobs"
        )
        return "\n".join(lines)


def verify(
    tree: Tree, storage: Storage, library: Library, *, digests: bool, progress: Progress
) -> Verification:
    """Check `tree`; with `digests` every blob is read and hashed. Raises OSError or ReadError."""
    problems: list[Problem] = []
    sparse = 0
    for name, repository in sorted(tree.repositories.items()):
        problems.extend(Problem("damage", name, "", sentence) for sentence in repository.damage)
        problems.extend(_tags(repository))
        for digest in repository.revisions:
            found, missing = _revision(tree, repository, digest, library)
            problems.extend(found)
            sparse += missing
        for digest, link in repository.layers.items():
            if not link.sound:
                problems.append(
                    Problem("bad-link", name, digest, f"layer link {link.path} names another digest")
                )
            elif digest not in tree.blobs:
                problems.append(
                    Problem("missing-blob", name, digest, f"layer {digest} has a link and no data")
                )
    hashed = 0
    if digests:
        for count, digest in enumerate(sorted(tree.blobs)):
            progress("hash blobs", count)
            size, actual = _hash(storage, digest)
            hashed += size
            if actual is not None and actual != digest:
                problems.append(
                    Problem("digest-mismatch", "", digest, f"the data of {digest} hashes to {actual}")
                )
    manifests = sum(len(repository.revisions) for repository in tree.repositories.values())
    return Verification(tuple(problems), len(tree.repositories), manifests, len(tree.blobs), sparse, hashed)


def _tags(repository: Repository) -> Iterator[Problem]:
    for tag in repository.tags.values():
        target = tag.current.target if tag.current is not None else None
        if tag.current is None:
            yield Problem("dangling-tag", repository.name, "", f"tag {tag.name} has no current/link")
        elif target is not None and target not in repository.revisions:
            yield Problem(
                "dangling-tag",
                repository.name,
                target,
                f"tag {tag.name} names {target}, which has no revision",
            )


def _revision(tree: Tree, repository: Repository, digest: str, library: Library) -> tuple[list[Problem], int]:
    name = repository.name
    problems: list[Problem] = []
    sparse = 0
    if not repository.revisions[digest].sound:
        problems.append(Problem("bad-link", name, digest, f"revision link {digest} holds another digest"))
    manifest = library.get(digest)
    if manifest is None:
        problems.append(
            Problem("missing-manifest", name, digest, f"revision {digest} has a link and no data")
        )
    elif isinstance(manifest, Damaged):
        problems.append(Problem("damaged-manifest", name, digest, f"revision {digest}: {manifest}"))
    if isinstance(manifest, Manifest):
        for blob in manifest.blobs:
            if blob not in tree.blobs and blob not in manifest.foreign:
                problems.append(Problem("missing-blob", name, blob, f"manifest {digest} needs {blob}"))
            elif blob not in repository.layers and blob not in manifest.foreign:
                problems.append(
                    Problem(
                        "missing-link", name, blob, f"manifest {digest} needs {blob}, which has no link here"
                    )
                )
        sparse = sum(child not in tree.blobs for child in manifest.children)
    return problems, sparse


def _hash(storage: Storage, digest: str) -> tuple[int, str | None]:
    """Size and true digest of a blob's data; None when it is gone meanwhile."""
    algorithm = digest.partition(":")[0]
    hasher = hashlib.new(algorithm)
    size = 0
    try:
        for chunk in storage.chunks(layout.blob_data(digest), _CHUNK):
            hasher.update(chunk)
            size += len(chunk)
    except FileNotFoundError:
        return size, None
    return size, f"{algorithm}:{hasher.hexdigest()}"
