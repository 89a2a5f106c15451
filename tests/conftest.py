"""How tests are shared out among worker processes (`pytest -n`): by file, those on a cluster in two parts."""

from __future__ import annotations

import pytest

# The package is annotated but ships neither stubs nor the marker that says so.
from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]
from xdist.scheduler import LoadScopeScheduling, Scheduling  # pyright: ignore[reportMissingTypeStubs]

# Each part has a cluster of its own and one worker; these take about as long as the others together.
_SECOND_CLUSTER = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in ("claim", "engine", "lifecycle", "logins", "observing", "own_cluster")
)
# Files that take long begin first, so that no worker is left with one at the end.
_FIRST = ("tests/e2e/", "tests/gc/test_soak", "tests/gc/test_statemachine")


class Groups(LoadScopeScheduling):
    """Gives each group of tests to one worker, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.startswith("tests/e2e/"):
            return f"tests/e2e: cluster {2 if file in _SECOND_CLUSTER else 1}"
        # Of the soak's tests each waits for most of its time.
        return test if file.endswith("test_soak.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[int, bool]:
    file = item.nodeid.partition("::")[0]
    place = next((n for n, start in enumerate(_FIRST) if file.startswith(start)), len(_FIRST))
    return place, file in _SECOND_CLUSTER
