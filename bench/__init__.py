"""The benchmark of the gateway against its peers and against floors. `python -m bench --help`.

Nothing under `bench/` is deployed, and nothing in the gateway may import it.
"""
