"""Soak the pruner: clients push, mount, retag, delete and pull on real registries while it runs back to back.

Exit code 0 when every push that a registry acknowledged pulls back byte for byte in the end and the tree
verifies, 1 when anything was lost, 2 for wrong usage. With `--collector registry` the registry's own
garbage-collect takes the pruner's place, to show that the soak can fail.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import cast

from tests.gc.realregistry import CACHES, VERSIONS, Cache, Version
from tests.soak.combination import Result, Settings, soak
from tests.soak.table import line, table

LEAST = 5.0  # seconds for one combination


def main(arguments: list[str] | None = None) -> int:
    """Run the soak; returns the exit code."""
    options = _parser().parse_args(arguments)
    versions = cast(list[Version], options.version or VERSIONS)
    caches = cast(list[Cache], options.cache or CACHES)
    pairs: list[tuple[Version, Cache]] = [(version, cache) for version in versions for cache in caches]
    settings = Settings(
        seconds=max(LEAST, options.minutes * 60 / len(pairs)),
        clients=options.clients,
        collector=options.collector,
        kill=options.kill,
        mode=options.mode,
        grace=options.grace,
        untagged_after=options.untagged_after,
        trash=options.trash,
        on_s3=options.s3,
        seed=random.randrange(1 << 32) if options.seed is None else options.seed,
    )
    print(f"seed {settings.seed}, {settings.seconds:.0f} s for each combination", file=sys.stderr)
    results: list[Result] = []
    for version, cache in pairs:
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{version}-{cache}-"))
        result = soak(settings, version, cache, folder)
        results.append(result)
        print(line(result), file=sys.stderr, flush=True)
        if result.good or not options.keep:
            shutil.rmtree(folder)
        else:
            print(f"the tree and the logs are in {folder}", file=sys.stderr)
    if options.json:
        document = {"settings": _as_json(settings), "combinations": [each.as_json() for each in results]}
        Path(options.json).write_text(json.dumps(document, indent=2) + "\n")
    print(table(results))
    return 0 if all(result.good for result in results) else 1


def _as_json(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__slots__}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=3, help="for the whole soak, shared by the combinations (default 3)")
    add(
        "--version", action="append", choices=VERSIONS, help="of the registry; may be repeated (default: all)"
    )
    add("--cache", action="append", choices=CACHES, help="of descriptors; may be repeated (default: all)")
    add("--collector", choices=("pruner", "registry", "none"), default="pruner", help="what collects garbage")
    add("--mode", choices=("online", "readonly"), default="online", help="the pruner's mode")
    add("--s3", action="store_true", help="keep the images in a bucket of versitygw")
    add("--kill", action="store_true", help="kill most runs at a random moment")
    add("--clients", type=int, default=4, help="processes that push and pull (default 4)")
    add("--grace", type=float, default=3, help="the pruner's grace, in seconds (default 3)")
    add(
        "--untagged-after",
        type=float,
        default=3,
        help="seconds until an untagged manifest may go (default 3)",
    )
    add("--trash", type=int, default=5, help="seconds that trash is kept at most; each run draws (default 5)")
    add("--seed", type=int, help="repeats the clients' choices (default: a new one, which is printed)")
    add("--json", metavar="FILE", help="write all figures there")
    add("--keep", action="store_true", help="keep the tree and the logs of a combination that failed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
