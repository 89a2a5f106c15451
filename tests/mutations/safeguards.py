"""Each safeguard of the pruner, as the text to take out of it, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguard:
    """`new` stands for `old`, which stands once in `file` (below gc/pruner); `tests` are names of files in
    tests/gc, without `test_` and the ending."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


SAFEGUARDS = (
    # -- what a look believes
    Safeguard(
        "a manifest hashes to its digest",
        "tree/library.py",
        "check(content.content, key)",
        "pass",
        ("hazards_graph", "manifests", "random_trees"),
    ),
    Safeguard(
        "an entry of the index is for the file as it is now",
        "tree/index.py",
        "if not version or (size, mtime, version) != (stat.size, stat.mtime, stat.version):",
        "if not version:",
        ("attacks", "counted_work"),
    ),
    Safeguard(
        "an entry of the index has whole keys",
        "tree/index.py",
        "return None if blobs % _OF_IMAGE else found",
        "return found",
        ("attacks",),
    ),
    Safeguard(
        "a name that holds two digests is not one",
        "tree/digests.py",
        'if packed.hex(" ", length) == joined and len(packed) == length * len(names):',
        'if packed.hex(" ", length) == joined:',
        ("digests",),
    ),
    Safeguard(
        "a damaged manifest keeps its repository whole",
        "decide/walk.py",
        '                self._keep_whole(name, f"revision {text_of(key)}: {found}")',
        "                pass",
        ("hazards_storage", "odd_entries", "mark"),
    ),
    # -- what stays
    Safeguard(
        "what is younger than the grace stays",
        "decide/roots.py",
        "return self.now - mtime < self.grace",
        "return False",
        ("phases", "hazards_concurrency", "statemachine"),
    ),
    Safeguard(
        "a manifest without a link in its repository pins the link of another",
        "decide/walk.py",
        "                    self._pin_elsewhere(child)",
        "                    pass",
        ("hazards_graph", "mark"),
    ),
    Safeguard(
        "a tag whose history is young is being pushed",
        "decide/roots.py",
        "            or _is_being_pushed(tags, name, rules)",
        "            or False",
        ("retention", "hazards_concurrency", "statemachine"),
    ),
    Safeguard(
        "young empty folders stay",
        "decide/plan.py",
        "if layout.tag_folder(folder.path) not in whole and not self.rules.young(folder.mtime):",
        "if layout.tag_folder(folder.path) not in whole:",
        ("leftovers", "hazards_concurrency", "statemachine"),
    ),
    Safeguard(
        "a plan that drops most tags is refused",
        "decide/fuses.py",
        "    _check_tags(look.covered, plan, settings)",
        "    pass",
        ("fuses",),
    ),
    # -- the run
    Safeguard(
        "links are renamed and not unlinked",
        "sweep/current.py",
        "lambda: storage.rename(held.removal.path, held.place)",
        "lambda: storage.remove(held.removal.path)",
        ("phases", "crash"),
    ),
    Safeguard(
        "a link that was written to while it was taken away goes back",
        "sweep/current.py",
        "and stat.mtime == held.removal.link.mtime",
        "and stat.links",
        ("phases", "interleavings", "hazards_concurrency"),
    ),
    Safeguard(
        "a look right after the hold",
        "sweep/phases.py",
        '    if work.observer.grace > 0:\n        with work.phase("look at what',
        '    if work.observer.grace < 0:\n        with work.phase("look at what',
        ("hazards_concurrency",),
    ),
    Safeguard(
        "the wait of the grace",
        "sweep/phases.py",
        "                clock.sleep(grace)",
        "                pass",
        ("phases", "hazards_concurrency"),
    ),
    Safeguard(
        "a clock that jumps while the run waits ends it",
        "sweep/phases.py",
        "        work.observer.time.check()",
        "        pass",
        ("hazards_concurrency",),
    ),
    Safeguard(
        "another pruner that took over while the run waited ends it",
        "sweep/phases.py",
        "if not current.is_of(work.storage, work.id):",
        "if False:",
        ("phases", "trash_commands", "hazards_concurrency"),
    ),
    Safeguard(
        "what was written to a link while it was taken away goes back at once",
        "sweep/phases.py",
        "    links = _unless_changed(work, holding).links",
        "    links = holding.links",
        ("phases", "interleavings", "hazards_concurrency"),
    ),
    Safeguard(
        "the second look decides what is quarantined",
        "sweep/phases.py",
        'going = second.plan.of("blob").paths()',
        'going = work.first.plan.of("blob").paths()',
        ("phases", "interleavings"),
    ),
    Safeguard(
        "a blob that was uploaded again is not quarantined",
        "sweep/phases.py",
        "(stat.size, stat.mtime) == (seen.size, seen.mtime)",
        "stat.size == seen.size",
        ("hazards_concurrency",),
    ),
    Safeguard(
        "what was pushed and deleted meanwhile keeps its bytes",
        "decide/compare.py",
        "if known.get(path) != mtime and",
        "if known.get(path) == mtime and",
        ("phases", "real_caches", "statemachine"),
    ),
    Safeguard(
        "a later look takes over a repository only while what it would remove is held",
        "decide/before.py",
        "    return all(links.known(key) is held(key) for key in (*going, *vacant))",
        "    return True",
        ("counted_work", "phases", "interleavings", "statemachine"),
    ),
    Safeguard(
        "the settle pause",
        "sweep/phases.py",
        "work.observer.time.clock.sleep(min(work.observer.grace, SETTLE))",
        "pass",
        ("interleavings",),
    ),
    Safeguard(
        "the third look puts back what was linked around the quarantine",
        "sweep/phases.py",
        "        wanted = {digest for digest in away if digest in marked or digest in pushed}\n",
        "        wanted: set[str] = set()\n",
        ("phases", "interleavings"),
    ),
    Safeguard(
        "the last flush of caches",
        "sweep/phases.py",
        "        # A push that died meanwhile may have left its entry in redis.\n"
        "        work.caches.forget(held.removals, quarantined)\n",
        "",
        ("interleavings",),
    ),
    # -- what goes wrong
    Safeguard(
        "a failed run is undone",
        "sweep/execute.py",
        "        current.undo(work.storage)",
        "        pass",
        ("phases", "crash"),
    ),
    Safeguard(
        "a run that fails after its decision puts the blobs back",
        "sweep/execute.py",
        "            current.put_back_blob(work.storage, blob)",
        "            pass",
        ("hazards_concurrency",),
    ),
    Safeguard(
        "an interrupted run is recovered",
        "sweep/run.py",
        "            recovered = place.recover(time)",
        '            recovered = ""',
        ("crash",),
    ),
    Safeguard(
        "what the look misses comes back from the trash",
        "sweep/phases.py",
        "    _put_back_wanted(work, trash.blobs_in(work.storage, batches), look.marks.blobs)",
        "    pass",
        ("trash", "crash", "phases"),
    ),
    Safeguard(
        "a copy in the trash of a blob that is in its place goes first",
        "sweep/phases.py",
        "look.tree.blobs.there(blob.digest for blob in left)",
        "set()",
        ("trash",),
    ),
    Safeguard(
        "links that are missed come back from the trash",
        "sweep/phases.py",
        "            if misses(look, held.removal):",
        "            if False:",
        ("hazards_concurrency", "interleavings", "faults", "statemachine"),
    ),
    Safeguard(
        "before the purge, what the last look misses comes back",
        "sweep/phases.py",
        "    if last is not work.first:\n        heal(work, last)\n",
        "",
        ("trash", "phases", "interleavings"),
    ),
    Safeguard(
        "nothing is purged after the clock jumped",
        "sweep/phases.py",
        "    if work.observer.time.jump():",
        "    if False:",
        ("clock", "trash", "phases"),
    ),
    Safeguard(
        "trash stays until it is due",
        "decide/taken.py",
        "return now - since >= keep",
        "return True",
        ("trash", "trash_commands"),
    ),
    Safeguard(
        "nothing newer is replaced when a file is put back",
        "storage/filesystem.py",
        "        except FileExistsError:\n            return False\n",
        "        except FileExistsError:\n            os.replace(self._path(source), self._path(target))\n"
        "            return True\n",
        ("storage_contract", "phases"),
    ),
)
