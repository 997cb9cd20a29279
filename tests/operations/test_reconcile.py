"""The ledger beside what the fake Azure has counted of its own answers, over real sockets and tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from local.fake_azure import FakeAzure
from shared.adapters.azure_monitor import AzureMonitor, Measured, MetricsFailed
from shared.adapters.outbox import STATE_TABLE
from shared.adapters.usage_log import ledger_table
from shared.errors import ApiError
from shared.operations import reconcile
from shared.operations.drift import DriftRow
from shared.operations.events import EventsAsked, events_list
from shared.operations.reconcile import (
    ReconcileAsked,
    ReconcileListAsked,
    reconcile_days,
    reconcile_list,
    reconcile_run,
)
from shared.types import Row
from tests.support.desk import ADMIN, TestDesk
from tests.support.models import config_text
from tests.support.outside import event_desk, outside, own_month
from tests.support.stack import Stack, ask

DAY = timedelta(days=1)
HOST = "127.0.0.1:1"


class Scene:
    """Noon of a day of its own; yesterday is the last day that is closed."""

    def __init__(self, desk: TestDesk, fake: FakeAzure, account: str) -> None:
        self.desk, self.fake, self.account = desk, fake, account
        self.written = 0

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.desk.clock.now, UTC)

    @property
    def yesterday(self) -> date:
        return self.now.date() - DAY

    async def ledger(self, deployment: str, tokens: int, day: date | None = None, host: str = HOST) -> None:
        self.written += 1
        at = day or self.yesterday
        event = {
            "request_id": f"req_{self.written}", "time": f"{at}T09:00:00Z", "deployment": f"{host}/{deployment}",
            "outcome": "ok", "input_tokens": tokens, "output_tokens": 0,
        }  # fmt: skip
        row = {
            "PartitionKey": f"{'e' * 64}|{at:%Y%m%d}", "RowKey": f"test-{self.written:08d}", "count": 1,
            "events": orjson.dumps(event).decode(),
        }  # fmt: skip
        await self.desk.tables.write([Row(ledger_table(f"{at:%Y%m}"), row)])

    def azure(self, deployment: str, tokens: int, day: date | None = None) -> None:
        self.fake.use(self.account, deployment, (day or self.yesterday).isoformat(), requests=1, input=tokens)

    async def compare(self) -> dict[str, DriftRow]:
        """Yesterday's, by deployment."""
        self.report = await reconcile_days(self.desk, self.now)
        return await self.rows()

    async def rows(self, day: date | None = None) -> dict[str, DriftRow]:
        asked = ReconcileListAsked(day=day or self.yesterday)
        return {row.deployment: row for row in (await reconcile_list(asked, ADMIN, self.desk)).rows}

    async def events(self) -> list[dict[str, Any]]:
        told = await events_list(EventsAsked(kind="usage.drift", limit=1000), ADMIN, self.desk)
        return [row.data for row in told.rows if row.data["day"][:7] == f"{self.yesterday:%Y-%m}"]


def config(fake: FakeAzure, host: str = HOST, account: str = "main") -> str:
    known = {"api_base": f"http://{host}", "api_key": "k", "api_version": "2024-10-21"}
    given = {"azure_resource_id": fake.state.resource_ids[account]}
    return config_text(
        [("a", {"model": "azure/known", **known, **given}, {}), ("b", {"model": "azure/other", **known}, {})]
    )


