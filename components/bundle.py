"""The pruner as one executable file, `prune`, the same bytes whenever the same sources are bundled.

A zip archive behind a `#!` line, as the standard library's zipapp makes it: `gc/pruner` and the pure Python
of the libraries it stands on, so that it runs on a stock Python image.
`python -m docker_registry_stack.bundle FILE` writes it for `gc/Dockerfile`.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pruner

PRUNER = Path(pruner.__path__[0]).resolve()

# Distribution -> the packages of it that travel. tqdm brings adapters for desktops and notebooks, and the
# metrics' client such for web frameworks, which the pruner never uses.
_LIBRARIES = {
    "PyYAML": "yaml",
    "async-timeout": "async_timeout",
    "prometheus-client": "prometheus_client",
    "redis": "redis",
    "tqdm": "tqdm",
}
_LEFT_OUT = (
    "tqdm/contrib/",
    *(f"prometheus_client/{part}/" for part in ("aiohttp", "bridge", "django", "twisted")),
)

_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = b"from pruner.cli.main import main\n\nraise SystemExit(main())\n"

# The first moment that a zip archive can name.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644

# A ConfigMap holds 1 MiB in all.
LIMIT = 1024 * 1024


def build() -> bytes:
    """The file's bytes. Raises PackageNotFoundError when a library is not installed."""
    # The archive's offsets count from the start of the file, as zipapp's do, so that every reader takes it.
    archive = io.BytesIO()
    archive.write(_SHEBANG)
    with zipfile.ZipFile(archive, "w") as bundle:
        for name, content in sorted(_entries()):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = _MODE << 16
            bundle.writestr(entry, content, compresslevel=9)
    return archive.getvalue()


def _entries() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _MAIN
    for path in PRUNER.rglob("*.py"):
        yield str(PurePosixPath("pruner", *path.relative_to(PRUNER).parts)), path.read_bytes()
    for library, package in _LIBRARIES.items():
        for file in distribution(library).files or ():
            name = file.as_posix()
            if name.startswith(f"{package}/") and name.endswith(".py") and not name.startswith(_LEFT_OUT):
                yield name, file.read_binary()
            elif _is_licence(name):
                yield f"licences/{library}/{file.name}", file.read_binary()


def _is_licence(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return ".dist-info" in folder and file.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))


def main() -> None:
    """Writes the file to the path that is the one argument, executable."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(build())
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main()
