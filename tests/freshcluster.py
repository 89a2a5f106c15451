"""A throw-away cluster for the length of some tests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sandbox.__main__ import exclusive, need_root
from sandbox.cluster import bring_up
from sandbox.place import Place
from sandbox.steps import Steps
from sandbox.teardown import take_down


@contextmanager
def fresh_cluster(name: str) -> Generator[Place]:
    """The cluster `name`, new at the start and gone at the end."""
    need_root("make e2e")
    place = Place(name)
    with exclusive(place):
        # An earlier run may have been cut short anywhere.
        take_down(place)
        try:
            bring_up(place, Steps())
            yield place
        finally:
            take_down(place)
