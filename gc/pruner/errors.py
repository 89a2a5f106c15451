"""Every way a command of the pruner can fail, each with an exit code of its own."""

from __future__ import annotations


class PrunerError(Exception):
    """A failure written for the person who meets it: what is wrong, where, what to do.

    `exit_code` is what the process ends with; 1 is left for the unforeseen and 2 for wrong usage.
    """

    exit_code = 1


class UsageError(PrunerError):
    """The command line asks for something that there is not."""

    exit_code = 2


class ConfigError(PrunerError):
    """The registry's configuration or a setting of the pruner is wrong."""

    exit_code = 3


class StorageMissing(PrunerError):
    """The storage that the configuration names is not there."""

    exit_code = 4


class NotARegistry(PrunerError):
    """The storage is there but holds something else than a registry's tree."""

    exit_code = 5


class Refused(PrunerError):
    """A fuse: the plan looks like a mistake; the sentence names the override."""

    exit_code = 6


class ReadError(PrunerError):
    """Something in the tree could not be read, so nothing was removed."""

    exit_code = 7


class Busy(PrunerError):
    """Another pruner holds the lock on this tree."""

    exit_code = 8


class RegistryError(PrunerError):
    """A registry of the tree was not found, cannot be minded, or did not come back after a restart."""

    exit_code = 9


class ClockError(PrunerError):
    """The clock jumped during a run, so ages cannot be trusted."""

    exit_code = 10


class ClusterError(PrunerError):
    """The cluster's API could not be asked for the images it runs; a run then goes on more carefully."""


class ClaimRefused(PrunerError):
    """The tree is another registry's, or not the one that this one had; the sentence says how to adopt it."""

    exit_code = 14


class WriteError(PrunerError):
    """A change to the tree failed half-way; the next run undoes or finishes it."""

    exit_code = 12
