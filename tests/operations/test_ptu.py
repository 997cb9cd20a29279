"""Fixed hourly costs, divided among those who used them: every hour once, and nothing lost or made up."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.book_tables import Share, shares
from shared.books.days import midnight
from shared.money import from_usd
from shared.operations import ptu
from shared.operations.compaction import CompactReport, compact_day
from shared.operations.ledger import split_hours
from shared.operations.ptu import PtuAsked, ptu_list
from shared.operations.usage import UsageAsked, usage
from shared.prices.book import PriceBook
from shared.prices.price_list import PriceList
from shared.types import Usage
from tests.support import books
from tests.support.desk import READER, TestDesk, desk_at

HOUR = timedelta(hours=1)


def config(*names: str, ptu: str) -> str:
    """RESOURCE is each test's own: how far hours are divided is noted for each deployment."""
    entry = "- model_name: {}\n  litellm_params: {{model: azure/gpt-4o, api_base: 'https://RESOURCE.openai.azure.com', api_key: k-1, ptu: {{{}}}}}\n"
    return "model_list:\n" + "".join(entry.format(name, ptu) for name in names)


SPILL = """
- model_name: one
  litellm_params: {model: azure/std, api_base: 'https://RESOURCE.openai.azure.com', api_key: k-1}
- model_name: two
  litellm_params: {model: azure/std, api_base: 'https://RESOURCE.openai.azure.com', api_key: k-1}
"""


def resource(day: date) -> str:
    return f"res{day:%Y%m}"


def play(azurite: Any, work: Any, text: str) -> None:
    async def whole() -> None:
        day = books.a_month() + timedelta(days=4)
        async with desk_at(azurite.connection_string, now=midnight(day).timestamp()) as desk:
            desk.prices, desk.config = PriceList(PriceBook), text.replace("RESOURCE", resource(day))
            await work(desk, day)

    asyncio.run(whole())


def call(number: int, at: datetime, tokens: int, **changed: Any) -> Any:
    key, served = changed.pop("key", "1"), changed.pop("served", "gpt-4o")
    return books.a_record(
        number, at=at.timestamp(), key_id=key * 64, key_name=f"key-{key}", deployment=f"{resource(at.date())}/{served}",
        usage=Usage(tokens + 50, 10, 50), **changed,
    )  # fmt: skip


async def run(desk: TestDesk, now: datetime) -> Any:
    desk.clock.now = now.timestamp()
    return await split_hours(desk, now)


async def parts(desk: TestDesk, day: date) -> list[Share]:
    return sorted(
        [s async for s in shares(desk.tables, day, day)], key=lambda s: (s.hour, s.payer is None, str(s.payer))
    )


def test_shares_of_capacity_and_what_is_idle(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date) -> None:
        noon = midnight(day) + 12 * HOUR
        assert (
            await run(desk, noon + HOUR + timedelta(minutes=1))
        ).hours == 1  # 11 o'clock, of which nobody has used anything
        calls = [
            call(1, noon, 100), call(2, noon + timedelta(minutes=59), 200, tags=("alpha",)), call(3, noon, 60, key="2"),
            call(4, noon + HOUR, 2000, key="2"),  # more than there is
        ]  # fmt: skip
        await books.write(books.log_of(desk.tables, "ptu", noon), calls)
        report = await run(desk, noon + 3 * HOUR)
        assert (report.hours, report.cost_usd) == (2, "2")
        found = await parts(desk, day)
        first, twelve, thirteen = ([s for s in found if s.hour == hour] for hour in (11, 12, 13))
        assert [(s.payer, s.nanos) for s in first] == [(None, 10**9)]
        # uncached input and twice the output: 120, 220 and 80 of 1000
        assert [(s.nanos, s.tokens, s.payer.tags if s.payer else None) for s in twelve] == [
            (220_000_000, 220, ("alpha",)), (120_000_000, 120, ()), (80_000_000, 80, ()), (580_000_000, 0, None),
        ]  # fmt: skip
        assert [(s.payer.key_name if s.payer else "", s.nanos) for s in thirteen] == [("key-2", 10**9), ("", 0)]
        assert (await run(desk, noon + 3 * HOUR)).hours == 0

    play(
        azurite,
        work,
        config("gpt-4o", ptu="units: 10, hourly_cost: 1, capacity_tokens_per_hour: 1000, output_weight: 2"),
    )


