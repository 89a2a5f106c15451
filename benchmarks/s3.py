"""The pruner beside `registry garbage-collect` on a bucket, in one run, with a delay in front of the server.

    python -m benchmarks.s3 [--images 400] [--delay 0.02]

Makes a tree of images in a bucket of versitygw, and counts and times what each asks of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from sandbox.golang import REGISTRY, build
from tests.gc.faultproxy import FaultProxy
from tests.gc.images import image, layer
from tests.gc.prunerprocess import AT_ONCE, PrunerProcess
from tests.gc.s3place import S3Place, s3_place
from tests.gc.treebuilder import TreeBuilder


def main() -> None:
    """Print a table of requests and seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds that each request takes longer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, s3_place("versitygw", Path(folder)) as place:
        builder = TreeBuilder(Path(folder) / "tree")
        for number in range(arguments.images):
            layers = [layer(f"shared {number % 40}"), layer(f"own {number}", 512)]
            tag = None if number % 3 == 0 else f"v{number}"
            builder.push(f"team{number % 20}/app", image(layers, str(number)), *([tag] if tag else []))
        keys = place.upload(Path(folder) / "tree")
        time.sleep(2)
        print(f"{arguments.images} images, {keys} keys, {arguments.delay * 1000:.0f} ms a request")
        with FaultProxy(place.parameters.endpoint).running() as proxy:
            proxy.delay = arguments.delay
            _compare(place.through(proxy.endpoint), proxy)


def _compare(place: S3Place, proxy: FaultProxy) -> None:
    config = place.config()
    pruner = PrunerProcess(config)
    options = ("--summary", "--output", "json", *AT_ONCE)
    collector = [str(build(REGISTRY)), "garbage-collect", "--dry-run", "--delete-untagged", str(_for(config))]
    _told("prune plan, cold", proxy, pruner.command("plan", *options), pruner.variables())
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    _told("registry garbage-collect --dry-run", proxy, collector, environment)
    _told("prune run", proxy, pruner.command("run", *options), pruner.variables())
    _told("prune plan, warm", proxy, pruner.command("plan", *options), pruner.variables())


def _for(config: Path) -> Path:
    """The same for the registry, which wants a few words more."""
    document = yaml.safe_load(config.read_text())
    document["storage"]["s3"]["secure"] = False
    path = config.with_name("registry.yml")
    path.write_text(yaml.safe_dump(document))
    return path


def _told(name: str, proxy: FaultProxy, command: list[str], environment: dict[str, str]) -> None:
    proxy.requests.clear()
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{name}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    found = ""
    if command[0] == sys.executable:
        summary = json.loads(done.stdout)["summary"]
        found = f"{summary['removable_blobs']} blobs"
    else:
        found = f"{(done.stdout + done.stderr).count('blob eligible for deletion')} blobs"
    print(f"{name:36} {len(proxy.requests):7} requests {seconds:8.1f} s   {found}", flush=True)


if __name__ == "__main__":
    main()
