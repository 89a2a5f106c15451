"""The classic guarantee: the registry takes no push while it is pruned, and takes them again afterwards."""

from __future__ import annotations

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, until
from tests.gc.images import image, layer

OLD = image([layer("window base"), layer("window old")], "old")
NEW = image([layer("window base"), layer("window new")], "new")


def test_a_prune_in_a_read_only_window_leaves_the_registry_writable(make_stack: MakeStack) -> None:
    stack = make_stack("readonly", **{**FAST, "gcInitialDelay": "1h"}, gcMode="readonly")
    stack.up()
    client = stack.client()
    pod = stack.pod()["metadata"]["uid"]
    client.push("app", OLD, "latest")
    client.push("app", NEW, "latest")
    said = stack.prune("run", "--untagged-after", "0")
    assert "was not verified" not in said, "it demands a login, and yet is seen to be read-only"
    assert not stack.has_blob(OLD.blobs[1])
    until(client.answers, "the registry answers again")
    client.check("app", "latest", NEW)
    client.push("app", OLD, "again")
    client.check("app", "again", OLD)
    until(lambda: stack.restarts() == {"registry": 2, "gc": 0}, "restarted into the window and out of it")
    assert stack.pod()["metadata"]["uid"] == pod
