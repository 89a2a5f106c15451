"""What manifests say: the quick way of plain ones says what the thorough one does, or leaves it to that."""

from __future__ import annotations

import hashlib
import inspect
import random
from dataclasses import replace

import pytest

from pruner.tree import manifests
from pruner.tree.digests import text_of, unpack
from pruner.tree.manifests import Damaged, Manifest, parse, plain
from tests.gc.images import image, layer

READINGS = {2: "2b6644f73e28d6ab"}
"""A hash of the parser's code, by the number of its reading."""

ORDINARY = image([layer("a"), layer("b")], "ordinary").content
OCI = image([layer("a"), layer("b")], "ordinary", oci=True).content


def agrees(content: bytes) -> bool:
    """Whether the quick way leaves `content` to the thorough one, or says the same."""
    quick = plain(content)
    if quick is None:
        return True
    try:
        thorough = parse(content)
    except Damaged:
        return False
    blobs = set(map(text_of, unpack(quick)))
    return blobs == set(thorough.blobs) and replace(thorough, blobs=()) == Manifest(
        (), (), None, explained=True
    )


@pytest.mark.parametrize("content", [ORDINARY, OCI, ORDINARY.replace(b"\n", b"").replace(b" ", b"")])
def test_every_single_change_of_a_plain_manifest(content: bytes) -> None:
    assert plain(content) is not None
    assert agrees(content)
    for at in range(len(content)):
        for byte in b'0a",{':
            assert agrees(content[:at] + bytes((byte,)) + content[at + 1 :])
        assert agrees(content[:at] + content[at + 1 :])
        assert agrees(content[:at])


@pytest.mark.parametrize(
    "size", ["0", "7", "064", "-1", "6.4", "1e5", "true", '"4"', "#", "", "9" * 18, "9" * 19, "9" * 5000]
)
def test_sizes_of_any_form(size: str) -> None:
    assert plain(ORDINARY) is not None
    for count in (1, -1):
        assert agrees(ORDINARY.replace(b'"size": 4096', f'"size": {size}'.encode(), count))
    both = ORDINARY.replace(b'"size": 4096', f'"size": {size}'.encode(), 1)
    assert agrees(both.replace(b'"mediaType"', b'"size": 1, "mediaType"', 1))


def test_two_manifests_that_differ_in_several_places() -> None:
    dice = random.Random(8)
    for _ in range(2000):
        content = bytearray(dice.choice((ORDINARY, OCI)))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(content))
            other = dice.randrange(len(content))
            length = dice.randint(0, 90)
            content[at : at + length] = content[other : other + dice.randint(0, 90)]
        assert agrees(bytes(content))


def test_a_parser_that_reads_otherwise_has_another_number() -> None:
    """An index of what manifests say outlives the version that wrote it: see READING."""
    code = inspect.getsource(manifests)
    assert hashlib.sha256(code.encode()).hexdigest()[:16] == READINGS[manifests.READING], (
        "manifests.py has changed: if the same bytes may come to say something else, raise READING; "
        "then write the number and the new hash here"
    )