def test_shares_of_use_and_one_charge_for_two_aliases(azurite: Any) -> None:
    async def work(desk: TestDesk, day: date) -> None:
        begin = midnight(day)
        await run(desk, begin + 2 * HOUR)
        rng = books.Random(5)
        calls = [
            call(n, begin + 2 * HOUR + timedelta(minutes=rng.randrange(600)), rng.randrange(1000), key=rng.choice("123"),
                 alias=rng.choice(("one", "two")), tags=rng.choice(books.TAGS))
            for n in range(80)
        ]  # fmt: skip
        await books.write(books.log_of(desk.tables, "ptu", begin), calls)
        report = await run(desk, begin + 26 * HOUR)
        assert report.hours == 24
        by_hour: dict[tuple[str, int], int] = {}
        for one in [*await parts(desk, day), *await parts(desk, day + timedelta(days=1))]:
            by_hour[one.day, one.hour] = by_hour.get((one.day, one.hour), 0) + one.nanos
        assert set(by_hour.values()) == {1_234_567_891}
        assert len(by_hour) == 25
        used = {at.hour for at in (datetime.fromtimestamp(c.at, begin.tzinfo) for c in calls)}
        idle = {s.hour: s.nanos for s in await parts(desk, day) if s.payer is None}
        assert {hour for hour, nanos in idle.items() if nanos == 0} == used

        desk.clock.now = (begin + 26 * HOUR).timestamp()
        asked: dict[str, Any] = {"from": day, "to": day + timedelta(days=1), "limit": 1000}
        told = await ptu_list(PtuAsked.model_validate(asked), READER, desk)
        assert from_usd(told.cost_usd) == 25 * 1_234_567_891 == sum(from_usd(row.cost_usd) for row in told.rows)
        assert from_usd(told.idle_usd) == sum(from_usd(r.cost_usd) for r in told.rows if r.key == "(idle PTU)")
        for by in (["team"], ["deployment"], ["tag"], ["day"], ["hour", "key"], ["endpoint"]):
            report = await usage(UsageAsked.model_validate({**asked, "by": by}), READER, desk)
            assert from_usd(report.total.ptu_cost_usd) == 25 * 1_234_567_891, by
            assert report.total.requests == 80
            idle_lines = [row for row in report.rows if "(idle PTU)" in (getattr(row, name) for name in by)]
            assert sum(from_usd(row.ptu_cost_usd) for row in idle_lines) == from_usd(told.idle_usd), by
        mine = await usage(UsageAsked.model_validate({**asked, "key": "key-1"}), READER, desk)
        assert [row.key for row in mine.rows] == ["key-1"]

    play(azurite, work, config("one", "two", ptu="units: 10, hourly_cost: '1.234567891'"))


def test_hours_wait_for_a_price(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptu, "LOOK_BACK", timedelta(days=2))

    async def work(desk: TestDesk, day: date) -> None:
        noon = midnight(day) + 12 * HOUR
        report = await run(desk, noon)
        assert (report.hours, report.unpriced) == (0, ["gpt-4o#1"])
        desk.config = desk.config.replace("units: 10", "units: 10, hourly_cost: 3")
        report = await run(desk, noon + 2 * HOUR)
        assert (report.hours, report.cost_usd, report.idle_usd) == (3, "9", "9")
        report = await run(desk, noon + timedelta(days=4))  # timers stood still for too long
        assert report.hours == 48

    play(azurite, work, config("gpt-4o", ptu="units: 10"))


