"""The pruner beside the registry: its container, its settings, its rights in the cluster."""

from __future__ import annotations

import base64
import json

import yaml

from docker_registry_stack import bundle
from docker_registry_stack.monitoring import alerts
from pruner.decide.running import WORKLOADS
from tests.unit.conftest import Deploy
from tests.unit.parts import ACCOUNT, BINDING, CONFIG_MAP, DEPLOYMENT, ROLE, TOKEN, mounts, variables, volumes

TELLS_THE_CLUSTER = {
    "apiGroups": [""],
    "resources": ["namespaces"],
    "resourceNames": ["kube-system"],
    "verbs": ["get"],
}


def test_the_gc_container(deploy: Deploy) -> None:
    graph = deploy(gcImage="registry.example.com/python:3.11")
    container = graph.container("gc")
    assert container["image"] == "registry.example.com/python:3.11"
    assert container["command"] == ["prune", "serve"]
    assert "args" not in container
    assert mounts(graph, "gc") == {
        "/var/lib/registry": ("data", False),
        "/etc/distribution": ("config", True),
        "/opt/prune/bin": ("prune", True),
        "/etc/registry-tls": ("ca", True),
        "/tmp": ("scratch", False),
        "/var/run/secrets/kubernetes.io/serviceaccount": ("cluster-access", True),
    }
    assert volumes(graph)["prune"]["configMap"] == {
        "name": "registry-pruner-program-0a1b2c3d",
        "defaultMode": 0o555,
    }
    assert volumes(graph)["ca"]["configMap"]["name"] == "docker-registry-ca"
    assert volumes(graph)["scratch"] == {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}


def test_an_image_with_a_prune_of_its_own_wins_over_the_mounted_one(deploy: Deploy) -> None:
    path = variables(deploy(), "gc")["PATH"].split(":")
    assert path[-1] == "/opt/prune/bin"
    assert path.index("/usr/local/bin") < path.index("/opt/prune/bin")


def test_both_containers_read_the_same_configuration(deploy: Deploy) -> None:
    graph = deploy()
    assert mounts(graph, "gc")["/etc/distribution"] == mounts(graph, "registry")["/etc/distribution"]
    assert volumes(graph)["config"]["secret"]["secretName"] == "registry-config-0a1b2c3d"
    assert variables(graph, "gc")["GC_CONFIG"] == "/etc/distribution/config.yml"


def test_the_bundle_is_what_the_pod_gets(deploy: Deploy) -> None:
    content = deploy().one(CONFIG_MAP, "registry-pruner-program").inputs["binaryData"]
    assert base64.b64decode(content["prune"]) == bundle.build()


def test_the_settings_reach_the_pruner_by_name(deploy: Deploy) -> None:
    graph = deploy(
        gcPeriod="2w",
        gcInitialDelay="0",
        gcGrace="90s",
        gcUntaggedAfter="1h30m",
        gcUploadsAfter="0.5",
        gcTrash="7d",
        gcMode="online",
        gcMaxFraction="0.25",
        gcOpsPerSecond="2000",
        gcProtectRunning=False,
        gcDanglingTags="remove",
        retention=[{"repositories": ["team/*"], "tags": ["*"], "keepLast": 3}],
    )
    found = {name: value for name, value in variables(graph, "gc").items() if name.startswith("GC_")}
    assert found == {
        "GC_CONFIG": "/etc/distribution/config.yml",
        "GC_MODE": "online",
        "GC_PERIOD": "1209600",
        "GC_INITIAL_DELAY": "0",
        "GC_GRACE": "90",
        "GC_UNTAGGED_AFTER": "5400",
        "GC_UPLOADS_AFTER": "0.5",
        "GC_TRASH": "604800",
        "GC_MAX_FRACTION": "0.25",
        "GC_OPS_PER_SECOND": "2000",
        "GC_PROTECT_RUNNING": "false",
        "GC_DANGLING_TAGS": "remove",
        "GC_RESTART": "allowed",
        "GC_RETENTION": '[{"keepLast":3,"repositories":["team/*"],"tags":["*"]}]',
        "GC_METRICS_PORT": "9090",
        "GC_PAGE_PORT": "8080",
        "GC_REPOSITORY_METRICS": "false",
        "GC_RENEWALS": "false",
        "GC_ADDRESS": "docker-registry/registry",
        "GC_DEPLOYMENT": "docker-registry/registry",
    }


