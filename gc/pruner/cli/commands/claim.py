"""`prune claim`: what has to succeed before a registry may start on its tree."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

from pruner.claim.decision import Owner
from pruner.claim.record import NoRecord, Record
from pruner.claim.start import Started, start
from pruner.cli.call import Call
from pruner.errors import PrunerError, UsageError
from pruner.settings.table import Part

if TYPE_CHECKING:
    from pruner.kubernetes import KubernetesApi

SETTINGS: tuple[Part, ...] = ()
FORMS = ("text", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who claims, what, and where that is remembered."""
    parser.add_argument(
        "--owner", metavar="NAME", required=True, help="the registry that the tree is to serve, and no other"
    )
    parser.add_argument(
        "--called", metavar="TEXT", help="what people call the tree (default: its root directory)"
    )
    parser.add_argument(
        "--record",
        metavar="NAMESPACE/CONFIGMAP",
        help="an object of the cluster that remembers the claim, so that a tree that is gone (an unmounted "
        "disk) is not taken for a new one; the owner is then one of this cluster",
    )
    parser.add_argument(
        "--adopt", metavar="CLAIM", default="", help="take over the tree that carries, or carried, this claim"
    )
    parser.add_argument(
        "--message", metavar="FILE", help="write the outcome there too, such as /dev/termination-log"
    )


def changes(arguments: argparse.Namespace) -> bool:
    """It writes the claim."""
    del arguments
    return True


def run(call: Call) -> int:
    """Claim the tree, or refuse."""
    try:
        started = _start(call)
    except PrunerError as error:
        _leave(call, str(error))
        raise
    _leave(call, started.text())
    call.show(started)
    return 0


def _start(call: Call) -> Started:
    arguments, place = call.arguments, call.place()
    owner, record = Owner(arguments.owner), NoRecord()
    if arguments.record:
        from pruner.kubernetes import KubernetesApi  # TLS is slow to import

        api = KubernetesApi.of_pod(call.environ, call.clock)
        owner, record = _in_cluster(api, arguments.owner, arguments.record)
    called = arguments.called or place.given
    return start(place.storage, called, owner, record, arguments.adopt, call.clock)


def _in_cluster(api: KubernetesApi, owner: str, record: str) -> tuple[Owner, Record]:
    from pruner.claim.record import ConfigMapRecord, cluster_id

    namespace, slash, name = record.partition("/")
    if not (namespace and slash and name):
        raise UsageError(f"--record is {record!r}: give a namespace, a slash and the name of a ConfigMap")
    return Owner(owner, cluster_id(api)), ConfigMapRecord(api, namespace, name)


def _leave(call: Call, sentence: str) -> None:
    if call.arguments.message:
        # The outcome is what counts; a message that cannot be left still stands in the log.
        with suppress(OSError), open(call.arguments.message, "w", encoding="utf-8") as file:
            file.write(sentence)
