"""Prunes the storage of a running Docker registry, online, without losing an image."""
