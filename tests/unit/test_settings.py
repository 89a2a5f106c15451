"""The stack configuration: what is accepted, and what a wrong value is told."""

from __future__ import annotations

import json
import re

import pytest

from docker_registry_stack.config import read_args
from docker_registry_stack.keeping import HostPath
from docker_registry_stack.settings import SettingsError
from tests.unit import program
from tests.unit.program import read

PROJECT = program.PROJECT


def _claim(**keys: object) -> str:
    return json.dumps({"kind": "persistentVolumeClaim", **keys})


@pytest.mark.parametrize(
    ("key", "text", "seconds"),
    [
        ("gcPeriod", "604800", 604800),
        ("gcPeriod", "2w", 1209600),
        ("gcPeriod", "0.5", 0.5),
        ("gcInitialDelay", "0", 0),
        ("gcGrace", "0", 0),
        ("gcGrace", "1h30m", 5400),
        ("gcUntaggedAfter", "0s", 0),
        ("gcUploadsAfter", "0", 0),
        ("gcTrash", "0", 0),
        ("gcTrash", "15m", 900),
    ],
)
def test_durations_are_seconds_or_text(key: str, text: str, seconds: float) -> None:
    field = re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key.removeprefix("gc")).lstrip("_")
    assert getattr(read(**{key: text}).pruning, field) == seconds


@pytest.mark.parametrize(
    "image",
    [
        "registry",
        "registry:2",
        "registry:3.0.0",
        "localhost/registry:dev",
        "localhost:5000/a/b_c/d__e/f-g.h:V1.0",
        "[::1]:5000/registry",
        "registry.example.com/team/app@sha256:" + "a" * 64,
        "registry.example.com:443/team/app:1@sha256:" + "0" * 64,
    ],
)
def test_image_references(image: str) -> None:
    assert read(registryImage=image).registry_image == image


def test_hosts_are_names_and_addresses() -> None:
    hosts = ["registry.example.com", "10.1.2.3", "2001:DB8::1", "localhost"]
    assert read(externalHosts=hosts).external_hosts == (
        "registry.example.com",
        "10.1.2.3",
        "2001:db8::1",
        "localhost",
    )


def test_storage_may_name_its_node_and_loses_a_trailing_slash() -> None:
    storage = {"kind": "hostPath", "path": "/srv/registry/", "node": "worker-1.example.com"}
    assert read(storage=storage).storage == HostPath("/srv/registry", "worker-1.example.com", None)


def test_retention_becomes_json_that_does_not_depend_on_the_order_of_keys() -> None:
    one = read(retention=[{"repositories": ["a/*"], "keepLast": 3}]).pruning.retention
    other = read(retention=[{"keepLast": 3, "repositories": ["a/*"]}]).pruning.retention
    assert one == other
    assert json.loads(one) == [{"repositories": ["a/*"], "keepLast": 3}]


