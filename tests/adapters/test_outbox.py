"""Events in real tables: one fact is one event, whoever reports it, however often, and whatever ended on the way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.adapters.event_reports import BudgetThresholds, UnpricedModels
from shared.adapters.outbox import KEPT, MARKS, STATE_TABLE, WAITING, Outbox, event_of, events_table, source_of
from shared.adapters.tables import Tables
from shared.limits.money import Threshold
from shared.ports import StoreUnavailable
from shared.types import Cost, Row
from tests.support.doubles import Clock, Lines, a_record
from tests.support.outside import SOURCE, own_month
from tests.support.own_azurite import dead_connection_string


class Scene:
    def __init__(self, connection: str) -> None:
        self.tables = Tables(lambda: TableServiceClient.from_connection_string(connection, retry_total=0))
        self.clock, self.log = Clock(own_month()), Lines()
        self.fact = f"fact|{uuid.uuid4().hex}"

    def outbox(self, sending: bool = True) -> Outbox:
        """Of another instance, each time."""
        return Outbox(self.tables, self.clock, self.log, SOURCE, sending)

    async def rows(self, back: float = 0) -> list[dict[str, Any]]:
        month = datetime.fromtimestamp(self.clock.now - back, UTC).strftime("%Y%m")
        return [row async for row in self.tables.query(events_table(month))]


def play(azurite: Any, work: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        scene = Scene(azurite.connection_string)
        try:
            await work(scene)
        finally:
            await scene.tables.close()

    asyncio.run(whole())


def test_an_event_has_what_cloudevents_asks_for(azurite: Any) -> None:
    async def work(scene: Scene) -> None:
        made = await scene.outbox().add_now("key.expiring", "keys/a", {"name": "ä", "n": 2**40}, scene.fact)
        (row,) = await scene.rows()
        event = event_of(row)
        assert event.cloud_event() == {
            "specversion": "1.0",
            "id": made,
            "source": SOURCE,
            "type": "tollgate.key.expiring",
            "subject": "keys/a",
            "time": event.time,
            "datacontenttype": "application/json",
            "data": {"name": "ä", "n": 2**40},
        }
        assert event.time.endswith("-20T12:00:00.000Z")
        assert (row["state"], row["attempts"], row["sent_at"]) == (WAITING, 0, 0.0)

    play(azurite, work)


def test_one_fact_is_one_event_for_ever_and_everywhere(azurite: Any) -> None:
    async def work(scene: Scene) -> None:
        instances = [scene.outbox() for _ in range(8)]
        ids = await asyncio.gather(*(each.add_now("test", "s", {}, scene.fact) for each in instances))
        assert len(set(ids)) == 1
        scene.clock.forward(40 * 86400)  # another month, whose table is another one
        await scene.outbox().add_now("test", "s", {}, scene.fact)
        assert await scene.rows() == []
        assert len(await scene.rows(back=40 * 86400)) == 1
        await scene.outbox().add_now("test", "s", {}, scene.fact + "!")
        assert len(await scene.rows()) == 1

    play(azurite, work)


def test_a_fact_is_known_when_its_months_table_has_been_dropped(azurite: Any) -> None:
    async def work(scene: Scene) -> None:
        await scene.outbox().add_now("test", "s", {}, scene.fact)
        (row,) = await scene.rows()
        await scene.tables.delete(events_table(row["PartitionKey"][:6]), row["PartitionKey"], row["RowKey"])
        await scene.outbox().add_now("test", "s", {}, scene.fact)
        assert await scene.rows() == []

    play(azurite, work)


@pytest.mark.parametrize("wrote_event", [False, True])
@pytest.mark.parametrize("later", [10.0, 7200.0])
def test_what_a_writer_left_half_done_the_next_one_completes(azurite: Any, wrote_event: bool, later: float) -> None:
    """It ended after its mark, or after its event as well: in the state that it leaves behind."""

    async def work(scene: Scene) -> None:
        first = scene.clock.now
        await scene.outbox().add_now("test", "s", {}, scene.fact)
        (row,) = await scene.rows()
        (mark,) = [
            found async for found in scene.tables.query(STATE_TABLE, f"PartitionKey eq '{MARKS}' and at eq {first!r}")
        ]
        await scene.tables.write([Row(STATE_TABLE, mark | {"stored": False})])
        if not wrote_event:
            await scene.tables.delete(events_table(row["PartitionKey"][:6]), row["PartitionKey"], row["RowKey"])
        scene.clock.forward(later)
        for _ in range(2):
            await scene.outbox().add_now("test", "s", {}, scene.fact)
        (event,) = [event_of(found) for found in await scene.rows()]
        assert event.id == row["id"]
        assert event.at == (first if wrote_event or later < 3600 else scene.clock.now)
        found = await scene.tables.get(STATE_TABLE, MARKS, mark["RowKey"])
        assert found is not None
        assert found["stored"] is True

    play(azurite, work)


def test_adding_in_the_background_looks_at_storage_once(azurite: Any) -> None:
    async def work(scene: Scene) -> None:
        outbox = scene.outbox(sending=False)
        for _ in range(500):
            outbox.add("test", "s", {}, scene.fact)
        await outbox.written()
        (row,) = await scene.rows()
        assert row["state"] == KEPT  # there is nowhere to send it
        assert scene.log.warnings == []

    play(azurite, work)


def test_adding_in_the_background_never_fails() -> None:
    async def work() -> None:
        tables = Tables(lambda: TableServiceClient.from_connection_string(dead_connection_string(), retry_total=0))
        log = Lines()
        outbox = Outbox(tables, Clock(), log, SOURCE)
        with pytest.raises(StoreUnavailable):
            await outbox.add_now("test", "s", {}, "u")
        outbox.add("test", "s", {"no": object()}, "not JSON")  # whatever it is
        await outbox.written()
        assert [message for message, _ in log.warnings] == ["event lost"]
        for number in range(1100):  # more than may wait
            outbox.add("test", "s", {}, f"u{number}")
        assert len(log.warnings) == 101
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await outbox.written()
        await tables.close()

    asyncio.run(work())
    Outbox(Tables(lambda: None), Clock(), log := Lines(), SOURCE).add("test", "s", {}, "no loop runs")
    assert len(log.warnings) == 1


def test_data_that_are_too_long_are_left_out(azurite: Any) -> None:
    async def work(scene: Scene) -> None:
        await scene.outbox().add_now("test", "s", {"text": "ä" * 20_000}, scene.fact)
        (row,) = await scene.rows()
        assert "too long: 40011 bytes" in row["data"]

    play(azurite, work)


def test_the_source_is_stable_and_tells_nothing() -> None:
    assert source_of("pepper") == source_of("pepper") != source_of("other")
    assert source_of("pepper").startswith("/tollgate/")
    assert "pepper" not in source_of("pepper")


class Adding:
    def __init__(self) -> None:
        self.added: list[tuple[str, str, dict[str, Any], str]] = []

    def add(self, kind: str, subject: str, data: Any, unique: str) -> None:
        self.added.append((kind, subject, dict(data), unique))


def test_a_model_without_a_price_is_told_once_a_day_and_deployment() -> None:
    outbox = Adding()
    models = UnpricedModels(outbox)
    unpriced = Cost(priced=False)
    for record in (
        a_record(1), a_record(2, cost=unpriced), a_record(3, cost=unpriced), a_record(4, cost=unpriced, at=1_100_000.0),
        a_record(5, cost=unpriced, deployment="main/other"),
    ):  # fmt: skip
        models.observe(record)
    assert [data["request_id"] for _, _, data, _ in outbox.added] == ["req_2", "req_4", "req_5"]
    kind, subject, data, unique = outbox.added[0]
    assert (kind, subject, data["day"]) == ("model.unpriced", "models/gpt-4o", "1970-01-12")
    assert unique == "unpriced|gpt-4o|main/gpt-4o|1970-01-12"
    for number in range(3000):  # what is remembered is bounded: the first may be told again, the outbox knows it
        models.observe(a_record(number, cost=unpriced, alias=f"a{number}"))
    models.observe(a_record(6, cost=unpriced))
    assert outbox.added[-1][3] == unique


def reached(period: str, limit: int = 10 * 10**9) -> Threshold:
    return Threshold("team", "red", "red", period, 80, limit, 8_100_000_000, True)


def test_budgets_are_told_by_period() -> None:
    outbox = Adding()
    thresholds = BudgetThresholds(outbox)
    for each in (
        reached("day-20261123"),
        reached("month-202611"),
        reached("total"),
        reached("month-202611", 20 * 10**9),
    ):
        thresholds.observe(each)
    assert [data["period"] for _, _, data, _ in outbox.added] == ["2026-11-23", "2026-11", "total", "2026-11"]
    assert len({unique for *_, unique in outbox.added}) == 4
    assert outbox.added[0][:3] == (
        "budget.threshold",
        "teams/red",
        {
            "scope": "team", "id": "red", "name": "red", "budget": "day", "period": "2026-11-23", "percent": 80,
            "limit_usd": "10", "spent_usd": "8.1", "hard": True,
        },
    )  # fmt: skip
