"""Digests as raw bytes: a registry has a million, and as text each takes three times the room.

A key is what a digest's hex part says. Its length tells the algorithm, so nothing else needs to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from struct import Struct

from pruner.tree import layout

Key = bytes
NAMES = {32: "sha256", 48: "sha384", 64: "sha512"}
"""The algorithm that a key of so many bytes is of."""
LENGTHS = {name: length for length, name in NAMES.items()}
_AT_ONCE = 1000  # keys
_PREFIX = len("sha256:")  # as long for each of them


def key_of(digest: str) -> Key:
    """The key of a digest that `layout.is_digest` holds for."""
    return bytes.fromhex(digest[_PREFIX:])


def text_of(key: Key) -> str:
    """The digest of a key."""
    return f"{NAMES[len(key)]}:{key.hex()}"


def pack(algorithm: str, names: list[str]) -> tuple[bytes, list[str]]:
    """The keys of folders named after digests, one after the other, and the names that are not digests."""
    length = LENGTHS[algorithm]
    joined = " ".join(names)
    with suppress(ValueError):
        packed = bytes.fromhex(joined)
        # Each is as long as it should be and in lower case, and none holds two of them.
        if packed.hex(" ", length) == joined and len(packed) == length * len(names):
            return packed, []
    others = [name for name in names if layout.digest_of(algorithm, name) is None]
    strange = set(others)
    return bytes.fromhex("".join(name for name in names if name not in strange)), others


def unpack(packed: bytes, length: int = 32) -> list[Key]:
    """The keys of `length` bytes that stand one after the other."""
    # A third of the time of slices. Each Struct is for once, so it is small, and the module keeps none.
    keys: list[Key] = []
    count = len(packed) // length
    for first in range(0, count, _AT_ONCE):
        some = Struct(f"{length}s" * min(_AT_ONCE, count - first))
        keys += some.unpack_from(packed, first * length)
    return keys


def length_of(start: str) -> int:
    """The length in bytes of the keys of an algorithm, or of a folder of blobs such as `sha256/ab`."""
    return int(start[3:6]) // 8


class Keys(Set[Key]):
    """A set of a great many keys: those that begin alike stand one after the other until they are asked for.

    That takes a third of the room. Those who ask in the order of the keys do not make a set twice.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._parts: dict[int, list[bytearray]] = {32: [bytearray() for _ in range(256)]}
        self._made: tuple[int, set[Key]] | None = None
        self.new: set[Key] | None = None
        """What came in since `note_new_ones` was called."""
        self.update(keys)

    def update(self, keys: Iterable[Key]) -> None:
        """Take more in."""
        self._made = None
        if self.new is not None:
            keys = list(keys)
            self.new.update(keys)
        parts = self._parts[32]
        for key in keys:
            if len(key) == 32:
                parts[key[0]] += key
            else:
                others = self._parts.setdefault(len(key), [bytearray() for _ in range(256)])
                others[key[0]] += key

    def beginning_with(self, first: int) -> set[Key]:
        """Those whose first byte is that."""
        if self._made is None or self._made[0] != first:
            made: set[Key] = set()
            for length, parts in self._parts.items():
                made.update(unpack(bytes(parts[first]), length))
            self._made = first, made
        return self._made[1]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and key in self.beginning_with(key[0])

    def __iter__(self) -> Iterator[Key]:
        for first in range(256):
            yield from self.beginning_with(first)

    def __len__(self) -> int:
        return sum(len(self.beginning_with(first)) for first in range(256))

    def note_new_ones(self) -> None:
        """Keep apart, too, what comes in from now on."""
        if self.new is None:
            self.new = set()


class DigestSet(Set[str]):
    """A set of keys, seen as digests."""

    def __init__(self, keys: Set[Key]) -> None:
        self.keys = keys

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and layout.is_digest(digest) and key_of(digest) in self.keys

    def __iter__(self) -> Iterator[str]:
        return map(text_of, self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def _from_iterable(cls, it: object) -> set[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return set(it)  # pyright: ignore
