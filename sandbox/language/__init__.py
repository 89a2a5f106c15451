"""Stands in for the engine's Python language host, which no package registry has."""
