from __future__ import annotations

import pytest

from sandbox.errors import SandboxError
from sandbox.place import Place


@pytest.mark.parametrize("name", ["local", "e2e", "a", "a-b", "0", "x" * 32])
def test_good_names(name: str) -> None:
    place = Place(name)
    assert place.state.name == name
    # The kernel takes no longer name for a link.
    assert len(place.link) <= 15


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", ".hidden", "a b", "x" * 33, "a\n"])
def test_a_bad_name_never_becomes_a_path(name: str) -> None:
    with pytest.raises(SandboxError, match="lowercase letters, digits and dashes"):
        Place(name)


def test_two_names_share_nothing_on_the_machine() -> None:
    one, other = Place("one"), Place("other")
    assert {one.state, one.link, one.cgroup, one.context}.isdisjoint(
        {other.state, other.link, other.cgroup, other.context}
    )
