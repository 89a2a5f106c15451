"""A copy of a registry's images while it serves: a tar on standard output. docs/storage.md has it back.

It runs where the images are, on any Python, with nothing but what that brings along:

    kubectl -n docker-registry exec -i deploy/registry -c gc -- python3 - < gc/backup.py > images.tar

With several replicas that is deploy/registry-pruner.

A registry writes a blob before what refers to it, and here what refers is read before the blobs: all that was
pushed when this began is whole in the copy. The pruner is kept away by its own locks; a run is waited for.

Exit code 0 is a whole copy, and nothing else is.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
import tarfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

BASE = "docker/registry/v2"
# In this order, as a run of the pruner takes them; it holds the first to its end, and lends the second.
LOCKS = (f"{BASE}/pruner/run", f"{BASE}/pruner/lock")
# What refers comes first. Each folder with the name of the files in it that are the registry's.
PARTS = (("repositories", "link"), ("blobs", "data"))
UPLOADS = "_uploads"
# Seconds: a link that is empty is being written.
PATIENCE, MOMENT = 5.0, 0.05


def main() -> int:
    """Write the copy of the tree below the first argument, by default where the stack has it."""
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else "/var/lib/registry")
    if not os.path.isdir(BASE):
        print(f"backup: {os.getcwd()} holds no registry ({BASE} is not there)", file=sys.stderr)
        return 1
    os.makedirs(os.path.dirname(LOCKS[0]), exist_ok=True)
    with locked(LOCKS[0]), locked(LOCKS[1]):
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            links, blobs = (
                sum(add(archive, path) for path in files(f"{BASE}/{part}", name)) for part, name in PARTS
            )
        sys.stdout.buffer.flush()
    print(f"backup: {links} links, {blobs} blobs", file=sys.stderr)
    return 0


@contextmanager
def locked(path: str) -> Generator[None]:
    """Hold one of the pruner's locks, and wait for who holds it."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("backup: waiting for the pruner to end its run", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"a backup, pid {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def files(folder: str, name: str) -> Iterator[str]:
    """Every file of that name below, but for uploads that are under way."""
    for here, folders, found in os.walk(folder, onerror=unless_gone):
        # Tags before revisions, manifests before layers: again what refers comes first.
        folders[:] = sorted((each for each in folders if each != UPLOADS), reverse=True)
        if name in found:
            yield os.path.join(here, name)


def unless_gone(error: OSError) -> None:
    """A client may delete what is about to be read; any other error ends the copy."""
    if not isinstance(error, FileNotFoundError):
        raise error


def add(archive: tarfile.TarFile, path: str) -> bool:
    """Add a file to the archive; False if it is gone."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.mode, entry.size = status.st_mtime, 0o644, status.st_size
            if path.endswith("/link"):
                link = whole(path)
                entry.size = len(link)
                archive.addfile(entry, io.BytesIO(link))
            else:
                archive.addfile(entry, file)
    except FileNotFoundError:
        return False
    return True


def whole(path: str) -> bytes:
    """The content of a link, which for a moment may have none."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with open(path, "rb") as file:
            content = file.read()
        if content or time.monotonic() > deadline:
            return content
        time.sleep(MOMENT)


if __name__ == "__main__":
    sys.exit(main())
