"""The pruner beside the registry's own collector and a bare script, measured in turn; `make bench`.

    python -m benchmarks --size 1 --rounds 5

Builds the trees, measures plans, runs and what clients feel, and writes docs/benchmarks.md with its plot.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import page, rounds, trees
from benchmarks.latency import Felt, felt
from sandbox.cache import cache_root, size
from tests.gc.realregistry import VERSIONS

BLOB = 17_500
"""Bytes of disk for each blob of a tree on ext4: files and folders of 4 KiB, and their inodes."""


def main() -> int:
    """Measure, print as it goes, and write the page; 1 when there is no room for the trees."""
    options = _options()
    shape = trees.Shape().times(options.size)
    place = cache_root() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    wanted, free = shape.blobs * BLOB * 1.6, shutil.disk_usage(place).free
    if wanted > free:
        print(
            f"bench: the trees take {wanted / 2**30:.1f} GiB, and {place} has {free / 2**30:.1f} GiB: "
            "make room, or measure a smaller tree (SIZE, a whole number)",
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGTERM, _end)
    say = partial(print, flush=True)
    load, start = os.getloadavg()[0], time.monotonic()
    answers: dict[str, list[Felt]] = {}
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        runs = rounds.runs(folder, options.images, options.rounds, say) if options.images else []
        say(f"building a tree of {shape.blobs:,} blobs")
        trees.build(str(folder / "data"), shape)
        os.sync()
        taken = size(folder) / 2**30
        plans = rounds.plans(folder, options.rounds, say)

        def write() -> None:
            setting = page.Setting(
                shape,
                options.images,
                options.rounds,
                folder,
                (time.monotonic() - start) / 60,
                taken,
                options.beside,
                (load, os.getloadavg()[0]),
            )
            page.write(setting, plans, runs, answers)

        write()  # what clients feel takes longest, and who interrupts that keeps the rest
        for version in VERSIONS if options.seconds else ():
            answers[version] = felt(version, folder, options.limits, options.seconds, options.turns, say)
            write()
    print(f"{page.PAGE} and {page.PLOT} are written")
    return 0


def _end(*_: object) -> None:
    """End as an interruption does, so that the trees go and nothing is left at work."""
    sys.exit(143)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=1, help="times the tree of 90,050 blobs (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of plans and runs (default 5)")
    parser.add_argument(
        "--images", type=int, default=2000, help="of the tree of the runs, 0 for none (default 2000)"
    )
    parser.add_argument(
        "--seconds", type=float, default=15, help="that clients are asked in a turn, 0 for none (default 15)"
    )
    parser.add_argument("--turns", type=int, default=3, help="of the clients (default 3)")
    parser.add_argument(
        "--limits", type=int, nargs="*", default=[5000], help="operations a second of a run (default 5000)"
    )
    parser.add_argument("--beside", default="nothing that is known of", help="what else the machine does")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
