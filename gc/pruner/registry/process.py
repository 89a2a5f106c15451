"""The running registry: found in the shared PID namespace, asked over HTTP, restarted in place.

The kubelet starts a container again whose process ended, in the same pod: that makes SIGTERM a restart.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from pruner.clock import Clock
from pruner.delays import (
    APPEARANCE,
    COMEBACK,
    DRAIN_MARGIN,
    GLANCE_TIMEOUT,
    PROCESS_POLL,
    REGISTRY_TIMEOUT,
)
from pruner.errors import ConfigError, RegistryError
from pruner.registry.config import HttpConfig, RegistryConfig

DEFAULT_CA = "/etc/registry-tls/ca.crt"

_NAMES = frozenset({"registry", "docker-registry"})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})
_GONE = frozenset("ZX")  # a zombie holds neither files nor sockets any more


@dataclass(frozen=True, slots=True)
class RegistryProcess:
    """A process that serves a registry.

    `started`, in clock ticks after boot, tells it from a later process with the same pid.
    """

    pid: int
    started: int
    argv: tuple[str, ...]


def find(proc: str = "/proc", *, config: str | None = None) -> RegistryProcess | None:
    """The registry that runs in this PID namespace, or None.

    With `config`, a process whose command line names another configuration file is passed over. Raises
    RegistryError when several are left: which of them serves this storage cannot be told.
    """
    found: list[RegistryProcess] = []
    for entry in os.listdir(proc):
        if entry.isdecimal() and int(entry) != os.getpid():
            process = _read(proc, int(entry))
            if process and _serves(process, proc, config):
                found.append(process)
    if len(found) > 1:
        named = "; ".join(f"{process.pid} ({' '.join(process.argv)})" for process in found)
        raise RegistryError(f"several registries run in this PID namespace: {named}; the pruner serves one")
    return found[0] if found else None


def ca_file(environ: Mapping[str, str]) -> str | None:
    """The CA to check the registry's certificate with: GC_CA, else the usual file if it is there."""
    return environ.get("GC_CA") or (DEFAULT_CA if os.path.exists(DEFAULT_CA) else None)


@dataclass(frozen=True, slots=True)
class Glance:
    """How the registry answers: the HTTP status, and the certificate that it serves (DER), if any."""

    status: int
    certificate: bytes | None


