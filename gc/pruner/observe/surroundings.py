"""What stands around the pruner at this moment: the disk, the registry's answer and its certificate.

Asked for by a scrape or a page, with a time limit; an answer that does not come in time is the last one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException

from pruner.clock import Clock
from pruner.delays import GLANCE_TIMEOUT, WATCH
from pruner.errors import PrunerError
from pruner.observe.certificate import ends, ends_of_file
from pruner.registry.config import RegistryConfig
from pruner.registry.registries import Registries

_LIMIT = 16 * 1024 * 1024
_PATH = "/metrics"  # of the debug server, unless http.debug.prometheus.path says otherwise


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the storage, in bytes; `available` is what the pruner's user may still write."""

    size: int
    available: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found. `None` where it could not be.

    `trouble` is empty when the registry answers as it should. The certificates' ends are seconds since the
    epoch: of the one that the registry serves, and of the authority that clients trust.
    """

    disk: Disk | None = None
    trouble: str = "it has not been asked yet"
    certificate: float | None = None
    authority: float | None = None
    restarts: int = 0

    @property
    def up(self) -> bool:
        """Whether the registry answers as it should."""
        return not self.trouble


class Watch:
    """Looks around: the registry's process at short intervals, the rest when somebody asks."""

    def __init__(
        self,
        config: RegistryConfig,
        registry: Registries,
        clock: Clock,
        *,
        root: str | None,
        ca: str | None,
        see: Callable[[], tuple[int, int] | None] | None = None,
    ) -> None:
        """`root` is the storage's folder, None where it is not a disk; `see` gives the process's identity."""
        self._config = config
        self._registry = registry
        self._clock = clock
        self._root = root
        self._ca = ca
        self._see = see or (lambda: _process(config, registry))
        self._asking = threading.Lock()
        self._known = Surroundings()
        self._asked = -WATCH
        self._process: tuple[int, int] | None = None
        self._restarts = 0

    def tick(self) -> None:
        """Notice a registry that was started again since the last tick."""
        process = self._see()
        if process is None:
            return
        if self._process is not None and process != self._process:
            self._restarts += 1
        self._process = process

    def look(self) -> Surroundings:
        """The surroundings, at most a few seconds old; the last known when someone else is just asking."""
        if not self._asking.acquire(blocking=False):
            return replace(self._known, restarts=self._restarts)
        try:
            if self._clock.monotonic() - self._asked >= WATCH / 2:
                trouble, certificate = self._answer()
                self._known = Surroundings(self._disk(), trouble, certificate, self._authority())
                self._asked = self._clock.monotonic()
            return replace(self._known, restarts=self._restarts)
        finally:
            self._asking.release()

    def registry_metrics(self) -> bytes:
        """What the registry says of itself, empty when it does not."""
        return metrics_of(self._config.http.debug_addr)

    def _answer(self) -> tuple[str, float | None]:
        try:
            glance = self._registry.glance(self._config.http)
        except (OSError, HTTPException, PrunerError) as error:
            return str(error) or type(error).__name__, None
        trouble = "" if glance.status in (200, 401) else f"it answers with status {glance.status}"
        try:
            return trouble, ends(glance.certificate) if glance.certificate else None
        except ValueError:
            return trouble, None

    def _disk(self) -> Disk | None:
        if self._root is None:
            return None
        try:
            found = os.statvfs(self._root)
        except OSError:
            return None
        return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    def _authority(self) -> float | None:
        try:
            return ends_of_file(self._ca) if self._ca else None
        except (OSError, ValueError):
            return None


def _process(config: RegistryConfig, registry: Registries) -> tuple[int, int] | None:
    try:
        ours = registry.survey(config).ours
    except (OSError, PrunerError):
        return None
    return (ours[0].process.pid, ours[0].process.started) if ours else None


def metrics_of(debug_address: str) -> bytes:
    """What a registry says of itself on its debug port, empty when it has none or does not answer.

    That port serves profiles too, so nothing but this one path is ever asked for.
    """
    host, _, port = debug_address.rpartition(":")
    if not port.isdecimal() or int(port) == 0:
        return b""
    host = host.strip("[]")
    connection = HTTPConnection(
        host if host not in ("", "0.0.0.0", "::") else "127.0.0.1", int(port), timeout=GLANCE_TIMEOUT
    )
    try:
        connection.request("GET", _PATH, headers={"Accept": "text/plain; version=0.0.4"})
        response = connection.getresponse()
        content = response.read(_LIMIT)
        is_text = (response.getheader("Content-Type") or "").startswith("text/plain")
        if response.status != 200 or not is_text or len(content) == _LIMIT:
            return b""
        return content if content.endswith(b"\n") or not content else content + b"\n"
    except (OSError, HTTPException):
        return b""
    finally:
        connection.close()
