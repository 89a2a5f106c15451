"""Doubles of a clock, a /proc and a registry that answers, for the tests of what runs next to us."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import UnixStreamServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pruner.registry import config
from pruner.registry.config import RegistryConfig


class FakeProc:
    """A /proc below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "self").mkdir(parents=True)
        (folder / "meminfo").touch()

    @property
    def root(self) -> Path:
        """What every process here has for its root."""
        return self.folder / "root"

    def add(
        self,
        pid: int,
        *argv: str,
        started: int = 10**10,
        state: str = "S",
        cwd: str | None = None,
        parent: int = 0,
        environ: Mapping[str, str] | None = None,
        cgroup: str = "0::/",
    ) -> None:
        """A process; it began later than any file was written unless `started` says otherwise."""
        entry = self.folder / str(pid)
        entry.mkdir(exist_ok=True)
        (entry / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
        (entry / "stat").write_text(f"{pid} (odd) name)) {state} {parent} " + "0 " * 17 + f"{started} 0 0\n")
        (entry / "environ").write_text(
            "".join(f"{name}={value}\0" for name, value in (environ or {}).items())
        )
        (entry / "cgroup").write_text(f"{cgroup}\n")
        for name, target in (("root", str(self.root)), ("cwd", cwd)):
            if target and not (entry / name).is_symlink():
                (entry / name).symlink_to(target)

    def serve(self, *, redis: str = "{}", **http: object) -> RegistryConfig:
        """A configuration with a root directory, as a process sees it; returned as it is seen from here."""
        file = self.root / "etc/distribution/config.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        (self.root / "data").mkdir(exist_ok=True)
        storage = "{filesystem: {rootdirectory: /data}}"
        text = f"version: 0.1\nstorage: {storage}\nredis: {redis}\nhttp: {json.dumps(http)}\n"
        file.write_text(text)
        cache = {} if redis == "{}" else {"REGISTRY_STORAGE_CACHE": "{blobdescriptor: redis}"}
        given = config.parse(text.encode(), "/etc/distribution/config.yml", cache)
        return replace(given, path=str(file), root=str(self.root / "data"))

    def end(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()

    def __str__(self) -> str:
        return str(self.folder)


def settings(**http: object) -> RegistryConfig:
    text = f"version: 0.1\nstorage: filesystem\nhttp: {http!r}\n".replace("'", '"')
    return config.parse(text.encode(), "/etc/distribution/config.yml", {})


class Answering:
    """An HTTP server on a loopback port, or a unix socket, that gives every request one status and `body`."""

    def __init__(
        self, status: int, *, context: ssl.SSLContext | None = None, path: Path | None = None
    ) -> None:
        self.requests: list[str] = []
        self.body = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                self.send_response(status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def do_PUT(self) -> None:
                self.do_GET()

            def address_string(self) -> str:
                return "client"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the parameter's name is inherited
                pass

        self.server = UnixStreamServer(str(path), Handler) if path else HTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self.server.socket.getsockname()[1])

    def __enter__(self) -> Answering:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def self_signed(folder: Path, *addresses: str) -> Path:
    """`folder` with ca.crt, a certificate for `addresses` but not localhost, and tls.pem, it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)) for address in addresses]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    (folder / "ca.crt").write_bytes(certificate)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.pem").write_bytes(certificate + secret)
    return folder


def server_tls(identity: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "tls.pem")
    return context
