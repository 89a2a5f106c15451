"""Real registries as processes on loopback ports: Debian's 2.8.2, the Go module's v3; and redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml
from requests.auth import AuthBase

from sandbox.golang import REGISTRY, build
from sandbox.s3 import REGION, S3
from tests.gc.registryclient import RegistryClient, UnansweredError
from tests.gc.waiting import until

Version = Literal["2.8.2", "3.1.2"]
Cache = Literal["none", "inmemory", "redis"]
VERSIONS: tuple[Version, ...] = ("2.8.2", "3.1.2")
CACHES: tuple[Cache, ...] = ("none", "inmemory", "redis")
BUCKET = "images"
START = 30.0  # seconds until a process must answer
LOGIN = ("anna", "first")
HTPASSWD = "anna:$2b$04$abcdefghijklmnopqrstuuvybHXQqehXl2NdtAhT6BAmwe6EZ8HOi\n"
BACK_OFF = 0.2  # seconds before a supervised registry is started again


class NotInstalledError(Exception):
    """A program that the tests need is not on this machine."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def program(name: str) -> str:
    """The path of a program that comes from Debian."""
    found = shutil.which(name)
    if found is None:
        raise NotInstalledError(
            f"{name} is not installed: `make setup` (or `make test`) installs Debian's package of it."
        )
    return found


@cache
def binary(version: Version) -> str:
    """The registry's executable; version 3 is built from its Go module at the first call on a machine."""
    return program("docker-registry") if version == "2.8.2" else str(build(REGISTRY))


@dataclass(slots=True)
class Redis:
    """A redis-server that keeps nothing on disk."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        with open(self.folder / "redis.log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(
                self._answers, START, what=lambda: f"redis-server answers\n{tail(self.folder / 'redis.log')}"
            )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@dataclass(slots=True)
class RealRegistry:
    """One registry over `folder`/data, configured by `folder`/config.yml, logging to `folder`/registry.log.

    A supervised one is started again whenever it exits, as the kubelet does with the registry's container.
    `environment` is its own, `tree` another root directory than its folder's, `within` a command that begins
    it, and `serves` the file that it is told to read, by variable if `by_variable`. With `login` it demands
    the one of LOGIN, which its client has; `clients` is how they come in otherwise. With `s3` it keeps its
    blobs in the bucket `BUCKET` there, below `prefix`.
    """

    version: Version
    folder: Path
    cache: Cache = "none"
    redis_port: int | None = None
    delete: bool = True
    supervised: bool = False
    debug_port: int | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])
    tree: Path | None = None
    by_variable: bool = False
    within: tuple[str, ...] = ()
    serves: Path | None = None
    login: bool = False
    clients: AuthBase | None = None
    s3: S3 | None = None
    prefix: str = "/registry"
    port: int = field(default_factory=free_port)
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _supervisor: threading.Thread | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "config.yml"

    @property
    def data(self) -> Path:
        """The storage driver's `rootdirectory`; on S3 the folder that the server keeps it in."""
        if self.s3 is not None:
            return self.s3.data / BUCKET / self.prefix.strip("/")
        return self.tree or self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "registry.log"

    @property
    def logins(self) -> Path:
        return self.folder / "htpasswd"

    @property
    def pid(self) -> int:
        assert self._process, "the registry was not started"
        return self._process.pid

    def client(self) -> RegistryClient:
        client = RegistryClient(self.address)
        client.session.auth = self.clients or (LOGIN if self.login else None)
        return client

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def write_config(self) -> None:
        for folder in (self.folder, self.data if self.s3 is None else self.s3.data / BUCKET):
            folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(self._settings(), sort_keys=False))
        if self.login:
            self.logins.write_text(HTPASSWD)

    def start(self) -> None:
        """Returns when /v2/ answers; the configuration is written only if there is none yet."""
        if not self.config.exists():
            self.write_config()
        self._stopping.clear()
        self._spawn()
        if self.supervised:
            self._supervisor = threading.Thread(target=self._supervise, daemon=True)
            self._supervisor.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._stopping.set()
        process = self._process
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._supervisor:
            self._supervisor.join()
            self._supervisor = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def wait_ready(self) -> None:
        until(self._answers, START, what=lambda: f"the registry {self.version} answers\n{tail(self.log)}")

    def start_collect(self, *options: str) -> subprocess.Popen[str]:
        """The registry's own `garbage-collect` over this tree, begun."""
        command = [binary(self.version), "garbage-collect", *options, str(self.config)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=_environment(), stdout=pipe, stderr=pipe, text=True)

    def collect(self, *options: str) -> tuple[int, str]:
        """The registry's own `garbage-collect` to its end: the exit code, and what it wrote."""
        process = self.start_collect(*options)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output + errors

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.ping()
            return True
        except UnansweredError:
            if not self.supervised and self._process and self._process.poll() is not None:
                raise AssertionError(
                    f"the registry ended with {self._process.returncode}:\n{tail(self.log)}"
                ) from None
            return False

    def _spawn(self) -> None:
        self.starts += 1
        file = str(self.serves or self.config)
        variables = {"REGISTRY_CONFIGURATION_PATH": file} if self.by_variable else {}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [*self.within, binary(self.version), "serve", *([] if self.by_variable else [file])],
                env=_environment() | variables | self.environment,
                stdout=log,
                stderr=log,
            )

    def _supervise(self) -> None:
        while self._process:
            self._process.wait()
            if self._stopping.wait(BACK_OFF):
                return
            self._spawn()

    def _settings(self) -> dict[str, Any]:
        storage: dict[str, Any] = {
            "filesystem": {"rootdirectory": str(self.data)},
            "delete": {"enabled": self.delete},
        }
        if self.s3 is not None:
            del storage["filesystem"]
            storage["s3"] = s3_settings(self.s3, self.prefix)
            storage["redirect"] = {"disable": True}
        if self.cache != "none":
            storage["cache"] = {"blobdescriptor": self.cache}
        settings: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": storage,
            "http": {"addr": self.address, "secret": "a secret of the tests", "draintimeout": "5s"},
        }
        if self.debug_port is not None:
            debug = {"addr": f"127.0.0.1:{self.debug_port}", "prometheus": {"enabled": True}}
            settings["http"]["debug"] = debug
        if self.login:
            settings["auth"] = {"htpasswd": {"realm": "registry", "path": str(self.logins)}}
        if self.cache == "redis":
            assert self.redis_port, "cache redis needs the port of a redis"
            where = f"127.0.0.1:{self.redis_port}"
            settings["redis"] = {"addr": where} if self.version.startswith("2.") else {"addrs": [where]}
        return settings


def s3_settings(s3: S3, prefix: str) -> dict[str, Any]:
    """What `storage.s3` of a registry holds for a tree on that server."""
    return {
        "region": REGION,
        "bucket": BUCKET,
        "regionendpoint": s3.endpoint,
        "accesskey": s3.access_key,
        "secretkey": s3.secret_key,
        "forcepathstyle": True,
        "secure": s3.endpoint.startswith("https://"),
        "rootdirectory": prefix,
    }


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _environment() -> dict[str, str]:
    """This process's environment without what would reconfigure a registry or send its traces away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "REGISTRY_"))}
    return kept | {"OTEL_TRACES_EXPORTER": "none"}
