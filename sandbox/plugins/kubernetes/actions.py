"""What is done to one object in the cluster, with the patience that each deed needs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from sandbox.plugins.kubernetes import ownership
from sandbox.plugins.kubernetes.cluster import ApiError, Cluster, NoSuchKind
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.kubernetes.objects import (
    DELETION_PROPAGATION,
    SKIP_AWAIT,
    TIMEOUT_SECONDS,
    Identity,
    annotation,
    identity_of,
)
from sandbox.plugins.kubernetes.waiting import look_for
from sandbox.plugins.protocol import Call, Log, PluginError
from sandbox.plugins.values import Properties, as_list

# Seconds: the official plugin's own patience, and how often the cluster is asked.
_TIMEOUT = 600.0
_INTERVAL = 0.25
# Seconds between tries to create what its namespace or definition is still missing for.
_RETRIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_PROPAGATION = {"orphan": "Orphan", "background": "Background"}
# Kinds that are not waited for on deletion either, when the program says `skipAwait`.
_UNAWAITED_DELETION = frozenset(
    {
        ("", "Namespace"),
        ("", "Pod"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
    }
)


@dataclass(frozen=True, slots=True)
class Actions:
    """The deeds, on one cluster, until they are done, time is up, or the person interrupts."""

    cluster: Cluster
    log: Log
    cancelled: threading.Event

    def create(self, call: Call, kind: Kind, body: Properties, manager: str, *, upsert: bool) -> Properties:
        """Make the object; a patch, or `upsert`, applies to what is there already.

        While its namespace or its definition is missing it is tried again for half a minute: what makes them
        may be under way in the same update.
        """
        namespace = identity_of(body).namespace
        for pause in (*_RETRIES, None):
            try:
                if kind.patch or upsert:
                    force = annotation(body, ownership.FORCE) == "true"
                    return self._apply(kind, namespace, body, manager, force=force, dry=False)
                return self.cluster.create(kind, namespace, body, ownership.CREATOR, dry=False)
            except (ApiError, NoSuchKind) as error:
                missing = isinstance(error, NoSuchKind) or error.code == 404
                if not missing or pause is None:
                    raise PluginError(_not_made(kind, body, error)) from error
                self.log.status(f"Waiting to try again: {error}", call.urn)
                self._pause(pause)
        raise AssertionError("the last try returns or raises")

    def try_create(self, kind: Kind, body: Properties, manager: str) -> Properties | None:
        """What a creation would make, without its status; None when the cluster cannot tell yet.

        It cannot when the namespace or definition comes in the same update, when the object is still there to
        be replaced, or when a dry run is forbidden.
        """
        del manager
        try:
            live = self.cluster.create(kind, identity_of(body).namespace, body, ownership.CREATOR, dry=True)
        except NoSuchKind:
            return None
        except ApiError as error:
            if error.reason in ("AlreadyExists", "Forbidden") or error.code == 404:
                return None
            raise PluginError(_not_made(kind, body, error)) from error
        return {key: value for key, value in live.items() if key != "status"}

    def update(self, kind: Kind, body: Properties, manager: str, *, force: bool) -> Properties:
        """Bring the object to the body: a definition is replaced, all else applied."""
        identity = identity_of(body)
        live = self.cluster.get(kind, identity.namespace, identity.name)
        if kind.is_definition():
            return self.cluster.replace(kind, "", _versioned(body, live), manager, dry=False)
        if not kind.patch:
            fields = ownership.handed_over(live, manager)
            if fields is not None:
                self.cluster.patch(kind, identity.namespace, identity.name, _set_fields(live, fields))
        force = force or annotation(body, ownership.FORCE) == "true"
        return self._apply(kind, identity.namespace, body, manager, force=force, dry=False)

    def try_update(self, kind: Kind, body: Properties, manager: str) -> Properties | None:
        """What an update would make of the object; None when the cluster cannot tell."""
        identity = identity_of(body)
        try:
            live = self.cluster.get(kind, identity.namespace, identity.name)
            if kind.is_definition():
                return self.cluster.replace(kind, "", _versioned(body, live), manager, dry=True)
            # What the creation owns still has to change hands, and does so in the update itself.
            moving = ownership.handed_over(live, manager) is not None
            force = moving or annotation(body, ownership.FORCE) == "true"
            return self._apply(kind, identity.namespace, body, manager, force=force, dry=True)
        except NoSuchKind:
            return None
        except ApiError as error:
            if error.reason == "Forbidden" or error.code == 404:
                return None
            raise

    def relinquish(self, kind: Kind, identity: Identity, manager: str) -> None:
        """Give up every field of the manager; those that nobody else owns go, the object stays."""
        try:
            self.cluster.get(kind, identity.namespace, identity.name)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        metadata = {"name": identity.name}
        if identity.namespace:
            metadata["namespace"] = identity.namespace
        body: Properties = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        try:
            self.cluster.apply(kind, identity.namespace, body, manager, force=False, dry=False)
        except ApiError as error:
            if "Required value" in str(error):
                raise PluginError(
                    f"the patch of {kind.kind} {identity.id!r} owns a field that the object needs; "
                    f"let another manager own it, or use the resource option retain_on_delete: {error}"
                ) from error
            raise

    def delete(self, call: Call, kind: Kind, inputs: Properties, identity: Identity) -> None:
        """Remove the object, what it owns first, and wait until it is gone."""
        policy = _PROPAGATION.get(annotation(inputs, DELETION_PROPAGATION).lower(), "Foreground")
        skipped = annotation(inputs, SKIP_AWAIT) == "true" and (kind.group, kind.kind) in _UNAWAITED_DELETION
        end = time.monotonic() + _timeout(call, inputs)
        try:
            first = self.cluster.get(kind, identity.namespace, identity.name)
            self.cluster.delete(kind, identity.namespace, identity.name, policy)
            if skipped:
                return
            live = self.cluster.get(kind, identity.namespace, identity.name)
            while live["metadata"]["uid"] == first["metadata"]["uid"]:
                if time.monotonic() > end:
                    holders = ", ".join(as_list(live["metadata"].get("finalizers"))) or "none"
                    raise PluginError(
                        f"{kind.kind} {identity.id!r} is not gone in time; its finalizers: {holders}"
                    )
                self.log.status("Waiting for it to be gone", call.urn)
                self._pause(_INTERVAL)
                live = self.cluster.get(kind, identity.namespace, identity.name)
        except ApiError as error:
            if error.code != 404:
                raise

    def wait(
        self, call: Call, kind: Kind, body: Properties, live: Properties
    ) -> tuple[Properties, tuple[str, ...]]:
        """Wait until the object is ready: the object as last seen, and why it is not ready if it is not."""
        look = look_for(kind)
        if look is None or kind.patch or annotation(body, SKIP_AWAIT) == "true":
            return live, ()
        identity = identity_of(live)
        began = time.monotonic()
        said = ""
        while True:
            try:
                live = self.cluster.get(kind, identity.namespace, identity.name)
                progress = look(self.cluster, live, time.monotonic() - began)
            except PluginError as error:
                # The object was made all the same, and must not be lost from the state.
                return live, (f"it could not be watched: {error}",)
            if progress.done:
                self.log.status("", call.urn)
                return live, ()
            if progress.failed or time.monotonic() - began >= _timeout(call, body):
                return live, progress.reasons or (progress.status,)
            if progress.status != said:
                said = progress.status
                self.log.status(said, call.urn)
            if self.cancelled.wait(_INTERVAL):
                return live, ("the run was interrupted", *progress.reasons)

    def troubles(self, kind: Kind, inputs: Properties, live: Properties) -> tuple[str, ...]:
        """Why the object is not ready at this moment; empty when it is."""
        look = look_for(kind)
        if look is None or kind.patch or annotation(inputs, SKIP_AWAIT) == "true":
            return ()
        progress = look(self.cluster, live, float("inf"))
        return () if progress.done else progress.reasons or (progress.status,)

    def _apply(
        self, kind: Kind, namespace: str, body: Properties, manager: str, *, force: bool, dry: bool
    ) -> Properties:
        try:
            return self.cluster.apply(kind, namespace, body, manager, force=force, dry=dry)
        except ApiError as error:
            if error.reason != "Conflict":
                raise
            raise PluginError(
                f"another field manager owns what {kind.kind} {identity_of(body).id!r} sets; "
                f'annotate it with {ownership.FORCE}: "true" to take it over: {error}'
            ) from error

    def _pause(self, seconds: float) -> None:
        if self.cancelled.wait(seconds):
            raise PluginError("the run was interrupted")


def _timeout(call: Call, body: Properties) -> float:
    stated = annotation(body, TIMEOUT_SECONDS)
    return call.timeout or (float(stated) if stated.isdigit() else _TIMEOUT)


def _versioned(body: Properties, live: Properties) -> Properties:
    metadata = {**body["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    return {**body, "metadata": metadata}


def _set_fields(live: Properties, fields: list[Properties]) -> list[Properties]:
    version = live["metadata"]["resourceVersion"]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": fields},
    ]


def _not_made(kind: Kind, body: Properties, error: ApiError | NoSuchKind) -> str:
    sentence = f"{kind.kind} {identity_of(body).id!r} was not made by the Kubernetes API server: {error}"
    if isinstance(error, ApiError) and error.reason == "AlreadyExists":
        sentence += (
            "; take it into the stack with `pulumi import`, own a part of it with a Patch resource, or set "
            "upsertExistingObjects on the provider"
        )
    return sentence
