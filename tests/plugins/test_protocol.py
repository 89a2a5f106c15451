"""The wire: a plugin behind its gRPC server, asked as the engine asks."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2

from sandbox.plugins.differences import Change, Kind
from sandbox.plugins.kubernetes.plugin import KubernetesPlugin
from sandbox.plugins.protocol import Call, Checked, Difference, Found, Log, NotReady, Plugin, PluginError
from sandbox.plugins.server import EngineLog, start
from sandbox.plugins.tls.plugin import TlsPlugin
from sandbox.plugins.values import UNKNOWN, Properties, Secret, decode, encode

URN = "urn:pulumi:stack::project::parent:x:Y$echo:index:Thing::thing::with-colons"
BIN = Path(__file__).resolve().parents[2] / "sandbox" / "plugins" / "bin"
Ask = Callable[..., Any]


class Echo(Plugin):
    """Answers with what it was asked, or with the failure that the inputs name."""

    name = "echo"
    version = "1.2.3"

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled = False

    def configure(self, variables: Mapping[str, str], log: Log) -> None:
        del log
        if "bad" in variables:
            raise PluginError(f"bad is {variables['bad']}")

    def check(self, call: Call) -> Checked:
        self.calls.append(call)
        return Checked(call.inputs, (("size", "size is too big"),))

    def diff(self, call: Call) -> Difference:
        self.calls.append(call)
        found = [Change(("data", "a.b"), Kind.UPDATE, replace=True), Change(("spec", 0), Kind.ADD)]
        return Difference(found, delete_before_replace=True)

    def create(self, call: Call) -> tuple[str, Properties]:
        self.calls.append(call)
        match call.inputs.get("fail"):
            case "late":
                raise NotReady("it did not come up", "an-id", {"key": Secret("k")}, ("no image",))
            case "plain":
                raise PluginError("the server said no")
            case "bug":
                raise KeyError("a defect")
            case _:
                return "an-id", call.inputs

    def read(self, call: Call) -> Found | None:
        return Found(call.id, call.state, call.old_inputs) if call.state else None

    def update(self, call: Call) -> Properties:
        return call.inputs

    def delete(self, call: Call) -> None:
        self.calls.append(call)

    def cancel(self) -> None:
        self.cancelled = True


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def ask(echo: Echo) -> Iterator[Ask]:
    """Calls a method by its name on the wire."""
    server, port = start(echo, EngineLog())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def ask(method: str, request: Message, answer: type[Message]) -> Message:
            return channel.unary_unary(
                f"/pulumirpc.ResourceProvider/{method}",
                request_serializer=_serialize,
                response_deserializer=answer.FromString,
            )(request, timeout=10)

        yield ask
    server.stop(None)


def create(ask: Ask, **inputs: Any) -> Any:
    request = provider_pb2.CreateRequest(urn=URN, properties=encode(inputs), timeout=7, preview=True)
    return ask("Create", request, provider_pb2.CreateResponse)


def test_a_call_carries_what_the_engine_sent(ask: Ask, echo: Echo) -> None:
    answer = create(ask, key=Secret("k"), later=UNKNOWN, port=1)
    assert (answer.id, decode(answer.properties)) == (
        "an-id",
        {"key": Secret("k"), "later": UNKNOWN, "port": 1},
    )
    (call,) = echo.calls
    assert (call.type, call.name, call.timeout, call.preview) == (
        "echo:index:Thing",
        "thing::with-colons",
        7.0,
        True,
    )


def test_naming_options_and_failures_of_a_check(ask: Ask, echo: Echo) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    for autonaming in (None, options(mode=options.Mode.DISABLE), options(proposed_name="given")):
        request = provider_pb2.CheckRequest(urn=URN, randomSeed=b"seed", autonaming=autonaming)
        answer = ask("Check", request, provider_pb2.CheckResponse)
        assert [(failure.property, failure.reason) for failure in answer.failures] == [
            ("size", "size is too big")
        ]
    told = [(call.seed, call.autonaming, call.proposed_name) for call in echo.calls]
    assert told == [(b"seed", True, ""), (b"seed", False, ""), (b"seed", True, "given")]


def test_a_difference_names_paths_and_replacements(ask: Ask) -> None:
    answer = ask("Diff", provider_pb2.DiffRequest(urn=URN), provider_pb2.DiffResponse)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == ['data["a.b"]']
    assert list(answer.diffs) == ["data", "spec"]
    assert answer.deleteBeforeReplace
    assert answer.detailedDiff["spec[0]"].kind == provider_pb2.PropertyDiff.ADD


def test_what_is_gone_has_no_id(ask: Ask) -> None:
    gone = ask("Read", provider_pb2.ReadRequest(urn=URN, id="x"), provider_pb2.ReadResponse)
    assert gone.id == ""
    there = provider_pb2.ReadRequest(urn=URN, id="x", properties=encode({"a": 1}))
    assert ask("Read", there, provider_pb2.ReadResponse).id == "x"


def test_an_object_that_is_there_but_not_ready_keeps_its_state(ask: Ask) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        create(ask, fail="late")
    error: Any = failed.value
    assert error.details() == "it did not come up"
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    details = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(details)
    assert (details.id, list(details.reasons)) == ("an-id", ["it did not come up", "no image"])
    assert decode(details.properties) == {"key": Secret("k")}


@pytest.mark.parametrize(
    ("kind", "code", "sentence"),
    [
        ("plain", grpc.StatusCode.UNKNOWN, "the server said no"),
        ("bug", grpc.StatusCode.INTERNAL, "the sandbox's plugin broke: Traceback"),
    ],
)
def test_a_failure_is_a_sentence(ask: Ask, kind: str, code: grpc.StatusCode, sentence: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        create(ask, fail=kind)
    error: Any = failed.value
    assert error.code() == code
    assert error.details().startswith(sentence)


def test_configuration_arrives_under_bare_names(ask: Ask) -> None:
    request = provider_pb2.ConfigureRequest(variables={"echo:config:bad": "so"})
    with pytest.raises(grpc.RpcError, match="bad is so"):
        ask("Configure", request, provider_pb2.ConfigureResponse)
    answer = ask("Configure", provider_pb2.ConfigureRequest(), provider_pb2.ConfigureResponse)
    assert answer.acceptSecrets and answer.supportsPreview and not answer.acceptOutputs
    agreed = ask("Handshake", provider_pb2.ProviderHandshakeRequest(), provider_pb2.ProviderHandshakeResponse)
    assert agreed.accept_secrets and not agreed.accept_outputs and not agreed.accept_resources


def test_what_is_not_there_is_unimplemented(ask: Ask) -> None:
    for method, request in (
        ("Parameterize", provider_pb2.ParameterizeRequest()),
        ("Construct", provider_pb2.ConstructRequest()),
        ("Invoke", provider_pb2.InvokeRequest()),
    ):
        with pytest.raises(grpc.RpcError) as failed:
            ask(method, request, empty_pb2.Empty)
        error: Any = failed.value
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED


def test_an_interruption_reaches_the_plugin(ask: Ask, echo: Echo) -> None:
    ask("Cancel", empty_pb2.Empty(), empty_pb2.Empty)
    assert echo.cancelled


@pytest.mark.parametrize(
    ("plugin", "package"), [(KubernetesPlugin(), "pulumi-kubernetes"), (TlsPlugin(), "pulumi-tls")]
)
def test_a_plugins_version_is_its_sdks(plugin: Plugin, package: str) -> None:
    assert plugin.version == importlib.metadata.version(package)


def test_a_plugin_does_not_outlive_its_engine() -> None:
    command = ["sh", "-c", '"$0" 127.0.0.1:1 & read line', BIN / "pulumi-resource-tls"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        assert int(engine.stdout.readline()) > 0
        engine.kill()
        # The end of the file comes when the last process that could write to it is gone.
        assert engine.stdout.read() == b""


@pytest.mark.parametrize("name", ["kubernetes", "tls"])
def test_the_launcher_serves(name: str) -> None:
    launcher = BIN / f"pulumi-resource-{name}"
    with subprocess.Popen([launcher, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                info: Any = channel.unary_unary(
                    "/pulumirpc.ResourceProvider/GetPluginInfo",
                    request_serializer=_serialize,
                    response_deserializer=plugin_pb2.PluginInfo.FromString,
                )(empty_pb2.Empty(), timeout=30)
        finally:
            process.terminate()
    assert info.version == importlib.metadata.version(f"pulumi-{name}")
