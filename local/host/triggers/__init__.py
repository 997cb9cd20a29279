"""What runs functions without an HTTP request: queues, timers, blobs; and the bindings around every function.

Each kind of trigger is a module of its own; `listeners` puts them together. No storage SDK is imported until needed.
"""
