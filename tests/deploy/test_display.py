from __future__ import annotations

import re
from typing import Any

from deploy.display import Display

STACK = "urn:pulumi:dev::docker-registry::pulumi:pulumi:Stack::docker-registry-dev"
SECRET = "urn:pulumi:dev::docker-registry::a:b:C$kubernetes:core/v1:Secret::registry-tls"
REGISTRY = "urn:pulumi:dev::docker-registry::docker-registry:index:Registry::registry"


def step(
    kind: str, op: str, urn: str = SECRET, *, at: int = 0, planning: bool = False, **more: Any
) -> dict[str, Any]:
    type_ = urn.split("::")[2].rpartition("$")[2]
    what = {"op": op, "urn": urn, "type": type_, "new": {"custom": urn == SECRET}, **more}
    return {"timestamp": at, kind: {"metadata": what, "planning": planning}}


def said(text: str, severity: str, urn: str = "", *, ephemeral: bool = False) -> dict[str, Any]:
    found = {"message": text, "severity": severity, "urn": urn, "ephemeral": ephemeral, "color": "raw"}
    return {"diagnosticEvent": found}


def shown(display: Display, *events: dict[str, Any]) -> list[str]:
    return [line for event in events for line in display.lines(event)]


SUMMARY = {"summaryEvent": {"result": "succeeded"}}


def test_each_resource_is_one_line_when_it_is_done() -> None:
    begun, ended = step("resourcePreEvent", "create", at=5), step("resOutputsEvent", "create", at=12)
    assert shown(Display(), begun) == []
    assert shown(Display(), begun, ended, SUMMARY) == [
        "created     Secret registry-tls (7 s)",
        "Resources: 1 created",
    ]


def test_what_stays_is_counted_and_not_listed() -> None:
    events = (step("resOutputsEvent", "same"), step("resOutputsEvent", "same", REGISTRY))
    assert shown(Display(), *events, SUMMARY) == ["Resources: 2 unchanged"]


def test_a_preview_says_what_would_be_done_and_because_of_what() -> None:
    replaced = step("resOutputsEvent", "create-replacement", planning=True, diffs=["data"])
    component = step("resOutputsEvent", "create", REGISTRY, planning=True)
    assert shown(Display(), replaced, component, component, SUMMARY) == [
        "to replace  Secret registry-tls (for its data)",
        "to create   Registry registry",
        "Resources: 1 to replace, 1 to create",
    ]


def test_a_failure_is_told_with_its_error() -> None:
    failed = step("resOpFailedEvent", "create")
    display = Display()
    lines = shown(display, said("<{%fg 1%}>boom<{%reset%}>\nbecause", "error", SECRET), failed)
    assert lines == ["error: registry-tls: boom", "    because", "failed      Secret registry-tls"]
    assert display.errors == ["boom\nbecause"]


def test_warnings_are_told_but_for_those_that_nobody_could_act_on() -> None:
    display = Display(re.compile(r"^using pulumi-\S+ from \$PATH"))
    about_path = "using pulumi-resource-tls from $PATH at /somewhere"
    assert shown(display, said(about_path, "warning")) == []
    assert shown(Display(), said(about_path, "warning")) == [f"warning: {about_path}"]
    assert shown(display, said("the API is deprecated", "warning", SECRET)) == [
        "warning: registry-tls: the API is deprecated"
    ]


def test_no_error_is_ever_left_out() -> None:
    everything = re.compile("")
    assert shown(Display(everything), said("bad", "error", STACK, ephemeral=True)) == ["error: bad"]


def test_what_the_program_prints_is_told_and_passing_states_are_not() -> None:
    assert shown(Display(), said("hello\n", "info", STACK)) == ["hello"]
    assert shown(Display(), said("[1/3] waiting", "info", SECRET, ephemeral=True)) == []
    assert shown(Display(), said("noise", "debug")) == []
