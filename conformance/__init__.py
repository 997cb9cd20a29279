"""Runs the SDKs' own API tests through the gateway, a specification mock behind it. `python -m conformance --help`.

Nothing under `conformance/` is deployed, and nothing in the gateway may import it.
"""
