"""What manifests say, kept from one run to the next, since a digest's bytes never change.

An entry says what the bytes of a digest said when they were last read and found to hash to it, and what the
file looked like then (size, time, version). It counts only while the file still looks so; whatever is
doubtful is read again. The file is a copy and never the truth: it may be removed at any time.

    8 bytes   magic, and which reading of manifests it is of
    4 bytes   CRC-32 of the rest
    entries   length of the key, kind, lengths of what follows; size, mtime, version of the file; the key;
              for an image the keys of its blobs, for others all that Manifest says
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

from pruner.storage import Stat, View
from pruner.tree import layout
from pruner.tree.digests import NAMES, Key, key_of, text_of
from pruner.tree.manifests import READING, Manifest

PATH = f"{layout.STATE}/manifests"
MAGIC = b"prnmnf\x00" + bytes((READING,))
_CHECKSUM = struct.Struct("<I")
_HEAD = struct.Struct("<BBHIqdQ")  # length of the key, kind, length of the extra, of the blobs; the stat
_PLAIN, _OTHER = 0, 1
_OF_IMAGE = 32  # bytes of the key of each blob of an image
_LARGEST = 1 << 30  # bytes
_MOST = 1000  # references of a manifest that is kept: what is larger is read each time


class Index:
    """Entries by key, taken apart when they are asked for."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content
        self._at = dict(_entries(content)) if _is_sound(content) else {}

    def __contains__(self, key: Key) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._at)

    def get(self, key: Key, stat: Stat) -> bytes | Manifest | None:
        """What the manifest says, when its file still looks as it did."""
        at = self._at[key]
        length, kind, extra, blobs, size, mtime, version = _HEAD.unpack_from(self._content, at)
        if not version or (size, mtime, version) != (stat.size, stat.mtime, stat.version):
            return None
        start = at + _HEAD.size + length
        found = self._content[start : start + blobs]
        if kind == _PLAIN:
            return None if blobs % _OF_IMAGE else found
        return _unpack(self._content[start + blobs : start + blobs + extra])

    @staticmethod
    def read(view: View) -> Index:
        """The index of a storage; an empty one when there is none that can be read."""
        try:
            return Index(view.read(PATH, _LARGEST).content)
        except OSError:
            return Index()

    @staticmethod
    def of(entries: Iterable[tuple[Key, Stat, bytes | Manifest]]) -> Index:
        """An index of those manifests."""
        parts: list[bytes] = []
        for key, stat, found in entries:
            extra = b""
            if isinstance(found, Manifest):
                if len(found.children) + 2 * len(found.blobs) > _MOST:
                    continue
                extra = _pack(found)
            kind, blobs = (_OTHER, b"") if isinstance(found, Manifest) else (_PLAIN, found)
            head = _HEAD.pack(len(key), kind, len(extra), len(blobs), stat.size, stat.mtime, stat.version)
            parts.extend((head, key, blobs, extra))
        body = b"".join(parts)
        return Index(MAGIC + _CHECKSUM.pack(zlib.crc32(body)) + body)

    def __bytes__(self) -> bytes:
        return self._content


def _is_sound(content: bytes) -> bool:
    start = len(MAGIC) + _CHECKSUM.size
    if len(content) < start or not content.startswith(MAGIC):
        return False
    return zlib.crc32(memoryview(content)[start:]) == _CHECKSUM.unpack_from(content, len(MAGIC))[0]


def _entries(content: bytes) -> Iterator[tuple[Key, int]]:
    at = len(MAGIC) + _CHECKSUM.size
    size, end, unpack = _HEAD.size, len(content), _HEAD.unpack_from
    while at < end:
        length, _, extra, blobs, _, _, _ = unpack(content, at)
        if length not in NAMES:
            return
        yield content[at + size : at + size + length], at
        at += size + length + blobs + extra


_COUNTS = struct.Struct("<HHH??")


def _pack(manifest: Manifest) -> bytes:
    foreign = [digest for digest in manifest.blobs if digest in manifest.foreign]
    head = _COUNTS.pack(
        len(manifest.children),
        len(manifest.blobs),
        len(foreign),
        manifest.explained,
        manifest.subject is not None,
    )
    subject = () if manifest.subject is None else (manifest.subject,)
    keys = [key_of(digest) for digest in (*manifest.children, *manifest.blobs, *foreign, *subject)]
    return head + b"".join(bytes((len(key),)) + key for key in keys)


def _unpack(packed: bytes) -> Manifest:
    children, blobs, foreign, explained, has_subject = _COUNTS.unpack_from(packed)
    digests: list[str] = []
    at = _COUNTS.size
    while at < len(packed):
        length = packed[at]
        digests.append(text_of(packed[at + 1 : at + 1 + length]))
        at += 1 + length
    subject = digests.pop() if has_subject else None
    return Manifest(
        tuple(digests[:children]),
        tuple(digests[children : children + blobs]),
        subject,
        explained,
        frozenset(digests[children + blobs : children + blobs + foreign]),
    )
