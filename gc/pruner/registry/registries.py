"""The registries that serve our tree: found, minded and restarted in place.

A registry that remembers descriptors of what was pruned acknowledges a push whose bytes are then missing. So
every one that serves the tree must be minded: one that keeps its cache in memory is restarted, one that keeps
it in redis has its keys forgotten. A run that cannot mind one does not begin.

What each runs with is read from its own process, which knows better than the configuration that we were
given: its variables are not ours, and its file may be another one. The given configuration counts where no
process is in sight: in another pod, or without a shared PID namespace.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pruner.clock import Clock
from pruner.delays import APPEARANCE, COMEBACK, DRAIN_MARGIN, PROCESS_POLL, SIGHT
from pruner.errors import ConfigError, RegistryError
from pruner.registry import opened, supervisor
from pruner.registry.config import HttpConfig, RegistryConfig
from pruner.registry.opened import Opened
from pruner.registry.process import RegistryProcess, end, serving
from pruner.registry.redisconfig import RedisConfig
from pruner.registry.supervisor import Restart

if TYPE_CHECKING:
    from pruner.registry.asking import Asker, Glance


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in sight: registries that serve the tree, others, and what cannot be looked into, with why."""

    ours: tuple[Opened, ...] = ()
    others: tuple[Opened, ...] = ()
    doubts: tuple[tuple[RegistryProcess, str], ...] = ()


