"""What a registry's process runs with: its own command line, environment and files, read through /proc.

The file is the one that the process sees, below /proc/PID/root, and its REGISTRY_* variables override it. Two
registries serve one tree when their root directories are the same folder, device and inode, whatever each
mount namespace calls it.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pruner.delays import FILE_SETTLED
from pruner.errors import ConfigError, RegistryError
from pruner.registry import config as registry_config
from pruner.registry.config import OtherStorageError, RegistryConfig
from pruner.registry.process import RegistryProcess, is_alive
from pruner.registry.redisconfig import RedisConfig

_BASE = "docker/registry/v2"
_LINKS = 40  # as many as the kernel follows

Identity = tuple[int, int]
"""Device and inode of a file or folder."""

Folder = tuple[int, int, str]
"""The nearest folder that is there, and the way on from it: a registry makes its root with its first push. Of
a bucket an address of its server, its name and the way in it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A registry in sight, and what it runs with.

    `config` is its own reading, with the paths of the process; `file` is the identity of the file it was read
    from. `folders` are its root directory and the tree below it, as far as they are there. `stale` is set
    when the file was changed after the process began, so that it may run with something else; `sure` when
    the file is what it was before, under the same name, so that it runs with just this.
    """

    process: RegistryProcess
    config: RegistryConfig
    file: Identity
    folders: frozenset[Folder]
    stale: bool
    sure: bool

    @property
    def cache(self) -> Literal["none", "inmemory", "redis"]:
        """Where it must be assumed to remember descriptors."""
        return "inmemory" if self.stale and self.config.cache == "none" else self.config.cache


def look_into(process: RegistryProcess, proc: str = "/proc") -> Opened | None:
    """What the process runs with; None when it ended, keeps its blobs elsewhere, or is not a registry.

    Raises RegistryError when that cannot be seen of a program with a registry's name.
    """
    try:
        return _look_into(process, f"{proc}/{process.pid}")
    except OtherStorageError:
        return None
    except (OSError, ConfigError) as error:
        if not process.named or not is_alive(process, proc):
            return None
        reason = error.strerror if isinstance(error, OSError) else error
        raise RegistryError(f"{process} cannot be looked into ({reason})") from error


def tree_of(config: RegistryConfig, process_root: str = "") -> frozenset[Folder]:
    """What tells the tree of a configuration; raises OSError.

    `process_root` is where the process that has the configuration has its root.
    """
    if config.s3 is not None:
        return frozenset((0, 0, f"{server}/{config.s3.url}") for server in config.s3.servers())
    return folders_of(inside(process_root, config.root) if process_root else config.root)


def folders_of(root: str) -> frozenset[Folder]:
    """A root directory and, where it is there, the tree below it; raises OSError."""
    tree = os.path.join(root, _BASE)
    return frozenset(map(_folder, [root, tree] if os.path.exists(tree) else [root]))


def inside(root: str, path: str) -> str:
    """Where the absolute `path` of a process leads that has its root at `root`; raises OSError.

    Links are followed as that process follows them: an absolute one begins at its root, not at ours.
    """
    done, ahead, links = root, path.split("/")[::-1], 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done = done if done == root else os.path.dirname(done)
            continue
        step = f"{done}/{name}"
        if not os.path.islink(step):
            done = step
            continue
        links += 1
        if links > _LINKS:
            raise OSError(40, "too many symbolic links", path)
        target = os.readlink(step)
        done = root if target.startswith("/") else done
        ahead += target.split("/")[::-1]
    return done


def _look_into(process: RegistryProcess, entry: str) -> Opened:
    with open(f"{entry}/environ", "rb") as file:
        words = [os.fsdecode(word).partition("=") for word in file.read().split(b"\0") if word]
    environ = {name: value for name, _, value in words}
    named = next((word for word in process.argv[2:] if not word.startswith("-")), None)
    path = named or environ.get("REGISTRY_CONFIGURATION_PATH")
    if not path:
        # A registry refuses to start like this, so it is something else that also serves.
        raise ConfigError("it names no configuration")
    root = f"{entry}/root"
    if not os.path.isabs(path):
        path = os.path.join(os.readlink(f"{entry}/cwd"), path)
    file_path = inside(root, path)
    state = os.stat(file_path)
    if not stat.S_ISREG(state.st_mode):
        raise ConfigError(f"{path} is not a file")
    variables = tuple(sorted(pair for pair in environ.items() if pair[0].startswith("REGISTRY_")))
    config = _parsed(registry_config.read(file_path), path, variables)
    config = replace(config, redis=_reached(config.redis, root), http=_socket(config, root))
    began = _began(process)
    return Opened(
        process,
        config,
        (state.st_dev, state.st_ino),
        tree_of(config, root),
        state.st_mtime > began + FILE_SETTLED,
        # A file that was put in the place of another may be old, but not its last change.
        state.st_ctime < began,
    )


@lru_cache(maxsize=16)
def _parsed(text: bytes, path: str, variables: tuple[tuple[str, str], ...]) -> RegistryConfig:
    # Who waits for a registry looks into it five times a second.
    return registry_config.parse(text, path, dict(variables))


def _reached(redis: RedisConfig | None, root: str) -> RedisConfig | None:
    """With the paths of its certificates as they are reached from here."""
    if redis is None or not redis.tls:
        return redis
    return replace(
        redis,
        certificate=redis.certificate and inside(root, redis.certificate),
        key=redis.key and inside(root, redis.key),
        root_cas=tuple(inside(root, path) for path in redis.root_cas),
    )


def _socket(config: RegistryConfig, root: str) -> registry_config.HttpConfig:
    http = config.http
    return replace(http, path=inside(root, http.path)) if http.net == "unix" else http


def identity(path: str) -> Identity | None:
    """What lies at `path`, links followed; None when nothing does. Raises OSError."""
    try:
        state = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return state.st_dev, state.st_ino


def _folder(path: str) -> Folder:
    rest = ""
    while (found := identity(path)) is None:
        path, name = os.path.split(path)
        rest = f"/{name}{rest}"
    return (*found, rest)


def _began(process: RegistryProcess) -> float:
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / os.sysconf("SC_CLK_TCK")
    return time.time() - age
