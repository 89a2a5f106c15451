"""Builds kept outside the checkout, each under a name made of what went into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sandbox.commands import run
from sandbox.errors import SandboxError


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/docker-registry-sandbox`, by default below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "docker-registry-sandbox"


def size(path: Path) -> int:
    """Bytes on disk of everything below `path`; 0 when it is not there."""
    if not path.exists():
        return 0
    return 1024 * int(run(["du", "-sk", path], what=f"measuring {path}").split()[0])


def readable(size: int) -> str:
    """Bytes as GiB or MiB."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def clear() -> int:
    """Remove every build with what the compiler keeps, and return how many bytes that gave back.

    Raises SandboxError, with nothing removed, while something is being built.
    """
    root = cache_root()
    with ExitStack() as held:
        for path in root.glob(".*.lock"):
            lock = held.enter_context(path.open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                kind = path.name.removeprefix(".").removesuffix(".lock")
                raise SandboxError(f"{kind} is being built in {root}: wait until that has ended") from error
        freed = size(root)
        if root.exists():
            shutil.rmtree(root)
    return freed


def digest_of(parts: Iterable[bytes | str]) -> str:
    """Twelve hexadecimal digits that change with any of the parts and with their order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


def entry(kind: str, inputs: str) -> Path:
    """The folder of one build, whether it is there or not."""
    return cache_root() / f"{kind}-{inputs}"


@contextmanager
def at_work(kind: str) -> Generator[Path]:
    """Hold the lock on builds of `kind`, against another of them and against `clear`; gives the cache's root.

    Raises SandboxError when the cache cannot be made.
    """
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(
            f"the build cache {root} cannot be made ({error.strerror}): set XDG_CACHE_HOME to another folder"
        ) from error
    with (root / f".{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield root


def built(kind: str, inputs: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of this build, calling `build` with an empty folder to fill when it is missing.

    The folder takes its name only when `build` returned, so an interrupted build is never mistaken for a
    whole one; its remains go at the next call. Two calls for one kind wait for each other.
    """
    target = entry(kind, inputs)
    if target.is_dir():
        return target
    with at_work(kind) as root:
        if target.is_dir():
            return target
        part = root / f".{kind}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            build(part)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target