class Registries:
    """The registries next to us, as the rest of the pruner uses them."""

    def __init__(
        self,
        clock: Clock,
        *,
        ca: str | None = None,
        proc: str = "/proc",
        restart: Restart = "auto",
        elsewhere: Callable[[RegistryConfig], None] | None = None,
        in_pod: bool = False,
    ) -> None:
        """`ca` is the CA file for their certificates; `restart` is the setting of that name.

        `elsewhere` raises RegistryError for one in another pod, as pruner.registry.pods does. `in_pod` says
        that what runs beside us belongs to us, and is not just on the same machine.
        """
        self._clock = clock
        self._ca = ca
        self._proc = proc
        self._restart: Restart = restart
        self._redis: dict[str, RedisConfig] = {}
        self._elsewhere = elsewhere
        self._in_pod = in_pod

    @cached_property
    def _asker(self) -> Asker:
        from pruner.registry.asking import Asker  # HTTP and TLS are slow to import

        return Asker(self._ca)

    def survey(self, config: RegistryConfig) -> Survey:
        """Who serves the tree of `config` at this moment; raises RegistryError when that cannot be seen."""
        try:
            tree = opened.tree_of(config)
        except OSError as error:
            raise RegistryError(f"{config.root} cannot be looked at: {error.strerror}") from error
        ours: list[Opened] = []
        others: list[Opened] = []
        doubts: list[tuple[RegistryProcess, str]] = []
        for process in serving(self._proc):
            try:
                found = opened.look_into(process, self._proc)
            except RegistryError as error:
                doubts.append((process, str(error)))
                continue
            if found is not None:
                (ours if found.folders & tree else others).append(found)
        return Survey(tuple(ours), tuple(others), tuple(doubts))

    def check(self, config: RegistryConfig, *, readonly: bool = False, doubtful: bool = False) -> list[str]:
        """Whether all that serve the tree can be minded; sentences on where their reading is not `config`'s.

        `readonly` is set for a read-only window, `doubtful` when somebody vouches for what cannot be seen.
        Raises RegistryError.
        """
        survey = self._settled(config)
        notes = [f"{why}: if it serves {config.root}, what is pruned may be lost" for _, why in survey.doubts]
        if not doubtful and any(self._may_be_ours(process, config) for process, _ in survey.doubts):
            raise RegistryError(
                f"{'; '.join(why for _, why in survey.doubts)}: whether it serves {config.root} cannot be "
                "seen; run the pruner as its user, or, if it serves something else, --override "
                "other-registries"
            )
        _refuse_other_tree(config, survey)
        for each in survey.ours:
            if each.cache == "inmemory" or readonly:
                self._refuse_unrestartable(each, config)
        self.redis(config)
        if readonly and len(survey.ours) > 1:
            named = " and ".join(str(each.process) for each in survey.ours)
            raise RegistryError(f"a read-only window closes one registry, and {named} serve {config.root}")
        if self._elsewhere is not None and not doubtful:
            self._elsewhere(config)
        if not survey.ours and config.cache == "inmemory" and self._asker.answers(config.http):
            raise RegistryError(_out_of_sight(config))
        return notes + [
            f"the registry, {each.process}, is {_cache_of(each.config)}, and not {_cache_of(config)} as "
            f"{config.path} says here: what it runs with counts"
            for each in survey.ours
            if _cache_of(each.config) != _cache_of(config)
        ]

    def _settled(self, config: RegistryConfig) -> Survey:
        """The survey, once more after a moment for what is just beginning or ending."""
        deadline = self._clock.monotonic() + SIGHT
        survey = self.survey(config)
        while survey.doubts and self._clock.monotonic() < deadline:
            self._clock.sleep(PROCESS_POLL)
            survey = self.survey(config)
        return survey

    def _may_be_ours(self, process: RegistryProcess, config: RegistryConfig) -> bool:
        """Of a process that cannot be looked into only the file that it names is known."""
        named = next((word for word in process.argv[2:] if not word.startswith("-")), None)
        if self._in_pod or named is None:
            return True
        if not os.path.isabs(named):
            return os.path.basename(named) == os.path.basename(config.path)
        return os.path.normpath(named) == os.path.normpath(config.path)

    def redis(self, config: RegistryConfig) -> list[RedisConfig]:
        """Every redis that remembers for a registry of this tree; the given one where none was in sight."""
        ours = self.survey(config).ours
        given = config.redis
        if given is not None and any(each.file == _file_of(config) for each in ours):
            given = None  # what that registry made of the file is among the others
        found = [each.config.redis for each in ours if each.config.redis is not None]
        # One that was seen earlier in a run may just be between two lives.
        self._redis |= {redis.place: redis for redis in ([given] if given is not None else []) + found}
        return list(self._redis.values())

    def refresh(self, config: RegistryConfig) -> str:
        """Restart every registry of this tree whose cache is in memory; a sentence on it, or nothing.

        Raises as `restart` does.
        """
        survey = self.survey(config)
        remembering = [each for each in survey.ours if each.cache == "inmemory"]
        for each in remembering:
            self.restart_one(each, config)
        if remembering:
            number = f"{len(remembering)} registries were" if len(remembering) > 1 else "the registry was"
            return f"{number} restarted in place, since the descriptor cache is in memory"
        if survey.ours or config.cache != "inmemory":
            return ""
        if self._asker.answers(config.http):
            raise RegistryError(_out_of_sight(config))
        return "no registry is running, so no cache had to be flushed"

    def present(self, config: RegistryConfig) -> bool:
        """Whether a registry runs here: its process is seen, or something answers at its address."""
        return bool(self.survey(config).ours) or self._asker.answers(config.http)

    def takes_writes(self, config: RegistryConfig) -> bool | None:
        """As Asker says of the registry at `config`'s address, or, where a login is demanded, its process.

        None where it is not sure what that runs with.
        """
        writes = self._asker.takes_writes(self._http(config))
        ours = self.survey(config).ours if writes is None else ()
        if not ours or not all(each.sure for each in ours):
            return writes
        return not all(each.config.readonly for each in ours)

    def glance(self, http: HttpConfig) -> Glance:
        """As Asker takes one."""
        return self._asker.glance(http)

    def restart(self, config: RegistryConfig) -> None:
        """End the registry of this tree with SIGTERM, and wait until it answers again.

        Raises RegistryError when there is none, when nobody would start it again, when it may not be
        signalled, does not end within its draintimeout and DRAIN_MARGIN, or does not answer again within
        COMEBACK; Stopped when this process is asked to end.
        """
        for each in self._soon(config):
            self.restart_one(each, config)

    def restart_one(self, old: Opened, config: RegistryConfig) -> Opened:
        """Restart that one and give its successor; raises as `restart` does."""
        self._asked(old.config.http, config)
        self._refuse_unrestartable(old, config)
        before = {each.process for each in self.survey(config).ours}
        end(old.process, old.config.http.drain_timeout + DRAIN_MARGIN, self._clock, self._proc)
        return self._successor(config, before, old.process.argv)

    def wait(self, config: RegistryConfig) -> Opened:
        """A registry of this tree that runs and answers; raises RegistryError after COMEBACK, and Stopped."""
        return self._successor(config, set(), None)

    def _successor(
        self, config: RegistryConfig, before: set[RegistryProcess], argv: tuple[str, ...] | None
    ) -> Opened:
        deadline = self._clock.monotonic() + COMEBACK
        while True:
            problem = "its process has not been started"
            for each in self.survey(config).ours:
                if each.process not in before and argv in (None, each.process.argv):
                    problem = self._asked(each.config.http, config)
                    if not problem:
                        return each
            if self._clock.monotonic() >= deadline:
                raise RegistryError(
                    f"the registry did not come back within {COMEBACK:.0f} s: {problem}; see its log"
                )
            self._clock.sleep(PROCESS_POLL)

    def _soon(self, config: RegistryConfig) -> tuple[Opened, ...]:
        """The registries; one may just be between two lives, as a pruner that was killed left it."""
        deadline = self._clock.monotonic() + APPEARANCE
        while not (ours := self.survey(config).ours):
            if self._clock.monotonic() >= deadline:
                raise RegistryError(_out_of_sight(config))
            self._clock.sleep(PROCESS_POLL)
        return ours

    def _http(self, config: RegistryConfig) -> HttpConfig:
        return next((each.config.http for each in self.survey(config).ours), config.http)

    def _asked(self, http: HttpConfig, config: RegistryConfig) -> str:
        try:
            return self._asker.trouble(http)
        except ConfigError as error:
            raise ConfigError(f"{config.path}: {error}") from error

    def why_not_restarted(self, each: Opened) -> str | None:
        """Why it may not be ended, as the end of a sentence; None when it may."""
        return supervisor.why_not(each.process, self._restart, self._proc)

    def _refuse_unrestartable(self, each: Opened, config: RegistryConfig) -> None:
        reason = self.why_not_restarted(each)
        if reason:
            raise RegistryError(
                f"the registry of {config.root}, {each.process}, may have to be restarted, and must not be: "
                f"{reason}. Or configure it without storage.cache, or with redis"
            )


def _refuse_other_tree(config: RegistryConfig, survey: Survey) -> None:
    """The registry that runs with the given file must serve the tree that we make of that file."""
    file = _file_of(config)
    for each in survey.others:
        if file is not None and each.file == file:
            raise RegistryError(
                f"{config.path} gives {config.root} here, and the registry that runs with it, "
                f"{each.process}, serves {each.config.root}: give the pruner the registry's REGISTRY_ "
                "variables, and mount the same storage in both"
            )


def _file_of(config: RegistryConfig) -> opened.Identity | None:
    return opened.identity(config.path)


def _cache_of(config: RegistryConfig) -> str:
    if config.redis is not None:
        return f"with its cache in redis at {config.redis.place}"
    return {"none": "without a cache", "inmemory": "with its cache in memory"}.get(config.cache, config.cache)


def _out_of_sight(config: RegistryConfig) -> str:
    return (
        f"no registry process that serves {config.root} is to be seen: the pod needs shareProcessNamespace, "
        f"and the registry must be running `registry serve {config.path}` as the same user"
    )
