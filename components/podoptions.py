"""Where the pod runs and what is added to it: what is accepted, and how it meets the stack's own needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from . import accepted
from .inputs import later, made
from .objects import Container, Pod, Resources, Toleration

_AFFINITIES = ("nodeAffinity", "podAffinity", "podAntiAffinity")
_REQUIRED, _TERMS = "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"
# Whose labels and annotations the stack itself sets.
_OWN_DOMAINS = ("app.kubernetes.io/", "docker-registry.internal/")
_CONFIGURED = "the registry's configuration, which is set in registryConfig"
_OF_STORAGE = dict.fromkeys(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "the bucket's key, which is set in storage"
) | dict.fromkeys(
    ("AWS_CA_BUNDLE", "SSL_CERT_DIR"),
    "who signs for the bucket's server, which is set in storage.caCertificate",
)
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")

Quantities = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """A container's requests and limits by resource, and its variables beside the stack's."""

    requests: Quantities
    limits: Quantities
    environment: Mapping[str, str]

    @property
    def resources(self) -> k8s.core.v1.ResourceRequirementsArgs:
        """The same for the container."""
        return k8s.core.v1.ResourceRequirementsArgs(
            requests=dict(self.requests), limits=dict(self.limits) or None
        )


@dataclass(frozen=True, slots=True)
class PodOptions:
    """What is set of the pod, empty where nothing is; affinity and tolerations as Kubernetes has them."""

    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, object], ...]
    affinity: Mapping[str, Any]
    priority_class: str | None
    runtime_class: str | None
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    image_pull_secrets: tuple[pulumi.Input[str], ...]
    registry: ContainerOptions
    gc: ContainerOptions

    def metadata(
        self, labels: Mapping[str, pulumi.Input[str]], annotations: Mapping[str, str] | None
    ) -> k8s.meta.v1.ObjectMetaArgs:
        """The metadata of a pod with the stack's own `labels` and `annotations`."""
        return k8s.meta.v1.ObjectMetaArgs(
            labels={**self.labels, **labels},
            annotations={**(annotations or {}), **self.annotations} or None,
        )

    @property
    def placement(self) -> dict[str, Any]:
        """The fields of a PodSpec, but for the affinity, which the storage has a say in."""
        return {
            "node_selector": dict(self.node_selector) or None,
            "tolerations": list(self.tolerations) or None,
            "priority_class_name": self.priority_class,
            "runtime_class_name": self.runtime_class,
            "image_pull_secrets": [{"name": name} for name in self.image_pull_secrets] or None,
        }


def read(value: Any) -> PodOptions:
    """The options that `value` describes, as args or as a mapping. Raises ValueError."""
    pod = made(Pod, value)
    return PodOptions(
        node_selector=_of("nodeSelector", pod.node_selector, accepted.labels),
        tolerations=_of("tolerations", pod.tolerations, _tolerations, ()),
        affinity=_of("affinity", pod.affinity, _affinity),
        priority_class=_of("priorityClassName", pod.priority_class_name, accepted.dns_name, None),
        runtime_class=_of("runtimeClassName", pod.runtime_class_name, accepted.dns_name, None),
        annotations=_of("annotations", pod.annotations, lambda value: _others(accepted.names(value))),
        labels=_of("labels", pod.labels, lambda value: _others(accepted.labels(value))),
        image_pull_secrets=_of("imagePullSecrets", pod.image_pull_secrets, _secrets, ()),
        registry=_of("registry", pod.registry or {}, _registry),
        gc=_of("gc", pod.gc or {}, _pruner),
    )


def affinity(options: PodOptions, node: pulumi.Input[str] | None, usual: Mapping[str, Any]) -> Any:
    """The affinity of a pod that is to be on `node`, None for any, and what is set, else the `usual`.

    None if there is none.
    """
    given = {**usual, **options.affinity}
    if node is None:
        return given or None
    here = {"key": "metadata.name", "operator": "In", "values": [node]}
    of_nodes = given.get("nodeAffinity", {})
    required = of_nodes.get(_REQUIRED, {})
    # One of the terms has to match, so each gets what must hold whichever it is.
    terms = [
        {**term, "matchFields": [*term.get("matchFields", ()), here]} for term in required.get(_TERMS, [{}])
    ]
    return {**given, "nodeAffinity": {**of_nodes, _REQUIRED: {**required, _TERMS: terms}}}


def _of(field: str, value: Any, parse: Callable[[Any], Any], nothing: Any = {}) -> Any:  # noqa: B006 - it is only read
    """The parsed value, a sentence about a wrong one naming its field; `nothing` if it is left out."""
    if value is None:
        return nothing
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _others(given: dict[str, str]) -> dict[str, str]:
    for name in given:
        if name.startswith(_OWN_DOMAINS):
            raise ValueError(f"{name} is the stack's own: leave it out")
    return given


