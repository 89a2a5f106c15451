"""What lies in the storage, as values: the registry's paths, a scan of them, and what manifests say."""
