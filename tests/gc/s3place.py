"""Buckets of the tests: on versitygw and on moto's server, trees in them, and the pruner on these."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import requests
import yaml
from moto.server import ThreadedMotoServer

from pruner.clock import SystemClock
from pruner.inspect.report import Report
from pruner.registry.s3parameters import S3Parameters
from pruner.settings.table import Settings
from pruner.storage import Storage
from pruner.storage.parallel import side_by_side
from pruner.storage.s3.bucket import Bucket
from pruner.storage.s3.client import connect
from pruner.storage.s3.looker import Areas
from pruner.storage.s3.storage import S3Storage
from pruner.sweep import current
from pruner.sweep import run as pruning
from pruner.sweep.place import Place
from pruner.tree import layout
from sandbox.s3 import REGION, s3_server
from tests.gc.inprocess import AT_ONCE, place_of

AREAS = Areas(layout.BLOBS, layout.REPOSITORIES, layout.STATE, current.CURRENT, current.TRASH)
Server = Literal["versitygw", "moto"]
SERVERS: tuple[Server, ...] = ("versitygw", "moto")
BUCKET = "images"
ROOT = "registry"


@dataclass
class S3Place:
    """A tree below `ROOT` in `BUCKET` of a server, and the pruner on it; `endpoint` may be a proxy's."""

    parameters: S3Parameters
    folder: Path
    settings: Settings = AT_ONCE
    clock: SystemClock = field(default_factory=SystemClock)

    def through(self, endpoint: str, **changes: Any) -> S3Place:
        """The same by another way."""
        return S3Place(replace(self.parameters, endpoint=endpoint, **changes), self.folder, self.settings)

    def bucket(self) -> Bucket:
        return Bucket(connect(self.parameters), self.parameters)

    def storage(self) -> S3Storage:
        return S3Storage(self.bucket(), self.parameters.url, self.parameters.root, AREAS, self.clock)

    def put(self, path: str, content: bytes = b"x") -> None:
        self.bucket().put(f"{ROOT}/{path}", content)

    def keys(self, below: str = "docker/registry/v2") -> set[str]:
        """What lies in the tree, without the pruner's own."""
        found = [key.name for page in self.bucket().pages(f"{ROOT}/{below}") for key in page]
        return {name[len(ROOT) + 1 :] for name in found if f"/{layout.STATE}/" not in f"/{name}"}

    def upload(self, folder: Path) -> int:
        """Put a tree that lies in a folder here; the number of keys."""
        bucket = self.bucket()
        paths = [
            Path(above) / name for above, _, names in os.walk(folder) for name in names if name != "startedat"
        ]
        return len(
            list(
                side_by_side(
                    lambda path: bucket.put(f"{ROOT}/{path.relative_to(folder)}", path.read_bytes()), paths, 8
                )
            )
        )

    def config(self) -> Path:
        s3 = {
            "bucket": self.parameters.bucket,
            "region": self.parameters.region,
            "regionendpoint": self.parameters.endpoint,
            "accesskey": self.parameters.access_key,
            "secretkey": self.parameters.secret_key,
            "forcepathstyle": True,
            "rootdirectory": f"/{self.parameters.root}",
        }
        document = {"version": 0.1, "storage": {"s3": s3}, "http": {"addr": ":5000"}}
        path = self.folder / "pruner.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def place(self, storage: Storage | None = None) -> Place:
        (self.folder / "proc").mkdir(exist_ok=True)
        return place_of(self.folder, self.config(), storage or self.storage(), self.settings, self.clock)

    def plan(self, **settings: Any) -> Report:
        self.settings = replace(self.settings, **settings)
        return Report.of(pruning.plan(self.place()))

    def run(self, **settings: Any) -> Report:
        self.settings = replace(self.settings, **settings)
        return Report.of(pruning.run(self.place()))


@contextmanager
def s3_place(server: Server, folder: Path) -> Generator[S3Place]:
    """An empty bucket on a server of that kind."""
    if server == "versitygw":
        with s3_server(folder / "versitygw") as s3:
            (s3.data / BUCKET).mkdir(exist_ok=True)
            yield S3Place(parameters_of(s3.endpoint, s3.access_key, s3.secret_key), folder)
        return
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        parameters = parameters_of(f"http://{host}:{port}", "access", "secret")
        requests.post(f"{parameters.endpoint}/moto-api/reset", timeout=10)  # it is one for the whole process
        connect(parameters).create_bucket(Bucket=BUCKET)
        yield S3Place(parameters, folder)
    finally:
        moto.stop()


def parameters_of(endpoint: str, access_key: str, secret_key: str) -> S3Parameters:
    """Those of the bucket on that server."""
    return S3Parameters(
        bucket=BUCKET,
        region=REGION,
        endpoint=endpoint,
        access_key=access_key,
        secret_key=secret_key,
        path_style=True,
        root=ROOT,
        secure=False,
    )
