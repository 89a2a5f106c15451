"""A dashboard for Grafana: the registry and its pruner on one page, for one namespace at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["stat", "timeseries", "table"]
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_HERE = 'namespace="$namespace"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its queries by the words for their legend, in PromQL where HERE stands for the labels."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    about: str = ""
    steps: tuple[tuple[str, float | None], ...] = (("text", None),)


_UP = (("red", None), ("green", 1.0))
_DAYS = (("red", None), ("orange", 7 * 86400.0), ("green", 30 * 86400.0))

PANELS: tuple[Panel, ...] = (
    Panel(
        "Registry", {"": "min(registry_gc_registry_up{HERE})"}, "bool_yes_no", "stat", 4, 4, "Answers?", _UP
    ),
    Panel(
        "Last success",
        {"": "time() - max(registry_gc_last_success_timestamp_seconds{HERE})"},
        "s",
        "stat",
        4,
        4,
        "Time since the last run that did all it should",
    ),
    Panel("Stored", {"": "max(registry_gc_storage_bytes{HERE})"}, "bytes", "stat", 4, 4),
    Panel("A run would remove", {"": "max(registry_gc_reclaimable_bytes{HERE})"}, "bytes", "stat", 4, 4),
    Panel("Trash", {"": "max(registry_gc_trash_bytes{HERE})"}, "bytes", "stat", 4, 4),
    Panel(
        "Certificate ends in",
        {"": "min(registry_gc_certificate_expiry_timestamp_seconds{HERE}) - time()"},
        "s",
        "stat",
        4,
        4,
        "The server's or the authority's, whichever ends first; `pulumi up` renews",
        _DAYS,
    ),
    Panel(
        "What is stored",
        {
            "stored": "max(registry_gc_storage_bytes{HERE})",
            "in the trash": "max(registry_gc_trash_bytes{HERE})",
            "saved by sharing": "max(registry_gc_storage_shared_saved_bytes{HERE})",
        },
        "bytes",
    ),
    Panel(
        "Disk",
        {
            "size": "max(registry_gc_disk_size_bytes{HERE})",
            "available": "min(registry_gc_disk_available_bytes{HERE})",
        },
        "bytes",
    ),
    Panel(
        "Runs a day by result", {"{{result}}": "sum by (result) (increase(registry_gc_runs_total{HERE}[1d]))"}
    ),
    Panel(
        "Removed a day by kind", {"{{kind}}": "sum by (kind) (increase(registry_gc_removed_total{HERE}[1d]))"}
    ),
    Panel(
        "Bytes a day",
        {
            "removed": "sum(increase(registry_gc_removed_bytes_total{HERE}[1d]))",
            "freed on the disk": "sum(increase(registry_gc_reclaimed_bytes_total{HERE}[1d]))",
        },
        "bytes",
    ),
    Panel(
        "Time by phase in a day",
        {"{{phase}}": "sum by (phase) (increase(registry_gc_phase_duration_seconds_total{HERE}[1d]))"},
        "s",
    ),
    Panel(
        "Requests by answer",
        {"{{code}}": "sum by (code) (rate(registry_http_requests_total{HERE}[$__rate_interval]))"},
        "reqps",
    ),
    Panel(
        "Slowest 5% by what was asked",
        {
            "{{handler}}": "histogram_quantile(0.95, sum by (le, handler) "
            "(rate(registry_http_request_duration_seconds_bucket{HERE}[$__rate_interval])))"
        },
        "s",
    ),
    Panel("Objects", {"{{kind}}": "max by (kind) (registry_gc_storage_objects{HERE})"}),
    Panel(
        "Restarts of the registry a day",
        {"restarts": "sum(increase(registry_gc_registry_restarts_total{HERE}[1d]))"},
    ),
    Panel(
        "Repositories kept whole",
        {"{{reason}}": "max by (reason) (registry_gc_repositories_kept_whole{HERE})"},
        about="Something in them cannot be explained, so nothing of theirs is removed",
    ),
    Panel(
        "Largest repositories",
        {"{{repository}}": "topk(20, max by (repository) (registry_gc_repository_bytes{HERE}))"},
        "bytes",
        "table",
        about="Only where metrics of each repository are chosen",
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana takes it."""
    return {
        "title": "Docker registry",
        "uid": "docker-registry-pruner",
        "tags": ["docker-registry"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus"}
    query = "label_values(registry_gc_registry_up, namespace)"
    yield {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "namespace"},
        "refresh": 2,
        "sort": 1,
    }


def _panels() -> Iterator[dict[str, Any]]:
    x = y = tallest = 0
    for number, panel in enumerate(PANELS, start=1):
        if x + panel.width > _COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield _panel(panel, number, x, y)
        x, tallest = x + panel.width, max(tallest, panel.height)


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for color, value in panel.steps]
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": _SOURCE,
                "expr": query.replace("HERE", _HERE),
                "legendFormat": legend or "__auto",
                "instant": panel.kind == "table",
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for at, (legend, query) in enumerate(panel.queries.items())
        ],
    }
    if panel.kind == "timeseries":
        made["fieldConfig"]["defaults"]["min"] = 0
    return made