@pytest.mark.parametrize(
    ("key", "text", "accepted"),
    [
        ("nodePort", "29999", "an integer from 30000 to 32767"),
        ("nodePort", "32768", "an integer from 30000 to 32767"),
        ("nodePort", "-32000", "an integer from 30000 to 32767"),
        ("nodePort", "32000.5", "an integer from 30000 to 32767"),
        ("nodePort", "https", "an integer from 30000 to 32767"),
        ("nodePort", "", "an integer from 30000 to 32767"),
        ("exposure", '{"kind": "HostPort"}', "give NodePort or LoadBalancer or ClusterIP or Ingress"),
        ("exposure", '{"kind": "LoadBalancer"}', "LoadBalancer needs externalHosts: give the names"),
        ("exposure", '{"kind": "ClusterIP"}', "ClusterIP needs externalHosts"),
        ("exposure", '{"kind": "Ingress"}', "Ingress needs externalHosts"),
        ("exposure", '{"port": 443}', "port is not of a NodePort: set nodePort"),
        ("exposure", '{"annotations": {}}', "not of a NodePort: leave them out"),
        ("exposure", '{"ingressClass": "nginx"}', "ingressClass is of an Ingress, not of a NodePort"),
        ("exposure", '{"hostname": "a"}', "the keys are kind, port, annotations, ingressClass"),
        ("exposure", "LoadBalancer", "not JSON"),
        ("gcPeriod", "0", "a duration above 0"),
        ("gcPeriod", "0s", "a duration above 0"),
        ("gcPeriod", "weekly", "such as 90s, 15m, 24h, 7d"),
        ("gcPeriod", "-1", "0 or more"),
        ("gcPeriod", "7 d", "such as 90s, 15m, 24h, 7d"),
        ("gcPeriod", "inf", "such as 90s"),
        ("gcInitialDelay", "2y", "such as 90s, 15m, 24h, 7d"),
        ("gcGrace", "nan", "such as 90s"),
        ("gcUntaggedAfter", "", "such as 90s"),
        ("gcUploadsAfter", "1h30", "such as 90s"),
        ("gcTrash", "true", "such as 90s"),
        ("gcMaxFraction", "0", "above 0 and up to 1"),
        ("gcMaxFraction", "1.01", "above 0 and up to 1"),
        ("gcMaxFraction", "nan", "above 0 and up to 1"),
        ("gcMaxFraction", "half", "above 0 and up to 1"),
        ("gcOpsPerSecond", "-1", "0 for no limit"),
        ("gcOpsPerSecond", "2.5", "0 for no limit"),
        ("gcMode", "offline", "online or readonly"),
        ("gcDanglingTags", "delete", "keep or remove"),
        ("gcProtectRunning", "yes", "neither true nor false"),
        ("cache", "memcached", "none or inmemory or redis"),
        ("namespace", "Registry", "lower-case letters, digits and dashes"),
        ("namespace", "a.b", "lower-case letters, digits and dashes"),
        ("namespace", "", "lower-case letters, digits and dashes"),
        ("namespace", "a" * 64, "at most 63"),
        ("namespace", "default", "may create and delete"),
        ("namespace", "kube-system", "may create and delete"),
        ("registryImage", "", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "Registry:2", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "registry:", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "registry@sha256:abc", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "https://example.com/python", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "python 3", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "a//b", "one such as registry.example.com/team/name:tag"),
        ("createNamespace", "maybe", "give true or false"),
        ("pod", '{"colour": 1}', "'colour' is not a key here: the keys are nodeSelector, tolerations"),
        ("pod", '{"nodeSelector": {"disk": true}}', "nodeSelector: 'disk' is True, which is not text"),
        ("pod", '{"nodeSelector": {"a b": "c"}}', "nodeSelector: 'a b' is not a name here"),
        ("pod", '{"nodeSelector": {"A_/b": "c"}}', "nodeSelector: 'A_/b' is not a name here"),
        ("pod", '{"nodeSelector": {"disk": "-"}}', "nodeSelector: disk is '-': give at most 63 letters"),
        ("pod", '{"tolerations": {}}', "tolerations: {} is not a list"),
        ("pod", '{"tolerations": [{"value": "a"}]}', "tolerations: key is missing: give the taint's"),
        ("pod", '{"tolerations": [{"operator": "Exists", "value": "a"}]}', "Exists asks for none"),
        ("pod", '{"tolerations": [{"operator": "In"}]}', "give Equal or Exists"),
        ("pod", '{"tolerations": [{"key": "a", "effect": "No"}]}', "give NoSchedule or PreferNoSchedule or"),
        (
            "pod",
            '{"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 3}]}',
            "tolerationSeconds is 3: give a number of seconds, with effect NoExecute",
        ),
        ("pod", '{"affinity": []}', "affinity: [] is not an object: give one with some of nodeAffinity"),
        ("pod", '{"affinity": {"nodes": {}}}', "affinity: 'nodes' is not a key here"),
        ("pod", '{"affinity": {"podAffinity": 1}}', "affinity: podAffinity is 1: give an object"),
        (
            "pod",
            '{"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}}',
            "give one with a list nodeSelectorTerms",
        ),
        ("pod", '{"priorityClassName": "High!"}', "priorityClassName: 'High!' is not a DNS name"),
        ("pod", '{"runtimeClassName": 1}', "runtimeClassName: 1 is not a DNS name"),
        ("pod", '{"annotations": {"a": 1}}', "annotations: 'a' is 1, which is not text"),
        ("pod", '{"labels": {"app.kubernetes.io/name": "a"}}', "app.kubernetes.io/name is the stack's own"),
        ("pod", '{"annotations": {"docker-registry.internal/a": "b"}}', "is the stack's own: leave it out"),
        ("pod", '{"imagePullSecrets": "pull"}', "imagePullSecrets: 'pull' is not a list"),
        ("pod", '{"imagePullSecrets": ["Pull"]}', "imagePullSecrets: 'Pull' is not a DNS name"),
        ("pod", '{"gc": {"image": "a"}}', "gc: 'image' is not a key here: the keys are resources, env"),
        (
            "pod",
            '{"gc": {"resources": {"cpu": 1}}}',
            "'cpu' is not a key here: the keys are requests, l",
        ),
        (
            "pod",
            '{"gc": {"resources": {"limits": {"cpu": "lots"}}}}',
            "gc: resources.limits: cpu: 'lots' is not a quantity",
        ),
        (
            "pod",
            '{"gc": {"resources": {"limits": {"memory": "32Mi"}}}}',
            "resources.requests.memory is 45Mi, more than the limit 32Mi: give the one or the other too",
        ),
        (
            "pod",
            '{"registry": {"environment": {"REGISTRY_LOG_LEVEL": "a"}}}',
            "which is set in registryConfig: leave",
        ),
        ("pod", '{"gc": {"environment": {"GC_PERIOD": "1"}}}', "GC_PERIOD is a setting of the pruner"),
        ("pod", '{"gc": {"environment": {"PATH": "/bin"}}}', "PATH is how the pruner is found"),
        ("pod", '{"gc": {"environment": {"A=B": "c"}}}', "'A=B' is not the name of a variable"),
        ("pod", '{"gc": {"environment": {"A": 1}}}', "environment: 'A' is 1, which is not text"),
        (
            "networkPolicy",
            '{"ports": []}',
            "'ports' is not a key here: the keys are enabled, clients",
        ),
        ("networkPolicy", '{"enabled": "perhaps"}', "give true or false"),
        ("networkPolicy", '{"clients": []}', "clients is []: give a list of peers"),
        ("networkPolicy", '{"clients": ["10.0.0.0/8"]}', "clients has '10.0.0.0/8': give an object"),
        ("networkPolicy", '{"metrics": [{"cidr": "10.0.0.0/8"}]}', "metrics has 'cidr': give objects under"),
        ("networkPolicy", '{"metrics": [{"ipBlock": "10.0.0.0/8"}]}', "metrics has 'ipBlock': give objects"),
        (
            "networkPolicy",
            '{"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}',
            "clients has ipBlock beside a selector",
        ),
        ("storage", '{"kind": "nfs"}', "give hostPath or persistentVolumeClaim or s3"),
        ("storage", '{"kind": "hostPath", "path": "/"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "//"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "srv"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "/srv/../etc"}', "without . and .."),
        ("storage", '{"kind": "hostPath", "path": "/srv/./a"}', "without . and .."),
        ("storage", '{"kind": "hostPath", "path": "/srv//a"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": 7}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "/srv", "colour": 1}', "the keys are kind, path, node"),
        (
            "storage",
            '{"kind": "hostPath", "size": "1Gi"}',
            "size is of a persistentVolumeClaim: leave it out",
        ),
        ("storage", '{"existingClaim": "disk"}', "existingClaim is of a persistentVolumeClaim"),
        ("storage", _claim(), "size is missing: give how much room"),
        ("storage", _claim(size="50"), "size is '50': give a whole number above 0 and a unit"),
        ("storage", _claim(size="0Gi"), "size is '0Gi'"),
        ("storage", _claim(size="1.5Gi"), "size is '1.5Gi'"),
        ("storage", _claim(size=50), "size is 50"),
        ("storage", _claim(size="5Gi", path="/srv"), "path is of a hostPath: leave it out"),
        ("storage", _claim(size="5Gi", node="n1"), "node is of a hostPath"),
        ("storage", _claim(size="5Gi", storageClass="Fast"), "'Fast' is not a DNS name"),
        ("storage", _claim(size="5Gi", accessModes=["ReadOnlyMany"]), "accessModes has 'ReadOnlyMany': give"),
        ("storage", _claim(size="5Gi", accessModes="ReadWriteOnce"), "accessModes is 'ReadWriteOnce': give"),
        ("storage", _claim(size="5Gi", retain="perhaps"), "'perhaps' is not known: give true or false"),
        ("storage", _claim(size="5Gi", existingClaim="disk"), "size is of a claim that the stack makes"),
        ("storage", _claim(existingClaim="Disk"), "'Disk' is not a DNS name"),
        ("storage", '{"kind": "hostPath", "path": "/srv", "node": "A b"}', "lower-case letters"),
        ("storage", '{"adopt": "yes"}', "adopt is 'yes': give the claim that the pod's message names"),
        ("storage", "/srv", "not JSON"),
        ("storage", '"/srv"', "give one with some of kind, path, node, adopt"),
        ("externalHosts", '["https://registry.example.com"]', "without scheme and port"),
        ("externalHosts", '["registry.example.com:32000"]', "without scheme and port"),
        ("externalHosts", '["10.0.0.1:32000"]', "without scheme and port"),
        ("externalHosts", '["10.0.0.300"]', "without scheme and port"),
        ("externalHosts", '["0.0.0.0"]', "without scheme and port"),
        ("externalHosts", '["224.0.0.1"]', "without scheme and port"),
        ("externalHosts", '["*.example.com"]', "without scheme and port"),
        ("externalHosts", '["a..b"]', "without scheme and port"),
        ("externalHosts", '[""]', "without scheme and port"),
        ("externalHosts", "[1]", "without scheme and port"),
        ("externalHosts", '["a.example", "a.example"]', "name each host once"),
        ("externalHosts", '["2001:db8::1", "2001:DB8:0::1"]', "name each host once"),
        ("externalHosts", '["localhost"]', "add a name or address of the nodes"),
        ("externalHosts", '["localhost", "127.0.0.1", "::1"]', "add a name or address of the nodes"),
        ("externalHosts", '"registry.example.com"', "a list of DNS names or IP addresses"),
        ("externalHosts", "registry.example.com", "not JSON"),
        ("retention", '{"keepLast": 1}', "a list of policies"),
        ("retention", '[{"keep": 1}]', "retention[0]"),
        ("retention", '[{"keepLast": 1}, {"keepWithin": "soon"}]', "retention[1]"),
        ("retention", "[", "not JSON"),
    ],
)
def test_a_wrong_value_names_the_key_the_value_and_what_is_accepted(
    key: str, text: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_args(PROJECT, {key: text})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{PROJECT}:{key}: ")
    assert accepted in problem
    assert "\n" not in problem


def test_every_problem_is_told_at_once() -> None:
    wrong = {"nodePort": "80", "gcGrace": "x", "cache": "memcached", "gcPeriode": "7d"}
    with pytest.raises(SettingsError) as caught:
        read_args(PROJECT, wrong)
    assert len(caught.value.problems) == 4
    assert str(caught.value).splitlines() == caught.value.problems


def test_an_unknown_key_is_named_with_the_keys_there_are() -> None:
    with pytest.raises(
        SettingsError, match="docker-registry:gcPeriode is not a key of this project"
    ) as caught:
        read_args(PROJECT, {"gcPeriode": "7d"})
    assert "gcPeriod," in str(caught.value)


def test_the_default_path_is_the_namespaces_own() -> None:
    assert read(namespace="images").storage == HostPath("/var/lib/docker-registry-images", None, None)
    assert read(namespace="docker-registry").storage == HostPath("/var/lib/docker-registry", None, None), (
        "as it always was"
    )
    assert read(namespace="images", storage={"node": "n1"}).storage == HostPath(
        "/var/lib/docker-registry-images", "n1", None
    )
    assert read(namespace="images", storage={"path": "/srv"}).storage == HostPath("/srv", None, None)


def test_a_claim_to_adopt_is_taken_as_it_is() -> None:
    assert read(storage={"adopt": "c0123abc"}).storage.adopt == "c0123abc"
