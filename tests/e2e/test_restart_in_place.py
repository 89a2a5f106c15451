"""A registry that remembers blobs in memory: the pruner restarts it in place, and nothing else."""

from __future__ import annotations

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, until
from tests.gc.images import digest_of, image, layer

OLD = image([layer("cached base"), layer("cached old")], "old")
NEW = image([layer("cached base"), layer("cached new")], "new")


def test_a_prune_restarts_the_registry_in_place_and_it_takes_again_what_went(make_stack: MakeStack) -> None:
    stack = make_stack("inmemory", **FAST, cache="inmemory")
    stack.up()
    client = stack.client()
    pod = stack.pod()["metadata"]["uid"]
    client.push("app", OLD, "latest")
    client.check("app", "latest", OLD)
    client.push("app", NEW, "latest")
    until(lambda: not stack.has_blob(OLD.blobs[1]), "the old image's layer is gone from disk")
    until(
        lambda: stack.restarts() == {"registry": 1, "gc": 0},
        "the registry was restarted once, the pruner never",
    )
    until(client.answers, "the registry answers again")
    assert stack.pod()["metadata"]["uid"] == pod
    assert not client.has_blob("app", digest_of(OLD.blobs[1]))
    client.push("app", OLD, "again")
    client.check("app", "again", OLD)
    client.check("app", "latest", NEW)
