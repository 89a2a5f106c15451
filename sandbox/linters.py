"""Tools that judge manifests: checkov, in an environment of its own, and kube-score."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox import golang
from sandbox.cache import built, digest_of, entry
from sandbox.commands import run
from sandbox.steps import Steps

LOCK = Path(__file__).resolve().parent / "checkov" / "requirements.txt"


def checkov(steps: Steps) -> list[Path | str]:
    """The words that begin its command line; its hundred packages are installed at the first call."""
    if not entry("checkov", _inputs()).is_dir():
        with steps.step("install checkov in an environment of its own", "a minute"):
            return _installed()
    return _installed()


def kube_score(steps: Steps) -> Path:
    """Its executable, built from its module at the first call."""
    return golang.ensure(golang.KUBE_SCORE, steps)


def _installed() -> list[Path | str]:
    # The folder gets its name when it is whole, and then the scripts in its bin lead nowhere.
    return [built("checkov", _inputs(), _install) / "bin" / "python", "-m", "checkov.main"]


def _inputs() -> str:
    return digest_of([LOCK.read_bytes(), sys.version])


def _install(folder: Path) -> None:
    run([sys.executable, "-m", "venv", folder], what="making an environment for checkov")
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes")
    pip = (folder / "bin" / "python", "-m", "pip", "install", *options, "-r", LOCK)
    run(pip, what="installing checkov")