def test_what_spilled_over_stands_beside_its_deployment(azurite: Any) -> None:
    """It has used nothing of the deployment, so that it pays no share; what the calls cost is shown."""

    async def work(desk: TestDesk, day: date) -> None:
        noon = midnight(day) + 12 * HOUR
        desk.config += SPILL.replace("RESOURCE", resource(day))
        await run(desk, noon)
        price = books.Cost(70_000)
        calls = [
            call(1, noon, 100, capacity="ptu", alias="one"),
            call(2, noon, 900, capacity="azure-spill", alias="one", cost=price),
            call(3, noon, 900, capacity="azure-spill", alias="one", cost=price, key="2"),
            call(4, noon, 900, capacity="spill", alias="two", key="2", cost=price, served="std"),
            call(5, noon, 900, capacity="spill", alias="other", key="3", cost=price, served="std"),
            call(6, noon, 900, capacity="", alias="two", key="2", cost=price, served="std"),
        ]
        await books.write(books.log_of(desk.tables, "ptu", noon), calls)
        await run(desk, noon + 2 * HOUR)
        twelve = [(s.payer.key_name if s.payer else "", s.nanos) for s in await parts(desk, day) if s.hour == 12]
        assert twelve == [("key-1", 2 * 10**9), ("", 0)]
        for _ in range(2):
            told = await ptu_list(PtuAsked.model_validate({"from": day, "to": day}), READER, desk)
            shown = [(r.deployment, r.key, r.model, r.cost_usd, r.spilled, r.spill_cost_usd) for r in told.rows]
            assert shown == [
                ("one#1", "key-1", "one", "2", 1, "0.00007"),
                ("one#1", "key-2", "one", "0", 1, "0.00007"),
                ("one#1", "key-2", "two", "0", 1, "0.00007"),
                ("one#1", "key-3", "other", "0", 1, "0.00007"),
                ("one#1", "(idle PTU)", "", "4", 0, "0"),  # the hours before noon
            ]
            assert (told.cost_usd, told.idle_usd, told.spilled, told.spill_cost_usd) == ("6", "4", 4, "0.00028")
            desk.clock.now = (noon + timedelta(days=4)).timestamp()
            await compact_day(desk, day, noon + timedelta(days=4), CompactReport(), first_time=True)
        desk.config = config("three", ptu="units: 1")  # it names none of these deployments any more
        told = await ptu_list(PtuAsked.model_validate({"from": day, "to": day, "deployment": "one#1"}), READER, desk)
        assert (told.spilled, told.cost_usd) == (0, "6")
        told = await ptu_list(PtuAsked.model_validate({"from": day, "to": day}), READER, desk)
        assert (told.spilled, {row.deployment for row in told.rows if row.spilled}) == (4, {""})

    play(azurite, work, config("one", ptu="units: 10, hourly_cost: 2"))


def test_the_same_hour_divided_twice(azurite: Any) -> None:
    """A process ends after it has written an hour, and before it has noted that."""

    async def work(desk: TestDesk, day: date) -> None:
        noon = midnight(day) + 12 * HOUR
        await run(desk, noon)
        state = [
            r
            async for r in desk.tables.query("tollgatestate", "PartitionKey eq 'ledger.ptu'")
            if resource(day) in r["RowKey"]
        ]
        await run(desk, noon + 2 * HOUR)
        await books.write(books.log_of(desk.tables, "late", noon), [call(1, noon - HOUR, 5), call(2, noon, 7)])
        await desk.tables.write([books.Row("tollgatestate", state[0])])
        assert (await run(desk, noon + 2 * HOUR)).hours == 2
        for hour in (11, 12):
            assert [s.nanos for s in await parts(desk, day) if s.hour == hour] == [2 * 10**9, 0]

    play(azurite, work, config("gpt-4o", ptu="units: 10, hourly_cost: 2"))
