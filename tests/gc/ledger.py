"""What clients were told, and so what they may rely on: the record against which a registry is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.gc.images import Image, digest_of

Key = tuple[str, str]
"""A repository, and a tag or a digest in it."""


@dataclass(slots=True)
class Register:
    """The values that something may have: one again, once a write that no other overlapped was acknowledged.

    `expendable` is set when a run may have taken it, and cleared when somebody relies on it anew.
    """

    values: set[str | None] = field(default_factory=lambda: {None})
    writers: int = 0
    overlapped: bool = False
    expendable: bool = False
    since: float = 0.0

    def begin(self, value: str | None) -> None:
        self.overlapped = self.overlapped or self.writers > 0
        self.writers += 1
        self.values = self.values | {value}

    def end(self, value: str | None, *, acknowledged: bool, since: float) -> None:
        self.writers -= 1
        if acknowledged and not self.overlapped:
            self.values = {value}
            self.expendable = False
            self.since = since
        if self.writers == 0:
            self.overlapped = False

    @property
    def value(self) -> str | None:
        """The one value that it must have; None when there is none, or it is not certain."""
        return next(iter(self.values)) if len(self.values) == 1 and not self.expendable else None


@dataclass(frozen=True, slots=True)
class Required:
    """What must be readable: tags, manifests by digest, and layers and configs in their repositories."""

    tags: frozenset[Key]
    manifests: frozenset[Key]
    blobs: frozenset[Key]

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(digest for _, digest in self.manifests | self.blobs)


@dataclass(slots=True)
class Ledger:
    """`subjects` are those of artifacts, by digest; `last_only` is a repository under keepLast 1."""

    grace: float
    untagged_after: float
    last_only: str | None
    images: dict[str, Image]
    subjects: dict[str, str]
    named_after: dict[str, str]
    tags: dict[Key, Register] = field(default_factory=dict[Key, Register])
    manifests: dict[Key, Register] = field(default_factory=dict[Key, Register])
    tag_writes: dict[Key, tuple[float, float]] = field(default_factory=dict[Key, tuple[float, float]])

    def tag(self, repository: str, tag: str) -> Register:
        return self.tags.setdefault((repository, tag), Register())

    def manifest(self, repository: str, digest: str) -> Register:
        return self.manifests.setdefault((repository, digest), Register())

    def rely_on(self, repository: str, image: Image) -> None:
        """An index was accepted: its children were there, and with them all that is below."""
        for below in image.family():
            self.manifest(repository, below.digest).expendable = False

    def required(self, now: float) -> Required:
        tags: set[Key] = set()
        manifests: set[Key] = set()
        blobs: set[Key] = set()
        pending = [key for key, register in self.manifests.items() if self._is_young(register, now)]
        waiting: dict[str, list[Key]] = {}
        for key, register in self.tags.items():
            if register.value is None or not self._is_retained(key):
                continue
            subject = self.named_after.get(key[1])
            if subject is None or now - register.since < self.grace:
                tags.add(key)
                pending.append((key[0], register.value))
            else:
                waiting.setdefault(subject, []).append(key)
        while pending:
            repository, digest = pending.pop()
            if (repository, digest) in manifests or self.manifest(repository, digest).value is None:
                continue
            manifests.add((repository, digest))
            image = self.images[digest]
            blobs.update((repository, digest_of(blob)) for blob in image.blobs)
            pending.extend((repository, child.digest) for child in image.children)
            pending.extend(
                (repository, theirs) for theirs, subject in self.subjects.items() if subject == digest
            )
            for key in waiting.pop(digest, ()):
                tags.add(key)
                pending.append((key[0], self.tags[key].value or ""))
        return Required(frozenset(tags), frozenset(manifests), frozenset(blobs))

    def expend(self, now: float) -> None:
        """A run is going on: what is not required now may go."""
        required = self.required(now)
        for registers, kept in ((self.tags, required.tags), (self.manifests, required.manifests)):
            for key, register in registers.items():
                if key not in kept and register.writers == 0:
                    register.expendable = True

    def _is_young(self, register: Register, now: float) -> bool:
        return register.value is not None and now - register.since < self.untagged_after

    def _is_retained(self, key: Key) -> bool:
        if key[0] != self.last_only:
            return True
        began = self.tag_writes[key][0]
        return not any(end >= began for other, (_, end) in self._writes_to(key[0]) if other != key)

    def _writes_to(self, repository: str) -> Iterator[tuple[Key, tuple[float, float]]]:
        return ((key, write) for key, write in self.tag_writes.items() if key[0] == repository)
