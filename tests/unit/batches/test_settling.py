"""What a batch has used, and the record of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import orjson
import pytest

from shared.batches.azure.collecting import Collected, line_id
from shared.batches.batch import Figures
from shared.batches.settling import Server, Tally, batch_record, endpoint_of, plus
from shared.types import Cost, Usage
from tests.unit.batches.test_placing import a_batch


def test_lines_add_up() -> None:
    tally = Tally()
    tally.add(200, Usage(input_tokens=10, output_tokens=5, cached_input_tokens=4, tier="batch"), Cost(7, basis="list"))
    tally.add(200, Usage(input_tokens=1, reasoning_tokens=2, tier="batch"), Cost(0, priced=False))
    tally.add(429, Usage(), Cost())
    assert (tally.calls, tally.failed, tally.outcome) == (3, 1, "ok")
    assert tally.usage == Usage(11, 5, 4, 2, tier="batch")
    assert tally.cost == Cost(7, False, "list")
    assert tally.figures == Figures(11, 5, 4, 2, 7, unpriced=True)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [([200, 500], "ok"), ([400, 404], "client_error"), ([400, 429], "upstream_error"), ([503], "upstream_error")],
)
def test_outcome_of_all(statuses: list[int], outcome: str) -> None:
    tally = Tally()
    for status in statuses:
        tally.add(status, Usage(), Cost())
    assert tally.outcome == outcome


def test_every_number_of_usage_is_summed() -> None:
    names = [each.name for each in fields(Usage) if each.name not in ("image_kind", "tier", "estimated")]
    one: dict[str, Any] = {name: number for number, name in enumerate(names, 1)}
    both: dict[str, Any] = {name: 2 * number for name, number in one.items()}
    assert plus(plus(Usage(), Usage(**one)), Usage(**one)) == Usage(**both)


def test_the_record_names_batch_engine_and_part() -> None:
    tally = Tally()
    tally.add(200, Usage(input_tokens=3), Cost(9))
    batch = a_batch(endpoint="/v1/embeddings", engine="own")
    whole = batch_record(batch, tally, Server("r/d", "a#1", "m"), 5.0)
    assert (whole.request_id, whole.batch, whole.engine) == (batch.id, batch.id, "own")
    assert (whole.endpoint, whole.calls, whole.calls_failed, whole.cost.nanos) == ("embeddings", 1, 0, 9)
    assert (whole.deployment, whole.label, whole.upstream_model, whole.at) == ("r/d", "a#1", "m", 5.0)
    part = batch_record(batch, tally, Server(), 5.0, "00017")
    assert part.request_id == f"{batch.id}-00017"


def test_endpoints_by_url() -> None:
    assert endpoint_of("/v1/chat/completions") == endpoint_of("/chat/completions") == "chat_completions"
    assert (endpoint_of("/v1/messages"), endpoint_of("/v1/nothing")) == ("messages", "")


# Output files.


def collected(*rows: Any, size: int = 7, as_text: bool = False) -> tuple[list[Any], Collected]:
    """What a client sees of these rows (or bytes), which come in small pieces."""

    def price(usage: Usage) -> Cost:
        return Cost(usage.total_tokens) if usage.tier == "batch" else Cost(0, usage == Usage())

    found = Collected("batch_1", "alias", lambda upstream: f"sealed {upstream}", {"secret": "alias"}, price)
    data = b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows)

    async def read() -> list[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(data), size):
                yield data[at : at + size]

        return b"".join([piece async for piece in found.lines(pieces())]).splitlines()

    lines = asyncio.run(read())
    return [line.decode() if as_text else orjson.loads(line) for line in lines], found


def answered(custom_id: str, body: Any, status: Any = 200, **more: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "response": {"body": body, "request_id": "r", "status_code": status}, **more}


def test_lines_are_told_as_openai_tells_them() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "secret", "choices": [], "usage": usage}
    (row,), found = collected(answered("a", body))
    assert list(row) == ["id", "custom_id", "response", "error"]
    assert row["id"] == line_id("batch_1", "a")
    assert row["response"] == {"status_code": 200, "request_id": "r", "body": {**body, "model": "alias"}}
    assert (found.tally.calls, found.tally.cost.nanos, found.answered, found.failed) == (1, 6, 1, 0)


def test_ids_that_azure_keeps_are_sealed() -> None:
    body = {"id": "resp_1", "object": "response", "model": "m", "output": [], "usage": {"input_tokens": 1}}
    (row,), found = collected(answered("a", body))
    assert row["response"]["body"]["id"] == "sealed resp_1"
    assert found.model == "m"


def test_lines_that_failed_show_no_names() -> None:
    error = {"error": {"message": "secret at https://secret.openai.azure.com/x", "code": "c"}}
    rows, found = collected(
        answered("a", error, 400),
        answered("b", "secret is down", 503),
        {"custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": "secret"}},
    )
    assert rows[0]["response"]["body"]["error"]["message"] == "alias at [hidden]"
    assert rows[1]["response"]["body"]["error"]["message"] == "alias is down"
    assert (rows[2]["response"], rows[2]["error"]) == (None, {"code": "batch_expired", "message": "alias"})
    assert (found.tally.calls, found.tally.failed, found.failed, found.answered) == (2, 2, 3, 0)


def test_anthropic_usage_counts_as_well() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 3}
    _, found = collected(answered("a", {"type": "message", "usage": usage}))
    assert (found.tally.usage.input_tokens, found.tally.usage.tier) == (5, "batch")


def test_an_answer_that_was_cut_within_a_sign_is_read_as_any_other() -> None:
    line = orjson.dumps(answered("a", {"model": "secret", "usage": {"prompt_tokens": 4}, "text": "CUT"}))
    rows, found = collected(line.replace(b"CUT", b"cut \\ud83d"), as_text=True)
    assert "cut \\ud83d" in rows[0]
    assert "secret" not in rows[0]
    assert found.tally.usage.input_tokens == 4


def test_an_answer_of_many_levels_is_written() -> None:
    deep = b'{"custom_id":"a","response":{"status_code":200,"body":{"deep":' + b"[" * 300 + b"]" * 300 + b"}}}"
    _, found = collected(deep)
    assert found.answered == 1


def test_an_empty_answer_is_none() -> None:
    (row,), found = collected({"custom_id": "a", "response": {}, "error": {"code": "c", "message": "m"}})
    assert row["response"] is None
    assert (found.failed, found.tally.calls) == (1, 0)


def test_what_is_no_line_goes_through() -> None:
    rows, found = collected(b'"text"', b"", b"  ", answered("a", {"usage": None}, "odd"), size=3)
    assert rows[0] == "text"
    assert rows[1]["response"]["status_code"] == 200
    assert found.tally.calls == 1
