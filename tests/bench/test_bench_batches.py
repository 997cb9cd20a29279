"""The judge of the proof of batches sees what it is there to see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.batch_kill_proof import TOKENS, Verdict, input_of, judge

IDS = ["c-0", "c-1", "c-2"]


def lines(*ids: str) -> str:
    return "\n".join(json.dumps({"custom_id": each}) for each in ids)


def event(calls: int = 3, name: str = "batch_1-00000", **changed: Any) -> dict[str, Any]:
    tokens = {"input_tokens": TOKENS[0] * calls, "output_tokens": TOKENS[1] * calls}
    return {"request_id": name, "count": calls, **tokens, **changed}


GOOD: dict[str, Any] = {
    "output": lines(*IDS), "errors": "", "events": [event()], "counts": {"total": 3, "completed": 3, "failed": 0},
}  # fmt: skip
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a line is missing": ({"output": lines("c-0", "c-1")}, "missing"),
    "a line has two answers": ({"output": lines(*IDS, "c-1")}, "twice"),
    "a line is in both files": ({"errors": lines("c-2")}, "twice"),
    "a line was refused": ({"output": lines("c-0", "c-1"), "errors": lines("c-2")}, "refused"),
    "a part is billed twice": ({"events": [event(), event(0)]}, "billed_twice"),
    "the tokens are others": ({"events": [event(input_tokens=1)]}, "wrong_tokens"),
    "the counts are others": ({"counts": {"total": 3, "completed": 2, "failed": 0}}, "wrong_counts"),
}


def judged(changed: dict[str, Any]) -> Verdict:
    given = GOOD | changed
    return judge(IDS, given["output"], given["errors"], given["counts"], given["events"])


def test_what_is_right_holds() -> None:
    found = judged({})
    assert found.holds
    assert (found.answered, found.billed) == (3, 3)


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_seen(name: str) -> None:
    changed, field = BAD[name]
    found = judged(changed)
    assert not found.holds
    assert getattr(found, field) > 0


def test_a_line_that_nobody_was_billed_for_is_seen() -> None:
    found = judged({"events": [event() | {"count": 2}]})
    assert found.billed == 2
    assert not found.holds


def test_every_line_of_the_input_carries_its_mark() -> None:
    rows = [json.loads(line) for line in input_of(3).splitlines()]
    assert [(row["custom_id"], row["body"]["user"]) for row in rows] == [(f"c-{n}", f"p-{n}") for n in range(3)]
