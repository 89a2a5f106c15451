"""What a running registry takes up when a file changes: logins by itself, certificates by a restart."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from pruner.clock import SystemClock
from pruner.errors import RegistryError
from pruner.registry import config
from pruner.registry.registries import Registries
from pruner.registry.renewal import Renewals
from pruner.registry.supervisor import Restart
from tests.gc.processdoubles import self_signed
from tests.gc.realregistry import RealRegistry, Version

SALT = "$2b$04$abcdefghijklmnopqrstuu"
FIRST = f"anna:{SALT}vybHXQqehXl2NdtAhT6BAmwe6EZ8HOi\n"
SECOND = f"bert:{SALT}0m4FNu/b0Ul0dVXpD5yXn5kdSneXCgS\n"
"""Lines of a htpasswd file, of the passwords `first` and `second`; the registry takes bcrypt alone."""


@pytest.fixture
def logins(tmp_path: Path) -> Path:
    """A file laid out as the kubelet lays out the volume of a Secret: links that turn at once."""
    (tmp_path / "old").mkdir()
    (tmp_path / "..data").symlink_to("old")
    (tmp_path / "old" / "logins").write_text(FIRST)
    os.utime(tmp_path / "old" / "logins", (1000, 1000))
    (tmp_path / "logins").symlink_to("..data/logins")
    return tmp_path / "logins"


@pytest.fixture
def guarded(version: Version, tmp_path: Path, logins: Path) -> Iterator[RealRegistry]:
    registry = configured(version, tmp_path, auth={"htpasswd": {"realm": "registry", "path": str(logins)}})
    with registry:
        yield registry


class Listening(RealRegistry):
    """A registry that is up when it listens: it demands a login, or speaks TLS."""

    def _answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


def configured(version: Version, folder: Path, **settings: dict[str, object]) -> RealRegistry:
    registry = Listening(version, folder / "registry")
    registry.write_config()
    document = yaml.safe_load(registry.config.read_text())
    for key, value in settings.items():
        document[key] = document.get(key, {}) | value
    registry.config.write_text(yaml.safe_dump(document))
    return registry


def status(registry: RealRegistry, name: str, password: str) -> int:
    return requests.get(f"http://{registry.address}/v2/", auth=(name, password), timeout=10).status_code


def written_in_place(logins: Path) -> None:
    logins.write_text(SECOND)


def put_over(logins: Path) -> None:
    (logins.parent / "new").write_text(SECOND)
    os.replace(logins.parent / "new", logins)


def turned(logins: Path) -> None:
    (logins.parent / "fresh").mkdir()
    (logins.parent / "fresh" / "logins").write_text(SECOND)
    (logins.parent / "..data_tmp").symlink_to("fresh")
    os.replace(logins.parent / "..data_tmp", logins.parent / "..data")


@pytest.mark.parametrize("change", [written_in_place, put_over, turned])
def test_logins_are_read_again_at_the_next_request(
    guarded: RealRegistry, logins: Path, change: Callable[[Path], None]
) -> None:
    """Both versions stat the file at each request, and read it again when its time is another one."""
    assert (status(guarded, "anna", "first"), status(guarded, "bert", "second")) == (200, 401)
    change(logins)
    assert (status(guarded, "anna", "first"), status(guarded, "bert", "second")) == (401, 200)
    assert guarded.starts == 1


def test_logins_with_the_same_time_are_not_read_again(guarded: RealRegistry, logins: Path) -> None:
    """Only the time is compared: what puts an old time back goes unseen."""
    assert status(guarded, "anna", "first") == 200
    logins.write_text(SECOND)
    os.utime(logins, (1000, 1000))
    assert (status(guarded, "anna", "first"), status(guarded, "bert", "second")) == (200, 401)


def test_logins_that_are_missing_for_a_moment_refuse_everybody_and_come_back(
    guarded: RealRegistry, logins: Path
) -> None:
    assert status(guarded, "anna", "first") == 200
    logins.unlink()
    assert status(guarded, "anna", "first") in (400, 401, 500)
    logins.write_text(SECOND)
    assert status(guarded, "bert", "second") == 200


def shown(registry: RealRegistry) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", registry.port), timeout=10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
    assert certificate
    return hashlib.sha256(certificate).hexdigest()


def test_a_certificate_is_read_once_in_the_life_of_the_process(version: Version, tmp_path: Path) -> None:
    """Neither version looks at http.tls.certificate and key again: a renewed one takes a restart."""
    served, other = tmp_path / "served", tmp_path / "other"
    for folder in (served, other):
        folder.mkdir()
        self_signed(folder, "127.0.0.1")
    pem = str(served / "tls.pem")
    registry = configured(version, tmp_path, http={"tls": {"certificate": pem, "key": pem}})
    with registry:
        before = shown(registry)
        shutil.copy(other / "tls.pem", served / "tls.pem")
        assert shown(registry) == before
        registry.stop()
        registry.start()
        assert shown(registry) != before


@pytest.fixture
def served(version: Version, tmp_path: Path) -> Iterator[RealRegistry]:
    """A registry that serves `..data/tls.pem`, laid out as the kubelet lays out the volume of a Secret."""
    renew(tmp_path, "first")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    tls = {"certificate": str(tmp_path / "tls.crt"), "key": str(tmp_path / "tls.key")}
    registry = configured(version, tmp_path, http={"tls": tls})
    registry.supervised = True
    with registry:
        shown(registry)  # it listens before it reads the certificate
        yield registry


def renew(folder: Path, name: str, *, key_of: str | None = None) -> None:
    """Turns the volume to another certificate, with its key or that of another."""
    (folder / name).mkdir()
    self_signed(folder / name, "127.0.0.1")
    pem = (folder / name / "tls.pem").read_text()
    (folder / name / "tls.crt").write_text(pem)
    (folder / name / "tls.key").write_text((folder / key_of / "tls.pem").read_text() if key_of else pem)
    (folder / "..data_tmp").symlink_to(name)
    os.replace(folder / "..data_tmp", folder / "..data")


def renewals(registry: RealRegistry, restart: Restart = "allowed") -> Renewals:
    given = config.load(str(registry.config), {})
    return Renewals(given, Registries(SystemClock(), restart=restart))


def test_a_renewed_certificate_is_taken_up_by_a_restart_in_place(
    served: RealRegistry, tmp_path: Path
) -> None:
    watch, before = renewals(served), shown(served)
    assert watch.take_up() == []
    renew(tmp_path, "second")
    assert watch.take_up() == [
        f"the registry was restarted in place, since {tmp_path / 'tls.crt'} was renewed"
    ]
    assert shown(served) != before
    assert served.starts == 2
    assert watch.take_up() == []
    renew(tmp_path, "third")
    assert len(watch.take_up()) == 1
    assert served.starts == 3


def test_a_renewal_that_came_while_nobody_looked_is_taken_up(served: RealRegistry, tmp_path: Path) -> None:
    renew(tmp_path, "second")
    assert len(renewals(served).take_up()) == 1
    assert renewals(served).take_up() == []
    assert served.starts == 2


def test_a_renewal_that_cannot_be_served_stops_no_registry(served: RealRegistry, tmp_path: Path) -> None:
    """It would not start again with such a pair."""
    watch, before = renewals(served), shown(served)
    renew(tmp_path, "second", key_of="first")
    with pytest.raises(RegistryError, match="see that certificate and key go together"):
        watch.take_up()
    assert watch.take_up() == [], "once is enough"
    assert (shown(served), served.starts) == (before, 1)
    renew(tmp_path, "third")
    assert len(watch.take_up()) == 1


def test_a_registry_that_nobody_starts_again_goes_on_with_the_old_one(
    served: RealRegistry, tmp_path: Path
) -> None:
    watch, before = renewals(served, "never"), shown(served)
    renew(tmp_path, "second")
    with pytest.raises(
        RegistryError, match=r"serves the old one until somebody restarts it: GC_RESTART is never"
    ):
        watch.take_up()
    assert (shown(served), served.starts) == (before, 1)
