"""The provider protocol over a `Plugin`: the engine's requests as plain calls, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from sandbox.plugins.differences import Kind, render
from sandbox.plugins.protocol import Call, Log, Plugin
from sandbox.plugins.values import decode, encode

# A request's class and what answers it.
Method = tuple[type[Message], Callable[[Any], Message]]

_KINDS = {
    (Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Servicer:
    """`pulumirpc.ResourceProvider`; what it has no method for is answered as unimplemented by gRPC itself."""

    def __init__(self, plugin: Plugin, log: Log) -> None:
        self._plugin = plugin
        self._log = log

    def methods(self) -> dict[str, Method]:
        """Every method of the protocol that is answered, by its name on the wire."""
        return {
            "Handshake": (provider_pb2.ProviderHandshakeRequest, self._handshake),
            "Attach": (plugin_pb2.PluginAttach, self._attach),
            "GetPluginInfo": (empty_pb2.Empty, self._plugin_info),
            "GetSchema": (provider_pb2.GetSchemaRequest, self._schema),
            "CheckConfig": (provider_pb2.CheckRequest, self._check_config),
            "DiffConfig": (provider_pb2.DiffRequest, self._diff_config),
            "Configure": (provider_pb2.ConfigureRequest, self._configure),
            "Check": (provider_pb2.CheckRequest, self._check),
            "Diff": (provider_pb2.DiffRequest, self._diff),
            "Create": (provider_pb2.CreateRequest, self._create),
            "Read": (provider_pb2.ReadRequest, self._read),
            "Update": (provider_pb2.UpdateRequest, self._update),
            "Delete": (provider_pb2.DeleteRequest, self._delete),
            "Cancel": (empty_pb2.Empty, self._cancel),
        }

    def _handshake(self, request: provider_pb2.ProviderHandshakeRequest) -> Message:
        self._log.connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def _attach(self, request: plugin_pb2.PluginAttach) -> Message:
        self._log.connect(request.address)
        return empty_pb2.Empty()

    def _plugin_info(self, _: empty_pb2.Empty) -> Message:
        return plugin_pb2.PluginInfo(version=self._plugin.version)

    def _schema(self, _: provider_pb2.GetSchemaRequest) -> Message:
        schema = {"name": self._plugin.name, "version": self._plugin.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def _check_config(self, request: provider_pb2.CheckRequest) -> Message:
        return provider_pb2.CheckResponse(inputs=request.news)

    def _diff_config(self, request: provider_pb2.DiffRequest) -> Message:
        old, new = decode(request.olds), decode(request.news)
        differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        return provider_pb2.DiffResponse(
            changes=_some(differing), diffs=differing, replaces=self._plugin.config_replaces(old, new)
        )

    def _configure(self, request: provider_pb2.ConfigureRequest) -> Message:
        prefix = f"{self._plugin.name}:config:"
        variables = {key.removeprefix(prefix): value for key, value in request.variables.items()}
        self._plugin.configure(variables, self._log)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def _check(self, request: provider_pb2.CheckRequest) -> Message:
        disabled = provider_pb2.CheckRequest.AutonamingOptions.Mode.DISABLE
        call = replace(
            _call(request, inputs=request.news, old_inputs=request.olds),
            seed=request.randomSeed,
            proposed_name=request.autonaming.proposed_name,
            autonaming=not (request.HasField("autonaming") and request.autonaming.mode == disabled),
        )
        checked = self._plugin.check(call)
        failures = [provider_pb2.CheckFailure(property=key, reason=why) for key, why in checked.failures]
        return provider_pb2.CheckResponse(inputs=encode(checked.inputs), failures=failures)

    def _diff(self, request: provider_pb2.DiffRequest) -> Message:
        found = self._plugin.diff(
            _call(request, inputs=request.news, old_inputs=request.old_inputs, state=request.olds)
        )
        detailed = {
            render(change.path): provider_pb2.PropertyDiff(kind=_KINDS[change.kind, change.replace])
            for change in found.changes
        }
        return provider_pb2.DiffResponse(
            changes=_some(detailed),
            diffs=sorted({str(change.path[0]) for change in found.changes}),
            replaces=sorted(render(change.path) for change in found.changes if change.replace),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=found.delete_before_replace,
        )

    def _create(self, request: provider_pb2.CreateRequest) -> Message:
        resource_id, state = self._plugin.create(_call(request, inputs=request.properties))
        return provider_pb2.CreateResponse(id=resource_id, properties=encode(state))

    def _read(self, request: provider_pb2.ReadRequest) -> Message:
        found = self._plugin.read(_call(request, old_inputs=request.inputs, state=request.properties))
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.id, properties=encode(found.state), inputs=encode(found.inputs)
        )

    def _update(self, request: provider_pb2.UpdateRequest) -> Message:
        state = self._plugin.update(
            _call(request, inputs=request.news, old_inputs=request.old_inputs, state=request.olds)
        )
        return provider_pb2.UpdateResponse(properties=encode(state))

    def _delete(self, request: provider_pb2.DeleteRequest) -> Message:
        self._plugin.delete(_call(request, old_inputs=request.old_inputs, state=request.properties))
        return empty_pb2.Empty()

    def _cancel(self, _: empty_pb2.Empty) -> Message:
        self._plugin.cancel()
        return empty_pb2.Empty()


_NOTHING = struct_pb2.Struct()


def _call(
    request: Any,
    inputs: struct_pb2.Struct = _NOTHING,
    old_inputs: struct_pb2.Struct = _NOTHING,
    state: struct_pb2.Struct = _NOTHING,
) -> Call:
    # A URN is urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME, and the name may hold colons of its own.
    _, _, types, name = request.urn.split("::", 3)
    return Call(
        urn=request.urn,
        type=types.rsplit("$", 1)[-1],
        name=name,
        id=getattr(request, "id", ""),
        preview=getattr(request, "preview", False),
        timeout=getattr(request, "timeout", 0.0),
        inputs=decode(inputs),
        old_inputs=decode(old_inputs),
        state=decode(state),
    )


def _some(differing: object) -> provider_pb2.DiffResponse.DiffChanges.ValueType:
    return provider_pb2.DiffResponse.DIFF_SOME if differing else provider_pb2.DiffResponse.DIFF_NONE