def test_another_spelling_of_a_duration_changes_nothing(deploy: Deploy) -> None:
    assert deploy(gcPeriod="7d").pod() == deploy(gcPeriod=604800).pod()


def test_in_readonly_mode_the_pruner_can_rewrite_the_configuration(deploy: Deploy) -> None:
    graph = deploy(gcMode="readonly")
    init = graph.container("config")
    assert init["command"] == [
        "prune",
        "init-config",
        "/etc/registry-config/config.yml",
        "/etc/distribution/config.yml",
    ]
    assert init["image"] == graph.container("gc")["image"]
    assert mounts(graph, "config") == {
        "/etc/registry-config": ("pristine-config", True),
        "/etc/distribution": ("config", False),
        "/opt/prune/bin": ("prune", True),
        "/tmp": ("scratch", False),
    }
    assert mounts(graph, "gc")["/etc/distribution"] == ("config", False)
    assert mounts(graph, "registry")["/etc/distribution"] == ("config", True)
    assert volumes(graph)["config"] == {"name": "config", "emptyDir": {"sizeLimit": "1Mi"}}
    assert volumes(graph)["pristine-config"]["secret"]["secretName"] == "registry-config-0a1b2c3d"
    assert variables(graph, "gc")["GC_MODE"] == "readonly"


def test_item_7_the_rights_are_those_to_list_the_workloads_that_are_asked(deploy: Deploy) -> None:
    rules = [rule for rule in deploy().one(ROLE).inputs["rules"] if rule != TELLS_THE_CLUSTER]
    granted = {(group, kind) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]}
    # api/v1/KIND, or apis/GROUP/v1/KIND
    asked = {(path.split("/")[1] if path.count("/") == 3 else "", path.split("/")[-1]) for path in WORKLOADS}
    assert granted == asked
    assert all(rule["verbs"] == ["list"] for rule in rules)


def test_the_pruner_may_list_what_names_an_image_and_nothing_else(deploy: Deploy) -> None:
    graph = deploy()
    assert graph.one(ROLE).inputs["rules"] == [
        TELLS_THE_CLUSTER,
        {
            "apiGroups": [""],
            "resources": ["pods", "podtemplates", "replicationcontrollers"],
            "verbs": ["list"],
        },
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"],
            "verbs": ["list"],
        },
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list"]},
    ]
    binding = graph.one(BINDING).inputs
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "registry-pruner-reader-0a1b2c3d",
    }
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "registry-pruner-account-0a1b2c3d", "namespace": "docker-registry"}
    ]
    assert graph.one(ACCOUNT).inputs["automountServiceAccountToken"] is False
    assert graph.pod()["serviceAccountName"] == "registry-pruner-account-0a1b2c3d"


def test_the_token_is_short_lived_and_the_gc_containers_alone(deploy: Deploy) -> None:
    graph = deploy()
    sources = volumes(graph)["cluster-access"]["projected"]["sources"]
    assert sources == [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    assert "cluster-access" not in [volume for volume, _ in mounts(graph, "registry").values()]


def test_without_protection_of_what_runs_it_may_not_read_workloads(deploy: Deploy) -> None:
    graph = deploy(gcProtectRunning=False)
    assert graph.one(ROLE).inputs["rules"] == [TELLS_THE_CLUSTER]
    assert TOKEN in mounts(graph, "gc"), "it writes the status"
    assert TOKEN in mounts(graph, "claim")
    assert TOKEN not in mounts(graph, "registry")
    assert variables(graph, "gc")["GC_PROTECT_RUNNING"] == "false"


def test_in_its_own_namespace_it_may_write_a_status_events_and_its_claim(deploy: Deploy) -> None:
    role = deploy(namespace="images").one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs
    assert role["metadata"]["namespace"] == "images"
    group = "docker-registry.internal"
    assert [
        (rule["apiGroups"], rule["resources"], rule.get("resourceNames"), rule["verbs"])
        for rule in role["rules"]
    ] == [
        ([""], ["configmaps"], ["registry-storage"], ["get", "patch"]),
        ([group], ["registryaddresses"], ["registry"], ["get"]),
        ([group], ["registryaddresses/status"], ["registry"], ["patch"]),
        (["apps"], ["deployments"], ["registry"], ["get"]),
        ([""], ["events"], None, ["create"]),
    ]


# What is to be seen


def test_the_pruner_shows_itself_on_two_ports_and_knows_what_it_is_called(deploy: Deploy) -> None:
    graph = deploy(namespace="images", repositoryMetrics=True)
    found = variables(graph, "gc")
    assert (found["GC_METRICS_PORT"], found["GC_PAGE_PORT"]) == ("9090", "8080")
    assert found["GC_REPOSITORY_METRICS"] == "true"
    assert (found["GC_ADDRESS"], found["GC_DEPLOYMENT"]) == ("images/registry", "images/registry")
    container = graph.container("gc")
    assert container["ports"] == [{"name": "metrics", "containerPort": 9090}], "the page is on loopback"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}


