"""Take the pruner's safeguards away, one at a time, and say which test notices; `make mutations`.

    python -m tests.mutations --only grace

Each is taken out of a copy of the checkout, in which the tests of its list run until one fails. Exit code 0
when each was noticed, 1 when one was not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).parents[2]
_COPIED = ("gc", "tests", "sandbox", "components", "deploy", "benchmarks", "docs", "pyproject.toml")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def main() -> int:
    """Try each safeguard, print a table; returns the exit code."""
    options = _options()
    chosen = [each for each in SAFEGUARDS if options.only in each.name]
    rows: list[tuple[Safeguard, str]] = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        copy = Path(name)
        _copy_to(copy)
        for safeguard in chosen:
            start = time.monotonic()
            noticed = _noticed(copy, safeguard)
            said = noticed or "NOTHING"
            print(f"{time.monotonic() - start:4.0f} s  {safeguard.name}: {said}", file=sys.stderr, flush=True)
            rows.append((safeguard, said))
    print("| taken out | what failed first |", "|---|---|", sep="\n")
    for safeguard, said in rows:
        print(f"| {safeguard.name} | `{said}` |")
    return 0 if all(said != "NOTHING" for _, said in rows) else 1


def _copy_to(copy: Path) -> None:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    for link in ROOT.iterdir():
        if link.is_symlink():
            (copy / link.name).symlink_to(link.readlink())


def _noticed(copy: Path, safeguard: Safeguard) -> str:
    """The first test that failed without it; empty when none did. Raises RuntimeError when none could run."""
    file = copy / "gc/pruner" / safeguard.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(safeguard.old, safeguard.new), encoding="utf-8")
    try:
        for tests in safeguard.tests:
            file_of_tests = f"tests/gc/test_{tests}.py"
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", file_of_tests],
                cwd=copy,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode not in (0, 1):
                raise RuntimeError(f"{tests} could not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
            failed = _FAILED.search(done.stdout)
            if done.returncode and failed:
                return failed[1].removeprefix("tests/gc/")
    finally:
        file.write_text(whole, encoding="utf-8")
    return ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name holds this (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