def _tolerations(value: object) -> tuple[Mapping[str, object], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list: give a list of objects")
    return tuple(map(_toleration, cast("list[Any]", value)))


def _toleration(value: Any) -> Mapping[str, object]:
    given = made(Toleration, value)
    operator = accepted.choice(given.operator or "Equal", "Equal", "Exists")
    if operator == "Exists" and given.value is not None:
        raise ValueError(f"value is {given.value!r}, but Exists asks for none: leave it out, or take Equal")
    if operator == "Equal" and not given.key:
        raise ValueError("key is missing: give the taint's, or the operator Exists for every taint")
    if given.effect is not None:
        accepted.choice(given.effect, "NoSchedule", "PreferNoSchedule", "NoExecute")
    seconds = given.toleration_seconds
    if seconds is not None and (
        given.effect != "NoExecute" or not re.fullmatch(r"\d+", accepted.text(seconds))
    ):
        raise ValueError(f"tolerationSeconds is {seconds!r}: give a number of seconds, with effect NoExecute")
    found = {
        "key": given.key,
        "operator": operator,
        "value": given.value,
        "effect": given.effect,
        "tolerationSeconds": None if seconds is None else int(seconds),
    }
    return {name: entry for name, entry in found.items() if entry is not None}


def _affinity(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not an object: give one with some of {', '.join(_AFFINITIES)}")
    for name, entry in cast("Mapping[object, object]", value).items():
        if name not in _AFFINITIES:
            raise ValueError(f"{name!r} is not a key here: the keys are {', '.join(_AFFINITIES)}")
        if not isinstance(entry, Mapping):
            raise ValueError(f"{name} is {entry!r}: give an object as Kubernetes has it")
    given = cast("Mapping[str, Any]", value)
    required = given.get("nodeAffinity", {}).get(_REQUIRED)
    if required is not None and not _has_terms(required):
        raise ValueError(f"nodeAffinity.{_REQUIRED} is {required!r}: give one with a list {_TERMS}")
    return given


def _has_terms(required: Any) -> bool:
    terms = cast("Any", required).get(_TERMS) if isinstance(required, Mapping) else None
    return isinstance(terms, list) and all(isinstance(term, Mapping) for term in cast("list[object]", terms))


def _secrets(value: object) -> tuple[pulumi.Input[str], ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list: give names of Secrets")
    return tuple(later(name, accepted.dns_name) for name in cast("list[object]", value))


def _registry(value: Any) -> ContainerOptions:
    return _container(
        value,
        requests={"cpu": "50m", "memory": "64Mi"},
        limits={"cpu": "2", "memory": "512Mi"},
        taken={"REGISTRY_": _CONFIGURED, **_OF_STORAGE},
    )


def _pruner(value: Any) -> ContainerOptions:
    return _container(
        value,
        requests={"cpu": "10m", "memory": "45Mi"},
        limits={"cpu": "1", "memory": "1Gi"},
        taken={
            "REGISTRY_": _CONFIGURED,
            "GC_": "a setting of the pruner, which is a key of the stack",
            "PATH": "how the pruner is found",
            "PYTHONPATH": "how the pruner's libraries are found",
            **_OF_STORAGE,
        },
    )


def _container(
    value: Any, *, requests: Quantities, limits: Quantities, taken: Mapping[str, str]
) -> ContainerOptions:
    given = made(Container, value)
    resources = made(Resources, given.resources or {})
    asked = _of("resources.requests", resources.requests, _quantities, requests)
    allowed = _of("resources.limits", resources.limits, _quantities, limits)
    for resource, limit in allowed.items():
        if accepted.amount(asked.get(resource, "0")) > accepted.amount(limit):
            raise ValueError(
                f"resources.requests.{resource} is {asked[resource]}, more than the limit {limit}: "
                "give the one or the other too"
            )
    return ContainerOptions(
        asked, allowed, _of("environment", given.environment, lambda value: _environment(value, taken))
    )


def _quantities(value: object) -> Quantities:
    return {name: _of(name, entry, accepted.quantity) for name, entry in accepted.names(value).items()}


def _environment(value: object, taken: Mapping[str, str]) -> Mapping[str, str]:
    given = accepted.texts(value)
    for name in given:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable: give letters, digits and underscores")
        for start, whose in taken.items():
            if name.startswith(start) if start.endswith("_") else name == start:
                raise ValueError(f"{name} is {whose}: leave it out")
    return given
