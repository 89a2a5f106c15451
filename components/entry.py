"""What the pruner's bundle runs first: it imports the program from one compressed text of all its sources.

Travels as `__main__.py` of the bundle and stands on the standard library alone. Python imports from zip
archives by itself, but those compress each file alone, which comes to half as much again.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zipimport import zipimporter

    __loader__: zipimporter

TEXT = "sources.xz"


class Sources(ExecutionLoader, MetaPathFinder):
    """Imports what `texts` has: sources by their paths (`pruner/clock.py`), as if they lay below `place`."""

    def __init__(self, place: str, texts: Mapping[str, str]) -> None:
        """Nothing is compiled yet."""
        self._place = place
        self._texts = texts

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """The module, if it is one of these."""
        del path, target
        return spec_from_loader(fullname, self) if self._path(fullname) in self._texts else None

    def is_package(self, fullname: str) -> bool:
        """Whether it has modules below it."""
        return self._path(fullname).endswith("/__init__.py")

    def get_filename(self, fullname: str) -> str:
        """What tracebacks name."""
        return f"{self._place}/{self._path(fullname)}"

    def get_source(self, fullname: str) -> str:
        """The text itself; tracebacks show their lines from it."""
        try:
            return self._texts[self._path(fullname)]
        except KeyError:
            raise ImportError(f"{self._place} has no module {fullname}", name=fullname) from None

    def _path(self, fullname: str) -> str:
        path = fullname.replace(".", "/")
        package = f"{path}/__init__.py"
        return package if package in self._texts else f"{path}.py"


def main() -> None:
    """The program of the archive that runs this. Raises SystemExit when it ends."""
    place = __loader__.archive
    texts: dict[str, str] = json.loads(lzma.decompress(__loader__.get_data(f"{place}/{TEXT}")))
    # First of all, as a program's own folder is: what else an image has installed is not asked.
    sys.meta_path.insert(0, Sources(place, texts))
    from pruner.cli.main import main as run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
