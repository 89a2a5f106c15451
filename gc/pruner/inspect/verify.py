"""A check of the tree that changes nothing: does everything that is linked really lie there?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pruner.storage import Storage
from pruner.tree import layout
from pruner.tree.library import Library
from pruner.tree.manifests import Damaged, Manifest
from pruner.tree.whole import Repository, Tree

_CHUNK = 1024 * 1024


_BACK = (
    "see whether `prune trash list` has it (then `prune trash restore DIGEST`), or take it from a backup; "
    "otherwise push the image again"
)
_UNREAD = (
    "move that file away, restart a registry that caches descriptors in memory, and push the image again: a "
    "registry does not write over data that is there"
)
ADVICE = {
    "damage": "the repository is kept whole until this is mended: remove what is not the registry's from the "
    "path, or push or delete the tag",
    "bad-link": "push the image again, which writes the link anew, or delete the manifest by its digest",
    "missing-blob": f"pulls of the image fail: {_BACK}, or delete it",
    "missing-link": "pulls from this repository may fail: push the image to it again, which links the layer",
    "missing-manifest": f"pulls of it fail: {_BACK}, or delete it",
    "damaged-manifest": f"the repository is kept whole until this is mended: {_UNREAD}; or delete the tag",
    "digest-mismatch": f"clients refuse it: {_UNREAD}; and check the disk",
    "dangling-tag": "push it again, delete it, or let a run remove it: gcDanglingTags: remove",
}
"""What a person does about each kind of problem."""


class Progress(Protocol):
    """Hears how far a phase is, of how many where that is known."""

    def __call__(self, phase: str, count: int, total: int = 0, /) -> None:
        """Note the count."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `kind` is a short name, `detail` a sentence."""

    kind: str
    repository: str
    digest: str
    detail: str

    @property
    def advice(self) -> str:
        """What a person does about it."""
        return ADVICE[self.kind]


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
        problems = [{**asdict(problem), "advice": problem.advice} for problem in self.problems]
        return {**asdict(self), "problems": problems, "ok": not self.problems}

    def text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{problem.kind}: {problem.repository or 'blobs'} {problem.detail}" for problem in self.problems
        ]
        kinds = dict.fromkeys(problem.kind for problem in self.problems)
        if kinds:
            lines.extend(("", "What to do:", *(f"  {kind}: {ADVICE[kind]}" for kind in kinds), ""))
        count = len(self.problems)
        found = f"{count} {'problem' if count == 1 else 'problems'}" if count else "no problem"
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
        sizes = _sizes(storage, tree)
        total = sum(sizes.values())
        for digest in sorted(sizes):
            size, actual = _hash(storage, digest, _of(progress, hashed, total))
            hashed += size
            if actual is not None and actual != digest:
                problems.append(
                    Problem("digest-mismatch", "", digest, f"the data of {digest} hashes to {actual}")
                )
    manifests = sum(len(repository.revisions) for repository in tree.repositories.values())
    return Verification(tuple(problems), len(tree.repositories), manifests, len(tree.blobs), sparse, hashed)


def _tags(repository: Repository) -> Iterator[Problem]:
    for tag in repository.tags.each():
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


def _of(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Hears bytes of one blob, and tells of bytes of all."""
    return lambda done: progress("hash blobs", before + done, total)


def _sizes(storage: Storage, tree: Tree) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for digest in tree.blobs:
        with suppress(FileNotFoundError):
            sizes[digest] = storage.stat(layout.blob_data(digest)).size
    return sizes


def _hash(storage: Storage, digest: str, progress: Callable[[int], None]) -> tuple[int, str | None]:
    """Size and true digest of a blob's data; None when it is gone meanwhile."""
    algorithm = digest.partition(":")[0]
    hasher = hashlib.new(algorithm)
    size = 0
    try:
        for chunk in storage.chunks(layout.blob_data(digest), _CHUNK):
            hasher.update(chunk)
            size += len(chunk)
            progress(size)
    except FileNotFoundError:
        return size, None
    return size, f"{algorithm}:{hasher.hexdigest()}"
