"""An S3 server on the loopback, for what is tested against S3: versitygw over a folder."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import golang
from sandbox.errors import SandboxError
from sandbox.pki import Pair, store

START_WITHIN = 30.0  # seconds; it takes a fraction of one
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3:
    """A running server and the keys of its one user, who may do everything.

    A bucket is a folder of `data`, an object a file in it; what is uploaded in parts lies below `.sgwtmp`.
    """

    endpoint: str
    data: Path
    access_key: str
    secret_key: str = field(repr=False)
    pid: int


@contextmanager
def s3_server(
    folder: Path, *, address: str = "127.0.0.1", port: int = 0, identity: Pair | None = None
) -> Generator[S3]:
    """Serve `folder`/data until the end of the block; `port` 0 takes a free one; TLS with an `identity`.

    Its log is `folder`/versitygw.log. A server that was killed can be started again on the same folder.
    Raises SandboxError when it cannot be built or does not answer.
    """
    program = golang.build(golang.VERSITYGW)
    data, metadata = folder / "data", folder / "metadata"
    for made in (data, metadata):
        made.mkdir(parents=True, exist_ok=True)
    port = port or _free_port(address)
    access_key, secret_key = _kept_keys(folder)
    log = folder / "versitygw.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            # Metadata in files of its own: not every file system has extended attributes.
            [
                program,
                f"--port={address}:{port}",
                f"--region={REGION}",
                "--quiet",
                *_tls(folder, identity),
                "posix",
                f"--sidecar={metadata}",
                data,
            ],
            # Keys on a command line would be there for all to read.
            env={**os.environ, "ROOT_ACCESS_KEY_ID": access_key, "ROOT_SECRET_ACCESS_KEY": secret_key},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        _await(process, address, port, log)
        scheme = "http" if identity is None else "https"
        yield S3(f"{scheme}://{address}:{port}", data, access_key, secret_key, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tls(folder: Path, identity: Pair | None) -> list[str]:
    if identity is None:
        return []
    store(identity, folder, "tls")
    return [f"--cert={folder / 'tls.crt'}", f"--key={folder / 'tls.key'}"]


def _await(process: subprocess.Popen[bytes], address: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                last = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
                raise SandboxError(
                    f"versitygw does not answer on {address}:{port}: {last or 'no output'} ({log})"
                ) from error
        time.sleep(0.05)


def _kept_keys(folder: Path) -> tuple[str, str]:
    """The keys of this folder's server, made at its first start."""
    kept = folder / "keys"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(f"{secrets.token_hex(10)} {secrets.token_hex(20)}")
    access_key, secret_key = kept.read_text().split()
    return access_key, secret_key


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return int(listener.getsockname()[1])
