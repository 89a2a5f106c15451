"""Random clients and random runs of the pruner, interleaved at every storage call, on a clock of the test's.

After every step what clients were told holds: see tests/gc/ledger.py for what that is, and simulation.py for
what is checked. `HYPOTHESIS_PROFILE=long` tries 6000 longer examples.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from contextlib import suppress

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pruner.errors import Busy, PrunerError
from pruner.inspect.report import Report
from pruner.settings.policies import Policy
from pruner.settings.table import Settings
from pruner.sweep.place import Place
from pruner.sweep.purge import expire, purge
from pruner.sweep.restore import restore
from tests.gc import reference
from tests.gc.fakeclock import SteppedClock
from tests.gc.images import Image, artifact, cosign_tag, fallback_tag, image, index, layer, signature
from tests.gc.ledger import Ledger
from tests.gc.memorystorage import MemoryStorage
from tests.gc.modelpruner import forget
from tests.gc.modelregistry import BASE, Cache, ModelRegistry
from tests.gc.simulation import TICK, Script, World
from tests.gc.storagedoubles import Interposed, Killed

settings.register_profile(
    "short",
    max_examples=350,
    stateful_step_count=14,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
settings.register_profile("long", settings.get_profile("short"), max_examples=6000, stateful_step_count=30)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

GRACE = 600.0
REPOSITORIES = ("a", "a/b", "c", "last")
LAST_ONLY = "last"
TAGS = ("1", "2")


def _image(*layers: int) -> Image:
    name = "".join(map(str, layers))
    return image([layer(number, 64) for number in layers], name)


def _universe() -> dict[str, Image]:
    """Images that share layers and children, with artifacts and signatures of some of them."""
    found = {name: _image(*map(int, name)) for name in ("0", "01", "12", "3", "234")}
    found["index"] = index([found["0"], found["01"]])
    found["nested"] = index([found["index"], found["12"]])
    found["other index"] = index([found["01"], found["12"], found["3"]])
    found["listing"] = index([artifact("3", subject=found["3"])])
    for name in ("0", "3", "index"):
        found[f"artifact of {name}"] = artifact(name, subject=found[name])
        found[f"signature of {name}"] = signature(found[name])
    found["artifact of artifact of 0"] = artifact("of an artifact", subject=found["artifact of 0"])
    return found


IMAGES = _universe()
SUBJECTS = {
    image.digest: IMAGES[name.removeprefix("artifact of ")].digest
    for name, image in IMAGES.items()
    if name.startswith("artifact")
}
NAMED_AFTER = {cosign_tag(IMAGES[name].digest): IMAGES[name].digest for name in ("0", "3", "index")}
NAMED_AFTER[fallback_tag(IMAGES["3"].digest)] = IMAGES["3"].digest


def restore_all(place: Place) -> object:
    return restore(place, None)


operations = st.tuples(
    st.sampled_from(["push"] * 6 + ["delete manifest", "delete tag"]),
    st.sampled_from(REPOSITORIES),
    st.sampled_from(sorted(IMAGES)),
    st.sampled_from([*TAGS, None, *NAMED_AFTER]),
    st.sampled_from([None, *REPOSITORIES]),
    st.booleans(),
)
Operation = tuple[str, str, str, str | None, str | None, bool]


def ledger_of(kind: Callable[..., Ledger], untagged_after: float, *, retention: bool) -> Ledger:
    """What clients may count on, of a `kind` of ledger."""
    return kind(
        GRACE,
        untagged_after,
        LAST_ONLY if retention else None,
        {image.digest: image for image in IMAGES.values()},
        SUBJECTS,
        NAMED_AFTER,
    )


def settings_of(untagged_after: float, trash: float, *, retention: bool) -> Settings:
    return Settings(
        grace=GRACE,
        untagged_after=untagged_after,
        uploads_after=3600,
        trash=trash,
        max_fraction=1,
        retention=(Policy((LAST_ONLY,), ("*",), 1, None, None),) if retention else (),
        override=frozenset({"no-tags"}),
    )


class Pruning(RuleBasedStateMachine):
    world: World

    @initialize(
        atomic=st.booleans(),
        cache=st.sampled_from(["none", "inmemory", "redis"]),
        untagged_after=st.sampled_from([0.0, 3600.0]),
        trash=st.sampled_from([0.0, 86400.0]),
        retention=st.booleans(),
        seed=st.integers(0, 1 << 32),
        first=st.lists(operations, min_size=2, max_size=6),
    )
    def begin(
        self,
        atomic: bool,
        cache: Cache,
        untagged_after: float,
        trash: float,
        retention: bool,
        seed: int,
        first: list[Operation],
    ) -> None:
        clock = SteppedClock()
        storage = MemoryStorage(clock)
        self.world = World(
            storage,
            clock,
            ModelRegistry(storage, atomic=atomic, cache=cache),
            ledger_of(Ledger, untagged_after, retention=retention),
            settings_of(untagged_after, trash, retention=retention),
            random.Random(seed),
        )
        for operation in first:
            self.world.start(self._script(operation)())
        self.world.finish()

    def _script(self, operation: Operation) -> Callable[[], Script]:
        kind, repository, name, tag, source, frugal = operation
        image = IMAGES[name]
        if kind == "push":
            return lambda: self.world.push(repository, image, tag, source, frugal=frugal)
        if kind == "delete manifest":
            return lambda: self.world.delete_manifest(repository, image.digest)
        return lambda: self.world.delete_tag(repository, tag or TAGS[0])

    # -- clients between runs

    @rule(operation=operations)
    def client_begins(self, operation: Operation) -> None:
        self.world.start(self._script(operation)())
        self.world.turns(0.9)

    @rule(operation=operations)
    def client_does_all(self, operation: Operation) -> None:
        self.world.start(self._script(operation)())
        self.world.finish()

    @precondition(lambda self: self.world.clients)
    @rule(data=st.data())
    def client_goes_away(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.world.clients) - 1))
        self.world.abandon(self.world.clients[number])

    @rule(seconds=st.sampled_from([1.0, GRACE / 2, GRACE + 1, 4000.0, 90000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.sleep(seconds)

    # -- the trash

    @rule(command=st.sampled_from([restore_all, purge, expire]))
    def a_person_uses_the_trash(self, command: Callable[[Place], object]) -> None:
        self._use_trash(command)

    def _use_trash(self, command: Callable[[Place], object]) -> None:
        """Also while a run waits: what clients were told holds all the same."""
        world = self.world

        def progress(phase: str, _count: int) -> None:
            if phase == "mark":
                world.note_mark()

        with suppress(Busy):  # a run lets it in only while it waits its grace
            command(world.pruner.place(progress=progress))

    # -- runs

    @rule(
        during=st.lists(operations, max_size=5),
        busy=st.sampled_from([0.0, 0.1, 0.4]),
        command=st.sampled_from([None, None, restore_all, purge, expire]),
    )
    def run(self, during: list[Operation], busy: float, command: Callable[[Place], object] | None) -> None:
        if command is not None:
            self.world.asleep = lambda: self._use_trash(command)
        self._prune(during, busy, nothing)
        self.world.asleep = nobody_does_anything

    @rule(during=st.lists(operations, max_size=5), at=st.integers(1, 900), busy=st.sampled_from([0.0, 0.1]))
    def run_is_killed(self, during: list[Operation], at: int, busy: float) -> None:
        def kill(number: int) -> None:
            if number >= at:
                raise Killed

        self._prune(during, busy, kill)

    @rule(
        during=st.lists(operations, max_size=5),
        at=st.integers(1, 900),
        code=st.sampled_from([errno.EIO, errno.ENOSPC]),
    )
    def run_fails(self, during: list[Operation], at: int, code: int) -> None:
        def fail(number: int) -> None:
            if number == at:
                raise OSError(code, os.strerror(code))

        self._prune(during, 0.1, fail)

    def _prune(self, during: list[Operation], busy: float, trouble: Callable[[int], None]) -> Report | None:
        """A run, or None when it met trouble."""
        world = self.world
        calls = 0

        def before(_operation: str, _path: str) -> None:
            nonlocal calls
            calls += 1
            world.clock.advance(TICK)
            world.turns(busy)
            world.hurry()
            if world.random.random() < 0.01:
                world.check_settled()
            trouble(calls)

        def progress(phase: str, _count: int) -> None:
            if phase == "mark":
                world.note_mark()
            elif phase == "second look":
                world.second_look_begins()
            elif phase == "quarantine":
                world.quarantine_begins()

        world.waiting = [self._script(operation) for operation in during]
        world.run_begins()
        world.storage.between = before
        report: Report | None = None
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("pruner.sweep.flush.forget_redis", forget(world.registry))
                report = world.pruner.run(Interposed(world.storage, before), progress)
        except (Killed, PrunerError):
            event("a run met trouble")
        finally:
            world.storage.between = nobody
            world.waiting = []
        world.run_ended(complete=report is not None)
        return report

    @rule()
    def all_is_quiet(self) -> None:
        """A plan changes nothing and says what the run then does; a second run has nothing to do."""
        world = self.world
        world.finish()
        self._prune([], 0, nothing)
        world.clock.sleep(3 * 86400)
        before = world.storage.snapshot()
        plan = world.pruner.plan()
        assert world.storage.snapshot() == before
        files = world.storage.files(f"{BASE}/pruner")
        stays = reference.survivors(files, world.clock.now(), world.settings.untagged_after, GRACE)
        assert removed(self._prune([], 0, nothing)) == removed(plan)
        if not world.settings.retention:
            assert reference.links_and_blobs(world.storage.files()) == stays
        assert removed(self._prune([], 0, nothing)) == []

    @invariant()
    def acknowledged_pushes_are_readable(self) -> None:
        if hasattr(self, "world") and all(client.request_since is None for client in self.world.clients):
            self.world.check_settled()


def nobody_does_anything() -> None:
    pass


def nobody(_operation: str, _path: str) -> None:
    pass


def nothing(_number: int) -> None:
    pass


def removed(report: Report | None) -> list[tuple[str, str]]:
    assert report is not None
    return sorted((removal.kind, removal.path) for removal in report.removals)


TestPruning = Pruning.TestCase
