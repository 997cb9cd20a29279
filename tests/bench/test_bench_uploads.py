"""The benchmark of uploads: its pieces run, and its section says what was measured."""

from __future__ import annotations

import pytest

from bench import batch_upload
from bench.batch_upload import Taken


def test_every_piece_runs_on_a_file_that_the_gateway_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_upload, "ROUNDS", 1)
    data = batch_upload.content(300)
    assert len(data.splitlines()) == 300
    assert all(rate > 0 for rate in batch_upload.pieces(data).values())


def test_section_tells_what_was_met_and_what_was_not() -> None:
    taken = [Taken("one", 60.0, 1.0, 0.5, 149.0), Taken("parts", 60.0, 3.0, None, 151.0)]
    text = batch_upload.section({"check": 120.0}, taken, 100_000, "python3 dev.py bench uploads")
    assert "$" not in text
    assert text.startswith(batch_upload.TITLE)
    for said in (
        "**met**: taken in by one call 60 MB/s", "**met**: peak RSS, one 149 MB", "**missed**: peak RSS, parts 151 MB",
        "100,000 chats, 60 MB",
    ):  # fmt: skip
        assert said in text
