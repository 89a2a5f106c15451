"""One client of the soak: pushes, mounts, retags, deletes and pulls at random until its time is over."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.gc.images import Image, artifact, cosign_tag, fallback_tag, index, layer, signature
from tests.gc.registryclient import CorruptError, RefusalError, RegistryClient, UnansweredError
from tests.soak.ledger import Entry, Ledger, Place
from tests.soak.supply import Supply, is_pooled

REPOSITORIES = ("base", "team/app", "team/app/cache", "team_x/a__b.c-d")
TAGS = 3  # of each client in each repository
ATTEMPTS = 12  # of one push, each from scratch, before the client turns to something else
REPAIR = 60.0  # seconds after the end to settle the tags whose state is unknown
SAMPLES = 12  # messages kept of each kind of failure


@dataclass(frozen=True, slots=True)
class Job:
    """What a client is told: the registry's address, who it is, when to stop (Unix time, seconds)."""

    address: str
    client: int
    seed: int
    until: float
    pause: float  # seconds at most between a HEAD and the manifest's PUT in a push that dawdles
    patience: float  # seconds for which a tag that does not pull is tried again
    deletes_tags: bool  # version 3 takes the DELETE of a tag


@dataclass(slots=True)
class Outcome:
    """What a client did: its counts by name, the entries that must pull, samples of what failed."""

    counts: Counter[str] = field(default_factory=Counter[str])
    entries: dict[Place, Entry] = field(default_factory=dict[Place, Entry])
    unsettled: int = 0
    slowest_push: float = 0.0  # seconds from the first HEAD to the acknowledged PUT
    longest_unreadable: float = 0.0  # seconds from the first failed pull of a tag to one that went well
    samples: list[str] = field(default_factory=list[str])


def work(job: Job) -> Outcome:
    """Entry of a client's process."""
    with RegistryClient(job.address, timeout=20) as registry:
        return SoakClient(job, registry).run()


