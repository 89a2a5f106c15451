"""The bare floor: the blobs that could go, found by a script that trusts the tree and does nothing else.

    python floor.py ROOT

It lists the folders of blobs, layers and revisions without entering what is in them, reads `current/link` of
each tag and every manifest once, keeps digests as bytes, and looks at the candidates' sizes. It checks no
digest, no age and no damage, knows no indexes of images and no referrers, and writes three numbers: nobody
should prune by it. What is slower than this pays for safety.
"""

from __future__ import annotations

import json
import os
import sys


def keys_in(folder: str) -> list[bytes]:
    """The digests that the folders in a folder are named after."""
    try:
        return [bytes.fromhex(name) for name in os.listdir(folder)]
    except FileNotFoundError:
        return []


def content(path: str) -> bytes:
    """The bytes of a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 1 << 20)
    finally:
        os.close(handle)


def blob(top: str, key: bytes) -> str:
    """Where the data of a blob lies."""
    name = key.hex()
    return f"{top}/blobs/sha256/{name[:2]}/{name}/data"


def repositories(folder: str) -> list[str]:
    """The folders of the repositories below a folder."""
    found: list[str] = []
    names = os.listdir(folder)
    if "_manifests" in names or "_layers" in names:
        found.append(folder)
    for name in names:
        if not name.startswith("_"):
            found.extend(repositories(f"{folder}/{name}"))
    return found


def main(root: str) -> None:
    """Print how many links and blobs could go, and the bytes of these."""
    top = f"{root}/docker/registry/v2"
    live: set[bytes] = set()
    dead = 0
    for folder in repositories(f"{top}/repositories"):
        tags = f"{folder}/_manifests/tags"
        links = (content(f"{tags}/{name}/current/link") for name in os.listdir(tags))
        needed = {bytes.fromhex(link[7:].decode()) for link in links}
        for key in keys_in(f"{folder}/_manifests/revisions/sha256"):
            manifest = json.loads(content(blob(top, key)))
            if key in needed:
                for part in (manifest["config"], *manifest["layers"]):
                    needed.add(bytes.fromhex(part["digest"][7:]))
        for kind in ("_manifests/revisions", "_layers"):
            dead += sum(key not in needed for key in keys_in(f"{folder}/{kind}/sha256"))
        live |= needed
    number = size = 0
    for start in os.listdir(f"{top}/blobs/sha256"):
        for key in keys_in(f"{top}/blobs/sha256/{start}"):
            if key not in live:
                number += 1
                size += os.lstat(blob(top, key)).st_size
    print(json.dumps({"links": dead, "blobs": number, "bytes": size}))


if __name__ == "__main__":
    main(sys.argv[1])
