"""A local Azure Functions host on the real Python worker library: no Core Tools, no gRPC, no .NET.

Run as `python -m local.host APP_DIR`. It knows the platform's rules (routes, keys, triggers, limits) and nothing
about the app it runs. It is a developer's tool and is never deployed.
"""
