"""What people and machines see of the pruner: its record, metrics, the page, and the status in the cluster.

All of it shows values that a run wrote: nothing here scans the storage, or keeps a run from going on.
"""
