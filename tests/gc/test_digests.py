"""Digests as raw bytes: what is packed is unpacked, and no other name passes for one."""

from __future__ import annotations

import hashlib

import pytest

from pruner.tree.digests import LENGTHS, pack, unpack

_NAMES = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(4)]


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_keys_come_back_as_they_went_in(algorithm: str) -> None:
    names = [hashlib.new(algorithm, b"%d" % number).hexdigest() for number in range(2500)]
    packed, others = pack(algorithm, names)
    assert [key.hex() for key in unpack(packed, LENGTHS[algorithm])] == names
    assert others == []


def test_of_no_names_there_are_no_keys() -> None:
    assert pack("sha256", []) == (b"", [])
    assert unpack(b"") == []


@pytest.mark.parametrize(
    "odd",
    [
        f"{_NAMES[2]} {_NAMES[3]}",
        f"{_NAMES[2]}\n{_NAMES[3]}",
        _NAMES[2][:32] + " " + _NAMES[2][32:],
        _NAMES[2].upper(),
        _NAMES[2][:-1],
        _NAMES[2] + "0",
        _NAMES[2] + " ",
        " ",
        "x" * 64,
    ],
    ids=["two", "two lines", "halves", "upper case", "short", "long", "blank after", "blank", "no digest"],
)
def test_a_name_that_is_no_digest_is_not_taken_for_one(odd: str) -> None:
    packed, others = pack("sha256", [_NAMES[0], odd, _NAMES[1]])
    assert [key.hex() for key in unpack(packed)] == _NAMES[:2]
    assert others == [odd]


def test_names_that_make_up_for_each_others_length_are_not_taken_for_digests() -> None:
    packed, others = pack("sha256", [_NAMES[0] + _NAMES[1][:2], _NAMES[1][2:]])
    assert (packed, len(others)) == (b"", 2)
