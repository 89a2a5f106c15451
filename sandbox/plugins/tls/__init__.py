"""The stand-in for the official tls plugin: keys and certificates by `cryptography`."""
