"""Stand-ins for a clock, a /proc and a registry that answers, for the tests of what runs next to us."""

from __future__ import annotations

import ssl
import threading
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

    def add(self, pid: int, *argv: str, started: int = 100, state: str = "S", cwd: str | None = None) -> None:
        entry = self.folder / str(pid)
        entry.mkdir(exist_ok=True)
        (entry / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
        (entry / "stat").write_text(f"{pid} (odd) name)) {state} " + "0 " * 18 + f"{started} 0 0\n")
        if cwd:
            (entry / "cwd").symlink_to(cwd)

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
    """An HTTP server on a loopback port, or a unix socket, that gives every request one status."""

    def __init__(
        self, status: int, *, context: ssl.SSLContext | None = None, path: Path | None = None
    ) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

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
