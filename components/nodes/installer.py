"""Has a node trust a registry: puts its authorities where the container runtimes look, and keeps them there.

It runs in a pod on every node, as one file, on any Python from 3.11 and nothing else. In each folder of
certificates it has one file per address of the registry, `ADDRESS/NAME.crt`, and touches no other. When the
pod ends it takes them away only if the DaemonSet itself is being deleted: the end of a rollout, a drain, an
eviction or a restart of the node looks the same from inside, so the API server is asked, and where that does
not say so for certain everything stays.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import stat
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob
from typing import Any, cast

_PERIOD = 60.0  # seconds between two looks whether somebody took a file away
_TRIES, _PAUSE, _TIMEOUT = 4, 2.0, 5.0  # of a question to the API server; seconds. The pod has 45 to end

_CONFIG = "/etc/containerd/config.toml"
_PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri", "cri")  # of versions 3, 2 and 1
_RANCHER = "/var/lib/rancher/"
_LOOKS_BY_ITSELF = (2, 2)  # the version of containerd from which on config_path has a default

Get = Callable[[str], "dict[str, Any] | None"]
"""What the API server has at a path, None for nothing. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be there: the file `name` with `ca` for each address (host:port) in each of the folders.

    Folders are called as the node calls them; they are mounted below `root`. Nothing is wanted without a CA:
    systems trust what signs then.
    """

    addresses: tuple[str, ...]
    folders: tuple[str, ...]
    name: str
    ca: bytes
    root: str


@dataclass(frozen=True, slots=True)
class Status:
    """What came of it by folder, and what somebody has to do."""

    done: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def line(self, node: str, addresses: Iterable[str]) -> str:
        """All of it in one line."""
        words = [
            f"node={node}",
            f"registry={','.join(addresses)}",
            f"trusted={','.join(self.done) or 'nowhere'}",
        ]
        words += [f"failed={json.dumps(f'{folder}: {why}')}" for folder, why in self.failed]
        return " ".join(words + [f"note={json.dumps(note)}" for note in self.notes])


def install(wanted: Wanted, notes: Iterable[str] = ()) -> Status:
    """Put everything in its place, take away what an earlier address left. A bad folder stops no other."""
    done: list[str] = []
    failed: list[tuple[str, str]] = []
    said, addresses = list(notes), wanted.addresses if wanted.ca else ()
    for folder in wanted.folders:
        try:
            for address in addresses:
                _put(wanted.root + folder, address, wanted.name, wanted.ca)
                said += _overruled(wanted, folder, address)
            _sweep(wanted.root + folder, wanted.name, addresses)
            done.append(folder)
        except OSError as error:
            failed.append((folder, error.strerror or str(error)))
    return Status(tuple(done), tuple(failed), tuple(said))


def remove(wanted: Wanted) -> Status:
    """Take everything away that `install` put there."""
    return install(Wanted((), wanted.folders, wanted.name, b"", wanted.root))


def is_deleted(get: Get, daemon_set: str) -> bool:
    """Whether the DaemonSet NAMESPACE/NAME is gone or going. Raises OSError where that is not known."""
    namespace, _, name = daemon_set.partition("/")
    found = get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
    return found is None or "deletionTimestamp" in found["metadata"]


def restarts_needed(wanted: Wanted, runtime: str) -> list[str]:
    """What the node's runtime, such as containerd://1.7.27, cannot see without a change of its own."""
    kind, _, version = runtime.partition("://")
    looked_into = any(folder.startswith(f"{os.path.dirname(_CONFIG)}/") for folder in wanted.folders)
    # Docker and CRI-O look at each pull; among folders that a person named, the configuration is not mounted.
    if kind not in ("containerd", "") or not wanted.ca or not looked_into:
        return []
    if "k3s" in version:
        # k3s and RKE2 set up their containerd so that it looks.
        has = any(folder.startswith(_RANCHER) for folder in wanted.folders)
        return [] if has else [f"k3s and RKE2 look below {_RANCHER}: add the folder to nodeTrust.folders"]
    try:
        paths = _config_paths(wanted.root)
    except (OSError, ValueError) as error:
        return [f"{_CONFIG} cannot be read ({error}): where containerd looks is not known"]
    if paths & set(wanted.folders):
        return []
    if paths:
        return [f"containerd looks in {' and '.join(sorted(paths))}: add it to nodeTrust.folders"]
    numbers = tuple(int(part) for part in version.lstrip("v").split(".")[:2] if part.isdecimal())
    if numbers >= _LOOKS_BY_ITSELF:
        return []
    return [
        f"containerd {version or 'before 2.2'} looks in no folder until registry.config_path in {_CONFIG} is "
        f"{wanted.folders[0]} and it is restarted"
    ]


