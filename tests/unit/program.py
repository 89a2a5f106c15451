"""Runs the whole program on Pulumi's mocks and holds what it registered."""

from __future__ import annotations

import json
import logging
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks, rpc, stack
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import get_root_resource, set_root_resource

from docker_registry_stack.config import read_args
from docker_registry_stack.settings import Settings, settle

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = "docker-registry"
STACK = "dev"
# What a backend that knows no organizations gives.
ORGANIZATION = "organization"

log = logging.getLogger("pulumi-mocks")


@dataclass(frozen=True)
class Resource:
    """One registered resource: inputs with their secrets unwrapped, and the options the engine was told."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    secret_paths: frozenset[str]
    parent: str
    provider: str
    dependencies: tuple[str, ...]
    property_dependencies: frozenset[str]  # those of them that a property comes from
    aliases: tuple[tuple[str, bool], ...]  # a former name, and whether it stood directly under the stack then
    delete_before_replace: bool
    retained: bool
    former_types: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Everything that a run registered, and the stack's outputs."""

    resources: tuple[Resource, ...]
    outputs: dict[str, Any]
    secret_outputs: frozenset[str]

    def all(self, type_: str) -> list[Resource]:
        """Every resource of a type."""
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Resource:
        """The only resource of a type, or of a type and name."""
        found = [resource for resource in self.all(type_) if name in (None, resource.name)]
        assert len(found) == 1, f"{len(found)} of {type_} {name}: {[r.name for r in self.resources]}"
        return found[0]

    def pod(self, deployment: str = "registry") -> dict[str, Any]:
        """The spec of the pod of the deployment that is called so in the cluster."""
        found = self.all("kubernetes:apps/v1:Deployment")
        (inputs,) = [each.inputs for each in found if each.inputs["metadata"]["name"] == deployment]
        return inputs["spec"]["template"]["spec"]

    def mounted(self, deployment: str = "registry") -> set[str]:
        """The volumes that containers of the deployment's pod mount, by name."""
        pod = self.pod(deployment)
        return {
            mount["name"]
            for container in [*pod["containers"], *pod["initContainers"]]
            for mount in container["volumeMounts"]
        }

    def container(self, name: str, deployment: str = "registry") -> dict[str, Any]:
        """A container of the deployment's pod, init containers included."""
        pod = self.pod(deployment)
        return next(c for c in [*pod["containers"], *pod.get("initContainers", [])] if c["name"] == name)


class _Provider(mocks.Mocks):
    """Makes up what the providers would: names, ids, PEM texts."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program calls {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(cast("Any", args).inputs)
        if args.typ.startswith("kubernetes:"):
            metadata = dict(cast("dict[str, Any]", state.get("metadata", {})))
            metadata.setdefault("name", f"{args.name}-0a1b2c3d")
            state["metadata"] = metadata
            if args.typ == "kubernetes:core/v1:Service":
                state["spec"] = {"clusterIP": "10.96.0.10", **cast("dict[str, Any]", state["spec"])}
        elif args.typ == "pulumi:pulumi:StackReference":
            state["outputs"] = {"registryHost": "registry.example.com"}
        elif args.typ == "tls:index/privateKey:PrivateKey":
            state["privateKeyPem"] = rpc.wrap_rpc_secret(f"private key of {args.name}")
        elif args.typ == "tls:index/certRequest:CertRequest":
            state["certRequestPem"] = f"request {args.name}"
        elif args.typ.startswith("tls:"):
            state["certPem"] = f"certificate {args.name}"
        return f"{args.name}-id", state


class _Monitor(mocks.MockMonitor):
    """Keeps the requests, which hold options that the mocks are not told."""

    def __init__(self) -> None:
        super().__init__(_Provider())
        self.requests: list[tuple[str, Any]] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        response = cast("Any", super()).RegisterResource(request)
        if request.type not in ("pulumi:pulumi:Stack", "pulumi:pulumi:StackReference"):
            self.requests.append((response.urn, request))
        return response


def read(**config: object) -> Settings:
    """The settings that a stack configuration makes."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return settle(read_args(PROJECT, texts))


def run(
    config: Mapping[str, object],
    provider: Mapping[str, str],
    main: Path | Callable[[], object] = ROOT / "__main__.py",
    secret_keys: Sequence[str] = (),
) -> Graph:
    """Runs the program `main` with `config`, and `provider` for `kubernetes:`.

    `secret_keys` are the keys whose values the stack's file holds encrypted.
    """
    given = {key: _text(value) for key, value in config.items()}
    monitor = _Monitor()
    # The mocks bring a stack along only where there is none: without this, the last run's outputs stay.
    set_root_resource(cast("Any", None))
    mocks.set_mocks(
        mocks=monitor.mocks,
        project=PROJECT,
        stack=STACK,
        monitor=monitor,
        logger=log,
        organization=ORGANIZATION,
    )
    set_all_config(
        {f"{PROJECT}:{key}": text for key, text in given.items()}
        | {f"kubernetes:{key}": text for key, text in provider.items()},
        [f"{PROJECT}:{key}" for key in secret_keys],
    )
    outputs: dict[str, Any] = {}
    secrets: set[str] = set()

    async def resolve(exported: dict[str, Any]) -> None:
        for name, value in exported.items():
            output = pulumi.Output.from_input(value)
            outputs[name] = await output.future()
            if await output.is_secret():
                secrets.add(name)

    @cast("Any", mocks).test
    def program() -> object:
        if isinstance(main, Path):
            runpy.run_path(str(main), run_name="__main__")
        else:
            main()
        return resolve(cast("stack.Stack", get_root_resource()).outputs)

    program()
    return Graph(
        tuple(_resource(urn, request) for urn, request in monitor.requests), outputs, frozenset(secrets)
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def _resource(urn: str, request: Any) -> Resource:
    secrets: set[str] = set()
    inputs = _unwrapped(rpc.deserialize_properties(request.object), "", secrets)
    return Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        secret_paths=frozenset(secrets),
        parent=request.parent,
        provider=request.provider,
        dependencies=tuple(request.dependencies),
        property_dependencies=frozenset(
            urn for each in request.propertyDependencies.values() for urn in each.urns
        ),
        aliases=tuple((alias.spec.name, alias.spec.noParent) for alias in request.aliases),
        delete_before_replace=request.deleteBeforeReplace,
        retained=request.retainOnDelete,
        former_types=tuple(alias.spec.type for alias in request.aliases if alias.spec.type),
    )


def _unwrapped(value: Any, path: str, secrets: set[str]) -> Any:
    if rpc.is_rpc_secret(value):
        secrets.add(path)
        return _unwrapped(rpc.unwrap_rpc_secret(value), path, secrets)
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _unwrapped(entry, f"{path}/{key}", secrets) for key, entry in entries.items()}
    if isinstance(value, list):
        return [_unwrapped(entry, path, secrets) for entry in cast("list[Any]", value)]
    return value
