"""The kubernetes stand-in without a cluster: names, comparison, ownership, and whose cluster it takes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.plugins.kubernetes import configuration, kinds, objects, ownership
from sandbox.plugins.kubernetes.configuration import Refused, Unreachable
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.kubernetes.plugin import KubernetesPlugin
from sandbox.plugins.protocol import Call, PluginError
from sandbox.plugins.sandboxed import KUBECONFIG_VARIABLE
from sandbox.plugins.values import UNKNOWN, Properties, Secret
from tests.plugins.recordinglog import RecordingLog

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SILENT = "https://127.0.0.1:9"


def call(token: str, **arguments: Any) -> Call:
    return Call(urn=f"urn:pulumi:s::p::{token}::config", type=token, name="config", **arguments)


def config_map(**metadata: Any) -> Properties:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}


def kubeconfig(folder: Path, server: str = SILENT, authority: bytes = b"ca", name: str = "config") -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "mine"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = folder / name
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubernetesPlugin:
    """Configured for a sandbox whose cluster does not answer."""
    path = kubeconfig(tmp_path)
    monkeypatch.setenv(KUBECONFIG_VARIABLE, str(path))
    plugin = KubernetesPlugin()
    plugin.configure({"kubeconfig": str(path)}, RecordingLog())
    return plugin


@pytest.mark.parametrize(
    ("token", "inputs", "kind"),
    [
        (CONFIG_MAP, {"kind": "ConfigMap"}, Kind("", "v1", "ConfigMap")),
        ("kubernetes:core/v1:ConfigMapPatch", {"kind": "ConfigMap"}, Kind("", "v1", "ConfigMap", patch=True)),
        ("kubernetes:apps/v1:Deployment", {}, Kind("apps", "v1", "Deployment")),
        ("kubernetes:x.io/v1:Patch", {"kind": "Patch"}, Kind("x.io", "v1", "Patch")),
    ],
)
def test_a_token_means_a_kind(token: str, inputs: Properties, kind: Kind) -> None:
    assert kinds.kind_of(token, inputs) == kind


@pytest.mark.parametrize("token", ["kubernetes:helm.sh/v3:Release", "kubernetes:yaml:ConfigFile"])
def test_what_is_no_object_is_refused(token: str) -> None:
    with pytest.raises(PluginError, match="makes single objects"):
        kinds.kind_of(token, {})


def test_a_generated_name_is_marked_kept_and_new_for_a_replacement(plugin: KubernetesPlugin) -> None:
    first = plugin.check(call(CONFIG_MAP, inputs=config_map(), seed=b"1")).inputs
    name = first["metadata"]["name"]
    assert name.startswith("config-") and len(name) == len("config-") + 8
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert first["metadata"]["namespace"] == "mine"
    again = plugin.check(call(CONFIG_MAP, inputs=config_map(), old_inputs=first, seed=b"2")).inputs
    assert again == first
    replacement = plugin.check(call(CONFIG_MAP, inputs=config_map(), seed=b"2")).inputs
    assert replacement["metadata"]["name"] != name


def test_names_follow_the_stacks_naming(plugin: KubernetesPlugin) -> None:
    proposed = plugin.check(call(CONFIG_MAP, inputs=config_map(), proposed_name="given")).inputs
    assert proposed["metadata"]["name"] == "given"
    with pytest.raises(PluginError, match=r"set metadata\.name"):
        plugin.check(call(CONFIG_MAP, inputs=config_map(), autonaming=False))
    with pytest.raises(PluginError, match="generateName"):
        plugin.check(call(CONFIG_MAP, inputs=config_map(generateName="x-")))
    with pytest.raises(PluginError, match=r"a patch needs metadata\.name"):
        plugin.check(call("kubernetes:core/v1:ConfigMapPatch", inputs=config_map()))


def test_what_is_unknown_stays_so(plugin: KubernetesPlugin) -> None:
    checked = plugin.check(call(CONFIG_MAP, inputs=config_map(name=UNKNOWN, namespace=UNKNOWN))).inputs
    assert checked["metadata"] == {"name": UNKNOWN, "namespace": UNKNOWN}


def test_cluster_scoped_kinds_get_no_namespace(plugin: KubernetesPlugin) -> None:
    token = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
    checked = plugin.check(call(token, inputs={"kind": "ClusterRole", "metadata": {"name": "r"}})).inputs
    assert "namespace" not in checked["metadata"]
    definition = {"spec": {"group": "x.io", "scope": "Cluster", "names": {"kind": "Wide"}}}
    token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    plugin.check(
        call(token, inputs={"kind": "CustomResourceDefinition", "metadata": {"name": "w"}, **definition})
    )
    wide = {"kind": "Wide", "metadata": {"name": "w"}}
    assert "namespace" not in plugin.check(call("kubernetes:x.io/v1:Wide", inputs=wide)).inputs["metadata"]


def test_a_secrets_contents_are_secret_whatever_the_program_says(plugin: KubernetesPlugin) -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    checked = plugin.check(call("kubernetes:core/v1:Secret", inputs=inputs)).inputs
    assert checked["stringData"] == Secret({"a": "b"})
    _, state = plugin.create(call("kubernetes:core/v1:Secret", inputs=checked, preview=True))
    assert state["stringData"] == Secret({"a": "b"})


def difference(plugin: KubernetesPlugin, token: str, old: Properties, new: Properties, at: str) -> Any:
    return plugin.diff(call(token, id=at, inputs=new, state={"__inputs": old}))


def test_data_of_a_config_map_replaces_it(plugin: KubernetesPlugin) -> None:
    old = config_map(name="n", namespace="x")
    new = {**old, "data": {"key": "other"}}
    found = difference(plugin, CONFIG_MAP, old, new, "x/n")
    assert found.delete_before_replace and [change.replace for change in found.changes] == [True]
    generated = {**new, "metadata": {**new["metadata"], "annotations": {objects.AUTONAMED: "true"}}}
    assert not difference(
        plugin, CONFIG_MAP, generated, {**generated, "data": {}}, "x/n"
    ).delete_before_replace
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert [change.replace for change in difference(plugin, CONFIG_MAP, old, labelled, "x/n").changes] == [
        False
    ]
    moved = difference(plugin, CONFIG_MAP, old, config_map(name="other", namespace="x"), "x/n")
    assert [change.replace for change in moved.changes] == [True] and not moved.delete_before_replace
    patch = "kubernetes:core/v1:ConfigMapPatch"
    assert [change.replace for change in difference(plugin, patch, old, new, "x/n").changes] == [False]


def test_data_may_change_in_place_where_the_provider_says_so(
    plugin: KubernetesPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", "true")
    plugin.configure({}, RecordingLog())
    old = config_map(name="n", namespace="x")
    new = {**old, "data": {"key": "other"}}
    assert [change.replace for change in difference(plugin, CONFIG_MAP, old, new, "x/n").changes] == [False]
    old, new = {**old, "immutable": True}, {**new, "immutable": True}
    assert [change.replace for change in difference(plugin, CONFIG_MAP, old, new, "x/n").changes] == [True]


@pytest.mark.parametrize(
    ("token", "path", "replaced"),
    [
        ("kubernetes:apps/v1:Deployment", ("spec", "selector", "matchLabels", "a"), True),
        ("kubernetes:apps/v1:Deployment", ("spec", "replicas"), False),
        ("kubernetes:core/v1:Service", ("spec", "clusterIP"), True),
        ("kubernetes:core/v1:Service", ("spec", "type"), False),
        ("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", ("roleRef", "name"), True),
        ("kubernetes:core/v1:PersistentVolumeClaim", ("spec", "volumeName"), True),
        ("kubernetes:batch/v1:Job", ("spec", "template", "spec", "x"), True),
        ("kubernetes:apps/v1:DaemonSet", ("spec", "template", "spec", "x"), False),
    ],
)
def test_fields_that_no_update_may_change_replace(
    plugin: KubernetesPlugin, token: str, path: tuple[str, ...], replaced: bool
) -> None:
    def body(value: str) -> Properties:
        inner: Any = value
        for step in reversed(path):
            inner = {step: inner}
        return {"kind": token.rsplit(":", 1)[1], "metadata": {"name": "n", "namespace": "x"}, **inner}

    (change,) = difference(plugin, token, body("one"), body("two"), "x/n").changes
    assert (change.path, change.replace) == (path, replaced)


def test_a_quantity_written_otherwise_is_no_change(plugin: KubernetesPlugin) -> None:
    def limits(cpu: str) -> Properties:
        return {"kind": "Pod", "metadata": {"name": "n"}, "spec": {"resources": {"limits": {"cpu": cpu}}}}

    token = "kubernetes:core/v1:Pod"
    assert difference(plugin, token, limits("1000m"), limits("1"), "n").changes == []
    assert len(difference(plugin, token, limits("1000m"), limits("2"), "n").changes) == 1


def test_a_read_sees_the_programs_fields_alone() -> None:
    kind = Kind("apps", "v1", "Deployment")
    inputs = {"spec": {"replicas": 1, "limits": {"cpu": "1000m"}, "list": [{"name": "a"}], "gone": 1}}
    live = {
        "spec": {"replicas": 3, "limits": {"cpu": "1"}, "list": [{"name": "a", "more": 1}], "paused": False},
        "status": {},
    }
    assert objects.observed_inputs(kind, live, inputs) == {
        "spec": {"replicas": 3, "limits": {"cpu": "1000m"}, "list": [{"name": "a"}]}
    }
    explicit: Properties = {
        "spec": {"replicas": 3, "hostPID": False, "none": [], "context": {"privileged": False}}
    }
    assert objects.observed_inputs(kind, live, explicit) == explicit
    imported = objects.observed_inputs(kind, {"metadata": {"name": "n", "uid": "u"}, **live}, {})
    assert imported == {"metadata": {"name": "n"}, "spec": live["spec"]}


def test_a_read_finds_string_data_in_the_data() -> None:
    live = {"data": {"a": base64.b64encode(b"new").decode(), "b": "x"}}
    inputs = {"stringData": {"a": "old"}}
    found = objects.observed_inputs(Kind("", "v1", "Secret"), live, inputs)
    assert found == {"stringData": {"a": "new"}}


def test_dashes_and_underscores_change_places_both_ways() -> None:
    inputs = {"x_kubernetes_int_or_string": True, "list": [{"x_kubernetes_list_type": "map"}], "none": None}
    wire = {"x-kubernetes-int-or-string": True, "list": [{"x-kubernetes-list-type": "map"}]}
    assert objects.on_wire(inputs) == wire
    assert objects.in_state(wire) == {key: value for key, value in inputs.items() if value is not None}


def test_an_apply_takes_over_what_the_creation_owned() -> None:
    created: Properties = {
        "manager": ownership.CREATOR,
        "operation": "Update",
        "fieldsV1": {"f:data": {"f:a": {}}},
    }
    applied: Properties = {
        "manager": "own",
        "operation": "Apply",
        "fieldsV1": {"f:data": {"f:b": {}}, "f:type": {}},
    }
    status: Properties = {
        "manager": "kubectl",
        "operation": "Update",
        "subresource": "status",
        "fieldsV1": {},
    }
    theirs: Properties = {"manager": "them", "operation": "Update", "fieldsV1": {"f:data": {"f:c": {}}}}
    live = {"metadata": {"managedFields": [created, applied, status, theirs]}}
    merged, *others = ownership.handed_over(live, "own") or []
    assert (merged["manager"], merged["operation"]) == ("own", "Apply")
    assert merged["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {}}, "f:type": {}}
    assert others == [status, theirs]
    assert ownership.handed_over({"metadata": {"managedFields": [applied, theirs]}}, "own") is None


def test_every_resource_has_a_field_manager_of_its_own() -> None:
    assert ownership.manager_of({}, config_map()) != ownership.manager_of({}, config_map())
    assert ownership.manager_of({"__fieldManager": "kept"}, config_map()) == "kept"
    stated = config_map(annotations={ownership.FIELD_MANAGER: "stated"})
    assert ownership.manager_of({"__fieldManager": "kept"}, stated) == "stated"


def test_every_run_is_told_that_this_is_the_sandboxs(plugin: KubernetesPlugin) -> None:
    log = RecordingLog()
    plugin.configure({}, log)
    assert len(log.warnings) == 1 and "stand-in" in log.warnings[0]


def create(plugin: KubernetesPlugin, *, preview: bool) -> tuple[str, Properties]:
    return plugin.create(call(CONFIG_MAP, inputs=config_map(name="n", namespace="x"), preview=preview))


def test_a_silent_cluster_stops_an_update_and_no_preview(plugin: KubernetesPlugin) -> None:
    assert create(plugin, preview=True)[1] == config_map(name="n", namespace="x")
    for act in (
        lambda: create(plugin, preview=False),
        lambda: plugin.read(call(CONFIG_MAP, id="x/n")),
        lambda: plugin.delete(call(CONFIG_MAP, id="x/n")),
    ):
        with pytest.raises(Unreachable, match="the Kubernetes cluster is unreachable"):
            act()


def test_a_kubeconfig_that_is_not_there_stops_an_update_and_no_preview(
    plugin: KubernetesPlugin, tmp_path: Path
) -> None:
    plugin.configure({"kubeconfig": str(tmp_path / "nowhere")}, RecordingLog())
    assert create(plugin, preview=True)[1]
    with pytest.raises(Unreachable, match="nowhere: No such file"):
        create(plugin, preview=False)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"server": "https://10.0.0.1:6443"}, "the kubeconfig means https://10.0.0.1:6443, the sandbox is"),
        ({"authority": b"another"}, "the kubeconfig means https://127.0.0.1:9"),
        (None, "DOCKER_REGISTRY_SANDBOX_KUBECONFIG does not name its kubeconfig"),
    ],
)
def test_any_other_cluster_is_refused_even_in_a_preview(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: Properties | None,
    sentence: str,
    preview: bool,
) -> None:
    own = kubeconfig(tmp_path, name="own")
    monkeypatch.setenv(KUBECONFIG_VARIABLE, str(own) if changed is not None else "")
    other = kubeconfig(tmp_path, name="other", **(changed or {}))
    plugin = KubernetesPlugin()
    plugin.configure({"kubeconfig": str(other)}, RecordingLog())
    with pytest.raises(Refused, match=sentence):
        create(plugin, preview=preview)
    with pytest.raises(Refused, match=sentence):
        plugin.create(call(CONFIG_MAP, inputs=config_map(name=UNKNOWN), preview=True))


def test_the_sandboxs_kubeconfig_may_come_as_text_or_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = kubeconfig(tmp_path, name="own")
    copy = kubeconfig(tmp_path, name="copy")
    monkeypatch.setenv(KUBECONFIG_VARIABLE, str(own))
    for given in (own.read_text(), str(copy)):
        configuration.assert_sandbox(configuration.endpoint(configuration.load(given), None, None))


def test_another_cluster_is_another_provider(plugin: KubernetesPlugin, tmp_path: Path) -> None:
    one = {"kubeconfig": str(kubeconfig(tmp_path, name="one"))}
    same = {"kubeconfig": Secret(Path(one["kubeconfig"]).read_text())}
    other = {"kubeconfig": str(kubeconfig(tmp_path, "https://10.0.0.1:6443", name="two"))}
    assert plugin.config_replaces(one, same) == ()
    assert plugin.config_replaces(one, other) == ["kubeconfig"]
    assert plugin.config_replaces(one, {"kubeconfig": UNKNOWN}) == ["kubeconfig"]


@pytest.mark.parametrize(
    ("mode", "value"), [("renderYamlToDirectory", "out"), ("enableServerSideApply", "false")]
)
def test_a_mode_that_is_not_there_is_refused(plugin: KubernetesPlugin, mode: str, value: str) -> None:
    with pytest.raises(PluginError, match=f"takes no {mode}="):
        plugin.configure({mode: value}, RecordingLog())
