"""The pruner as one executable file, `prune`, the same bytes whenever the same sources are bundled.

A zip archive behind a `#!` line, as the standard library's zipapp makes it, that a stock Python image runs.
The sources of `gc/pruner` and of the libraries that it always stands on lie in it as one compressed text
without docstrings, from which entry.py imports them. What only some registries need (redis, an object store's
client) are plain archives of their own, on the path of those pods alone.
`python -m docker_registry_stack.bundle FILE` writes one with everything for `gc/Dockerfile`.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pruner

from . import entry
from .lean import lean

PRUNER = Path(pruner.__path__[0]).resolve()

# Distribution -> the packages of it that travel. tqdm brings adapters for desktops and notebooks, and the
# metrics' client such for web frameworks, which the pruner never uses.
_LIBRARIES = {"PyYAML": "yaml", "prometheus-client": "prometheus_client", "tqdm": "tqdm"}
ARCHIVES: Mapping[str, Mapping[str, str]] = {
    "redis": {"async-timeout": "async_timeout", "redis": "redis"},
    "s3": {
        "botocore": "botocore",
        "jmespath": "jmespath",
        "python-dateutil": "dateutil",
        "six": "six.py",
        "urllib3": "urllib3",
    },
}
"""What a cache in redis and a storage in a bucket need besides, each a name and its libraries."""

_LEFT_OUT = (
    "tqdm/contrib/",
    *(f"prometheus_client/{part}/" for part in ("aiohttp", "bridge", "django", "twisted")),
)

# Of the data of all services only what says how to speak to S3, and how a service account gets credentials.
_DATA = (
    *(
        f"botocore/data/{name}.json"
        for name in ("_retry", "endpoints", "partitions", "sdk-default-configuration")
    ),
    *(f"botocore/data/s3/2006-03-01/{name}" for name in ("endpoint-rule-set-1.json.gz", "service-2.json.gz")),
    "botocore/data/s3/2006-03-01/service-2.sdk-extras.json",
    *(
        f"botocore/data/sts/2011-06-15/{name}"
        for name in ("endpoint-rule-set-1.json.gz", "service-2.json.gz")
    ),
)

_SHEBANG = b"#!/usr/bin/env python3\n"
# A small window: who unpacks the text needs as much memory.
_XZ = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2 << 20}]

# The first moment that a zip archive can name.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644

# A ConfigMap holds 1 MiB in all.
LIMIT = 1024 * 1024


def build(archives: Collection[str] = ()) -> bytes:
    """The program's bytes, with what is in `archives` too. Raises PackageNotFoundError without a library."""
    own = sorted([*_sources(), *_libraries(_LIBRARIES.items())])
    text = _text(tuple(each for each in own if each[0].endswith(".py")))
    licences = [each for each in own if not each[0].endswith(".py")]
    libraries = {item for name in archives for item in ARCHIVES[name].items()}
    main = ("__main__.py", Path(entry.__file__).read_bytes())
    return _pack(_SHEBANG, sorted([main, (entry.TEXT, text), *licences, *_libraries(libraries)]))


@cache
def _text(sources: tuple[tuple[str, bytes], ...]) -> bytes:
    # Takes a second: once in a process.
    texts = {name: lean(content).decode() for name, content in sources}
    return lzma.compress(json.dumps(texts).encode(), filters=_XZ)


def archive(name: str) -> bytes:
    """The bytes of an archive to be put on the path; raises as `build` does."""
    return _pack(b"", sorted(_libraries(ARCHIVES[name].items())))


def _pack(beginning: bytes, entries: Collection[tuple[str, bytes]]) -> bytes:
    # The archive's offsets count from the start of the file, as zipapp's do, so that every reader takes it.
    packed = io.BytesIO()
    packed.write(beginning)
    with zipfile.ZipFile(packed, "w") as bundle:
        for name, content in entries:
            info = zipfile.ZipInfo(name, _NO_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = _MODE << 16
            bundle.writestr(info, content, compresslevel=9)
    return packed.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    for path in PRUNER.rglob("*.py"):
        yield str(PurePosixPath("pruner", *path.relative_to(PRUNER).parts)), path.read_bytes()


def _libraries(libraries: Collection[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    for library, package in libraries:
        for file in distribution(library).files or ():
            name = file.as_posix()
            is_source = name == package or (name.startswith(f"{package}/") and name.endswith(".py"))
            if name in _DATA or (is_source and not name.startswith(_LEFT_OUT)):
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
    target.write_bytes(build(ARCHIVES))
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main()
