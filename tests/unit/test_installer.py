"""What has nodes trust a registry: on a folder in the place of a node's root, and as a process."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from docker_registry_stack.nodes import installer
from docker_registry_stack.nodes.installer import Wanted, install, is_deleted, remove, restarts_needed
from tests.gc.processdoubles import self_signed, server_tls
from tests.gc.waiting import until

DOCKER, CONTAINERD = "/etc/docker/certs.d", "/etc/containerd/certs.d"
HERE, THERE = "10.0.0.5:32000", "[2001:db8::1]:32000"
DAEMONSET = "/apis/apps/v1/namespaces/docker-registry-nodes/daemonsets/trust"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (DOCKER, CONTAINERD):
        (tmp_path / folder[1:]).mkdir(parents=True)
    return tmp_path


def wanted(root: Path, *addresses: str, ca: bytes = b"an authority\n") -> Wanted:
    return Wanted(addresses or (HERE, THERE), (CONTAINERD, DOCKER), "docker-registry.crt", ca, str(root))


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root / "etc")): path.read_bytes()
        for path in sorted((root / "etc").rglob("*"))
        if path.is_file()
    }


def placed(*addresses: str, ca: bytes = b"an authority\n") -> dict[str, bytes]:
    return {
        f"{folder}/certs.d/{address}/docker-registry.crt": ca
        for folder in ("containerd", "docker")
        for address in addresses
    }


def test_each_address_has_its_file_in_each_folder_readable_by_all(root: Path) -> None:
    previous = os.umask(0o077)
    try:
        status = install(wanted(root))
    finally:
        os.umask(previous)
    assert files(root) == placed(HERE, THERE)
    assert (status.done, status.failed, status.notes) == ((CONTAINERD, DOCKER), (), ())
    path = root / DOCKER[1:] / HERE / "docker-registry.crt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_is_unchanged_is_not_written_again(root: Path) -> None:
    install(wanted(root))
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")}
    install(wanted(root))
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")} == before


def test_what_changed_or_went_is_mended_whole(root: Path) -> None:
    install(wanted(root))
    changed, gone, locked = (
        root / DOCKER[1:] / HERE,
        root / DOCKER[1:] / THERE,
        root / CONTAINERD[1:] / HERE,
    )
    (changed / "docker-registry.crt").write_text("an authority\nand something below it")
    (changed / ".docker-registry.crt.new").write_text("left by one that was killed")
    (gone / "docker-registry.crt").unlink()
    gone.rmdir()
    (locked / "docker-registry.crt").chmod(0o600)
    install(wanted(root))
    assert files(root) == placed(HERE, THERE)
    assert stat.S_IMODE((locked / "docker-registry.crt").stat().st_mode) == 0o644


def test_a_new_authority_takes_the_place_of_the_old_one_at_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads sees the one or the other: what is renamed has been synced before."""
    install(wanted(root, HERE))
    synced: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def noted_rename(source: str, target: str, **at: int) -> None:
        assert synced[-1].endswith(f"/{source}"), "it is on the disk before it has its name"
        assert not source.endswith(".crt"), "no runtime reads it half written"
        rename(source, target, **at)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    install(wanted(root, HERE, ca=b"two authorities\n"))
    assert files(root) == placed(HERE, ca=b"two authorities\n")
    assert synced[-1].endswith(HERE), "and so is the folder afterwards"


def test_an_address_that_is_no_more_is_taken_away(root: Path) -> None:
    install(wanted(root, HERE, THERE))
    install(wanted(root, THERE))
    assert files(root) == placed(THERE)
    assert not (root / DOCKER[1:] / HERE).exists()


def test_what_others_put_there_stays(root: Path) -> None:
    others = {
        f"docker/certs.d/{HERE}/ca.crt": b"a person's",
        "docker/certs.d/mirror.example/docker-registry-2.crt": b"another registry's",
        "containerd/certs.d/docker.io/hosts.toml": b"a mirror",
    }
    for name, content in others.items():
        (root / "etc" / name).parent.mkdir()
        (root / "etc" / name).write_bytes(content)
    install(wanted(root))
    assert files(root) == {**others, **placed(HERE, THERE)}
    assert remove(wanted(root)).failed == ()
    assert files(root) == others
    assert {entry.name for entry in (root / CONTAINERD[1:]).iterdir()} == {"docker.io"}


