"""Every delay that the pruner knows beside its settings, in seconds, each with its reason.

The delays that people set (grace, trash, period and the like) are in pruner.settings.table.
"""

from __future__ import annotations

# -- what keeps data safe

SETTLE = 60.0
"""Between the quarantine of blobs and the look after it, and never more than the grace: a registry that found
a blob in its place just before it was quarantined may still be writing the link. What a killed run left in
quarantine counts as settled only after that time, too."""

TOLERANCE = 30.0
"""What the wall clock may stray from the steady one, or from the storage's, unnoticed: NTP steps, and a
file's time is that of a clock's last tick. No age is told apart more closely than that."""

LINK_WRITE = 60.0
"""For so long a link that holds nothing may be one that is being written, and is read again: versions 2.8 and
3.0 truncate a link before they write it."""

FILE_SETTLED = 2.0
"""A configuration written no later than this after its registry began is what that one read: the time of a
file is that of a clock's last tick, and a process begins before it reads."""

REREAD_PAUSE = 0.05
"""Before such a link is read again; a write takes less."""

# -- waiting for others

LOCK_POLL = 1.0
"""Between two tries of a run to take the lock again that it lent to a trash command."""

LOCK_PATIENCE = 3600.0
"""How long a run tries: a purge of a large trash on a slow disk takes minutes. After that the run gives
up, and the next one puts back what it held."""

DRAIN_MARGIN = 30.0
"""What a registry may take to end beyond its own draintimeout."""

COMEBACK = 420.0
"""Until a registry must answer again; the kubelet waits up to 300 s before it starts a container anew."""

SIGHT = 5.0
"""In which a registry's process that cannot be looked into may turn out to be just beginning or ending."""

APPEARANCE = 30.0
"""In which a registry that was restarted a moment ago must show itself."""

PROCESS_POLL = 0.2
"""Between two glances at the process table."""

REGISTRY_TIMEOUT = 10.0
"""For an answer of the registry to a request that costs it nothing."""

PROCESS_TIMEOUT = 10.0
"""For a program that is asked something, such as systemctl."""

REDIS_TIMEOUT = 30.0
"""For redis to take a connection, and to answer a batch of deletions."""

CLUSTER_TIMEOUT = 60.0
"""For a page of a list from the cluster's API, which a busy API server may need."""

CLUSTER_RETRY = 1.0
"""Before the first retry of such a request; doubled each time."""

# -- the loop

RETRY = 900.0
"""Until a failed run is tried again, when the period is longer than that."""

RENEWAL_LOOK = 60.0
"""Between two looks at the certificate's file while the loop waits: the kubelet needs a minute to bring a
renewed Secret to where it is mounted."""

# -- what is shown

HUNG = 1800.0
"""For so long, and the grace on top, a run that works may be silent: a slow disk needs minutes for a large
folder. After that it hangs, and the pruner fails its own liveness probe."""

LOOK_PERIOD = 86400.0
"""Between two looks of the loop while it waits for the next run, so that what is shown is not a week old."""

WATCH = 10.0
"""Between two glances at what is near: the registry's process, and the phase that a run is in."""

GLANCE_TIMEOUT = 3.0
"""For the registry's answer to those who look on; a scrape waits 10 s in all."""

STATUS_SOON = 2.0
"""Until the status is written again after a first failure, then twice as long after each further one: a new
stack's address is declared once its pod is ready, a moment after the pruner first looks for it."""

STATUS_RETRY = 300.0
"""Until the status is written to the cluster again, when it did not take it."""

# -- what people see

PROGRESS_LINE = 60.0
"""Between two log lines about the same long phase: often enough to see that it lives, and no flood."""
