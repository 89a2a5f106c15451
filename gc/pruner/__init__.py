"""Prunes the storage of a running Docker registry, online, without losing an image."""

__version__ = "0.1.0"
