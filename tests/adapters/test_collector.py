"""The garbage collector's rounds, put off while a process starts and back when it has settled."""

from __future__ import annotations

import gc

from shared.adapters import collector


def test_rounds_are_put_off_and_then_as_before() -> None:
    usual = gc.get_threshold()
    try:
        collector.put_off()
        assert gc.get_threshold()[0] == collector.ROUNDS
        assert gc.isenabled()
        frozen = gc.get_freeze_count()
        collector.settle()
        assert gc.get_threshold()[0] < collector.ROUNDS
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
