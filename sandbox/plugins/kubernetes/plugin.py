"""The kubernetes provider's operations: create, server-side apply, read and delete, each until it is true."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sandbox.plugins import differences, sandboxed
from sandbox.plugins.differences import touches
from sandbox.plugins.kubernetes import configuration, kinds, objects, ownership
from sandbox.plugins.kubernetes.actions import Actions
from sandbox.plugins.kubernetes.cluster import ApiError, Cluster, NoSuchKind
from sandbox.plugins.kubernetes.configuration import Refused, Settings, Unreachable
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.protocol import (
    Call,
    Checked,
    Difference,
    Found,
    Log,
    NotReady,
    Plugin,
    PluginError,
)
from sandbox.plugins.values import UNKNOWN, Properties, as_dict, has_unknown, reveal

_CLUSTER_KEYS = ("kubeconfig", "context", "cluster")


class KubernetesPlugin(Plugin):
    """Objects of any kind, in the sandbox's cluster alone."""

    name = "kubernetes"
    version = "4.34.2"

    def __init__(self) -> None:
        self._settings = configuration.settings({}, {})
        self._cluster: Cluster | None = None
        self._namespace = ""
        self._why_not: PluginError = Unreachable("the kubernetes provider is not configured")
        self._definitions: dict[tuple[str, str], bool] = {}
        self._cancelled = threading.Event()
        self._log: Log | None = None

    def configure(self, variables: Mapping[str, str], log: Log) -> None:
        """Find the cluster; that there is none, or not the sandbox's, is said when one is needed."""
        sandboxed.announce(self.name, self.version, log)
        self._log = log
        self._settings = configuration.settings(variables, os.environ)
        self._namespace = self._settings.namespace
        self._cluster = None
        try:
            self._connect(self._settings)
        except (Refused, Unreachable, ApiError) as error:
            self._why_not = error

    def _connect(self, settings: Settings) -> None:
        document = configuration.load(settings.kubeconfig)
        target = configuration.endpoint(document, settings.context, settings.cluster)
        self._namespace = settings.namespace or configuration.namespace_of(document, settings.context)
        configuration.assert_sandbox(target)
        cluster = Cluster(configuration.client(document, settings.context, settings.cluster))
        cluster.ping()
        self._cluster = cluster

    def config_replaces(self, old: Properties, new: Properties) -> Sequence[str]:
        """Another cluster is another provider; another way to the same one is not."""
        changed = [key for key in _CLUSTER_KEYS if reveal(old.get(key)) != reveal(new.get(key))]
        unknown = [key for key in changed if has_unknown(new.get(key))]
        if unknown or not changed:
            return unknown
        try:
            return changed if _endpoint(old) != _endpoint(new) else ()
        except Unreachable:
            return ()

    def check(self, call: Call) -> Checked:
        """Give the object its name and namespace."""
        kind = kinds.kind_of(call.type, call.inputs)
        body = objects.cleaned(reveal(call.inputs))
        metadata = body.setdefault("metadata", {})
        if kind.patch and metadata is not UNKNOWN and not as_dict(metadata).get("name"):
            raise PluginError(f"{call.type} {call.name!r}: a patch needs metadata.name, the object's own")
        if objects.annotation(body, objects.WAIT_FOR):
            raise PluginError(f"the sandbox's kubernetes plugin takes no annotation {objects.WAIT_FOR}")
        body = objects.named(call, body)
        if kind.is_definition():
            self._remember(body)
        metadata = body["metadata"]
        if isinstance(metadata, dict) and not as_dict(metadata).get("namespace") and self._namespaced(kind):
            body["metadata"] = {**as_dict(metadata), "namespace": self._namespace or "default"}
        return Checked(objects.guarded(body, call.inputs, kind))

    def diff(self, call: Call) -> Difference:
        """Compare the inputs with the last ones: what others set on the object is theirs."""
        kind = kinds.kind_of(call.type, call.inputs)
        old = reveal(call.state.get("__inputs") or call.old_inputs)
        new = reveal(call.inputs)
        fixed = kinds.replacing(kind, new, self._settings.mutable)
        found = [
            replace(change, replace=any(touches(change, path, old, new) for path in fixed))
            for change in differences.changes(old, new, objects.equal)
        ]
        same = objects.identity_of(new) == objects.identity_from(call.id)
        autonamed = objects.annotation(new, objects.AUTONAMED) == "true"
        before = any(change.replace for change in found) and same and not autonamed
        return Difference(found, delete_before_replace=before)

    def create(self, call: Call) -> tuple[str, Properties]:
        """Make the object and wait until it is ready; one that exists already is an error."""
        kind = kinds.kind_of(call.type, call.inputs)
        body = objects.on_wire(call.inputs)
        manager = ownership.manager_of({}, body)
        if call.preview:
            actions = self._previewing(call)
            if actions is None or kind.patch:
                return "", call.inputs
            live = actions.try_create(kind, body, manager)
            return "", objects.checkpoint(kind, call.inputs, live, manager) if live else call.inputs
        actions = self._actions()
        live = actions.create(call, kind, body, manager, upsert=self._settings.upsert)
        live, reasons = actions.wait(call, kind, body, live)
        state = objects.checkpoint(kind, call.inputs, live, manager)
        identity = objects.identity_of(live)
        if reasons:
            message = f"{kind.kind} {identity.id!r} was made, but did not become ready"
            raise NotReady(message, identity.id, state, reasons)
        return identity.id, state

    def read(self, call: Call) -> Found | None:
        """The object as it is, and whether it is ready; None when it, or its kind, is gone."""
        kind = kinds.kind_of(call.type, call.old_inputs)
        inputs = objects.on_wire(call.old_inputs)
        identity = objects.identity_from(call.id)
        actions = self._actions()
        try:
            live = actions.cluster.get(kind, identity.namespace, identity.name)
        except NoSuchKind:
            return None
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        manager = ownership.manager_of(call.state, inputs)
        observed = objects.observed_inputs(kind, live, inputs)
        as_inputs = objects.guarded(objects.in_state(observed), call.old_inputs, kind)
        state = objects.checkpoint(kind, as_inputs, live, manager)
        reasons = actions.troubles(kind, inputs, live) if call.old_inputs else ()
        if reasons:
            raise NotReady(f"{kind.kind} {call.id!r} is not ready", call.id, state, reasons, as_inputs)
        return Found(call.id, state, as_inputs)

    def update(self, call: Call) -> Properties:
        """Apply the inputs to the object and wait until it is ready again."""
        kind = kinds.kind_of(call.type, call.inputs)
        body = objects.on_wire(call.inputs)
        manager = ownership.manager_of(call.state, body)
        if call.preview:
            actions = self._previewing(call)
            live = actions.try_update(kind, body, manager) if actions else None
            return objects.checkpoint(kind, call.inputs, live, manager) if live else call.inputs
        actions = self._actions()
        live = actions.update(kind, body, manager, force=self._settings.patch_force)
        live, reasons = actions.wait(call, kind, body, live)
        state = objects.checkpoint(kind, call.inputs, live, manager)
        if reasons:
            message = f"{kind.kind} {call.id!r} was changed, but did not become ready"
            raise NotReady(message, call.id, state, reasons)
        former = reveal(call.state.get("__fieldManager"))
        if former and former != manager:
            actions.relinquish(kind, objects.identity_of(live), former)
        return state

    def delete(self, call: Call) -> None:
        """Remove the object and wait until it is gone; a patch gives up what it owned."""
        inputs = objects.on_wire(call.state.get("__inputs") or call.old_inputs)
        kind = kinds.kind_of(call.type, inputs)
        identity = objects.identity_from(call.id)
        try:
            actions = self._actions()
        except Unreachable:
            if self._settings.delete_unreachable:
                return
            raise
        try:
            if kind.patch:
                actions.relinquish(kind, identity, ownership.manager_of(call.state, inputs))
            else:
                actions.delete(call, kind, inputs, identity)
        except NoSuchKind:
            return

    def cancel(self) -> None:
        """End every wait."""
        self._cancelled.set()

    def _actions(self) -> Actions:
        if self._cluster is None or self._log is None:
            if isinstance(self._why_not, Unreachable):
                raise Unreachable(f"the Kubernetes cluster is unreachable: {self._why_not}")
            raise self._why_not
        return Actions(self._cluster, self._log, self._cancelled)

    def _previewing(self, call: Call) -> Actions | None:
        """None when the cluster cannot tell, for want of it or of the inputs; Refused is raised even so."""
        if has_unknown(call.inputs):
            if isinstance(self._why_not, Refused) and self._cluster is None:
                raise self._why_not
            return None
        try:
            return self._actions()
        except (Unreachable, ApiError):
            return None

    def _namespaced(self, kind: Kind) -> bool:
        if self._cluster is not None:
            try:
                return self._cluster.place(kind).namespaced
            except NoSuchKind:
                return self._definitions.get((kind.group, kind.kind), True)
        return self._definitions.get((kind.group, kind.kind), kinds.assumed_namespaced(kind))

    def _remember(self, body: Properties) -> None:
        spec = as_dict(body.get("spec"))
        names = as_dict(spec.get("names"))
        self._definitions[(str(spec.get("group")), str(names.get("kind")))] = spec.get("scope") != "Cluster"


def _endpoint(properties: Properties) -> configuration.Endpoint:
    values = reveal(properties)
    document = configuration.load(values.get("kubeconfig") or "")
    return configuration.endpoint(document, values.get("context"), values.get("cluster"))
