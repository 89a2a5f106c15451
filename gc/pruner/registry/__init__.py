"""The registry as the pruner meets it: its configuration, its process, its caches, its read-only window."""