class RunningRegistry:
    """The registry next to us, as the rest of the pruner uses it."""

    def __init__(self, clock: Clock, *, ca: str | None = None, proc: str = "/proc") -> None:
        """`ca` is the CA file for the probe; without one the probe takes any certificate."""
        self._clock = clock
        self._ca = ca
        self._proc = proc

    def restart(self, config: RegistryConfig) -> RegistryProcess:
        """End the registry with SIGTERM and return its successor once that answers.

        Raises RegistryError when there is none, when it may not be signalled, when it does not end within its
        draintimeout and DRAIN_MARGIN, or does not answer again within COMEBACK. It is never killed: a push
        in flight may only be cut by the registry itself. Raises Stopped when this process is asked to end.
        """
        self._check_address(config)
        old = self._find_soon(config)
        self._end(old, config.http.drain_timeout + DRAIN_MARGIN)
        return self.wait(config)

    def _find_soon(self, config: RegistryConfig) -> RegistryProcess:
        """The registry's process; it may just be between two lives, as a pruner that was killed left it."""
        deadline = self._clock.monotonic() + APPEARANCE
        while True:
            process = find(self._proc, config=config.path)
            if process is not None:
                return process
            if self._clock.monotonic() >= deadline:
                raise RegistryError(
                    "no registry process is to be seen: the pod needs shareProcessNamespace, "
                    f"and the registry must be running `registry serve {config.path}`"
                )
            self._clock.sleep(PROCESS_POLL)

    def wait(self, config: RegistryConfig) -> RegistryProcess:
        """Return the registry once it runs and answers; raises RegistryError after COMEBACK, and Stopped."""
        self._check_address(config)
        deadline = self._clock.monotonic() + COMEBACK
        while True:
            process = find(self._proc, config=config.path)
            problem = self._trouble(config) if process else "its process has not been started"
            if process and not problem:
                return process
            if self._clock.monotonic() >= deadline:
                raise RegistryError(
                    f"the registry did not come back within {COMEBACK:.0f} s: {problem}; see its log"
                )
            self._clock.sleep(PROCESS_POLL)

    def present(self, config: RegistryConfig) -> bool:
        """Whether a registry runs here: its process is seen, or something answers at its address.

        A process that cannot be seen may still serve the storage, with a cache of its own: both must say no.
        """
        if find(self._proc, config=config.path) is not None:
            return True
        if config.http.net == "tcp" and not config.http.port:
            return False
        try:
            self._request(config.http, "GET", "v2/")
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (OSError, HTTPException):
            return True
        return True

    def takes_writes(self, config: RegistryConfig) -> bool | None:
        """Whether the registry takes pushes; None when it demands a login and so cannot be asked.

        Asks with a manifest that is no manifest: 400 from a writable registry, 405 from a read-only one, and
        nothing is stored. Raises RegistryError for any other answer, or none.
        """
        try:
            status = self._request(config.http, "PUT", "v2/pruner-probe/manifests/probe")
        except (OSError, HTTPException) as error:
            raise RegistryError(f"the registry does not answer at {_where(config.http)}: {error}") from error
        if status in (400, 405):
            return status == 400
        if status in (401, 403):
            return None
        raise RegistryError(
            f"the registry at {_where(config.http)} answered a push with the odd status {status}"
        )

    def glance(self, http: HttpConfig) -> Glance:
        """How the registry answers at this moment, whether or not its certificate is good.

        Raises OSError or HTTPException when it does not answer within GLANCE_TIMEOUT.
        """
        connection = HTTPConnection("localhost")
        try:
            connection.sock = plain = self._connect(http, GLANCE_TIMEOUT, verified=False)
            certificate = plain.getpeercert(binary_form=True) if isinstance(plain, ssl.SSLSocket) else None
            try:
                connection.request("GET", f"{http.prefix}v2/")
                return Glance(connection.getresponse().status, certificate)
            except ssl.SSLError as error:
                if http.client_certificates and "ALERT" in (error.reason or ""):
                    return Glance(401, certificate)
                raise
        finally:
            connection.close()

    def _end(self, process: RegistryProcess, timeout: float) -> None:
        try:
            os.kill(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise RegistryError(
                f"the registry (process {process.pid}) may not be signalled: "
                "both containers must run as one user"
            ) from error
        deadline = self._clock.monotonic() + timeout
        while _alive(process, self._proc):
            if self._clock.monotonic() >= deadline:
                raise RegistryError(
                    f"the registry (process {process.pid}) did not end within {timeout:.0f} s of SIGTERM: "
                    "see its log, and restart the pod"
                )
            self._clock.sleep(PROCESS_POLL)

    def _trouble(self, config: RegistryConfig) -> str:
        try:
            status = self._request(config.http, "GET", "v2/")
        except (OSError, HTTPException) as error:
            return f"{_where(config.http)} gives {error or type(error).__name__}"
        return "" if status in (200, 401) else f"{_where(config.http)} answers with status {status}"

    def _request(self, http: HttpConfig, method: str, path: str) -> int:
        connection = HTTPConnection("localhost")
        try:
            connection.sock = self._connect(http)
            headers = {"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"}
            connection.request(method, http.prefix + path, headers=headers if method == "PUT" else {})
            return connection.getresponse().status
        except ssl.SSLError as error:
            # Asking for a certificate that we lack, or for a name that we cannot know, is an answer as well.
            if (http.client_certificates or http.letsencrypt) and "ALERT" in (error.reason or ""):
                return 401
            raise
        finally:
            connection.close()

    def _connect(
        self, http: HttpConfig, timeout: float = REGISTRY_TIMEOUT, *, verified: bool = True
    ) -> socket.socket:
        if http.net == "unix":
            plain = socket.socket(socket.AF_UNIX)
            try:
                plain.settimeout(timeout)
                plain.connect(http.path)
            except OSError:
                plain.close()
                raise
        else:
            plain = self._dial(http, timeout)
        if not http.tls:
            return plain
        try:
            return self._tls(verified).wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise

    def _dial(self, http: HttpConfig, timeout: float) -> socket.socket:
        if http.host not in _WILDCARDS:
            return socket.create_connection((http.host, http.port), timeout=timeout)
        try:
            return socket.create_connection(("127.0.0.1", http.port), timeout=timeout)
        except OSError:
            return socket.create_connection(("::1", http.port), timeout=timeout)

    def _tls(self, verified: bool) -> ssl.SSLContext:
        # The peer is reached over loopback, so its name proves nothing, and a certificate of somebody's own
        # may lack localhost. Without a CA this is the kubelet's probe, which verifies nothing either.
        try:
            context = ssl.create_default_context(cafile=self._ca if verified else None)
        except OSError as error:
            raise ConfigError(f"the CA file {self._ca} cannot be read ({error}): check GC_CA") from error
        context.check_hostname = False
        if self._ca is None or not verified:
            context.verify_mode = ssl.CERT_NONE
        return context

    def _check_address(self, config: RegistryConfig) -> None:
        if config.http.net == "tcp" and not config.http.port:
            raise ConfigError(
                f"{config.path}: http.addr names no port, so the registry cannot be asked if it is back"
            )


def _where(http: HttpConfig) -> str:
    if http.net == "unix":
        return f"the socket {http.path}"
    host = "localhost" if http.host in _WILDCARDS else http.host
    return f"{'https' if http.tls else 'http'}://{host}:{http.port}{http.prefix}v2/"


def _read(proc: str, pid: int) -> RegistryProcess | None:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            argv = tuple(os.fsdecode(word) for word in file.read().split(b"\0")[:-1])
        if len(argv) < 2 or os.path.basename(argv[0]) not in _NAMES:
            return None
        state, started = _stat(proc, pid)
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended while we looked
    except OSError as error:
        raise RegistryError(f"process {pid} cannot be looked at in {proc}: {error.strerror}") from error
    return None if state in _GONE else RegistryProcess(pid, started, argv)


def _stat(proc: str, pid: int) -> tuple[str, int]:
    with open(f"{proc}/{pid}/stat", "rb") as file:
        # The program's name, in parentheses, may itself hold spaces and parentheses.
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19])


def _alive(process: RegistryProcess, proc: str) -> bool:
    try:
        state, started = _stat(proc, process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return started == process.started and state not in _GONE


def _serves(process: RegistryProcess, proc: str, config: str | None) -> bool:
    if process.argv[1] != "serve":
        return False
    named = next((word for word in process.argv[2:] if not word.startswith("-")), None)
    if config is None or named is None:
        return True
    if not os.path.isabs(named):
        try:
            named = os.path.join(os.readlink(f"{proc}/{process.pid}/cwd"), named)
        except OSError:
            return False
    return os.path.normpath(named) == os.path.normpath(config)