def test_a_bad_folder_stops_no_other_and_is_named(root: Path) -> None:
    (root / CONTAINERD[1:] / HERE).write_text("a file in the way")
    status = install(wanted(root, HERE))
    assert status.done == (DOCKER,)
    assert status.failed == ((CONTAINERD, "Not a directory"),)
    assert f"docker/certs.d/{HERE}/docker-registry.crt" in files(root)


def test_links_lead_nowhere(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "docker-registry.crt").write_text("not ours")
    (root / DOCKER[1:] / HERE).symlink_to(elsewhere)
    (root / DOCKER[1:] / "old.example:1").symlink_to(elsewhere)
    (root / CONTAINERD[1:] / HERE).mkdir()
    (root / CONTAINERD[1:] / HERE / "docker-registry.crt").symlink_to(elsewhere / "docker-registry.crt")
    status = install(wanted(root, HERE))
    assert [folder for folder, _ in status.failed] == [DOCKER]
    assert (elsewhere / "docker-registry.crt").read_text() == "not ours"
    assert not (root / CONTAINERD[1:] / HERE / "docker-registry.crt").is_symlink()
    remove(wanted(root, HERE))
    assert (elsewhere / "docker-registry.crt").read_text() == "not ours"


def test_where_systems_trust_it_anyway_nothing_is_put_anywhere(root: Path) -> None:
    install(wanted(root))
    install(wanted(root, ca=b""))
    assert files(root) == {}


def test_a_hosts_file_of_others_overrules_it_unless_it_names_it(root: Path) -> None:
    own = root / CONTAINERD[1:] / HERE
    own.mkdir()
    (own / "hosts.toml").write_text('server = "https://mirror.example"')
    (note,) = install(wanted(root, HERE)).notes
    assert note.startswith(f"{CONTAINERD}/{HERE}/hosts.toml overrules it for containerd: name ")
    (own / "hosts.toml").write_text(f'ca = "{CONTAINERD}/{HERE}/docker-registry.crt"')
    assert install(wanted(root, HERE)).notes == ()


@pytest.mark.parametrize(
    ("runtime", "config", "said"),
    [
        ("containerd://2.2.0", None, None),
        ("containerd://2.2.0", "version = 3", None),
        ("containerd://1.7.27", None, "containerd 1.7.27 looks in no folder until registry.config_path"),
        ("containerd://2.1.4", "version = 3", "containerd 2.1.4 looks in no folder"),
        ("", None, "containerd before 2.2 looks in no folder"),
        (
            "containerd://1.7.27",
            '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"',
            None,
        ),
        (
            "containerd://2.1.4",
            '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/opt/a:/etc/docker/certs.d"',
            None,
        ),
        ("containerd://1.6.0", '[plugins.cri.registry]\nconfig_path = "/etc/containerd/certs.d"', None),
        ("containerd://1.7.0", 'imports = ["/etc/containerd/conf.d/*.toml"]', None),
        (
            "containerd://2.2.0",
            '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/opt/certs.d"',
            "containerd looks in /opt/certs.d: add it to nodeTrust.folders",
        ),
        ("containerd://2.2.0", "not toml at all", "config.toml cannot be read"),
        ("containerd://1.7.23-k3s2", None, "k3s and RKE2 look below /var/lib/rancher/: add the folder"),
        ("cri-o://1.33.0", None, None),
        ("docker://28.0.0", None, None),
    ],
)
def test_what_needs_a_restart_is_said(root: Path, runtime: str, config: str | None, said: str | None) -> None:
    if config is not None:
        (root / "etc/containerd/config.toml").write_text(config)
        (root / "etc/containerd/conf.d").mkdir()
        (root / "etc/containerd/conf.d/certs.toml").write_text(
            '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"'
        )
    notes = restarts_needed(wanted(root), runtime)
    assert (len(notes), said is None or said in notes[0]) == (0 if said is None else 1, True), notes


def test_k3s_looks_where_it_was_told_to(root: Path) -> None:
    folders = (*wanted(root).folders, "/var/lib/rancher/k3s/agent/etc/containerd/certs.d")
    assert restarts_needed(replace(wanted(root), folders=folders), "containerd://1.7.23-k3s2") == []


def test_a_daemon_set_that_goes_is_told_from_one_that_stays() -> None:
    answers: dict[str, dict[str, Any] | None] = {
        "a/stays": {"metadata": {}},
        "a/goes": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        "a/gone": None,
    }
    for name, answer in answers.items():
        assert is_deleted(lambda _path, answer=answer: answer, name) == (name != "a/stays")


