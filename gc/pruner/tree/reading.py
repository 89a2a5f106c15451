"""How a look reads folders and links: what it meets on the way is noted, and what did not change is not
listed again.

Something that vanishes between a listing and a read was removed by a client and is simply not there. What is
something else than it should be is noted as damage. Any other failure to read ends the look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pruner.clock import Clock
from pruner.delays import LINK_WRITE, REREAD_PAUSE
from pruner.storage import Content, Entry, Odd, View, is_odd
from pruner.tree import layout
from pruner.tree.digests import pack
from pruner.tree.model import Contents, Current, Folder, Leftover, Link

LINK_LIMIT = 4096
_REREADS = 4
_Listing = tuple[list[str], list[Entry]]
_Packed = tuple[bytes, list[Entry]]


@dataclass(slots=True)
class Known:
    """What earlier looks of one run saw: by path, what was listed with the folder's stamp at that time, and
    what tags named with their link's version. `keeps` is False where no later look asks for any of it."""

    keeps: bool = True
    folders: dict[str, tuple[object, _Listing]] = field(default_factory=dict[str, tuple[object, _Listing]])
    digests: dict[str, tuple[object, _Packed]] = field(default_factory=dict[str, tuple[object, _Packed]])
    tags: dict[str, dict[str, tuple[int, Current]]] = field(
        default_factory=dict[str, dict[str, tuple[int, Current]]]
    )


@dataclass(slots=True)
class Reader:
    """Reads for one look."""

    view: View
    clock: Clock
    known: Known
    entered: set[str] = field(default_factory=set[str])

    def shown(self, path: str) -> str:
        """A path as people know it."""
        return f"{self.view.root}/{path}"

    # -- folders

    def listing(self, path: str, found: Contents | None = None) -> _Listing:
        """The names of the folders in a folder, and its other entries; nothing when it is not there.

        What is not a folder is noted in `found`, or raised when that is None.
        """
        old = self.known.folders.get(path)
        try:
            stamp = self.stamp(path)
            if old is not None and stamp is not None and stamp == old[0]:
                return old[1]
            new = self.view.folders(path)
        except FileNotFoundError:
            return [], []
        except OSError as error:
            if found is None or not is_odd(error):
                raise
            found.damage.append(f"{self.shown(path)} is not a folder")
            return [], []
        if stamp is not None:
            self.known.folders[path] = stamp, new
        return new

    def digests(self, path: str, algorithm: str, found: Contents) -> _Packed:
        """The keys of folders named after digests, one after the other, and the other entries."""
        old = self.known.digests.get(path)
        try:
            stamp = self.stamp(path)
            if old is not None and stamp is not None and stamp == old[0]:
                return old[1]
            names, others = self.view.folders(path)
        except FileNotFoundError:
            return b"", []
        except OSError as error:
            if not is_odd(error):
                raise
            found.damage.append(f"{self.shown(path)} is not a folder")
            return b"", []
        packed, strange = pack(algorithm, names)
        new = packed, [*(Entry(name, "folder") for name in strange), *others]
        if not names and not others:
            self.empty(path, found)
        elif stamp is not None:
            self.known.digests[path] = stamp, new
        return new

    def stamp(self, path: str) -> object | None:
        """What tells whether the names in a folder changed; None when nothing does, or nobody asks later."""
        if not self.known.keeps:
            return None
        try:
            return self.view.stamp(path)
        except FileNotFoundError:
            return None  # the listing says so, too

    def entries(self, path: str) -> list[Entry]:
        """The entries of a folder; none when it is not there or is something else."""
        try:
            return self.view.list(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            if not is_odd(error):
                raise
            return []

    def empty(self, path: str, found: Contents) -> None:
        """Note an empty folder."""
        mtime = self.mtime(path)
        if mtime > 0:
            found.empty_folders.append(Folder(path, mtime))

    def mtime(self, path: str) -> float:
        """When something was changed; 0 when it is not there."""
        try:
            return self.view.stat(path).mtime
        except (FileNotFoundError, NotADirectoryError):
            return 0.0

    def stray(self, path: str, entry: Entry, found: Contents, *, in_repository: bool = True) -> None:
        """Note what lies where it does not belong."""
        if entry.kind == "file" and layout.is_temporary(entry.name):
            for stat in self.view.stat_many((path,)):
                if stat is not None:
                    found.temporaries.append(Leftover(path, (path,), (), stat.size, stat.mtime))
            return
        found.unexplained.append(path)
        if entry.kind == "symlink" and in_repository:
            # The registry would follow it to a tag, revision or layer that is not seen here.
            found.damage.append(f"{self.shown(path)} is a symbolic link")

    def leaf(self, path: str, wanted: str, found: Contents, *, in_repository: bool = True) -> None:
        """Enter a folder that is made for one file, and note what else it holds."""
        if path in self.entered:
            return
        self.entered.add(path)
        entries = self.entries(path)
        if not entries:
            self.empty(path, found)
        for entry in entries:
            below = f"{path}/{entry.name}"
            if entry.name == wanted and entry.kind == "file":
                continue
            if entry.name == "signatures" and entry.kind == "folder":
                found.signatures.extend(self.leftover(below))
                continue
            self.stray(below, entry, found, in_repository=in_repository)
            if entry.name == wanted and in_repository and entry.kind != "symlink":
                found.damage.append(f"{self.shown(below)} is not a file")

    def leftover(self, path: str) -> Iterator[Leftover]:
        """A folder that goes as a whole, with everything in it; nothing when it is gone already."""
        files: list[str] = []
        folders: list[str] = []
        size = 0
        youngest = self.mtime(path)
        pending = [path]
        while pending:
            folder = pending.pop()
            folders.append(folder)
            for entry in self.entries(folder):
                below = f"{folder}/{entry.name}"
                if entry.kind == "folder":
                    pending.append(below)
                    continue
                if entry.kind != "file":
                    return  # not the registry's: keep the whole
                try:
                    stat = self.view.stat(below)
                except FileNotFoundError:
                    continue
                files.append(below)
                size += stat.size
                youngest = max(youngest, stat.mtime)
        if youngest > 0:
            yield Leftover(path, tuple(files), tuple(reversed(folders)), size, youngest)

    # -- links

    def current(self, path: str, content: Content) -> Current | None:
        """What a link's content says; one that holds no digest and is fresh may be half written, and is read
        again. None when it is gone by then."""
        for attempt in range(_REREADS):
            text = content.content.decode(errors="replace")
            if layout.is_digest(text):
                return Current(text, content.mtime)
            fresh = abs(self.clock.now() - content.mtime) < LINK_WRITE
            if not fresh or attempt == _REREADS - 1:
                break
            self.clock.sleep(REREAD_PAUSE)
            again = next(iter(self.view.read_many((path,), LINK_LIMIT)))
            if again is None or isinstance(again, Odd):
                return None
            content = again
        return Current(None, content.mtime)

    def link(self, path: str, named: str | None) -> Link | None:
        """A single link; None when it is not there or is something else."""
        content = next(iter(self.view.read_many((path,), LINK_LIMIT)))
        if content is None or isinstance(content, Odd):
            return None
        found = self.current(path, content)
        if found is None:
            return None
        return Link(path, found.target or "" if named is None else named, found.target, found.mtime)
