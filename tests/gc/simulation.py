"""Clients, a registry and a pruner on one storage and one clock, in as many small steps as they really take.

Between any two storage calls of the pruner, and at any moment of its sleep, clients go on. What the pruner
may rely on holds here too: a request takes less than the settling time, and a whole push less than the grace.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from pruner.delays import SETTLE
from pruner.settings.table import Settings
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import Image, digest_of
from tests.gc.ledger import Ledger, Register, Required
from tests.gc.memorystorage import File, MemoryStorage
from tests.gc.modelpruner import ModelPruner
from tests.gc.modelregistry import (
    BASE,
    Failed,
    ModelRegistry,
    Refused,
    Steps,
    layer_link,
    revision_link,
    tag_folder,
)
from tests.gc.modelregistry import data as blob_data

T = TypeVar("T")
TICK = 0.001  # seconds that a storage call takes
HASTE = 0.9  # of the time that is allowed
Script = Generator[bool | None, None, None]
"""True: a request begins now. False: it has ended. None: a step within it."""


@dataclass(slots=True, eq=False)
class Client:
    script: Script
    started: float
    request_since: float | None = None


@dataclass(eq=False)
class World:
    storage: MemoryStorage
    clock: SteppedClock
    registry: ModelRegistry
    ledger: Ledger
    settings: Settings
    random: random.Random
    clients: list[Client] = field(default_factory=list[Client])
    waiting: list[Callable[[], Script]] = field(default_factory=list[Callable[[], Script]])
    marks: list[tuple[float, frozenset[str]]] = field(default_factory=list[tuple[float, frozenset[str]]])
    pruning: bool = False
    settled: Required | None = None
    seen_by_second_look: Required | None = None
    asleep: Callable[[], None] = lambda: None
    failures: list[Exception] = field(default_factory=list[Exception])
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self.pruner = ModelPruner(self.storage, self.clock, self.registry, self.settings, self.cut)
        self.clock.step = self.step
        self.storage.destroyed = self.check_destroyed

    # -- what clients do

    def start(self, script: Script) -> None:
        self.clients.append(Client(script, self.clock.now()))

    def _request(self, steps: Steps[T]) -> Generator[bool | None, None, T]:
        yield True
        result = yield from steps
        yield False
        return result

    def push(
        self,
        repository: str,
        image: Image,
        tag: str | None,
        source: str | None = None,
        *,
        frugal: bool = False,
    ) -> Script:
        """`source` is a repository to mount from; the `frugal` ask before they send a child manifest."""
        for manifest in image.family():
            digest = manifest.digest
            child = manifest is not image
            if (
                frugal
                and child
                and (yield from self._request(self.registry.head_manifest(repository, digest)))
            ):
                continue
            for blob in manifest.blobs:
                yield from self._push_blob(repository, blob, source)
            yield from self._request(
                self._put_manifest(repository, manifest, tag if manifest is image else None)
            )

    def _push_blob(
        self, repository: str, blob: bytes, source: str | None
    ) -> Generator[bool | None, None, None]:
        digest = digest_of(blob)
        if (yield from self._request(self.registry.head_blob(repository, digest))):
            return
        if source and (yield from self._request(self.registry.mount(source, repository, digest))):
            return
        upload = yield from self._request(self.registry.start_upload(repository))
        yield from self._request(self.registry.send(upload, blob))
        yield from self._request(self.registry.commit_upload(repository, upload, digest))

    def _put_manifest(self, repository: str, manifest: Image, tag: str | None) -> Steps[None]:
        registers = [(self.ledger.manifest(repository, manifest.digest), "there")]
        began = self.clock.now()
        key = (repository, tag or "")
        if tag is not None:
            registers.append((self.ledger.tag(repository, tag), manifest.digest))
            before, _ = self.ledger.tag_writes.get(key, (float("-inf"), 0.0))
            self.ledger.tag_writes[key] = (before, float("inf"))
        acknowledged = False
        self._let_go()
        try:
            for register, value in registers:
                register.begin(value)
            yield from self.registry.put_manifest(repository, manifest, tag)
            acknowledged = True
            self.acknowledged += 1
        finally:
            for register, value in registers:
                register.end(value, acknowledged=acknowledged, since=began)
            if tag is not None:
                before, _ = self.ledger.tag_writes[key]
                self.ledger.tag_writes[key] = (began if acknowledged else before, self.clock.now())
            if acknowledged:
                self.ledger.rely_on(repository, manifest)
            self._changed()

    def delete_manifest(self, repository: str, digest: str) -> Script:
        def steps() -> Steps[None]:
            registers = [self.ledger.manifest(repository, digest)]
            registers += [
                register
                for (name, _), register in self.ledger.tags.items()
                if name == repository and digest in register.values
            ]
            yield from self._deletion(registers, self.registry.delete_manifest(repository, digest))

        yield from self._request(steps())

    def delete_tag(self, repository: str, tag: str) -> Script:
        register = self.ledger.tag(repository, tag)
        yield from self._request(self._deletion([register], self.registry.delete_tag(repository, tag)))

    def _deletion(self, registers: list[Register], steps: Steps[None]) -> Steps[None]:
        acknowledged = False
        try:
            for register in registers:
                register.begin(None)
            self._changed()
            yield from steps
            acknowledged = True
        finally:
            for register in registers:
                register.end(None, acknowledged=acknowledged, since=self.clock.now())
            self._changed()

    def _changed(self) -> None:
        if self.pruning:
            self.ledger.expend(self.clock.now())
        self._let_go()

    def _let_go(self) -> None:
        """What is required no more is not settled any longer, also if it is required again later."""
        now = self.ledger.required(self.clock.now())
        if self.settled is not None:
            self.settled = self._both(self.settled, now)
        if self.seen_by_second_look is not None:
            self.seen_by_second_look = self._both(self.seen_by_second_look, now)

    # -- time and turns

    def advance(self, client: Client) -> None:
        try:
            marker = next(client.script)
        except (StopIteration, Refused):
            self.clients.remove(client)
        except (Failed, OSError) as error:
            self.failures.append(error)
            self.clients.remove(client)
        else:
            if marker is not None:
                client.request_since = self.clock.now() if marker else None

    def finish_request(self, client: Client) -> None:
        while client in self.clients and client.request_since is not None:
            self.advance(client)

    def finish(self) -> None:
        """Every client ends what it has begun."""
        while self.clients:
            self.advance(self.random.choice(self.clients))

    def abandon(self, client: Client) -> None:
        """It goes away between two requests, as clients do."""
        self.finish_request(client)
        if client in self.clients:
            self.clients.remove(client)
            client.script.close()

    def cut(self) -> None:
        """The registry restarts: what it was doing ends; in version 2.8 only after the write it is at."""
        for client in [client for client in self.clients if client.request_since is not None]:
            if not self.registry.atomic:
                self.finish_request(client)
            elif client in self.clients:
                self.clients.remove(client)
                client.script.close()

    def _limits(self) -> tuple[float, float]:
        return HASTE * self.settings.grace, HASTE * min(self.settings.grace, SETTLE)

    def _left(self, client: Client) -> float:
        """Seconds until the client, or its request, has to be done."""
        push, request = self._limits()
        left = client.started + push - self.clock.now()
        if client.request_since is not None:
            left = min(left, client.request_since + request - self.clock.now())
        return left

    def hurry(self) -> None:
        """Whoever is out of time does the rest at once."""
        push, request = self._limits()
        for client in list(self.clients):
            while client in self.clients and self.clock.now() >= client.started + push - 1:
                self.advance(client)
            if client.request_since is not None and self.clock.now() >= client.request_since + request - 1:
                self.finish_request(client)

    def turns(self, likely: float) -> None:
        """Some clients take some steps."""
        while self.random.random() < likely:
            if self.waiting and self.random.random() < 0.05:
                self.start(self.waiting.pop(0)())
            if self.clients:
                self.advance(self.random.choice(self.clients))

    def step(self, remaining: float) -> float:
        """How much of a sleep passes now."""
        self.turns(0.8)
        self.asleep()
        if self.waiting and self.random.random() < 0.3:
            self.start(self.waiting.pop(0)())
        self.hurry()
        until = min((max(self._left(client) - 1, 0.5) for client in self.clients), default=remaining)
        return min(until, remaining, max(0.5, remaining * self.random.random()))

    # -- runs

    def run_begins(self) -> None:
        """While an interrupted run is not made good, only what was there before it counts as settled."""
        now = self.clock.now()
        self.pruning = True
        self.ledger.expend(now)
        required = self.ledger.required(now)
        self.settled = self._both(self.settled, required) if self.settled is not None else required

    def second_look_begins(self) -> None:
        self.seen_by_second_look = self.ledger.required(self.clock.now())

    def quarantine_begins(self) -> None:
        """What the second look could see is never away again, although it was pushed during the run."""
        self.settled = self.seen_by_second_look

    def run_ended(self, *, complete: bool) -> None:
        """A complete run leaves everything readable, also what was pushed while it lasted."""
        for client in list(self.clients):
            self.finish_request(client)
        self.ledger.expend(self.clock.now())
        self.pruning = False
        if complete:
            self.settled = None
        self.check_settled()

    @staticmethod
    def _both(one: Required, other: Required) -> Required:
        return Required(one.tags & other.tags, one.manifests & other.manifests, one.blobs & other.blobs)

    # -- what must hold

    def check_readable(self, required: Required) -> None:
        """As a registry that has just been started, its cache empty, would read it."""
        for repository, tag in required.tags:
            found = self._read(f"{tag_folder(repository, tag)}/current/link")
            allowed = self.ledger.tag(repository, tag).values
            assert found is not None, f"{repository}:{tag} is gone"
            assert found.decode() in allowed, f"{repository}:{tag} is {found!r}"
        for repository, digest in required.manifests:
            link = self._read(revision_link(repository, digest))
            assert link == digest.encode(), f"revision {repository}@{digest}: {link!r}"
            content = self._read(blob_data(digest))
            assert content == self.ledger.images[digest].content, f"manifest {digest}: {content!r}"
        for repository, digest in required.blobs:
            link = self._read(layer_link(repository, digest))
            assert link == digest.encode(), f"layer {repository}@{digest}: {link!r}"
            content = self._read(blob_data(digest))
            assert content is not None, f"blob {digest} is gone"
            assert digest_of(content) == digest, f"blob {digest} is damaged"

    def _read(self, path: str) -> bytes | None:
        try:
            return self.storage.read(path, 1 << 30)[0]
        except FileNotFoundError:
            return None

    def check_settled(self) -> None:
        """What was there when a run began is never away; outside of one, neither is anything else.

        To be asked while no request is going on: version 2.8 truncates links that it writes again.
        """
        self._let_go()
        if all(client.request_since is None for client in self.clients):
            now = self.ledger.required(self.clock.now())
            self.check_readable(now if self.settled is None else self._both(now, self.settled))

    def note_mark(self) -> None:
        self.marks.append((self.clock.now(), self.ledger.required(self.clock.now()).digests))

    def check_destroyed(self, path: str, file: File) -> None:
        """No bytes go for good that two marks, a grace apart, did not find unreferenced."""
        if not path.startswith((f"{BASE}/pruner/current/blobs", f"{BASE}/pruner/trash", f"{BASE}/blobs")):
            return
        if path.endswith(("/link", ".tmp", "/journal")) or "/held/" in path:
            return
        digest = digest_of(file.content)
        if self._read(blob_data(digest)) is not None:
            return
        now = self.clock.now()
        assert digest not in self.ledger.required(now).digests, f"the only bytes of {digest} are destroyed"
        unreferenced_since = self.marks[-1][0]
        for moment, digests in reversed(self.marks):
            if digest in digests:
                break
            unreferenced_since = moment
        apart = self.marks[-1][0] - unreferenced_since
        assert apart >= self.settings.grace - 1, f"{digest} is destroyed {apart} s after it was let go"
