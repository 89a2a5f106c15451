"""How tests are shared out among worker processes (`pytest -n`): by file, a cluster's to one worker."""

from __future__ import annotations

import pytest

# The package is annotated but ships neither stubs nor the marker that says so.
from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]
from xdist.scheduler import LoadScopeScheduling, Scheduling  # pyright: ignore[reportMissingTypeStubs]

# Files that take long begin first, so that no worker is left with one at the end.
_FIRST = ("tests/e2e/", "tests/gc/test_soak", "tests/gc/test_statemachine")


class Groups(LoadScopeScheduling):
    """Gives each group of tests to one worker, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.startswith("tests/e2e/"):
            return file[: file.rindex("/")]  # one cluster, and one worker may hold it
        # Of the soak's tests each waits for most of its time.
        return test if file.endswith("test_soak.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    return next((n for n, start in enumerate(_FIRST) if item.nodeid.startswith(start)), len(_FIRST))
