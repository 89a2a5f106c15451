"""`python -m sandbox up|down|status|kubeconfig|tools|build|clean [--name NAME]`."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sandbox import golang
from sandbox.cache import cache_root, clear, readable
from sandbox.cluster import bring_up, build_all, is_up, node_address
from sandbox.errors import SandboxError
from sandbox.packages import TESTS, ensure_packages
from sandbox.place import Place, place_names
from sandbox.processes import find_node
from sandbox.steps import Steps
from sandbox.teardown import take_down

DEFAULT_NAME = "local"


def main() -> int:
    """Carry out one command; 0 is success, 1 a failure that was explained, 130 an interruption."""
    arguments = _arguments()
    try:
        place = Place(arguments.name)
        if arguments.command in ("tools", "build"):
            steps = Steps()
            _tools(steps)
            if arguments.command == "build":
                golang.begin_ahead([*golang.ENGINE, *golang.CLUSTER])
                for program in golang.ENGINE:
                    golang.ensure(program, steps)
                build_all(steps)
                golang.note_disk(steps)
            return 0
        if arguments.command == "clean":
            _clean()
            return 0
        if arguments.command == "kubeconfig":
            print(place.kubeconfig)
            return 0
        if arguments.command == "status":
            up = is_up(place)
            print(f"up, node at {node_address(place)}" if up else "down")
            return 0 if up else 1
        need_root(f"python -m sandbox {arguments.command}")
        steps = Steps()
        with exclusive(place):
            if arguments.command == "up":
                bring_up(place, steps)
                steps.close(f"sandbox {place.name!r} up")
                print(f"kubeconfig: {place.kubeconfig}")
            else:
                with steps.step(f"sandbox {place.name!r} down"):
                    take_down(place)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted; the next `up` or `down` clears what is half-made", file=sys.stderr)
        return 130
    return 0


def _clean() -> None:
    """Give back the disk that the builds take, unless a cluster runs on them."""
    for name in place_names():
        if find_node(Place(name)):
            raise SandboxError(
                f"the cluster {name} runs what is to go: `python -m sandbox down --name {name}` first"
                " (or `make down`, with the NAME it was made with)"
            )
    print(f"{readable(clear())} given back: {cache_root()} is gone, and made again when it is needed")


def _tools(steps: Steps) -> None:
    """Have every program that the tests call without a cluster."""
    ensure_packages(TESTS, steps)
    golang.ensure(golang.REGISTRY, steps)


def need_root(command: str) -> None:
    """Raise SandboxError unless this process may make namespaces and mounts."""
    if os.geteuid() != 0:
        raise SandboxError(
            f"a cluster on this machine needs root: run `sudo {command}`, or point KUBECONFIG at a cluster"
        )


@contextmanager
def exclusive(place: Place) -> Generator[None]:
    """Hold the sandbox's lock, so that two commands on one name follow each other."""
    with Path(f"/run/{place.context}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"waiting for another command on sandbox {place.name!r} to end", file=sys.stderr, flush=True
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A throw-away Kubernetes on this machine."
    )
    parser.add_argument("command", choices=["up", "down", "status", "kubeconfig", "tools", "build", "clean"])
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="which sandbox; several live side by side (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