def _put(folder: str, address: str, name: str, content: bytes) -> None:
    """Write `folder/address/name` durably and at once, unless it is there already."""
    own = f"{folder}/{address}"
    with suppress(FileExistsError), _opened(folder) as above:
        os.mkdir(own, 0o755)
        os.fsync(above)
    with _opened(own) as at:
        if _holds(at, name, content):
            return
        new = f".{name}.new"
        _unlink(at, new)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(new, flags, 0o644, dir_fd=at), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, name, src_dir_fd=at, dst_dir_fd=at)
        os.fsync(at)


def _holds(at: int, name: str, content: bytes) -> bool:
    try:
        state = os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(state.st_mode) or stat.S_IMODE(state.st_mode) != 0o644:
        return False
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at), "rb") as file:
        return file.read(len(content) + 1) == content


def _sweep(folder: str, name: str, addresses: Iterable[str]) -> None:
    """Take our file away from every other address, and its folder if nothing else is in it."""
    for entry in os.scandir(folder):
        if entry.name in addresses or not entry.is_dir(follow_symlinks=False):
            continue
        with _opened(entry.path) as at:
            ours = [_unlink(at, each) for each in (name, f".{name}.new")]
            left = os.listdir(at)
        if any(ours) and not left:
            os.rmdir(entry.path)


def _unlink(at: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=at)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _opened(folder: str) -> Generator[int]:
    """The folder's descriptor; a link in its place would have us write somewhere else."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield at
    finally:
        os.close(at)


def _overruled(wanted: Wanted, folder: str, address: str) -> list[str]:
    """containerd looks at no other file where there is a hosts.toml, which is somebody else's."""
    own = f"{folder}/{address}"
    try:
        with open(f"{wanted.root}{own}/hosts.toml", "rb") as file:
            if wanted.name.encode() in file.read():
                return []
    except FileNotFoundError:
        return []
    return [f"{own}/hosts.toml overrules it for containerd: name {own}/{wanted.name} there as ca"]


def _config_paths(root: str) -> set[str]:
    """Where the node's containerd is set to look. Raises OSError or ValueError."""
    paths: set[str] = set()
    ahead = [_CONFIG]
    for path in ahead:
        try:
            with open(root + path, "rb") as file:
                config = tomllib.load(file)
        except FileNotFoundError:
            continue
        for each in config.get("imports", []):
            matches = glob(root + os.path.join(os.path.dirname(path), each))
            ahead += [found for match in matches if (found := match.removeprefix(root)) not in ahead]
        for plugin in _PLUGINS:
            registry = config.get("plugins", {}).get(plugin, {}).get("registry", {})
            paths |= {part for part in registry.get("config_path", "").split(":") if part}
    return paths


class Api:
    """The API server as the pod's service account sees it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        self._server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._folder = environ["TRUST_ACCOUNT"]

    def get(self, path: str) -> dict[str, Any] | None:
        """As `Get`; asks again a few times while there is no answer."""
        for attempt in range(_TRIES):
            try:
                return self._get(path)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                if error.code < 500:
                    raise
            except OSError:
                if attempt == _TRIES - 1:
                    raise
            time.sleep(_PAUSE)
        raise OSError("the API server does not answer")

    def _get(self, path: str) -> dict[str, Any]:
        with open(f"{self._folder}/token", encoding="ascii") as file:
            login = {"Authorization": f"Bearer {file.read()}"}
        request = urllib.request.Request(self._server + path, headers=login)
        context = ssl.create_default_context(cafile=f"{self._folder}/ca.crt")
        with urllib.request.urlopen(request, timeout=_TIMEOUT, context=context) as response:
            return cast("dict[str, Any]", json.load(response))


def _runtime(get: Get, node: str) -> str:
    try:
        found = get(f"/api/v1/nodes/{node}") or {}
    except OSError:
        return ""
    return found.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", "")


def main(environ: Mapping[str, str]) -> int:
    """Keep the node's folders as they are wanted until a signal ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # asked for below, and lost at no other moment
    get, node = Api(environ).get, environ["NODE_NAME"]
    with open(environ["TRUST_CA"], "rb") as file:
        ca = file.read()
    addresses = tuple(environ["TRUST_ADDRESSES"].split(","))
    folders = tuple(environ["TRUST_FOLDERS"].split(":"))
    wanted = Wanted(addresses, folders, environ["TRUST_NAME"], ca, environ["TRUST_ROOT"])
    runtime, said = _runtime(get, node), ""
    while True:
        status = install(wanted, restarts_needed(wanted, runtime))
        line = status.line(node, addresses)
        if line != said:
            print(said := line, flush=True)
        if status.done:
            os.close(os.open(environ["TRUST_READY"], os.O_CREAT, 0o644))
        if signal.sigtimedwait({signal.SIGTERM}, _PERIOD):
            break
    why = "only this pod ends"
    try:
        deleted = is_deleted(get, environ["TRUST_DAEMONSET"])
    except OSError as error:
        deleted, why = False, f"whether the registry goes is not known ({error})"
    if not deleted:
        print(f"node={node} left as it is: {why}", flush=True)
        return 0
    status = remove(wanted)
    print(status.line(node, addresses).replace(" trusted=", " removed="), flush=True)
    return 1 if status.failed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