@dataclass
class Api:
    """An API server: what it answers by path, else 404."""

    port: int = 0
    answers: dict[str, tuple[int, dict[str, Any]]] = field(
        default_factory=dict[str, tuple[int, dict[str, Any]]]
    )
    tokens: set[str] = field(default_factory=set[str])


@contextmanager
def api_server(identity: Path) -> Generator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.tokens.add(self.headers["Authorization"])
            status, body = api.answers.get(self.path, (404, {"kind": "Status"}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = server_tls(identity).wrap_socket(server.socket, server_side=True)
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    folder = self_signed_folder(tmp_path)
    (folder / "token").write_text("a-token")
    return folder


def self_signed_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "account"
    folder.mkdir()
    return self_signed(folder, "127.0.0.1")


@pytest.fixture
def api(account: Path) -> Iterator[Api]:
    with api_server(account) as running:
        running.answers["/api/v1/nodes/n1"] = (
            200,
            {"status": {"nodeInfo": {"containerRuntimeVersion": "containerd://1.7.27"}}},
        )
        running.answers[DAEMONSET] = (200, {"metadata": {"name": "trust"}})
        yield running


@contextmanager
def running(root: Path, account: Path, api: Api) -> Generator[subprocess.Popen[str]]:
    """The program as its pod runs it, until it has done its work once."""
    (account / "authorities").write_text("an authority\n")
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(api.port),
        "NODE_NAME": "n1",
        "TRUST_ADDRESSES": f"{HERE},{THERE}",
        "TRUST_FOLDERS": f"{CONTAINERD}:{DOCKER}",
        "TRUST_NAME": "docker-registry.crt",
        "TRUST_CA": str(account / "authorities"),
        "TRUST_READY": str(account / "ready"),
        "TRUST_ROOT": str(root),
        "TRUST_ACCOUNT": str(account),
        "TRUST_DAEMONSET": "docker-registry-nodes/trust",
    }
    command = [sys.executable, "-I", installer.__file__]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        until((account / "ready").exists, 120, what=lambda: "it has done its work")
        yield process
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> list[str]:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    return output.splitlines()


def test_it_says_in_one_line_what_it_did_and_leaves_it_when_only_the_pod_ends(
    root: Path, account: Path, api: Api
) -> None:
    with running(root, account, api) as process:
        assert files(root) == placed(HERE, THERE)
        first, last = ended(process)
    assert first.startswith(f"node=n1 registry={HERE},{THERE} trusted={CONTAINERD},{DOCKER} note=")
    assert "containerd 1.7.27 looks in no folder" in first
    assert last == "node=n1 left as it is: only this pod ends"
    assert files(root) == placed(HERE, THERE)
    assert api.tokens == {"Bearer a-token"}


@pytest.mark.parametrize("state", ["going", "gone"])
def test_it_takes_everything_away_when_the_daemon_set_goes(
    root: Path, account: Path, api: Api, state: str
) -> None:
    with running(root, account, api) as process:
        if state == "going":
            api.answers[DAEMONSET] = (200, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
        else:
            del api.answers[DAEMONSET]
        *_, last = ended(process)
    assert last == f"node=n1 registry={HERE},{THERE} removed={CONTAINERD},{DOCKER}"
    assert files(root) == {}


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_answer_that_says_nothing_takes_nothing_away(
    root: Path, account: Path, api: Api, status: int
) -> None:
    with running(root, account, api) as process:
        api.answers[DAEMONSET] = (status, {"kind": "Status"})
        *_, last = ended(process)
    assert last.startswith("node=n1 left as it is: whether the registry goes is not known")
    assert files(root) == placed(HERE, THERE)


def test_an_api_server_that_it_does_not_know_is_not_believed(
    root: Path, account: Path, api: Api, tmp_path: Path
) -> None:
    with running(root, account, api) as process:
        del api.answers[DAEMONSET]
        other = tmp_path / "other"
        other.mkdir()
        (account / "ca.crt").write_bytes((self_signed(other, "127.0.0.1") / "ca.crt").read_bytes())
        *_, last = ended(process)
    assert last.startswith("node=n1 left as it is: whether the registry goes is not known")
    assert files(root) == placed(HERE, THERE)
