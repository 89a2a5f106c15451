"""Alerts and a dashboard for what the pruner's metrics say: data, of which the stack makes objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_ALERTS = Path(__file__).parent / "alerts.yaml"
_PLACEHOLDER = "NAMESPACE"
RUNBOOKS = "docs/runbooks"


def alerts(namespace: str, deployment: str = "registry") -> dict[str, Any]:
    """The rules for the registry in `namespace`: a rules file of Prometheus, or a PrometheusRule's spec.

    `deployment` is the one with the pruner's pod, of which the annotation `pruner` says how it is asked.
    """
    rules: dict[str, Any] = yaml.safe_load(_ALERTS.read_text().replace(_PLACEHOLDER, namespace))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["annotations"] |= {
                "runbook": f"{RUNBOOKS}/{rule['alert']}.md",
                "pruner": f"kubectl -n {namespace} exec deploy/{deployment} -c gc -- prune",
            }
    return rules


def alerts_text(namespace: str, deployment: str = "registry") -> str:
    """The same as a file."""
    return yaml.safe_dump(alerts(namespace, deployment), sort_keys=False, width=110)
