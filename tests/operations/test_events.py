"""Events from the tables to a real topic: order, pauses, giving up, and what an operator sees of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.adapters.event_sinks import EventGridTopic
from shared.adapters.key_rows import KeyRecord, KeySecret
from shared.adapters.key_store import TableKeys
from shared.errors import ApiError
from shared.operations import events, sending
from shared.operations.events import EventsAsked, EventsTestAsked, SendAsked, events_list, events_send, events_test
from shared.operations.expiry import warn_of_expiry
from shared.operations.sending import GIVE_UP_DAYS, send_events
from shared.ports import StoreUnavailable
from shared.principals import Principal
from shared.types import Secret
from tests.support.desk import ADMIN, TestDesk
from tests.support.outside import event_desk, outside, own_month
from tests.support.own_azurite import dead_connection_string

DAY = 86400.0


class Scene:
    def __init__(self, desk: TestDesk, fake: FakeAzure) -> None:
        self.desk, self.fake = desk, fake
        self.started = desk.clock.now

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.desk.clock.now, UTC)

    async def happen(self, *names: str, kind: str = "test") -> None:
        """A second apart."""
        for name in names:
            await self.desk.outbox.add_now(kind, name, {"n": 1}, f"{name}|{uuid.uuid4().hex}")
            self.desk.clock.forward(1)

    async def send(self) -> tuple[int, int, int]:
        report = await send_events(self.desk, self.now)
        return report.sent, report.waiting, report.given_up

    @property
    def arrived(self) -> list[str]:
        return [event["subject"] for event in self.fake.events]

    async def listed(self, **asked: Any) -> list[events.EventRow]:
        """Of this test."""
        told = await events_list(EventsAsked(**asked), ADMIN, self.desk)
        return [row for row in told.rows if row.time >= self.started_text]

    @property
    def started_text(self) -> str:
        return datetime.fromtimestamp(self.started, UTC).isoformat()


@pytest.fixture
def play(azurite: Any, fake: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(work: Callable[[Scene], Awaitable[None]], batch: int = EventGridTopic.batch, to: str = "topic") -> None:
        async def whole() -> None:
            async with outside(fake, monkeypatch) as (http, tokens):
                sink = EventGridTopic(http, fake.state.topic_url, Secret(fake.state.topic_key), tokens)
                sink.batch = batch
                async with event_desk(azurite.connection_string, own_month(), sink if to else None) as desk:
                    await work(Scene(desk, fake))

        asyncio.run(whole())

    return run


def test_events_are_sent_once_and_in_order(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen(*(f"s{n}" for n in range(5)))
        assert await scene.send() == (5, 0, 0)
        assert scene.arrived == [f"s{n}" for n in range(5)]
        assert await scene.send() == (0, 0, 0)
        rows = await scene.listed()
        assert {(row.state, row.attempts) for row in rows} == {("sent", 1)}
        assert rows[0].sent_at > rows[0].time > rows[-1].time

    play(work, batch=2)


def test_a_sink_that_is_down_is_tried_again_with_growing_pauses(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen("a", "b")
        scene.fake.add_fault("status", resource="topic", status=503, times=3)
        report = await send_events(scene.desk, scene.now)
        assert (report.sent, report.waiting) == (0, 1)
        assert "answered 503" in report.problems[0]
        second, first = await scene.listed()
        assert (first.subject, first.attempts, first.state) == ("a", 1, "waiting")
        assert "503" in first.error
        assert second.attempts == 0
        for pause in (60, 120):
            scene.desk.clock.forward(pause - 2)
            scene.fake.add_fault("status", resource="topic", status=503)
            await scene.send()
            scene.desk.clock.forward(2)
        scene.fake.faults.clear()
        scene.desk.clock.forward(3600)
        assert await scene.send() == (2, 0, 0)
        assert scene.arrived == ["a", "b"]

    play(work, batch=1)


def test_one_event_that_is_refused_does_not_hold_up_the_others(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen("bad", "b", "c")
        scene.fake.add_fault("status", resource="topic", status=400, times=2)  # the batch, then the first of it
        assert await scene.send() == (2, 1, 0)
        assert scene.arrived == ["b", "c"]
        scene.desk.clock.forward(61)
        assert await scene.send() == (1, 0, 0)

    play(work)


def test_after_three_days_an_event_is_given_up_and_the_log_says_so(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen("a")
        scene.fake.add_fault("status", resource="topic", status=503, times=-1)
        assert await scene.send() == (0, 1, 0)
        scene.desk.clock.forward(GIVE_UP_DAYS * DAY)
        assert await scene.send() == (0, 0, 1)
        scene.desk.clock.forward(DAY)
        assert await scene.send() == (0, 0, 0)
        ((message, fields),) = scene.desk.log.warnings
        assert message == "event given up"
        assert fields["kind"] == "test"
        scene.fake.faults.clear()
        told = await events_send(SendAsked(retry=True), ADMIN, scene.desk)
        assert told.sent == 1  # an operator may have it sent all the same
        assert scene.arrived == ["a"]

    play(work)


def test_what_waits_is_found_after_the_turn_of_the_month(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen("old")
        scene.desk.clock.forward(13 * DAY)  # nobody looked for so long
        await scene.happen("new")
        assert await scene.send() == (2, 0, 0)
        assert scene.arrived == ["old", "new"]

    play(work)


def test_many_are_sent_in_several_runs(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MOST_AT_ONCE", 3)

    async def work(scene: Scene) -> None:
        await scene.happen(*"abcd")
        assert (await scene.send())[0] == 3
        assert (await scene.send())[0] == 1

    play(work)


@pytest.mark.parametrize("few", [3, 1000])  # rows of a month that are read whole; of more, day by day
def test_the_list_is_newest_first_in_pages(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(events, "_FEW", few)

    async def work(scene: Scene) -> None:
        for _ in range(3):
            await scene.happen("one", "two", "three")
            scene.desk.clock.forward(4 * DAY)
        await scene.happen("last", kind="other.kind")
        seen: list[str] = []
        cursor = ""
        while len(seen) < 10:
            told = await events_list(EventsAsked(limit=2, cursor=cursor), ADMIN, scene.desk)
            assert len(told.rows) == 2
            seen += [row.subject for row in told.rows]
            cursor = told.next
        assert seen == ["last", *(["three", "two", "one"] * 3)]
        assert [row.subject for row in await scene.listed(kind="other.kind")] == ["last"]
        assert await scene.listed(kind="it's") == []
        await send_events(scene.desk, scene.now)
        await scene.happen("after")
        assert [row.subject for row in await scene.listed(sent="no")] == ["after"]
        assert [row.subject for row in await scene.listed(sent="yes", limit=2)] == ["last", "three"]
        with pytest.raises(ApiError) as refused:
            await events_list(EventsAsked(cursor="20261123-x"), ADMIN, scene.desk)
        assert refused.value.code == "bad_cursor"

    play(work)


def test_a_test_event_says_what_the_sink_said(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        told = await events_test(EventsTestAsked(), ADMIN, scene.desk)
        assert (told.sent, told.error, told.sink) == (True, "", "the Event Grid topic")
        (event,) = scene.fake.events
        assert (event["id"], event["type"], event["data"]) == (told.id, "tollgate.test", {"asked_by": "admin-key"})
        scene.fake.add_fault("status", resource="topic", status=401)
        told = await events_test(EventsTestAsked(), ADMIN, scene.desk)
        assert not told.sent
        assert "answered 401" in told.error
        assert await scene.send() == (0, 0, 0)  # a test is not tried again
        assert [row.state for row in await scene.listed(kind="test")] in (["given_up", "sent"], ["sent", "given_up"])

    play(work)


def test_without_a_sink_events_are_kept_and_never_sent(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        await scene.happen("a")
        assert await scene.send() == (0, 0, 0)
        assert [row.state for row in await scene.listed()] == ["kept"]
        for asking in (
            events_send(SendAsked(), ADMIN, scene.desk), events_test(EventsTestAsked(), ADMIN, scene.desk),
        ):  # fmt: skip
            with pytest.raises(ApiError) as refused:
                await asking
            assert (refused.value.status, refused.value.code) == (409, "events_off")

    play(work, to="")


def test_without_storage_sending_fails_as_storage_does(fake: FakeAzure) -> None:
    async def work() -> None:
        async with event_desk(dead_connection_string(), own_month(), sink=object()) as desk:
            with pytest.raises(StoreUnavailable):
                await send_events(desk, datetime.fromtimestamp(desk.clock.now, UTC))

    asyncio.run(work())


def test_keys_and_secrets_that_end_are_told_a_week_and_a_day_before(play: Callable[..., None]) -> None:
    async def work(scene: Scene) -> None:
        keys, now = TableKeys(scene.desk.tables), scene.desk.clock.now
        names = {name: uuid.uuid4().hex * 2 for name in ("soon", "later", "disabled", "turned")}
        await keys.put_key(Principal(names["soon"], "soon", "red", expires_at=now + 6 * DAY))
        await keys.put_key(Principal(names["later"], "later", expires_at=now + 8 * DAY))
        await keys.put_key(Principal(names["disabled"], "disabled", expires_at=now + DAY, disabled=True))
        await keys.put_key(Principal(names["turned"], "turned"))

        def with_old_secret(record: KeyRecord) -> KeyRecord:
            old = KeySecret("d" * 64, "sk-old…1234", now - DAY, now + 0.5 * DAY)
            return KeyRecord(record.principal, (old, *record.secrets))

        await keys.change_key(names["turned"], with_old_secret)

        async def told() -> list[tuple[str, str, int]]:
            mine = {names[name]: name for name in names}
            rows = [row.data for row in await scene.listed(kind="key.expiring") if row.data["id"] in mine]
            return sorted((mine[data["id"]], data["what"], data["within_days"]) for data in rows)

        for _ in range(2):  # once each
            await warn_of_expiry(scene.desk, scene.now)
            assert await told() == [("soon", "key", 7), ("turned", "secret", 1)]
        scene.desk.clock.forward(5.5 * DAY)
        await warn_of_expiry(scene.desk, scene.now)
        expected = [("later", "key", 7), ("soon", "key", 1), ("soon", "key", 7), ("turned", "secret", 1)]
        assert await told() == expected
        for name in names.values():
            await scene.desk.tables.delete("tollgatekeys", name, "key")

    play(work)
