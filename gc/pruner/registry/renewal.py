"""A certificate that was renewed under a running registry: noticed, and taken up by a restart in place.

Neither version reads http.tls.certificate and key again. What is served is compared with what the file holds,
so that nothing has to be remembered: a pruner that was away sees a renewal all the same.
"""

from __future__ import annotations

import os
import ssl
from http.client import HTTPException

from pruner.errors import RegistryError
from pruner.registry.config import RegistryConfig
from pruner.registry.opened import Opened, inside
from pruner.registry.process import RegistryProcess
from pruner.registry.registries import Registries

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_State = tuple[int, float, int, float]
"""Inode and time of the files of certificate and key: other ones when either was renewed."""


class Renewals:
    """Looks after the certificates of the registries that serve a tree."""

    def __init__(self, config: RegistryConfig, registry: Registries, proc: str = "/proc") -> None:
        self._config = config
        self._registry = registry
        self._proc = proc
        # What needs no second look, by process, and what a command was restarted for.
        self._seen: dict[RegistryProcess, _State] = {}
        self._restarted: dict[tuple[str, ...], _State] = {}

    def take_up(self) -> list[str]:
        """Restart what serves another certificate than its file holds; a sentence on each.

        One that does not answer is looked at another time. A renewal is tried once: raises RegistryError for
        one that cannot be served, that may not be taken up by a restart, or that is not served after it.
        """
        said: list[str] = []
        ours = self._registry.survey(self._config).ours
        self._seen = {each.process: self._seen[each.process] for each in ours if each.process in self._seen}
        for each in ours:
            http = each.config.http
            if http.certificate and not http.letsencrypt and self._is_renewed(each):
                self._registry.restart_one(each, self._config)
                said.append(f"the registry was restarted in place, since {http.certificate} was renewed")
        return said

    def _is_renewed(self, each: Opened) -> bool:
        path = each.config.http.certificate
        try:
            certificate, key = self._files(each)
            state = _state(certificate, key)
            if self._seen.get(each.process) == state:
                return False
            served = self._registry.glance(each.config.http).certificate
            held = first_certificate(certificate)
        except (OSError, HTTPException, ValueError):
            return False  # it is starting or ending, or the files are just being put there
        self._seen[each.process] = state
        if served == held:
            return False
        if self._restarted.get(each.process.argv) == state:
            raise RegistryError(
                f"the registry was restarted for the renewed {path}, and another certificate is served "
                "still: see what answers at its address"
            )
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise RegistryError(
                f"the renewed {path} cannot be served ({error}), so the registry goes on with what it has: "
                "see that certificate and key go together"
            ) from error
        if why := self._registry.why_not_restarted(each):
            raise RegistryError(
                f"{path} was renewed, and {each.process} serves the old one until somebody restarts it: {why}"
            )
        self._restarted[each.process.argv] = state
        return True

    def _files(self, each: Opened) -> tuple[str, str]:
        """Certificate and key as they are reached from here; raises OSError."""
        root = f"{self._proc}/{each.process.pid}/root"
        return inside(root, each.config.http.certificate), inside(root, each.config.http.key)


def first_certificate(path: str) -> bytes:
    """The DER of the first certificate of a PEM file, the server's own; raises OSError or ValueError."""
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"{path} holds no certificate")
    return ssl.PEM_cert_to_DER_cert(text[text.index(_BEGIN) : text.index(_END) + len(_END)])


def _state(certificate: str, key: str) -> _State:
    one, other = os.stat(certificate), os.stat(key)
    return one.st_ino, one.st_mtime, other.st_ino, other.st_mtime


def _no_password() -> str:
    raise ValueError("the key is encrypted")
