"""The links and tags of one repository: listed by their names, and read when somebody asks.

A registry's tree has a folder for each link, so that entering them all takes ten times as long as listing
them. A look reads what may go; what stays is nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from pruner.tree import layout
from pruner.tree.digests import NAMES, Key, key_of, text_of, unpack
from pruner.tree.model import Current, Link, Tag

ReadLinks = Callable[["Links", list[Key]], list[float | Link | None]]
"""Reads links closely, and notes what else lies in their folders. Of a sound link it gives the mtime alone: a
run examines a hundred thousand."""


class Links(Mapping[str, Link]):
    """The links of one kind in a repository, by digest: the names of their folders, each read when asked for.

    A folder without a link counts as one until it is examined. `held` are those that a run took away: they
    are looked at as if they were in their places, unless newer ones are there. `unsound` are those that were
    found to hold something else than their place says.
    """

    def __init__(self, path: str, packed: Mapping[int, bytes], read: ReadLinks) -> None:
        self.path = path
        self.packed = packed
        self.held: dict[Key, Link] = {}
        self._read = read
        self.unsound: list[Link] = []
        self._known: dict[Key, float | Link | None] = {}
        self._set: frozenset[Key] | None = None

    def keys_listed(self) -> list[Key]:
        """The keys of all folders, and of what is held."""
        keys: list[Key] = []
        for length, packed in self.packed.items():
            keys += unpack(packed, length)
        if self.held:
            listed = self.listed
            keys += (key for key in self.held if key not in listed)
        return keys

    def aliases(self) -> list[Key]:
        """The keys of other algorithms than sha256: their links say which sha256 they stand for."""
        others = (unpack(packed, length) for length, packed in self.packed.items() if length != 32)
        return [key for keys in others for key in keys]

    @property
    def listed(self) -> frozenset[Key]:
        """The keys of all folders."""
        if self._set is None:
            self._set = frozenset().union(*(unpack(packed, length) for length, packed in self.packed.items()))
        return self._set

    def hold(self, link: Link) -> None:
        """Look at a link that a run took away as if it were in its place."""
        key = key_of(link.named)
        self.held[key] = link
        if key in self._known and self._known[key] is None:
            self._known[key] = link

    def without(self, digests: Set[str]) -> Links:
        """The same without some."""
        gone = set(map(key_of, digests))
        packed = {
            length: b"".join(key for key in unpack(each, length) if key not in gone)
            for length, each in self.packed.items()
        }
        left = Links(self.path, packed, self._read)
        left.held = {key: link for key, link in self.held.items() if key not in gone}
        left._known = {key: link for key, link in self._known.items() if key not in gone}
        return left

    def path_of(self, key: Key) -> str:
        """Where a link lies."""
        return f"{self.path}/{NAMES[len(key)]}/{key.hex()}/link"

    def paths_of(self, digests: Iterable[str]) -> list[str]:
        """The same for each of the digests."""
        path = self.path
        return [f"{path}/{digest[:6]}/{digest[7:]}/link" for digest in digests]

    def examine(self, keys: Iterable[Key]) -> None:
        """Read those that were not read yet, in bulk; raises ReadError."""
        known, held = self._known, self.held
        new = [key for key in keys if key not in known]
        found = self._read(self, new)
        self.unsound.extend(link for link in found if isinstance(link, Link) and not link.sound)
        if held:
            found = [held.get(key) if link is None else link for key, link in zip(new, found, strict=True)]
        known.update(zip(new, found, strict=True))

    def at(self, key: Key) -> Link | None:
        """The link; None when there is none. Raises ReadError."""
        if key not in self._known:
            if key not in self.held and key not in self.listed:
                return None
            self.examine((key,))
        found = self._known[key]
        if found is None or isinstance(found, Link):
            return found
        digest = text_of(key)
        return Link(self.path_of(key), digest, digest, found)

    def known(self, key: Key) -> float | Link | None:
        """What was found of a key that was examined: of a sound link in its place the mtime."""
        return self._known[key]

    def vacant(self) -> list[Key]:
        """Those examined of which there is no link, nor is one held."""
        return [key for key, found in self._known.items() if found is None]

    def __getitem__(self, digest: str) -> Link:
        link = self.at(key_of(digest)) if layout.is_digest(digest) else None
        if link is None:
            raise KeyError(digest)
        return link

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and layout.is_digest(digest) and self.at(key_of(digest)) is not None

    def __iter__(self) -> Iterator[str]:
        keys = sorted(self.keys_listed())
        self.examine(keys)
        return (text_of(key) for key in keys if self._known[key] is not None)

    def __len__(self) -> int:
        known = sum(link is None for link in self._known.values())
        held = sum(key not in self.listed for key in self.held)
        return sum(len(packed) // length for length, packed in self.packed.items()) + held - known


class Tags(Mapping[str, Tag]):
    """The tags of a repository by name: what each names now, and its history when asked for.

    `close` are tags that were looked at with all that lies in their folders: those without a link, those with
    more than one in their history, and those that may go.
    """

    def __init__(self, path: str, look: Callable[[str], Tag | None]) -> None:
        self.path = path
        self.current: dict[str, Current] = {}
        self.close: dict[str, Tag | None] = {}
        self._look = look

    def closely(self, name: str) -> Tag | None:
        """A tag with all that lies in its folder; None when it is gone. Raises ReadError."""
        if name not in self.close:
            self.close[name] = self._look(name)
        return self.close[name]

    def each(self) -> Iterator[Tag]:
        """Every tag, closely, but for those that a client has removed meanwhile. Raises ReadError."""
        for name in self:
            tag = self.closely(name)
            if tag is not None:
                yield tag

    def without(self, names: Set[str]) -> Tags:
        """The same without some."""
        left = Tags(self.path, self._look)
        left.current = {name: each for name, each in self.current.items() if name not in names}
        left.close = {name: each for name, each in self.close.items() if name not in names}
        return left

    def put(self, tag: Tag) -> None:
        """Take a tag as given."""
        self.close[tag.name] = tag
        if tag.current is not None:
            self.current[tag.name] = Current(tag.current.target, tag.current.mtime)

    def __getitem__(self, name: str) -> Tag:
        if name not in self.current and name not in self.close:
            raise KeyError(name)
        tag = self.closely(name)
        if tag is None:
            raise KeyError(name)
        return tag

    def __contains__(self, name: object) -> bool:
        return name in self.current or self.close.get(name) is not None  # pyright: ignore

    def __iter__(self) -> Iterator[str]:
        yield from self.current
        yield from (name for name, tag in self.close.items() if tag is not None and name not in self.current)

    def __len__(self) -> int:
        return sum(1 for _ in self)
