"""The registry asked over HTTP, by whoever runs next to it.

Its root says how it is, whatever its prefix: behind its health check, and neither behind a login nor in its
log.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from pruner.delays import GLANCE_TIMEOUT, REGISTRY_TIMEOUT
from pruner.errors import ConfigError, RegistryError
from pruner.registry.config import HttpConfig

_WILDCARDS = frozenset({"", "0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Glance:
    """How the registry answers: the HTTP status, and the certificate that it serves (DER), if any."""

    status: int
    certificate: bytes | None


class Asker:
    """Asks a registry that listens in our network namespace."""

    def __init__(self, ca: str | None = None) -> None:
        """`ca` is the CA file for its certificate; without one any certificate will do."""
        self._ca = ca

    def trouble(self, http: HttpConfig) -> str:
        """What is wrong with its answer, or nothing; raises ConfigError when it cannot be asked."""
        if http.net == "tcp" and not http.port:
            raise ConfigError("http.addr names no port, so the registry cannot be asked if it is back")
        try:
            status = self._request(http, "GET", "/")
        except (OSError, HTTPException) as error:
            return f"{where(http)} gives {error or type(error).__name__}"
        return "" if status in (200, 401) else f"{where(http)} answers with status {status}"

    def answers(self, http: HttpConfig) -> bool:
        """Whether something is there, well or not."""
        if http.net == "tcp" and not http.port:
            return False
        try:
            self._request(http, "GET", "/")
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (OSError, HTTPException):
            return True
        return True

    def takes_writes(self, http: HttpConfig) -> bool | None:
        """Whether the registry takes pushes; None when it demands a login and so cannot be asked.

        Asks with a manifest that is not one: 400 from a writable registry, 405 from a read-only one, and
        nothing is stored. Raises RegistryError for any other answer, or none.
        """
        try:
            status = self._request(http, "PUT", f"{http.prefix}v2/pruner-probe/manifests/probe")
        except (OSError, HTTPException) as error:
            raise RegistryError(f"the registry does not answer at {where(http)}: {error}") from error
        if status in (400, 405):
            return status == 400
        if status in (401, 403):
            return None
        raise RegistryError(f"the registry at {where(http)} answered a push with the odd status {status}")

    def glance(self, http: HttpConfig) -> Glance:
        """How the registry answers at this moment, whether or not its certificate is good.

        Raises OSError or HTTPException when it does not answer within GLANCE_TIMEOUT.
        """
        connection = HTTPConnection("localhost")
        try:
            connection.sock = plain = self._connect(http, GLANCE_TIMEOUT, verified=False)
            certificate = plain.getpeercert(binary_form=True) if isinstance(plain, ssl.SSLSocket) else None
            try:
                connection.request("GET", "/")
                return Glance(connection.getresponse().status, certificate)
            except ssl.SSLError as error:
                if http.client_certificates and "ALERT" in (error.reason or ""):
                    return Glance(401, certificate)
                raise
        finally:
            connection.close()

    def _request(self, http: HttpConfig, method: str, path: str) -> int:
        connection = HTTPConnection("localhost")
        try:
            connection.sock = self._connect(http)
            headers = {"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"}
            connection.request(method, path, headers=headers if method == "PUT" else {})
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
            plain = _dial(http, timeout)
        if not http.tls:
            return plain
        try:
            return self._tls(verified=verified).wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise

    def _tls(self, *, verified: bool) -> ssl.SSLContext:
        # The peer is reached over loopback, so its name proves nothing, and a certificate of somebody's own
        # may lack localhost. Without a CA this is the kubelet's probe, which verifies nothing either.
        try:
            context = ssl.create_default_context(cafile=self._ca if verified else None)
        except OSError as error:
            raise ConfigError(f"the CA file {self._ca} cannot be read ({error}): check GC_CA") from error
        context.check_hostname = False
        # Who is in the file is trusted, also one whom another signed: that is how Go's clients have it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self._ca is None or not verified:
            context.verify_mode = ssl.CERT_NONE
        return context


def where(http: HttpConfig) -> str:
    """The address that is asked, for a sentence."""
    if http.net == "unix":
        return f"the socket {http.path}"
    host = "localhost" if http.host in _WILDCARDS else http.host
    return f"{'https' if http.tls else 'http'}://{host}:{http.port}/"


def _dial(http: HttpConfig, timeout: float) -> socket.socket:
    if http.host not in _WILDCARDS:
        return socket.create_connection((http.host, http.port), timeout=timeout)
    try:
        return socket.create_connection(("127.0.0.1", http.port), timeout=timeout)
    except OSError:
        return socket.create_connection(("::1", http.port), timeout=timeout)