@pytest.fixture
def play(azurite: Any, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(work: Callable[[Scene], Awaitable[None]], account: str = "main", **settings: str) -> None:
        async def whole() -> None:
            given = {"RESOURCE_MANAGER_URL": fake.state.management_url, "TRUSTED_HOSTS": "127.0.0.1", **settings}
            async with outside(fake, monkeypatch) as (http, tokens):
                text = config(fake, account=account)
                async with event_desk(azurite.connection_string, own_month(), config=text, **given) as desk:
                    desk.http, desk.tokens = http, tokens
                    await work(Scene(desk, fake, account))

        asyncio.run(whole())

    return run


def test_what_agrees_and_what_does_not(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        for deployment, ledger, azure in (
            ("known", 100_000, 101_000), ("other", 100_000, 104_000), ("gone", 0, 5_000), ("elsewhere", 50_000, 0),
            ("small", 10, 900), ("__Empty", 0, 90_000), ("large", 50_000_000, 50_020_000), ("wide", 1_000_000, 1_012_000),
        ):  # fmt: skip
            if ledger:
                await scene.ledger(deployment, ledger)
            if azure:
                scene.azure(deployment, azure)
        await scene.ledger("known", 777_777, host="127.0.0.1:2")  # another resource
        rows = await scene.compare()
        assert {name: row.verdict for name, row in rows.items()} == {
            "known": "agrees", "other": "drift", "gone": "unknown_use", "elsewhere": "not_in_azure", "small": "agrees",
            "__Empty": "unattributed", "large": "agrees", "wide": "drift",
        }  # fmt: skip
        other = rows["other"]
        assert (other.ledger_tokens, other.azure_tokens, other.drift_tokens) == (100_000, 104_000, 4_000)
        assert (other.drift_percent, other.account, other.configured) == (3.85, "main", True)
        assert not rows["gone"].configured
        assert (scene.report.accounts, scene.report.deployments, scene.report.drifting) == (1, 8, 4)
        # what Azure has more is told at once; what it lacks may come late
        assert {data["deployment"] for data in await scene.events()} == {"other", "gone", "wide"}
        (data,) = [data for data in await scene.events() if data["deployment"] == "other"]
        assert data["drift_tokens"] == 4_000

    play(work)


def test_a_day_is_compared_until_azures_figures_have_settled(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        day = scene.yesterday
        await scene.ledger("known", 100_000)
        assert (await scene.compare())["known"].verdict == "not_in_azure"
        assert await scene.events() == []
        scene.azure("known", 60_000)
        scene.desk.clock.forward(86400)
        await scene.compare()
        row = (await scene.rows(day))["known"]
        assert (row.verdict, row.azure_tokens, row.final) == ("drift", 60_000, False)
        assert await scene.events() == []
        scene.desk.clock.forward(2 * 86400)
        await scene.compare()
        assert (await scene.rows(day))["known"].final
        (data,) = await scene.events()
        assert (data["deployment"], data["drift_tokens"]) == ("known", -40_000)
        scene.azure("known", 40_000, day)  # too late: the day is settled
        await scene.compare()
        assert (await scene.rows(day))["known"].azure_tokens == 60_000
        told = await reconcile_run(ReconcileAsked(day=day), ADMIN, scene.desk)
        assert told.days == [day.isoformat()]  # unless somebody asks
        assert (await scene.rows(day))["known"].verdict == "agrees"
        assert len(await scene.events()) == 1

    play(work)


def test_days_that_were_missed_are_made_up_for(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        for back in range(1, 10):
            await scene.ledger("known", 5_000, scene.now.date() - back * DAY)
            scene.azure("known", 5_000, scene.now.date() - back * DAY)
        await scene.compare()
        assert scene.report.days == [(scene.now.date() - back * DAY).isoformat() for back in range(7, 0, -1)]
        asked = len([r for r in scene.fake.requests if r.path.endswith("/metrics")])
        await scene.compare()
        assert len(scene.report.days) == 3  # those that are not settled
        again = len([r for r in scene.fake.requests if r.path.endswith("/metrics")])
        assert again - asked < asked

    play(work)


def test_an_account_that_cannot_be_asked_is_a_problem_and_is_asked_again(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.ledger("known", 5_000)
        scene.fake.add_fault("status", resource="monitor", status=403, times=-1)
        assert await scene.compare() == {}
        (problem,) = scene.report.problems
        assert problem.startswith("main, ")
        assert "403" in problem
        scene.fake.faults.clear()
        assert set(await scene.compare()) == {"known"}

    play(work)


def test_nothing_is_asked_without_ids_or_when_it_is_off(play: Callable[..., None]) -> None:
    async def off(scene: Scene) -> None:
        await scene.compare()
        assert scene.report.days == []
        assert scene.fake.requests == []
        with pytest.raises(ApiError) as refused:
            await reconcile_run(ReconcileAsked(), ADMIN, scene.desk)
        assert refused.value.code == "monitor_off"

    play(off, RESOURCE_MANAGER_URL="off")

    async def none(scene: Scene) -> None:
        scene.desk.config = config(scene.fake).replace("azure_resource_id", "#")
        await scene.compare()
        assert (scene.report.accounts, scene.fake.requests) == (0, [])

    play(none)


def test_a_day_that_is_not_over_cannot_be_compared(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(ApiError) as refused:
            await reconcile_run(ReconcileAsked(day=scene.now.date()), ADMIN, scene.desk)
        assert refused.value.code == "day_not_closed"
        assert scene.yesterday.isoformat() in refused.value.message

    play(work)


def test_the_list_comes_in_pages_newest_first(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        for back in (3, 2, 1):
            for name in ("x", "y"):
                scene.azure(name, 10, scene.now.date() - back * DAY)
        await scene.compare()
        seen: list[tuple[str, str]] = []
        cursor = ""
        while len(seen) < 6:
            told = await reconcile_list(ReconcileListAsked(limit=4, cursor=cursor), ADMIN, scene.desk)
            seen += [(row.day, row.deployment) for row in told.rows]
            cursor = told.next
        days = [(scene.now.date() - back * DAY).isoformat() for back in (1, 2, 3)]
        assert seen[:6] == [(day, name) for day in days for name in ("x", "y")]
        with pytest.raises(ApiError) as refused:
            await reconcile_list(ReconcileListAsked(cursor="x"), ADMIN, scene.desk)
        assert refused.value.code == "bad_cursor"
        for row in [row async for row in scene.desk.tables.query(STATE_TABLE, f"PartitionKey eq '{reconcile.ROWS}'")]:
            await scene.desk.tables.delete(STATE_TABLE, reconcile.ROWS, row["RowKey"])

    play(work)


# The metrics API by itself.


def measuring(
    play: Callable[..., None], work: Callable[[Scene, AzureMonitor, str], Awaitable[None]], account: str
) -> None:
    async def with_monitor(scene: Scene) -> None:
        monitor = AzureMonitor(scene.desk.http, scene.desk.settings.resource_manager_url, scene.desk.tokens)
        await work(scene, monitor, scene.fake.state.resource_ids[account])

    play(with_monitor, account=account)


@pytest.mark.parametrize("account", ["main", "foundry"])  # with one and with two sets of names
def test_metrics_are_read_by_deployment(play: Callable[..., None], account: str) -> None:
    async def work(scene: Scene, monitor: AzureMonitor, resource_id: str) -> None:
        for number in range(30):  # more than Azure gives unasked
            scene.azure(f"d{number:02d}", number)
        found = await monitor.day(resource_id, scene.yesterday)
        assert found["d29"] == Measured(1, 29, 0)
        assert len(found) == 30
        assert await monitor.day(resource_id, scene.yesterday - DAY) == {}

    measuring(play, work, account)


def test_metrics_wait_when_they_are_told_to_and_sign_in_again(play: Callable[..., None]) -> None:
    async def work(scene: Scene, monitor: AzureMonitor, resource_id: str) -> None:
        scene.azure("known", 5)
        await monitor.day(resource_id, scene.yesterday)
        scene.fake.log.clear()
        scene.fake.expire_tokens()
        scene.fake.add_fault("status", resource="monitor", status=429, retry_after=0)
        scene.fake.add_fault("status", resource="monitor", status=503, retry_after=0)
        assert (await monitor.day(resource_id, scene.yesterday))["known"].input_tokens == 5
        assert [r.status for r in scene.fake.requests if r.resource == "management"] == [429, 503, 401, 200, 400]

    measuring(play, work, "main")


def test_metrics_of_an_account_that_is_not_there(play: Callable[..., None]) -> None:
    async def work(scene: Scene, monitor: AzureMonitor, resource_id: str) -> None:
        for wrong in (
            resource_id.replace("accounts/main", "accounts/none"),
            resource_id.replace("accounts/main", "accounts/openai"),
        ):
            with pytest.raises(MetricsFailed, match="404: ResourceNotFound"):
                await monitor.day(wrong, scene.yesterday)
        with pytest.raises(MetricsFailed, match="does not answer"):
            await AzureMonitor(scene.desk.http, "http://127.0.0.1:9", scene.desk.tokens).day(
                resource_id, scene.yesterday
            )

    measuring(play, work, "main")


# Everything together.


def test_the_ledger_of_a_real_gateway_is_exactly_what_azure_has_counted(
    azurite: Any, fake: FakeAzure, new_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    main, foundry = fake.state.resources["main"], fake.state.resources["foundry"]
    for name, model in (("rc-chat", "gpt-4o-2024-11-20"), ("rc-embed", "text-embedding-3-small")):
        fake.add_deployment("main", name, model)
    fake.add_deployment("foundry", "rc-claude", "claude-sonnet-4-5-20250929")
    ids = fake.state.resource_ids
    on_main = {"api_base": main.url, "api_key": main.key, "api_version": "v1", "azure_resource_id": ids["main"]}
    on_foundry = {"api_base": foundry.url, "api_key": foundry.key, "azure_resource_id": ids["foundry"]}
    text = config_text([
        ("chat", {"model": "azure/rc-chat", **on_main}, {"base_model": "gpt-4o"}),
        ("embed", {"model": "azure/rc-embed", **on_main}, {"base_model": "text-embedding-3-small"}),
        ("claude", {"model": "azure/rc-claude", **on_foundry}, {"base_model": "claude-sonnet-4-5"}),
    ])  # fmt: skip
    stack = new_stack(config=text)
    key = stack.key()
    with stack.openai(key) as client:
        hello: Any = {"messages": ask("Hello there")["messages"]}
        client.chat.completions.create(model="chat", **hello)
        for _ in client.chat.completions.create(model="chat", stream=True, **hello):
            pass
        client.responses.create(model="chat", input="Say something")
        with client.responses.stream(model="chat", input="And again") as stream:
            stream.until_done()
        client.embeddings.create(model="embed", input=["one", "two"])
        client.chat.completions.create(model="claude", max_tokens=50, **hello)
    with stack.http.stream(
        "POST", "/v1/messages", json={**ask("Hi", "claude", stream=True), "max_tokens": 9}, headers=key.bearer
    ) as answer:
        answer.read()
    stack.usage(key, 7)

    async def compare() -> dict[str, DriftRow]:
        tomorrow = datetime.now(UTC) + DAY
        async with outside(fake, monkeypatch) as (http, tokens):
            settings = {"RESOURCE_MANAGER_URL": fake.state.management_url, "TRUSTED_HOSTS": "127.0.0.1"}
            async with event_desk(azurite.connection_string, tomorrow.timestamp(), config=text, **settings) as desk:
                desk.http, desk.tokens = http, tokens
                day = (tomorrow - DAY).date()
                if tomorrow.hour < 2:
                    desk.clock.forward(7200)
                await reconcile_run(ReconcileAsked(day=day), ADMIN, desk)
                rows = (await reconcile_list(ReconcileListAsked(day=day, limit=1000), ADMIN, desk)).rows
                return {row.deployment: row for row in rows if row.deployment.startswith("rc-")}

    rows = asyncio.run(compare())
    assert {name: (row.drift_tokens, row.verdict) for name, row in rows.items()} == {
        "rc-chat": (0, "agrees"), "rc-embed": (0, "agrees"), "rc-claude": (0, "agrees"),
    }  # fmt: skip
    assert {name: (row.ledger_requests, row.azure_requests) for name, row in rows.items()} == {
        "rc-chat": (4, 4), "rc-embed": (1, 1), "rc-claude": (2, 2),
    }  # fmt: skip
    assert all(row.ledger_tokens > 0 for row in rows.values())
    fake.use("main", "rc-chat", requests=10, input=30_000, output=20_000)  # somebody with the resource's own key
    fake.use("main", "rc-unknown", requests=1, input=5_000)
    rows = asyncio.run(compare())
    assert (rows["rc-chat"].verdict, rows["rc-chat"].drift_tokens) == ("drift", 50_000)
    assert (rows["rc-unknown"].verdict, rows["rc-unknown"].configured) == ("unknown_use", False)
