"""What a stack declares, judged by checkov and kube-score: what they object to has its reason here.

Both look for all that they know, but for kube-score's optional checks.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.linters import checkov, kube_score
from sandbox.steps import Steps
from tests.hardening.rendered import write
from tests.unit import fakecluster, program

STACKS: dict[str, dict[str, object]] = {
    "folder": {},
    "claim": {
        "storage": {"kind": "persistentVolumeClaim", "size": "50Gi"},
        "exposure": {"kind": "Ingress"},
        "externalHosts": ["registry.example.com"],
    },
    "readonly": {"gcMode": "readonly", "alerts": "configMap", "dashboard": True},
    "several": {
        "replicas": 3,
        "cache": "redis",
        "storage": {"kind": "persistentVolumeClaim", "size": "50Gi", "accessModes": ["ReadWriteMany"]},
    },
    "bucket": {
        "replicas": 2,
        # A name of the cluster's, which nobody asks from here.
        "storage": {
            "kind": "s3",
            "bucket": "images",
            "endpoint": "http://minio.storage.svc:9000",
            "accessKey": "registry",
            "secretKey": "a secret key",
        },
    },
    "nodes": {
        "nodeTrust": {"enabled": True},
        "storage": {"kind": "persistentVolumeClaim", "size": "50Gi"},
    },
}
ON_FOLDERS = ("folder", "readonly")
EVERYWHERE = tuple(STACKS)
# Of several pods' stacks the one with a Redis.
WITH_ONE_POD = tuple(name for name in STACKS if name != "bucket")

NO_SUCH_PULL = "images are versions that are never pushed again, and a restart must need no other registry"
ONE_POD = "one tree of images has one pod, which a rollout ends before it starts the next"

CHECKOV = {
    "CKV_K8S_9": (
        EVERYWHERE,
        "nobody waits for the pruner, which has a liveness probe: the registry is asked",
    ),
    "CKV_K8S_15": (EVERYWHERE, NO_SUCH_PULL),
    "CKV_K8S_43": (
        EVERYWHERE,
        "the default names the version for people; registryImage and gcImage take digests",
    ),
    "CKV_K8S_35": (EVERYWHERE, "the registry takes its signing secret by a variable or in config.yml alone"),
    "CKV_K8S_23": (
        (*ON_FOLDERS, "nodes"),
        "only root can write to a folder that kubelet made for a hostPath, and to the nodes' own",
    ),
    "CKV_K8S_8": (("nodes",), "nobody waits for what has nodes trust the registry: its file stays as it is"),
    "CKV2_K8S_6": (("nodes",), "what has nodes trust the registry listens on no port"),
    "CKV_K8S_40": (
        EVERYWHERE,
        "root on a folder; on a claim the user of other charts, whose volumes are taken over",
    ),
}
KUBE_SCORE = {
    "container-ephemeral-storage-request-and-limit": (
        EVERYWHERE,
        "nothing is written but volumes, of which those on the node's disk have limits of their own",
    ),
    "container-image-pull-policy": (EVERYWHERE, NO_SUCH_PULL),
    "container-security-context-user-group-id": (EVERYWHERE, "as checkov's CKV_K8S_40"),
    "pod-networkpolicy": (
        EVERYWHERE,
        "what the pod may reach is open: no policy knows where the API server is",
    ),
    "pod-probes-identical": (
        EVERYWHERE,
        "serving is all a registry does; liveness has six times the patience",
    ),
    "deployment-replicas": (WITH_ONE_POD, ONE_POD),
    "deployment-strategy": (WITH_ONE_POD, ONE_POD),
    "service-type": ((*ON_FOLDERS, "several", "bucket", "nodes"), "a NodePort is the default way in"),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of manifests for each stack."""
    folder = tmp_path_factory.mktemp("rendered")
    with fakecluster.running() as cluster:
        for name, config in STACKS.items():
            write(program.run(config, {"kubeconfig": cluster.kubeconfig()}), folder / name)
        yield folder


def accepted(reasons: dict[str, tuple[tuple[str, ...], str]]) -> set[tuple[str, str]]:
    return {(stack, check) for check, (stacks, _) in reasons.items() for stack in stacks}


def test_checkov_finds_nothing_but_what_has_a_reason(rendered: Path) -> None:
    flags = ["--framework", "kubernetes", "--skip-download", "--output", "json", "--directory", str(rendered)]
    done = subprocess.run(
        [*map(str, checkov(Steps())), *flags],
        stdout=subprocess.PIPE,
        env={**os.environ, "CHECKOV_RUN_SCA_PACKAGE_SCAN": "false"},
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 100 * len(STACKS)
    failed: list[dict[str, Any]] = found["results"]["failed_checks"]
    seen = {(Path(each["file_path"]).parts[1], each["check_id"]) for each in failed}
    assert seen == accepted(CHECKOV), [(each["file_path"], each["check_name"]) for each in failed]


def test_kube_score_finds_nothing_but_what_has_a_reason(rendered: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for name in STACKS:
        files = sorted(map(str, (rendered / name).iterdir()))
        done = subprocess.run(
            [kube_score(Steps()), "score", "--output-format", "json", *files],
            stdout=subprocess.PIPE,
            check=False,
        )
        checks = [check for each in json.loads(done.stdout) for check in each["checks"]]
        assert len(checks) > 30
        # 10 is its best grade.
        seen |= {(name, c["check"]["id"]) for c in checks if not c["skipped"] and c["grade"] < 10}
    assert seen == accepted(KUBE_SCORE)
