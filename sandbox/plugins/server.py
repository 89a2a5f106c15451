"""The process of a plugin: a gRPC server for the engine, and a line back to the engine's display."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

from sandbox.plugins.protocol import NotReady, Plugin, PluginError
from sandbox.plugins.servicer import Method, Servicer
from sandbox.plugins.values import encode

# The engine's messages carry whole states; gRPC's own limit is 4 MiB.
_LARGEST_MESSAGE = 400 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_send_message_length", _LARGEST_MESSAGE),
)
# Every resource that is waited for holds a worker; the engine works on far fewer at once.
_WORKERS = 64


class EngineLog:
    """Messages to the engine that started this plugin."""

    def __init__(self) -> None:
        self._stub: engine_pb2_grpc.EngineStub | None = None

    def connect(self, address: str) -> None:
        """Send to the engine at host:port from now on."""
        if address:
            self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=_OPTIONS))

    def warning(self, message: str, urn: str = "") -> None:
        """A line among the run's diagnostics."""
        self._send(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=message, urn=urn))

    def status(self, message: str, urn: str) -> None:
        """What the resource's line shows until the next status."""
        self._send(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True))

    def _send(self, request: engine_pb2.LogRequest) -> None:
        engine: Any = self._stub
        if engine is None:
            return
        try:
            engine.Log(request)
        except grpc.RpcError:
            # The engine is on its way out: the message still has this process's standard error.
            print(request.message, file=sys.stderr)


def _handler(method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    request_type, function = method

    def behavior(request: Any, context: Any) -> Message:
        return _answer(function, request, context)

    return grpc.unary_unary_rpc_method_handler(
        behavior,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _answer(function: Callable[[Any], Message], request: Any, context: Any) -> Message:
    try:
        return function(request)
    except NotReady as error:
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
        status.details.add().Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.resource_id,
                properties=encode(error.state),
                reasons=error.reasons,
                inputs=encode(error.inputs) if error.inputs is not None else None,
            )
        )
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        _abort(context, grpc.StatusCode.UNKNOWN, str(error))
    except PluginError as error:
        _abort(context, grpc.StatusCode.UNKNOWN, str(error))
    except Exception:  # noqa: BLE001 - a defect of the plugin: the engine shows all there is to know
        _abort(context, grpc.StatusCode.INTERNAL, f"the sandbox's plugin broke: {traceback.format_exc()}")


def _abort(context: Any, code: grpc.StatusCode, sentence: str) -> NoReturn:
    context.abort(code, sentence)
    raise AssertionError("gRPC's abort raises")


def start(plugin: Plugin, log: EngineLog) -> tuple[grpc.Server, int]:
    """Serve the plugin on a free port of the loopback; the server and the port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=_WORKERS), options=_OPTIONS)
    handlers = {name: _handler(method) for name, method in Servicer(plugin, log).methods().items()}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("pulumirpc.ResourceProvider", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(plugin: Plugin) -> None:
    """Run the plugin: print the port for the engine, then answer until the engine ends the process."""
    parser = argparse.ArgumentParser(description=f"The sandbox's stand-in for Pulumi's {plugin.name} plugin.")
    parser.add_argument("engine", nargs="?", default="", help="the engine's address, as the engine passes it")
    arguments, _ = parser.parse_known_args()
    log = EngineLog()
    log.connect(arguments.engine)
    engine = os.getppid()
    server, port = start(plugin, log)
    print(port, flush=True)
    # An engine that was killed ends nobody: whoever has another parent now has outlived it.
    while server.wait_for_termination(timeout=1.0):
        if os.getppid() != engine:
            plugin.cancel()
            server.stop(None)
