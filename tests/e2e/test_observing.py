"""A registry in a cluster that can be seen: status, Events, metrics, page, the commands of the runbooks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from docker_registry_stack.monitoring import RUNBOOKS, alerts
from pruner.errors import Busy
from sandbox.cluster import kubectl
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import FAST, Stack, until
from tests.gc.browser import ROOT
from tests.gc.images import image, layer
from tests.gc.realregistry import free_port

IMAGE = image([layer("base"), layer("kept")], "kept")
GONE = image([layer("base"), layer("gone", 50_000)], "gone")
# A command of a runbook, by itself on a line.
_COMMAND = re.compile(r"^ {4,8}(kubectl -n docker-registry .*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    """Pushed to, and pruned: one image went."""
    seen = {"alerts": "configMap", "dashboard": "true", "repositoryMetrics": "true"}
    stack = make_stack("observed", **{**FAST, "gcTrash": "1d", **seen})
    stack.up()
    with stack.client() as client:
        client.push("team/app", GONE, "1")
        client.push("team/app", IMAGE, "1")
    until(lambda: bool(events(stack)), "a run that removed something is an Event")
    return stack


def status(stack: Stack) -> dict[str, Any]:
    (resource,) = stack.objects("registryaddresses")
    return resource.get("status", {})


def events(stack: Stack) -> list[dict[str, Any]]:
    found = stack.objects("events", "--field-selector=involvedObject.kind=Deployment,reason=Pruned")
    return [event for event in found if event["source"].get("component") == "prune"]


@contextmanager
def forwarded(stack: Stack, port: int) -> Generator[str]:
    """The address under which a port of the pod is reached meanwhile, loopback's ports as well."""
    here = free_port()
    command = [
        kubectl(stack.place),
        f"--kubeconfig={stack.place.kubeconfig}",
        f"--namespace={stack.namespace}",
    ]
    with subprocess.Popen(
        [*command, "port-forward", "deployment/registry", f"{here}:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "Forwarding" in said, said
            yield f"http://localhost:{here}"
        finally:
            process.terminate()


def test_kubectl_shows_how_it_is(stack: Stack) -> None:
    until(lambda: status(stack).get("lastResult") == "done", "the last run's result is shown")
    found = status(stack)
    conditions = {each["type"]: each["status"] for each in found["conditions"]}
    assert (conditions["Ready"], conditions["Pruning"]) == ("True", "True"), found["conditions"]
    assert found["storedBytes"] > 0
    assert found["certificateEnds"] > "2027"
    header, row = stack.kubectl("get", "registryaddresses").splitlines()
    assert header.split()[:8] == ["NAME", "ADDRESS", "AUTH", "READY", "DOING", "SINCE", "LAST-RUN", "RESULT"]
    assert row.split()[2:4] == ["htpasswd", "True"]


def test_a_run_that_removed_something_is_an_event(stack: Stack) -> None:
    event = events(stack)[0]
    assert event["type"] == "Normal"
    assert "removed" in event["message"]
    assert "Pruned" in stack.kubectl("describe", "deployment/registry")


def test_up_and_refresh_change_nothing_while_the_status_is_written(stack: Stack) -> None:
    before = status(stack)
    said = stack.up()
    assert not re.search(r"\b(created|updated|replaced|deleted)\b", said), said
    until(lambda: status(stack) != before, "it is written meanwhile")
    said = stack.engine.refresh()
    assert not re.search(r"\b(created|updated|replaced|deleted)\b", said), said
    said = stack.up()
    assert not re.search(r"\b(created|updated|replaced|deleted)\b", said), said


def test_metrics_of_both_are_scraped_where_the_annotations_say(stack: Stack) -> None:
    annotations = stack.pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    with forwarded(stack, int(annotations["prometheus.io/port"])) as address:
        text = requests.get(address + annotations["prometheus.io/path"], timeout=10).text
        assert requests.get(f"{address}/healthz", timeout=10).text == "ok\n"
    assert "registry_gc_registry_up 1.0" in text
    assert 'registry_gc_certificate_expiry_timestamp_seconds{certificate="server"}' in text
    assert 'registry_gc_repository_tags{repository="team/app"} 1.0' in text
    assert "registry_http_requests_total" in text


def test_the_page_is_reached_by_a_forwarded_port_and_not_from_the_network(stack: Stack) -> None:
    with forwarded(stack, 8080) as address:
        answer = requests.get(address, timeout=10)
        assert "team/app" in answer.text
        assert f"kubectl -n {stack.namespace} exec deploy/registry" in answer.text
        assert requests.get(address, headers={"Host": "elsewhere.example"}, timeout=10).status_code == 421
    ask = f"import urllib.request as u; u.urlopen('http://{stack.pod()['status']['podIP']}:8080', timeout=5)"
    with pytest.raises(Exception, match="refused"):
        stack.kubectl("exec", "deployment/registry", "--container=gc", "--", "python3", "-c", ask)


def test_alerts_and_dashboard_lie_in_the_cluster(stack: Stack) -> None:
    maps = stack.objects("configmaps", "--selector=app.kubernetes.io/component=monitoring")
    (rules,) = [each["data"] for each in maps if "docker-registry.yaml" in each["data"]]
    assert yaml.safe_load(rules["docker-registry.yaml"]) == alerts(stack.namespace)
    (dashboard,) = [each for each in maps if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert json.loads(dashboard["data"]["docker-registry.json"])["panels"]


def test_the_commands_of_the_runbooks_run(stack: Stack, tmp_path: Path) -> None:
    commands = {
        command
        for path in sorted((ROOT / RUNBOOKS).glob("*.md"))
        for command in _COMMAND.findall(path.read_text())
    }
    assert len(commands) > 12
    for command in sorted(commands, key=lambda each: "purge" in each):
        done = carried_out(stack, command.replace("-n docker-registry", f"-n {stack.namespace}"), tmp_path)
        assert done.returncode == 0, f"{done.args}: {done.stderr}"
        assert done.stdout, done.args


def carried_out(stack: Stack, command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command's end; while a run removes something a trash command says to try again, and is."""
    tries: list[subprocess.CompletedProcess[str]] = []

    def got_in() -> bool:
        tries.append(
            subprocess.run(
                ["sh", "-c", command],
                env={
                    "KUBECONFIG": str(stack.place.kubeconfig),
                    "HOME": str(home),
                    "PATH": f"{kubectl(stack.place).parent}:/usr/bin:/bin",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        )
        return tries[-1].returncode != Busy.exit_code

    until(got_in, f"no run is in the way of {command}")
    return tries[-1]


def test_without_the_right_to_it_pruning_goes_on(stack: Stack) -> None:
    (role,) = stack.objects("roles")
    kept = [rule for rule in role["rules"] if rule["resources"] == ["configmaps"]]
    patch = json.dumps([{"op": "replace", "path": "/rules", "value": kept}])
    stack.kubectl("patch", "role", role["metadata"]["name"], "--type=json", f"--patch={patch}")

    def complaints() -> list[str]:
        said = [line for line in stack.pruner_log().splitlines() if "the cluster does not show" in line]
        return [line for line in said if "answered 403" in line]

    until(lambda: bool(complaints()), "it says so")
    before = stack.pruner_log().count("nothing to remove")
    until(lambda: stack.pruner_log().count("nothing to remove") >= before + 2, "runs go on")
    assert len(complaints()) == 1
