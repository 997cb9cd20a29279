"""The garbage collector while a process starts: importing makes 100,000 objects that stay, and each of its rounds walks
through them in vain: 45 ms of CPU of a cold start (docs/adr/0015).
"""

from __future__ import annotations

import gc

ROUNDS = 100_000
"""New objects until the next round, while a process starts."""
_USUAL = gc.get_threshold()


def put_off() -> None:
    """Fewer rounds, not none: a process that only runs timers is never told that it has settled."""
    gc.set_threshold(ROUNDS, *_USUAL[1:])


def settle() -> None:
    """What a process has loaded is taken out of the collector's rounds: each full one would walk through all of it, for
    45 ms in which no call moves (measured 2026-11)."""
    gc.set_threshold(*_USUAL)
    gc.freeze()
