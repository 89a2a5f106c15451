"""Clients that push and pull without a break while something happens to the registry."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.archive import ImageConfig, pack
from sandbox.errors import SandboxError
from tests.e2e.stack import Stack

CLIENTS = 2


@dataclass(slots=True)
class Traffic:
    """What the clients did: the images that were acknowledged, in order, and how often one failed and why."""

    stack: Stack
    folder: Path
    retries: int
    pushed: list[str] = field(default_factory=list[str])
    pulls: int = 0
    failures: list[str] = field(default_factory=list[str])
    _over: threading.Event = field(default_factory=threading.Event)

    def work(self, client: int) -> None:
        """One client: an image of its own is pushed, then any that somebody has pushed is pulled."""
        choices = random.Random(client)
        number = 0
        while not self._over.is_set():
            number += 1
            name = f"traffic/client{client}:{number}"
            archive = self.folder / f"{client}.tar"
            try:
                self._pack(client, name, archive)
                self.stack.skopeo_push(archive, name, retries=self.retries)
                self.pushed.append(name)
                self.pull(choices.choice(self.pushed), str(client))
            except SandboxError as error:
                self.failures.append(f"{name}: {error}")

    def pull(self, name: str, client: str = "last") -> None:
        """Pull it, which compares every digest. Raises SandboxError."""
        target = self.folder / f"{client}-pulled.tar"
        target.unlink(missing_ok=True)
        self.stack.skopeo_pull(name, target, retries=self.retries)
        self.pulls += 1

    def end(self) -> None:
        """Let the clients end with what they are at."""
        self._over.set()

    def _pack(self, client: int, name: str, archive: Path) -> None:
        rootfs = self.folder / f"{client}-rootfs"
        rootfs.mkdir(exist_ok=True)
        (rootfs / "content").write_bytes(random.Random(name).randbytes(1 << 20))
        pack(rootfs, ImageConfig(name, ("/content",)), archive)


@contextmanager
def traffic(stack: Stack, folder: Path, *, retries: int = 0) -> Generator[Traffic]:
    """Clients at work until the end of the block; each tries again `retries` times what failed."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Traffic(stack, folder, retries)
    threads = [threading.Thread(target=found.work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.end()
        for thread in threads:
            thread.join()