def test_what_else_there_is_to_see_is_made_by_choice(deploy: Deploy) -> None:
    plain = deploy()
    template = plain.one(DEPLOYMENT).inputs["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "prometheus.io/path": "/metrics",
    }
    assert not [r for r in plain.resources if r.name.startswith("registry-monitoring-")]
    silent = deploy(metrics="none").one(DEPLOYMENT).inputs["spec"]["template"]
    assert not silent["metadata"].get("annotations")
    graph = deploy(namespace="images", metrics="podMonitor", alerts="prometheusRule", dashboard=True)
    monitor = graph.one("kubernetes:monitoring.coreos.com/v1:PodMonitor").inputs["spec"]
    labels = graph.one(DEPLOYMENT).inputs["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["podMetricsEndpoints"] == [{"port": "metrics", "path": "/metrics"}]
    rule = graph.one("kubernetes:monitoring.coreos.com/v1:PrometheusRule").inputs["spec"]
    assert rule == alerts("images")
    dashboard = graph.one(CONFIG_MAP, "registry-monitoring-dashboard").inputs
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["docker-registry.json"])["panels"]
    rules = deploy(alerts="configMap").one(CONFIG_MAP, "registry-monitoring-alerts").inputs["data"]
    assert yaml.safe_load(rules["docker-registry.yaml"]) == alerts("docker-registry")


# The claim


def test_no_pod_starts_before_it_has_its_claim(deploy: Deploy) -> None:
    graph = deploy(namespace="images", storage={"path": "/srv/images", "node": "n1", "adopt": "c0123abc"})
    claim = graph.container("claim")
    assert claim["command"] == [
        "prune",
        "claim",
        "--owner=images/registry",
        "--record=images/registry-storage",
        "--called=hostPath /srv/images on n1",
        "--message=/dev/termination-log",
        "--adopt=c0123abc",
    ]
    assert claim["image"] == graph.container("gc")["image"]
    assert mounts(graph, "claim") == {
        "/var/lib/registry": ("data", False),
        "/etc/distribution": ("config", True),
        TOKEN: ("cluster-access", True),
        "/opt/prune/bin": ("prune", True),
        "/tmp": ("scratch", False),
    }
    assert variables(graph, "claim")["GC_CONFIG"] == "/etc/distribution/config.yml"
    assert "--adopt" not in str(deploy().container("claim")["command"])
    last = deploy(gcMode="readonly").pod()["initContainers"][-1]
    assert last["name"] == "claim", "it reads the configuration that the first one copies"


def test_the_record_is_one_object_that_the_pod_may_patch_by_name(deploy: Deploy) -> None:
    graph = deploy(namespace="images")
    record = graph.one(CONFIG_MAP, "registry-pruner-record")
    assert record.inputs["metadata"]["name"] == "registry-storage"
    assert "data" not in record.inputs, "the pod's, and no `up` takes it away"
    assert "immutable" not in record.inputs
    role = graph.one("kubernetes:rbac.authorization.k8s.io/v1:Role")
    assert role.inputs["rules"][0] == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["registry-storage"],
        "verbs": ["get", "patch"],
    }
    binding = graph.one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs
    assert binding["roleRef"]["name"] == "registry-pruner-record-0a1b2c3d"
    assert binding["subjects"] == graph.one(BINDING).inputs["subjects"]


def test_what_few_need_is_mounted_only_where_it_is_needed(deploy: Deploy) -> None:
    assert "PYTHONPATH" not in variables(deploy(), "gc")
    graph = deploy(cache="redis")
    content = graph.one(CONFIG_MAP, "registry-pruner-redis").inputs["binaryData"]
    assert base64.b64decode(content["library.zip"]) == bundle.archive("redis")
    assert variables(graph, "gc")["PYTHONPATH"] == "/opt/prune/lib/redis/library.zip"
    assert "/opt/prune/lib/redis" in mounts(graph, "gc")
