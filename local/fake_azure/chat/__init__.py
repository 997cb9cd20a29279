"""What the fake's models do with a chat request: refuse it, or answer it deterministically, in the right wire shape.

Pure: no sockets, no faults, no credentials. `request` reads and refuses, `answer` decides what is said,
`reply` says it as one body or as events, in the `shape` of who serves the model.
"""
