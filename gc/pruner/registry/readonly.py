"""The read-only window: the registry takes no pushes while it is pruned, and always takes them again after.

A registry reads its configuration once, so the window opens and closes by rewriting config.yml and restarting
it in place. The original is kept next to it, as a hard link, from before the first change until the registry
is seen to be writable: as long as the link is there the window counts as open, and `recover` closes it. A
pruner that dies at any point in between therefore closes it when it starts again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from pruner.errors import ConfigError, RegistryError, WriteError
from pruner.registry import config as registry_config
from pruner.registry.config import RegistryConfig

SAVED = ".writable"
"""What is appended to the configuration's path for the original."""

_TEMPORARY = ".new"
_NOT_OURS = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY})


class Registry(Protocol):
    """What a window needs of the running registry; pruner.registry.registries.Registries has it."""

    def present(self, config: RegistryConfig, /) -> bool:
        """Whether a registry runs at all."""
        ...

    def restart(self, config: RegistryConfig, /) -> object:
        """Restart it and wait until it answers; raises RegistryError."""
        ...

    def takes_writes(self, config: RegistryConfig, /) -> bool | None:
        """Whether it takes pushes, None when that cannot be asked; raises RegistryError without an answer."""
        ...


def enter(path: str, environ: Mapping[str, str], registry: Registry) -> str | None:
    """Make the registry with the configuration at `path` read-only.

    Returns a sentence for the report when that could not be verified, as one with a login, out of sight, does
    not say. A registry that is read-only by its own configuration is left as it is. Raises ConfigError or
    WriteError when the configuration cannot be rewritten, RegistryError when the registry does not follow; it
    is writable again then.
    """
    recover(path, environ, registry)
    config = registry_config.load(path, environ)
    if config.readonly:
        return _verify_readonly(config, registry)
    text = registry_config.with_readonly(registry_config.read(path))
    if not registry_config.parse(text, path, environ).readonly:
        masks = ", ".join(sorted(name for name in environ if name.startswith("REGISTRY_STORAGE")))
        raise ConfigError(
            f"the registry cannot be made read-only in {path}, because {masks} overrides it: unset that"
        )
    real = os.path.realpath(path)
    try:
        _save(real)
        _write(real, text, like=real)
    except OSError as error:
        recover(path, environ, registry)
        raise _cannot_write(path, error) from error
    try:
        registry.restart(config)
        return _verify_readonly(config, registry)
    except BaseException:
        recover(path, environ, registry)
        raise


def leave(path: str, environ: Mapping[str, str], registry: Registry) -> None:
    """Make the registry writable again as it was before `enter`; raises as `recover` does."""
    recover(path, environ, registry)


def recover(path: str, environ: Mapping[str, str], registry: Registry) -> bool:
    """Close the window if one is open, and say whether one was.

    The registry is restarted unless it takes writes already, or is not there yet and will read the original
    when it comes. Raises RegistryError when the registry does not become writable, ConfigError or WriteError
    when the configuration cannot be put back; the window is still open then, and this is to be called again.
    """
    real = os.path.realpath(path)
    saved = real + SAVED
    if not os.path.lexists(saved):
        return False
    try:
        _put_back(real)
    except OSError as error:
        raise _cannot_write(path, error) from error
    config = registry_config.load(path, environ)
    if registry.present(config) and not _is_writable(config, registry):
        registry.restart(config)
        if registry.takes_writes(config) is False:
            raise RegistryError(
                f"the registry is still read-only although {path} says otherwise: restart the pod, and look "
                "for REGISTRY_STORAGE_MAINTENANCE in the registry's environment"
            )
    try:
        os.unlink(saved)
        _flush(os.path.dirname(real))
    except OSError as error:
        raise _cannot_write(saved, error) from error
    return True


def init_config(source: str, target: str) -> None:
    """Copy the pristine configuration to where both containers read it; for the pod's init container.

    A window left open by an earlier life of the pod is forgotten: a pod always starts writable. Raises
    ConfigError or WriteError.
    """
    text = registry_config.read(source)
    try:
        _write(target, text, like=source)
        with suppress(FileNotFoundError):
            os.unlink(target + SAVED)
        _flush(os.path.dirname(target))
    except OSError as error:
        raise _cannot_write(target, error) from error


def _verify_readonly(config: RegistryConfig, registry: Registry) -> str | None:
    writes = registry.takes_writes(config)
    if writes:
        raise RegistryError(
            f"the registry still takes pushes although {config.path} is read-only: it must run "
            f"`registry serve {config.path}` and see the same file and variables as the pruner"
        )
    if writes is None:
        return "the registry demands a login, so that it is read-only was not verified after its restart"
    return None


def _is_writable(config: RegistryConfig, registry: Registry) -> bool:
    try:
        return registry.takes_writes(config) is True
    except RegistryError:
        return False  # it is starting, maybe with the read-only configuration


def _save(real: str) -> None:
    # A link, not a copy: to close the window then needs no space on a disk that may be full.
    os.link(real, real + SAVED)
    _flush(os.path.dirname(real))


def _put_back(real: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(real + _TEMPORARY)
    if os.path.samefile(real, real + SAVED):
        return
    os.link(real + SAVED, real + _TEMPORARY)
    os.replace(real + _TEMPORARY, real)
    _flush(os.path.dirname(real))


def _write(real: str, text: bytes, *, like: str) -> None:
    state = os.stat(like)
    with suppress(FileNotFoundError):
        os.unlink(real + _TEMPORARY)
    with open(os.open(real + _TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if like == real and (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(file.fileno(), state.st_uid, state.st_gid)
        os.fchmod(file.fileno(), state.st_mode & 0o777)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(real + _TEMPORARY, real)
    _flush(os.path.dirname(real))


def _flush(folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: str, error: OSError) -> ConfigError | WriteError:
    if error.errno in _NOT_OURS:
        return ConfigError(
            f"{path} cannot be rewritten ({error.strerror}): a read-only window needs gcMode: readonly in "
            "the stack's configuration, which puts config.yml into a folder that the pruner may write to"
        )
    return WriteError(f"{path} cannot be rewritten: {error.strerror}")