class SoakClient:
    """The loop, the ledger and the counts of one client."""

    def __init__(self, job: Job, registry: RegistryClient) -> None:
        self.job = job
        self.registry = registry
        self.choices = random.Random(f"{job.seed} {job.client}")
        self.supply = Supply(job.client, self.choices)
        self.ledger = Ledger()
        self.outcome = Outcome()
        self.unreadable: set[Place] = set()

    def run(self) -> Outcome:
        actions = {
            self.push: 36,
            self.mount: 12,
            self.retag: 12,
            self.tag_again: 8,
            self.sign: 6,
            self.delete: 9,
            self.pull: 15,
            self.abandon_upload: 2,
        }
        while time.time() < self.job.until:
            (action,) = self.choices.choices(tuple(actions), tuple(actions.values()))
            action()
            self._settle()
            time.sleep(self.choices.expovariate(1 / 0.01))
        deadline = time.time() + REPAIR
        while self.ledger.unsure and time.time() < deadline:
            self._settle()
        self.outcome.entries = self.ledger.entries
        self.outcome.unsettled = len(self.ledger.unsure)
        return self.outcome

    # Actions

    def push(self) -> None:
        if self._push(self._place(), Entry(self.supply.any())):
            self.outcome.counts["pushes"] += 1

    def mount(self) -> None:
        """Push an image that another repository has, or had a moment ago, taking its layers from there."""
        known = self._known()
        if known:
            source, image = self.choices.choice(known)
            target = self._place(exclude=source)
            if self._push(target, Entry(image), mount_from=source):
                self.outcome.counts["mounts"] += 1

    def retag(self) -> None:
        """Put the manifest of a tag under another tag of the same repository."""
        owned = list(self.ledger.owned())
        if owned:
            place, entry = self.choices.choice(owned)
            self._put(Place(place.repository, self._tag()), entry, "retags")

    def tag_again(self) -> None:
        """Put back, from memory, a manifest that lost its tag; the registry may know its blobs no more."""
        if self.ledger.untagged:
            repository, image = self.choices.choice(self.ledger.untagged)
            self._put(Place(repository, self._tag()), Entry(image), "retags of untagged")

    def sign(self) -> None:
        """Push a cosign signature, or an artifact with the fallback tag that lists it."""
        own = self._own()
        if not own:
            return
        place, entry = self.choices.choice(own)
        subject = entry.image
        if self.choices.random() < 0.5:
            tag, image = cosign_tag(subject.digest), signature(subject)
        else:
            referrer = artifact(f"{subject.digest} {self.choices.randrange(3)}", subject=subject)
            tag, image = fallback_tag(subject.digest), index([referrer])
        if self._push(Place(place.repository, tag), Entry(image, subject.digest)):
            self.outcome.counts["referrers"] += 1

    def delete(self) -> None:
        """Delete a manifest that only this client pushes, or (version 3) one of its tags."""
        own = self._own()
        if not own:
            return
        place, entry = self.choices.choice(own)
        by_tag = self.job.deletes_tags and self.choices.random() < 0.5
        places = [place] if by_tag else self.ledger.tagged(place.repository, entry.image.digest)
        try:
            self.registry.delete_manifest(place.repository, place.tag if by_tag else entry.image.digest)
        except (RefusalError, UnansweredError) as error:
            self._failed("deletes", error)
            self.ledger.unknown_deletion(places)
            return
        self.outcome.counts["deletes"] += 1
        if by_tag:
            self.ledger.untag(place)
        else:
            self.ledger.deleted(place.repository, entry.image.digest)

    def pull(self) -> None:
        """Pull a tag; one that does not pull is tried until it does."""
        readable = [each for each in self.ledger.entries.items() if each[0] not in self.unreadable]
        if not readable:
            return
        place, entry = self.choices.choice(readable)
        began = time.time()
        while True:
            try:
                self.registry.check(place.repository, place.tag, entry.image)
                break
            except (RefusalError, UnansweredError, CorruptError) as error:
                self._failed("pulls", error)
            if time.time() > min(began + self.job.patience, self.job.until):
                self.unreadable.add(place)
                self.outcome.counts["pulls given up"] += 1
                break
            time.sleep(0.2)
            self.outcome.longest_unreadable = max(self.outcome.longest_unreadable, time.time() - began)
        self.outcome.counts["pulls"] += 1

    def abandon_upload(self) -> None:
        repository = self.choices.choice(REPOSITORIES)
        try:
            upload = self.registry.start_upload(repository)
            self.registry.append(upload, layer(f"abandoned {self.choices.random()}", 3000))
        except (RefusalError, UnansweredError) as error:
            self._failed("uploads", error)

    # Steps

    def _push(self, place: Place, entry: Entry, mount_from: str | None = None) -> bool:
        """Push from scratch until it is acknowledged, as a person who sees it fail would."""
        chunks = self.choices.choice((0, 0, 1, 3))
        dawdle = self.choices.random() * self.job.pause if self.choices.random() < 0.1 else 0.0
        for _ in range(ATTEMPTS if time.time() < self.job.until else 1):
            began = time.time()
            try:
                self.registry.push(
                    place.repository,
                    entry.image,
                    place.tag,
                    mount_from=mount_from,
                    chunks=chunks,
                    before_manifest=lambda _: time.sleep(dawdle),
                )
            except (RefusalError, UnansweredError) as error:
                self._failed("pushes", error)
                if not _left_alone(error):
                    self.ledger.unknown(place, entry)
                time.sleep(self.choices.random() * 0.5)
                continue
            self.outcome.slowest_push = max(self.outcome.slowest_push, time.time() - began)
            self.ledger.acknowledged(place, entry)
            return True
        return False

    def _put(self, place: Place, entry: Entry, what: str) -> None:
        """Put a manifest without looking after its blobs; a refusal changes nothing."""
        try:
            self.registry.put_manifest(place.repository, place.tag, entry.image)
        except (RefusalError, UnansweredError) as error:
            self._failed(what, error)
            if not _left_alone(error):
                self.ledger.unknown(place, entry)
            return
        self.outcome.counts[what] += 1
        self.ledger.acknowledged(place, entry)

    def _settle(self) -> None:
        """Push again wherever the state is unknown."""
        for place, entry in list(self.ledger.unsure.items()):
            self._push(place, entry)

    def _failed(self, what: str, error: Exception) -> None:
        kind = (
            f"{error.status} {' '.join(error.codes)}"
            if isinstance(error, RefusalError)
            else type(error).__name__
        )
        self.outcome.counts[f"failed {what}"] += 1
        self.outcome.counts[f"failed {what}: {kind.strip()}"] += 1
        if self.outcome.counts[f"failed {what}: {kind.strip()}"] <= SAMPLES:
            self.outcome.samples.append(f"{time.time():.3f} client {self.job.client} {what}: {error}")

    # Choices

    def _tag(self) -> str:
        return f"c{self.job.client}-{self.choices.randrange(TAGS)}"

    def _place(self, exclude: str = "") -> Place:
        return Place(self.choices.choice([name for name in REPOSITORIES if name != exclude]), self._tag())

    def _known(self) -> list[tuple[str, Image]]:
        return [(place.repository, entry.image) for place, entry in self.ledger.owned()] + list(
            self.ledger.untagged
        )

    def _own(self) -> list[tuple[Place, Entry]]:
        """The images that no other client pushes: their digest is this client's to delete and to sign."""
        return [(place, entry) for place, entry in self.ledger.owned() if not is_pooled(entry.image)]


def _left_alone(error: RefusalError | UnansweredError) -> bool:
    """Whether the registry surely changed no tag: it said that the request itself was wrong."""
    return isinstance(error, RefusalError) and error.status < 500
