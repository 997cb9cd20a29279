"""What docs/events.md shows is what is sent: the same fields, of the same types."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.adapters.event_reports import BatchEnds, BudgetThresholds, UnpricedModels
from shared.adapters.key_store import TableKeys
from shared.adapters.outbox import event_of, events_table
from shared.adapters.usage_log import ledger_table
from shared.books.days import last_closed
from shared.limits.money import Threshold
from shared.operations.checking import check_days
from shared.operations.drift import DriftRow
from shared.operations.expiry import warn_of_expiry
from shared.operations.prices import RefreshTold
from shared.operations.timers import SCHEDULES, TIMERS
from shared.principals import Principal
from shared.types import Cost, Row
from tests.support.doubles import a_batch, a_record
from tests.support.outside import event_desk, own_month
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text("utf-8")
KINDS = re.findall(r"^### `(.+?)`\n(.*?)(?=^#)", PAGE, re.M | re.S)
EXAMPLES: dict[str, Any] = {
    kind: json.loads(found[1]) for kind, text in KINDS if (found := re.search(r"```json\n(.*?)```", text, re.S))
}


def shape(value: Any) -> Any:
    """Fields and types; of a list those of its rows."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture(scope="module")
def sent(azurite: Any) -> dict[str, dict[str, Any]]:
    """One event of each kind that a month of its own has seen, by kind, as it is sent."""

    async def whole() -> dict[str, dict[str, Any]]:
        async with event_desk(azurite.connection_string, own_month(), sink=object()) as desk:
            now = datetime.fromtimestamp(desk.clock.now, UTC)
            budgets, models = BudgetThresholds(desk.outbox), UnpricedModels(desk.outbox)
            budgets.observe(Threshold("team", "red", "red", f"month-{now:%Y%m}", 80, 10**9, 8 * 10**8, True))
            models.observe(a_record(1, cost=Cost(priced=False), at=desk.clock.now))
            key = uuid.uuid4().hex * 2
            await TableKeys(desk.tables).put_key(Principal(key, "soon", "red", expires_at=desk.clock.now + 3600))
            await warn_of_expiry(desk, now)
            day = last_closed(now)
            event = {
                "request_id": "req_1", "at": f"{day}T09:00:00Z", "deployment": "h/d", "outcome": "ok", "alias": "a", "team": "t",
                "key_name": "n", "input_tokens": 5, "output_tokens": 0,
            }  # fmt: skip
            place = {"PartitionKey": f"{key}|{day:%Y%m%d}", "RowKey": "test-00000001"}
            page = {**place, "count": 1, "events": orjson.dumps(event).decode()}
            await desk.tables.write([Row(ledger_table(f"{day:%Y%m}"), page)])
            await check_days(desk, now)
            await BatchEnds(desk.outbox).tell(a_batch(completed_at=desk.clock.now, status="completed"))
            await desk.outbox.written()
            await desk.tables.delete("tollgatekeys", key, "key")
            rows = [event_of(row) async for row in desk.tables.query(events_table(f"{now:%Y%m}"))]
            return {event.kind: event.cloud_event() for event in rows}

    return asyncio.run(whole())


@pytest.mark.parametrize(
    "kind", ["budget.threshold", "model.unpriced", "key.expiring", "ledger.repaired", "batch.done"]
)
def test_the_example_of_a_kind_is_what_is_sent(sent: dict[str, dict[str, Any]], kind: str) -> None:
    assert shape(sent[kind]["data"]) == shape(EXAMPLES[kind])


def test_the_example_of_an_event_is_what_is_sent(sent: dict[str, dict[str, Any]]) -> None:
    (text,) = re.findall(r"```json\n(\{\n  \"specversion\".*?)```", PAGE, re.S)
    example, real = json.loads(text), sent["budget.threshold"]
    assert list(example) == list(real)
    assert {name: value for name, value in example.items() if name in ("specversion", "type", "datacontenttype")} == {
        name: real[name] for name in ("specversion", "type", "datacontenttype")
    }
    assert [len(example[name]) for name in ("id", "time")] == [len(real[name]) for name in ("id", "time")]


def test_the_examples_of_drift_and_prices_have_the_fields_of_their_reports() -> None:
    """Their events are made of them (test_reconcile.py, test_prices.py)."""
    drift = DriftRow(**EXAMPLES["usage.drift"], final=True, compared_at="")
    assert drift.model_dump(exclude={"final", "compared_at"}) == EXAMPLES["usage.drift"]
    assert round(100 * drift.drift_tokens / drift.azure_tokens, 2) == drift.drift_percent
    RefreshTold(**EXAMPLES["prices.changed"])


def test_the_page_lists_the_jobs_as_they_run() -> None:
    table = PAGE.partition("<!-- jobs -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (.+) \|$", table, re.M)
    assert {timer: schedule for timer, schedule, _ in rows} == dict(SCHEDULES)
    listed = {timer: re.findall(r"`(\w+)`", jobs) for timer, _, jobs in rows}
    assert listed == {timer: [job.name for job in jobs] for timer, jobs in TIMERS.items()}
