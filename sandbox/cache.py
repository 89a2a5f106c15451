"""Builds kept outside the checkout, each under a name made of what went into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from sandbox.errors import SandboxError


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/docker-registry-sandbox`, by default below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "docker-registry-sandbox"


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


def built(kind: str, inputs: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of this build, calling `build` with an empty folder to fill when it is missing.

    The folder takes its name only when `build` returned, so an interrupted build is never mistaken for a
    whole one; its remains go at the next call. Two calls for one kind wait for each other.
    """
    target = entry(kind, inputs)
    if target.is_dir():
        return target
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(
            f"the build cache {root} cannot be made ({error.strerror}): set XDG_CACHE_HOME to another folder"
        ) from error
    with (root / f".{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
