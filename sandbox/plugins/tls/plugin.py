"""The tls provider's operations: nothing leaves this process, all there is stands in the engine's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.plugins import differences, sandboxed
from sandbox.plugins.differences import Change
from sandbox.plugins.protocol import Call, Checked, Difference, Found, Log, Plugin, PluginError
from sandbox.plugins.tls.resources import KINDS, Kind, wrong
from sandbox.plugins.values import UNKNOWN, Properties, Secret, carry_secrets, has_unknown, reveal


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class TlsPlugin(Plugin):
    """Keys, requests and certificates; `now` is the clock that validity is reckoned by."""

    name = "tls"
    version = "5.6.2"

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def configure(self, variables: Mapping[str, str], log: Log) -> None:
        """Say that this is the sandbox's; the configuration (proxies) is of no use here."""
        del variables
        sandboxed.announce(self.name, self.version, log)

    def check(self, call: Call) -> Checked:
        """Refuse what is missing or out of its range."""
        return Checked(call.inputs, tuple(wrong(_kind(call), reveal(call.inputs))))

    def diff(self, call: Call) -> Difference:
        """Any changed input replaces, but for those that only say when to renew; so does a due renewal."""
        kind = _kind(call)
        old = {**kind.defaults, **call.old_inputs}
        new = {**kind.defaults, **call.inputs}
        found = [
            replace(change, replace=change.path[0] not in kind.in_place)
            for change in differences.changes(old, new)
        ]
        if kind.certificate and self._due(call.state, new["earlyRenewalHours"]):
            found.append(Change(("readyForRenewal",), differences.Kind.UPDATE, replace=True))
        return Difference(found)

    def create(self, call: Call) -> tuple[str, Properties]:
        """Make the key, request or certificate. A preview makes none: its outputs are unknown."""
        kind = _kind(call)
        inputs: Properties = {**kind.defaults, **call.inputs}
        if call.preview or has_unknown(inputs):
            return "", _state(kind, inputs, dict.fromkeys(kind.outputs, UNKNOWN))
        if sandboxed.sandbox_kubeconfig() is None:
            raise PluginError(
                sandboxed.refusal(self.name, f"{sandboxed.KUBECONFIG_VARIABLE} does not name it")
            )
        made_id, outputs = kind.make(reveal(inputs), self._now())
        return made_id, _state(kind, inputs, outputs)

    def read(self, call: Call) -> Found | None:
        """What the state says, and for a certificate whether its time has come."""
        kind = _kind(call)
        if not call.state:
            raise PluginError(
                f"{call.type} {call.name!r} cannot be read from anywhere: it exists in the state alone"
            )
        state = dict(call.state)
        if kind.certificate and self._due(state, state.get("earlyRenewalHours")):
            state["readyForRenewal"] = True
        return Found(call.id, state, call.old_inputs)

    def update(self, call: Call) -> Properties:
        """Take the inputs that need no new certificate into the state."""
        kind = _kind(call)
        outputs = {name: call.state.get(name) for name in kind.outputs}
        return _state(kind, {**kind.defaults, **call.inputs}, outputs)

    def delete(self, call: Call) -> None:
        """Nothing: it only ever stood in the state."""
        del call

    def _due(self, state: Properties, early_hours: Any) -> bool:
        end = reveal(state.get("validityEndTime"))
        if not isinstance(end, str):
            return False
        hours = reveal(early_hours)
        early = timedelta(hours=hours if isinstance(hours, int) else 0)
        return datetime.fromisoformat(end) - early <= self._now()


def _kind(call: Call) -> Kind:
    if call.type not in KINDS:
        raise PluginError(f"the sandbox's tls plugin knows no {call.type}, only {', '.join(KINDS)}")
    return KINDS[call.type]


def _state(kind: Kind, inputs: Properties, outputs: Mapping[str, Any]) -> Properties:
    state = carry_secrets({**reveal(inputs), **reveal(dict(outputs))}, inputs)
    for name in kind.secrets:
        if state.get(name) is not None and not isinstance(state[name], Secret):
            state[name] = Secret(state[name])
    return state
