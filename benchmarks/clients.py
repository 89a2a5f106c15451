"""A client of a registry that notes how long each answer took, in a process of its own.

    python -m benchmarks.clients ADDRESS TREE SEED

It pulls what is in the tree and pushes small images, one request after the other with a pause between, until
its standard input ends; then it prints as JSON when every request began (seconds since the epoch) and how
long it took.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.trees import CONFIG, LAYER, MANIFEST, TREE

PAUSE = 0.004
"""Seconds between two requests: a registry in use, and not one that is driven to its limit."""
PUSHES = 4
"""A push of five requests comes after so many pulls."""


@dataclass(slots=True)
class Client:
    """One connection that is kept; `pulls` and `pushes` are when each request began and what it took."""

    address: str
    pulls: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    pushes: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, expected: int, body: bytes = b"", kind: str = "") -> str:
        """Ask once and note how long it took; where the registry says that it goes on."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=60)
        time.sleep(PAUSE)
        at, start = time.time(), time.perf_counter()
        headers = {"Accept": f"{MANIFEST}, */*"} | ({"Content-Type": kind} if kind else {})
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        answer.read()
        taken = time.perf_counter() - start
        if answer.status != expected:
            raise RuntimeError(f"{method} {path}: {answer.status}, not {expected}")
        (self.pulls if method == "GET" else self.pushes).append((at, taken))
        return answer.headers.get("Location", "")

    def blob(self, repository: str, content: bytes) -> dict[str, object]:
        """Push a blob; its descriptor but for the media type."""
        where = self.ask("POST", f"/v2/{repository}/blobs/uploads/", 202)
        parts = urlsplit(where)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = f"{parts.path}?{parts.query}&digest={digest}"
        self.ask("PUT", path, 201, content, "application/octet-stream")
        return {"size": len(content), "digest": digest}

    def image(self, repository: str, tag: str, content: bytes) -> None:
        """Push an image of one layer."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self.blob(repository, content[::-1])},
            "layers": [{"mediaType": LAYER, **self.blob(repository, content)}],
        }
        self.ask("PUT", f"/v2/{repository}/manifests/{tag}", 201, json.dumps(document).encode(), MANIFEST)


def _pulled(top: Path, dice: random.Random) -> Iterator[str]:
    """Paths to pull, for ever: a tag's manifest and then blobs of the same repository."""
    tags = sorted(top.glob("repositories/*/*/_manifests/tags/v*"))
    while True:
        tag = dice.choice(tags)
        folder = tag.parents[2]
        repository = folder.relative_to(top / "repositories")
        link = (tag / "current/link").read_text()
        yield f"/v2/{repository}/manifests/{tag.name}"
        manifest = json.loads((top / "blobs/sha256" / link[7:9] / link[7:] / "data").read_bytes())
        for part in dice.sample(manifest["layers"], 2):
            yield f"/v2/{repository}/blobs/{part['digest']}"


def main(address: str, tree: str, seed: int) -> None:
    """Pull and push until the input ends, and print what each request took."""
    dice = random.Random(seed)
    client = Client(address)
    paths = _pulled(Path(tree, TREE), dice)
    first = next(paths)
    print("ready", flush=True)
    client.ask("GET", first, 200)
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(PUSHES):
            client.ask("GET", next(paths), 200)
        number += 1
        client.image(f"pushed/by{seed}", f"v{number}", dice.randbytes(1000))
    print(json.dumps({"pulls": client.pulls, "pushes": client.pushes}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
