"""The stand-in for the official kubernetes plugin: any kind, through the official Python client."""
