"""What `serve` has running beside its loop: the board, two servers, and a watch over what is near.

All of it lives in threads that nobody waits for. Whatever goes wrong in them is logged.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from pruner.clock import Clock
from pruner.delays import WATCH
from pruner.errors import PrunerError
from pruner.observe import pulse, record, web
from pruner.observe.board import Board
from pruner.observe.pulse import Pulse
from pruner.observe.surroundings import Watch
from pruner.observe.web import TEXT, Answer
from pruner.observe.words import Concern, concerns
from pruner.settings.table import Settings
from pruner.storage import Storage

_log = logging.getLogger("pruner")


class Service:
    """What shows the loop to others. The loop says to it what it does; nothing comes back."""

    def __init__(
        self, storage: Storage, settings: Settings, clock: Clock, watch: Watch, environ: Mapping[str, str]
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._watch = watch
        self._environ = environ
        self.board = Board(clock, settings.grace)
        self._pulse = Pulse(self.board.beat)
        self._changed = threading.Event()

    def start(self) -> None:
        """Serve from now on what there is to be seen."""
        settings = self._settings
        self.refresh()
        if not (settings.metrics_port or settings.page_port or settings.address or settings.deployment):
            return
        web.listen(
            settings.metrics_port,
            {"/metrics": self._metrics, "/healthz": self._health},
            "metrics",
            own_machine_only=False,
        )
        web.listen(
            settings.page_port,
            {"/": self._page, "/record.json": self._record},
            "the page",
            own_machine_only=True,
        )
        # Made here: a run that ends before the thread runs is news.
        tell = self._herald()
        threading.Thread(target=self._look_around, args=(tell,), name="watch", daemon=True).start()

    # -- called by the loop

    def wait(self, seconds: float) -> None:
        """The next run begins in so many seconds."""
        self.board.wait(seconds)
        self._changed.set()

    @contextmanager
    def child(self) -> Generator[tuple[dict[str, str], tuple[int, ...]]]:
        """The variables and descriptors by which a child says what it is at."""
        pipe = self._pulse.pipe()
        try:
            yield {pulse.VARIABLE: str(pipe)}, (pipe,)
        finally:
            os.close(pipe)

    def begin(self) -> None:
        """A run begins."""
        self.board.begin()
        self._changed.set()

    def finish(self, code: int) -> None:
        """A run ended with this exit code."""
        self.board.finish(self._stored(), code)
        self._changed.set()

    def refresh(self) -> None:
        """Something else than a run wrote the record."""
        self.board.show(self._stored())
        self._changed.set()

    def _stored(self) -> record.Record:
        try:
            return record.load(self._storage)
        except (OSError, PrunerError) as error:
            _log.warning("the record of the runs cannot be read: %s", error)
            return self.board.record

    # -- asked by others

    def _metrics(self) -> Answer:
        from pruner.observe import metrics

        seen = metrics.Seen(
            self.board.record,
            self.board.now,
            self._watch.look(),
            self._settings.period,
            self._settings.repository_metrics,
            bool(self.board.trouble()),
        )
        content = metrics.exposition(seen) + self._watch.registry_metrics()
        return Answer(content, metrics.CONTENT_TYPE)

    def _health(self) -> Answer:
        trouble = self.board.trouble()
        return Answer(f"{trouble or 'ok'}\n".encode(), TEXT, 503 if trouble else 200)

    def _page(self) -> Answer:
        from pruner.observe import page, sections

        deployment, _, name = self._settings.deployment.partition("/")
        title = f"Registry {name} in {deployment}" if name else "Registry"
        command = f"kubectl -n {deployment} exec deploy/{name} -c gc -- prune" if name else "prune"
        around = self._watch.look()
        shown = sections.Shown(
            self.board.record,
            self.board.now,
            around,
            self.concerns(),
            self._clock.now(),
            title,
            command,
        )
        return Answer(page.page(shown).encode(), page.CONTENT_TYPE, headers=page.HEADERS)

    def _record(self) -> Answer:
        import json

        content = json.dumps(self.board.record.to_json(), indent=2).encode() + b"\n"
        return Answer(content, "application/json")

    def concerns(self) -> list[Concern]:
        """What is not as it should be."""
        return concerns(
            self.board.record,
            self.board.now,
            self._watch.look(),
            self._clock.now(),
            self._settings.period,
            self.board.trouble(),
        )

    # -- the watch

    def _look_around(self, tell: Callable[[], None]) -> None:
        while True:
            self._changed.wait(WATCH)
            self._changed.clear()
            try:
                self._watch.tick()
                tell()
            except Exception as error:  # noqa: BLE001 (nothing here may end the watch)
                _log.error("looking around failed: %r", error)

    def _herald(self) -> Callable[[], None]:
        """Tells the cluster, where there is something to tell it of."""
        settings = self._settings
        if not (settings.address or settings.deployment):
            return lambda: None
        from pruner.kubernetes import KubernetesApi
        from pruner.observe.status import Herald, State

        herald = Herald(
            lambda: KubernetesApi.of_pod(self._environ, self._clock),
            self._clock,
            settings.address,
            settings.deployment,
            self.board.record.last,
        )

        def tell() -> None:
            concerns = tuple(self.concerns())
            herald.tell(State(self.board.record, self.board.now, self._watch.look(), concerns))

        return tell
