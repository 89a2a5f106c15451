"""The engine's Python language host, served by the SDK itself: the usual one is in no package registry."""
