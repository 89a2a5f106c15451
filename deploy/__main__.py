"""`python -m deploy up|down`: what `make up` and `make down` do once the tools are there."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import real, throwaway
from deploy.check import check_config
from deploy.confirm import Confirmation
from deploy.target import choose_target
from sandbox.__main__ import DEFAULT_NAME, exclusive, need_root
from sandbox.errors import SandboxError
from sandbox.place import Place
from sandbox.steps import Steps


def main() -> int:
    """Carry out one command; 0 is success, 1 a failure that was explained, 130 an interruption."""
    arguments = _arguments()
    steps = Steps()
    try:
        config = _pairs(arguments.config)
        check_config(config)
        target = choose_target(os.environ, Path.home(), sandbox=arguments.sandbox)
        if target.context is not None:
            engine = real.engine(shutil.which("pulumi"), target, arguments.stack)
            act = real.up if arguments.command == "up" else real.down
            act(engine, target, config, Confirmation(f"make {arguments.command}", arguments.yes), steps)
            return 0
        need_root(f"make {arguments.command}")
        place = Place(arguments.name)
        with exclusive(place):
            if arguments.command == "up":
                throwaway.up(place, config, steps)
            else:
                throwaway.down(place, steps)
    except SandboxError as error:
        print(f"\nmake {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        rest = "interrupted; the next `make up` or `make down` clears what is half-made"
        print(f"\nmake {arguments.command}: {rest}", file=sys.stderr)
        return 130
    return 0


def _pairs(words: list[str]) -> Mapping[str, str]:
    pairs = [word.partition("=") for word in words]
    for key, equals, _ in pairs:
        if not equals:
            raise SandboxError(
                f'CONFIG has {key!r}, which is not a key=value: write CONFIG="nodePort=32100 gcPeriod=1d"'
            )
    return {key.removeprefix("docker-registry:"): value for key, _, value in pairs}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy")
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="the name of the throw-away cluster (%(default)s)"
    )
    parser.add_argument("--stack", default="dev", help="the stack on a cluster of yours (%(default)s)")
    parser.add_argument(
        "--sandbox", action="store_true", help="a throw-away cluster, whatever the kubeconfig says"
    )
    parser.add_argument("--yes", action="store_true", help="change a cluster of yours without asking")
    parser.add_argument(
        "--config", action="append", default=[], metavar="KEY=VALUE", help="a stack config value"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
