"""The parts of the benchmark that look at keys, storage and killed processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import accounting, keys, kill_proof, report, storage
from bench.kill_proof import TOKENS, Made, Scene
from bench.storage import Counted, Scenario


def test_every_piece_of_a_warm_key_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "CALLS", 3)
    monkeypatch.setattr(accounting, "BATCHES", 1)
    found = accounting.time_each()
    assert list(found) == list(accounting.PIECES)
    assert all(each > 0 for each in found.values())


AZURITE = """\
Azurite Table service successfully listens on http://127.0.0.1:1
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "GET /devstoreaccount1/tollgatekeys(PartitionKey='k',RowKey='r') HTTP/1.1" 200 -
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "PUT /devstoreaccount1/tollgatelimits(PartitionKey='k',RowKey='w') HTTP/1.1" 204 -
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "PATCH /devstoreaccount1/tollgateledger202611(PartitionKey='a',RowKey='b')?x=1 HTTP/1.1" 204 -
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "PUT /devstoreaccount1/tollgateusage202611(PartitionKey='a',RowKey='b') HTTP/1.1" 204 -
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "POST /devstoreaccount1/$batch HTTP/1.1" 202 -
127.0.0.1 - - [23/Nov/2026:14:36:11 +0000] "POST /devstoreaccount1/Tables HTTP/1.1" 409 -
"""


def test_azurites_lines_are_counted_by_what_they_are_for() -> None:
    assert storage.count(AZURITE) == Counter(keys=1, limits=1, ledger=1, totals=1, batches=1, others=1)
    counted = Counted(Scenario(60, "interval", 10.0), 9, 0, 9.0, Counter(ledger=3, totals=6))
    assert (counted.total, round(counted.per_thousand()), round(counted.per_thousand("ledger"))) == (9, 1000, 333)


def test_section_of_keys_is_kept_when_the_page_is_made_anew(tmp_path: Path) -> None:
    counted = [Counted(Scenario(6000, "interval", 1.0), 90, 0, 1.0, Counter(ledger=3))]
    pieces = {"a piece": 3.0, "all of it together": 61.0}
    text = keys.section(pieces, counted, "python3 dev.py bench keys")
    assert "$" not in text
    assert "**missed**: all of it together 61.0" in text
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nwords\n\n## Last\n\nmore\n")
    for number in ("first", "second"):
        report.put_section(page, keys.TITLE, f"{text}\n{number}\n")
    assert page.read_text().startswith("# Page\n\nwords\n\n## Last\n\nmore\n\n## Keys")
    assert (page.read_text().count(keys.TITLE), "first" in page.read_text()) == (1, False)
    made = report.page({}, {}, "tollgate", "c", 1, [], report.section_of(page, keys.TITLE))
    assert made.index(keys.TITLE) < made.index("## What is compared")
    page.write_text(made)
    assert report.section_of(page, keys.TITLE).endswith("second")


def event(mark: str, request: str, outcome: str = "ok", tokens: tuple[int, int] = TOKENS) -> dict[str, Any]:
    given = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
    return {"user": mark, "request_id": request, "outcome": outcome, **given}


def scene() -> Scene:
    """Two calls that ended, one that was killed; process 0 was killed at 10."""
    made = {"p-1": Made(0, 7.0, 8.0), "p-2": Made(0, 9.0, 9.5), "p-3": Made(0, 9.9)}
    return Scene(Counter(["p-1", "p-2", "p-3"]), made, [(0, 10.0)])


WHOLE = [event("p-1", "a"), event("p-2", "b"), event("p-3", "c", "unfinished", (9, 9))]


def test_ledger_that_has_everything_holds() -> None:
    for flush in ("interval", "request"):
        verdict = kill_proof.judge(flush, scene(), [*WHOLE, event("p-2", "b", "unfinished")], 2)
        assert verdict.holds
        assert (verdict.finished, verdict.unfinished, verdict.missing, verdict.behind) == (2, 1, 0, 0)


@pytest.mark.parametrize(
    ("events", "interval", "request_", "words"),
    [
        (WHOLE[:2], True, False, "missing 1, 1 of them in flight"),
        ([WHOLE[0], WHOLE[2]], True, False, "ended 0.50 s before"),
        ([*WHOLE, event("p-1", "d")], False, False, "twice 1"),
        ([*WHOLE, event("p-1", "a")], False, False, "twice 2"),
        ([event("p-1", "a", tokens=(96, 1)), *WHOLE[1:]], False, False, "wrong tokens 1"),
        ([*WHOLE, event("p-9", "e", "unfinished")], True, True, "never served 1"),
        ([], True, False, "missing 3"),
    ],
)
def test_ledger_that_lacks_something_is_noticed(events: Any, interval: bool, request_: bool, words: str) -> None:
    verdicts = [kill_proof.judge(flush, scene(), events, len(events)) for flush in ("interval", "request")]
    assert [verdict.holds for verdict in verdicts] == [interval, request_]
    assert words in str(verdicts[0])


def test_call_that_ended_long_before_its_process_was_killed_is_no_loss_to_be_borne() -> None:
    early = scene()
    early.made["p-1"] = Made(0, 1.0, 2.0)
    assert not kill_proof.judge("interval", early, WHOLE[1:], 2).holds
    early.kills = []  # nobody was killed: the proof has proved nothing
    assert not kill_proof.judge("interval", early, WHOLE, 2).holds
