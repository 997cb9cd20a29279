"""Runs the gateway on a developer's machine: Azurite, the fake Azure and the Functions host, under one supervisor.

`dev.py` starts this package inside the virtual environment. It must not import the app (`shared`, `function_app`):
it knows only programs, their settings, and the addresses at which they answer. Standard library only.
"""
