"""The edges: each module here turns one thing outside (HTTP, Entra ID, Key Vault, Table Storage, logs) into a port.

SDK types never leave this folder.
"""
