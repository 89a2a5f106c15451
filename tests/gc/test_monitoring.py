"""Alerts and dashboard on what a real Prometheus scrapes from a real pruner beside a real registry."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from docker_registry_stack.monitoring import RUNBOOKS, alerts, alerts_text
from docker_registry_stack.monitoring.dashboard import PANELS, dashboard
from pruner.observe.metrics import FAMILIES
from tests.gc.browser import ROOT
from tests.gc.observed import Watched, scrape, until, watched
from tests.gc.realregistry import VERSIONS, free_port, program

NAMESPACE = "docker-registry"
LABELS = {"namespace": NAMESPACE, "pod": "registry-5d8f", "job": "docker-registry"}
"""What Prometheus adds to every series of a pod that it finds."""

RULES = {rule["alert"]: rule for group in alerts(NAMESPACE)["groups"] for rule in group["rules"]}
_OF_RULES = re.compile(r"\b(?:registry|go|process)_[a-z0-9_]+")
HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Scene:
    """Series that are other than in the scrape, as `promtool` writes them, and what is to be alerted then.

    `changes` is metric -> series, or metric with labels -> series; None takes the metric away. `at` is in
    hours; `labels` are some of those that the alert must have.
    """

    alert: str
    changes: Mapping[str, str | None]
    at: int = 2
    labels: Mapping[str, str] | None = None
    said: str = ""


# Time begins at 0 in such a test, so moments are moved to there.
SCENES = (
    Scene("RegistryDown", {"registry_gc_registry_up": "0x1000"}, said="does not answer"),
    Scene("RegistryGone", {"registry_gc_registry_up": None}),
    Scene(
        "RegistryErrors",
        {
            'registry_http_requests_total{code="503",handler="blob",method="get"}': "0+60x1000",
            'registry_http_requests_total{code="200",handler="base",method="get"}': "0+600x1000",
        },
    ),
    Scene(
        "RegistryNotPruned",
        {"registry_gc_last_success_timestamp_seconds": "0x3000", "registry_gc_period_seconds": "86400x3000"},
        at=49,
        said="2d 1h",
    ),
    Scene("RegistryPruningRefused", {'registry_gc_last_run_failed{result="refused"}': "1x1000"}),
    Scene("RegistryPruningFails", {'registry_gc_last_run_failed{result="failed"}': "1x1000"}),
    Scene("RegistryPrunerHangs", {"registry_gc_hung": "0x100 1 1 0x1000"}),
    Scene(
        "RegistryRepositoryKeptWhole",
        {'registry_gc_repositories_kept_whole{reason="damaged manifest"}': "2x1000"},
        labels={"reason": "damaged manifest"},
        said="2 repositories in docker-registry are kept whole: damaged manifest",
    ),
    Scene(
        "RegistryDiskNearlyFull",
        # 1 GiB an hour is written; at 10 h 30 of 400 GiB are free, full 30 hours later.
        {
            "registry_gc_disk_size_bytes": f"{400 << 30}x3000",
            "registry_gc_disk_available_bytes": f"{40 << 30}-{(1 << 30) // 60}x3000",
        },
        at=10,
        said="30GiB are free; at the pace of the last day it is full on 1970-01-02 16:00",
    ),
    Scene(
        "RegistryTrashLargerThanFree",
        {
            "registry_gc_trash_bytes": f"{60 << 30}x1000",
            "registry_gc_disk_available_bytes": f"{50 << 30}x1000",
            "registry_gc_disk_size_bytes": f"{400 << 30}x1000",
        },
        said="60GiB wait",
    ),
    Scene(
        "RegistryCertificateEnds",
        {'registry_gc_certificate_expiry_timestamp_seconds{certificate="server"}': f"{29 * DAY}x1000"},
        labels={"certificate": "server"},
        said="28d 22h",
    ),
)


@pytest.fixture(scope="module", params=VERSIONS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(request.param, tmp_path_factory.mktemp("watched")) as found:
        yield found


@pytest.fixture(scope="module")
def prometheus(real: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped it, and loaded the rules."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "alerts.yml").write_text(alerts_text(NAMESPACE))
    target = {"targets": [f"127.0.0.1:{real.metrics_port}"], "labels": LABELS}
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": LABELS["job"], "static_configs": [target]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    words.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *words], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        # Two scrapes, for what asks for a rate.
        until(lambda: _scraped(address) >= 5, "Prometheus has scraped")
        yield address
    finally:
        process.terminate()
        process.wait()


def _scraped(address: str) -> int:
    try:
        result = query(address, 'count_over_time(up{job="docker-registry"}[1m])')
    except requests.RequestException:
        return 0
    return int(float(result[0]["value"][1])) if result else 0


def query(address: str, expression: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{address}/api/v1/query", {"query": expression}, timeout=30)
    said = answer.json()
    assert said["status"] == "success", f"{expression}: {said}"
    return said["data"]["result"]


# alerts


def test_every_alert_has_a_scene_and_a_runbook_and_says_what_is_wrong() -> None:
    assert {scene.alert for scene in SCENES} == set(RULES)
    runbooks = {path.stem for path in (ROOT / RUNBOOKS).glob("*.md")} - {"README"}
    assert runbooks == set(RULES)
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\)", (ROOT / RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert listed == list(RULES)
    for name, rule in RULES.items():
        assert rule["annotations"]["runbook"] == f"{RUNBOOKS}/{name}.md"
        assert rule["annotations"]["pruner"] == f"kubectl -n {NAMESPACE} exec deploy/registry -c gc -- prune"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description"} <= set(rule["annotations"])
        assert f'namespace="{NAMESPACE}"' in rule["expr"], "another registry's figures are another's alerts"
        text = (ROOT / RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert "## See" in text
        assert "## Do" in text


def test_the_namespace_is_put_in_everywhere() -> None:
    text = json.dumps(alerts("other"))
    assert "NAMESPACE" not in text
    assert 'namespace=\\"other\\"' in text


@pytest.mark.parametrize("scene", SCENES, ids=[scene.alert for scene in SCENES])
def test_the_alert_fires_on_series_as_they_are_scraped(scene: Scene, real: Watched, tmp_path: Path) -> None:
    assert run_promtool(tmp_path, scene, scrape(real)) == ""


def test_nothing_fires_while_all_is_well(real: Watched, tmp_path: Path) -> None:
    # The disk that the tests run on may be nearly full itself.
    room = {
        "registry_gc_disk_size_bytes": f"{400 << 30}x3000",
        "registry_gc_disk_available_bytes": f"{300 << 30}x3000",
    }
    said = _promtool(tmp_path, series(Scene("", room), scrape(real)), [(name, 2) for name in RULES])
    assert "SUCCESS" in said, said


def run_promtool(folder: Path, scene: Scene, scraped: str) -> str:
    """What `promtool test rules` complains of; the alert is expected to fire."""
    rule = RULES[scene.alert]
    # promtool wants all of what an alert says: it is asked first, and the answer then held to the scene.
    said = _promtool(folder, series(scene, scraped), [(scene.alert, scene.at)])
    fired = re.findall(r"Labels:(\{[^}]*\})\s*Annotations:(\{.*?\})\s*\]?\s*$", said, re.MULTILINE)
    if not fired:
        return f"nothing fired: got:[]\n{said}"
    labels, annotations = fired[0]
    assert scene.said in annotations.replace("\\n", ""), annotations
    for name, value in {**(scene.labels or {}), "severity": rule["labels"]["severity"]}.items():
        assert f'{name}="{value}"' in labels
    assert f'namespace="{NAMESPACE}"' in labels
    return ""


def _promtool(folder: Path, given: list[dict[str, str]], quiet: Sequence[tuple[str, int]]) -> str:
    """What it says when each of these alerts is expected not to fire at the hour that stands with it."""
    (folder / "alerts.yml").write_text(alerts_text(NAMESPACE))
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": given,
        "alert_rule_test": [
            {"alertname": alert, "eval_time": f"{hour}h", "exp_alerts": []} for alert, hour in quiet
        ],
    }
    tests = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": [case]}
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump(tests, width=10_000))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def series(scene: Scene, scraped: str) -> list[dict[str, str]]:
    """Every series of the scrape, constant, with moments moved; and the scene's in their places."""
    now, made = time.time(), list[dict[str, str]]()
    changed = set[str]()
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            if sample.name in scene.changes or name in scene.changes:
                changed.add(name)
                values = scene.changes.get(name, scene.changes.get(sample.name))
                if values is None:
                    continue
            elif not re.search(r"registry_gc_|registry_http_requests_total", sample.name):
                continue
            else:
                moved = sample.value - now if sample.name.endswith("timestamp_seconds") else sample.value
                values = f"{moved:.0f}x3000"
            made.append({"series": _with_labels(name), "values": values})
    # What is not there while all is well: a trouble, or an answer that nobody has got yet.
    for name, values in scene.changes.items():
        if name not in changed and values is not None:
            assert name.partition("{")[0] in scraped or name.partition("{")[0] in {
                family.full_name for family in FAMILIES
            }, name
            made.append({"series": _with_labels(name), "values": values})
    return made


