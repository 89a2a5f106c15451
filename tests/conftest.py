"""How tests are shared out among worker processes (`pytest -n`): by file, a cluster's to one worker."""

from __future__ import annotations

import pytest

# Files that take long begin first, so that no worker is left with one at the end.
_FIRST = ("tests/e2e/", "tests/plugins/test_kubernetes", "tests/gc/test_soak", "tests/gc/test_statemachine")


# Before the workers' own hook, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def _group(item: pytest.Item) -> str:
    file = item.nodeid.partition("::")[0]
    if file.startswith("tests/e2e/"):
        return "e2e"  # one cluster, and one worker may hold it
    if "cluster" in getattr(item, "fixturenames", ()) and file.startswith("tests/plugins/"):
        return "plugins"
    if "test_soak" in file:
        return item.name  # each waits for most of its time
    return file


def _rank(item: pytest.Item) -> int:
    return next((n for n, start in enumerate(_FIRST) if item.nodeid.startswith(start)), len(_FIRST))
