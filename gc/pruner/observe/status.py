"""The status that `kubectl get registryaddresses` shows, and the Events of the Deployment.

Written by the pruner with its own service account, only when something changed. Without the right to it, or
without an answer of the cluster, pruning goes on and the log says so once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pruner.clock import Clock, Stopped
from pruner.delays import STATUS_RETRY, STATUS_SOON
from pruner.errors import ClusterError
from pruner.inspect.report import format_bytes
from pruner.kubernetes import KubernetesApi, mapping, mappings
from pruner.observe.board import Now
from pruner.observe.record import Record, Run
from pruner.observe.surroundings import Surroundings
from pruner.observe.words import Concern

_log = logging.getLogger("pruner")

GROUP = "docker-registry.internal"
_RESOURCE = f"apis/{GROUP}/v1/namespaces/{{}}/registryaddresses/{{}}"
_EVENT_TEXT = 1000  # characters; the API server refuses more than 1024
_PRUNING = frozenset({"PrunerHangs", "RunRefused", "RunFailed", "NoSuccess"})


@dataclass(frozen=True, slots=True)
class State:
    """All that a status is made from."""

    record: Record
    now: Now
    around: Surroundings
    concerns: tuple[Concern, ...]


def status_of(state: State) -> dict[str, Any]:
    """The status without the moments at which its conditions changed; what is not known is None."""
    last, found, now = state.record.last, state.record.snapshot, state.now
    running = now.activity == "running"
    return {
        "phase": now.phase if running else "waiting",
        "phaseSince": _moment(now.phase_since if running else now.since),
        "nextRun": _moment(now.next_run),
        "lastRun": _moment(last.end if last else None),
        "lastResult": last.ended if last else None,
        "lastMessage": last.message if last else None,
        "freedBytes": last.total.bytes if last else None,
        "storedBytes": found.bytes if found else None,
        "stored": format_bytes(found.bytes) if found else None,
        "trashBytes": found.trash.bytes if found else None,
        "certificateEnds": _moment(state.around.certificate),
        "conditions": [_ready(state), _pruning(state), _degraded(state)],
    }


def _ready(state: State) -> dict[str, str]:
    if state.around.up:
        return _condition("Ready", "True", "RegistryAnswers", "the registry answers")
    return _condition("Ready", "False", "RegistryDown", state.around.trouble)


def _pruning(state: State) -> dict[str, str]:
    trouble = next((each for each in state.concerns if each.reason in _PRUNING), None)
    if trouble is not None:
        return _condition("Pruning", "False", trouble.reason, trouble.sentence)
    last = state.record.last
    if last is None:
        return _condition("Pruning", "Unknown", "NoRunYet", "no run has ended yet")
    return _condition("Pruning", "True", "RunDone", last.message)


def _degraded(state: State) -> dict[str, str]:
    if not state.concerns:
        return _condition("Degraded", "False", "AsItShouldBe", "nothing needs anybody")
    said = "; ".join(each.sentence for each in state.concerns)
    return _condition("Degraded", "True", state.concerns[0].reason, said)


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message[:_EVENT_TEXT]}


def _moment(seconds: float | None) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


class Herald:
    """Writes to the cluster what changed since it last did; `address` and `deployment` are NAMESPACE/NAME."""

    def __init__(
        self, api: Callable[[], KubernetesApi], clock: Clock, address: str, deployment: str, last: Run | None
    ) -> None:
        """`last` is the newest run that needs no Event any more."""
        self._make_api = api
        self._api: KubernetesApi | None = None
        self._clock = clock
        self._address = address
        self._deployment = deployment
        self._written: dict[str, Any] | None = None
        self._changed: dict[str, tuple[str, str]] = {}
        self._last = last
        self._pause = STATUS_SOON
        self._after = -STATUS_RETRY
        self._complained = ""

    def tell(self, state: State) -> None:
        """Write what is new; never raises for what the cluster does."""
        if self._clock.monotonic() < self._after:
            return
        try:
            if self._address:
                self._write(status_of(state))
            if self._deployment:
                self._events(state.record.runs)
        except (ClusterError, Stopped) as error:
            self._after = self._clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, STATUS_RETRY)
            if str(error) != self._complained:
                self._complained = str(error)
                _log.warning("the cluster does not show how the registry is: %s", error)
        else:
            self._pause = STATUS_SOON

    def _write(self, status: dict[str, Any]) -> None:
        if status == self._written:
            return
        path = _RESOURCE.format(*self._address.split("/"))
        if self._written is None:
            self._changed = _transitions(self._ask().get(path))
        moment = _moment(self._clock.now()) or ""
        for condition in status["conditions"]:
            before = self._changed.get(condition["type"])
            if before is None or before[0] != condition["status"]:
                self._changed[condition["type"]] = (condition["status"], moment)
        conditions = [
            {**condition, "lastTransitionTime": self._changed[condition["type"]][1]}
            for condition in status["conditions"]
        ]
        self._ask().patch(f"{path}/status", {"status": {**status, "conditions": conditions}})
        self._written = status

    def _events(self, runs: tuple[Run, ...]) -> None:
        # Several runs may have ended since it was told last: the cluster did not answer, or they are short.
        for run in _after(runs, self._last):
            if run.ended in ("refused", "failed") or run.total.count:
                namespace, name = self._deployment.split("/")
                found = self._ask().get(f"apis/apps/v1/namespaces/{namespace}/deployments/{name}")
                event = _event(found, run, self._clock.now())
                self._ask().post(f"api/v1/namespaces/{namespace}/events", event)
            self._last = run

    def _ask(self) -> KubernetesApi:
        if self._api is None:
            self._api = self._make_api()
        return self._api


def _after(runs: tuple[Run, ...], last: Run | None) -> tuple[Run, ...]:
    """The runs, oldest first, that came after `last`; all of them where it is none, or no longer kept."""
    return runs[runs.index(last) + 1 :] if last in runs else runs


def _transitions(resource: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What the resource's conditions are, and since when."""
    conditions = mappings(mapping(resource.get("status")).get("conditions"))
    return {
        str(each.get("type")): (str(each.get("status")), str(each.get("lastTransitionTime")))
        for each in conditions
    }


def _event(deployment: Mapping[str, Any], run: Run, moment: float) -> dict[str, Any]:
    metadata = mapping(deployment.get("metadata"))
    namespace, name = str(metadata.get("namespace")), str(metadata.get("name"))
    reason = {"refused": "PruningRefused", "failed": "PruningFailed"}.get(run.ended, "Pruned")
    said = _moment(moment)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{int(moment * 1e9):x}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": namespace,
            "name": name,
            "uid": str(metadata.get("uid")),
        },
        "type": "Normal" if reason == "Pruned" else "Warning",
        "reason": reason,
        "message": run.message[:_EVENT_TEXT],
        "source": {"component": "prune"},
        "firstTimestamp": said,
        "lastTimestamp": said,
        "count": 1,
    }