def _with_labels(name: str) -> str:
    metric, _, labels = name.partition("{")
    own = ",".join(f'{key}="{value}"' for key, value in LABELS.items())
    return f"{metric}{{{own},{labels}" if labels else f"{metric}{{{own}}}"


def test_prometheus_takes_the_rules_and_none_fires(prometheus: str) -> None:
    said = requests.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
    until(
        lambda: all(
            rule["health"] == "ok"
            for group in requests.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
            for rule in group["rules"]
        ),
        "every rule was evaluated",
    )
    assert {rule["name"] for group in said for rule in group["rules"]} == set(RULES)
    firing = query(prometheus, 'ALERTS{alertstate="firing"}')
    assert firing == []


def test_what_prometheus_scraped_is_what_is_documented(prometheus: str) -> None:
    names = requests.get(f"{prometheus}/api/v1/label/__name__/values", timeout=30).json()["data"]
    ours = {name for name in names if name.startswith("registry_gc_")}
    assert ours <= {family.full_name for family in FAMILIES}
    assert len(ours) > 20
    (up,) = query(prometheus, 'up{job="docker-registry"}')
    assert up["value"][1] == "1"


# the dashboard


@pytest.mark.parametrize("panel", PANELS, ids=[panel.title for panel in PANELS])
def test_every_query_of_the_dashboard_asks_for_what_there_is(panel: Any, prometheus: str) -> None:
    # Only there in trouble, or once a request was made; each is a metric that is documented.
    known = {family.full_name for family in FAMILIES}
    for text in panel.queries.values():
        expression = text.replace("HERE", f'namespace="{NAMESPACE}"').replace("$__rate_interval", "1m")
        found = query(prometheus, expression)
        for metric in _OF_RULES.findall(expression):
            assert metric in known or query(prometheus, metric), f"{metric} does not exist"
        if panel.title not in ("Repositories kept whole", "Certificate ends in"):
            assert found, f"{expression} finds nothing"


def test_the_dashboard_is_what_grafana_takes() -> None:
    made = json.loads(json.dumps(dashboard()))
    assert [panel["id"] for panel in made["panels"]] == list(range(1, len(PANELS) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, "no panel covers another"
        taken |= cells
        assert panel["targets"]
        assert all("HERE" not in target["expr"] for target in panel["targets"])
    assert len(json.dumps(made)) < 256 * 1024
