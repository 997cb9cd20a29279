"""The sweep of background work: what has ended is charged, what is gone is dropped in the end, and every run is short."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.adapters import owed_store
from shared.adapters.owed_store import TableOwed
from shared.errors import UpstreamFailed
from shared.operations import background
from shared.operations.background import OPERATIONS, Sweep, Swept, sweep_background
from shared.owed import Owed
from shared.ports import Prices, StoreUnavailable, Upstream
from shared.types import Cost, UpstreamReply, UpstreamRequest, Usage
from tests.support.desk import ADMIN, TestDesk, desk_at
from tests.unit.given import AT, entry

BEGUN = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
USAGE = {"input_tokens": 5, "output_tokens": 7}


class Answers(Upstream):
    """A resource that knows some objects: id -> its answer, or the failure."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.asked: list[str] = []

    async def open(self, request: UpstreamRequest, timeout: float | None = None) -> UpstreamReply:
        assert (request.method, timeout) == ("GET", 30.0)
        path = request.url.partition("?")[0]
        self.asked.append(path)
        said = self.known.get(path.rpartition("/")[2], 404)
        if isinstance(said, Exception):
            raise said
        status, body = (said, {}) if isinstance(said, int) else (200, said)
        return UpstreamReply(status, {}, _chunks(orjson.dumps(body)), _close)


class Flat(Prices):
    def cost(self, deployment: Any, usage: Usage, at: float) -> Cost:
        return Cost(usage.total_tokens * 10, basis="config")

    def figures(self, deployment: Any, at: float) -> dict[str, float]:
        raise AssertionError("nobody shows a list")


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _close() -> None:
    return None


def work(name: str, **changed: Any) -> Owed:
    made = Owed(
        resource="res", upstream_id=name, at=BEGUN, endpoint="responses_create", key_id="a" * 64, key_name="alice",
        team="search", alias="alias", deployment="res/gpt-4o", tags=("x",), user="u",
    )  # fmt: skip
    return replace(made, **changed)


class Scene:
    def __init__(self, desk: TestDesk) -> None:
        self.desk: Any = desk
        self.store, self.upstream = TableOwed(desk.tables), Answers()
        desk.upstream, desk.prices = self.upstream, Flat()

    async def sweep(self, after: float = HOUR) -> dict[str, Any]:
        """What a run has said, without what is nothing."""
        told = await sweep_background(self.desk, datetime.fromtimestamp(BEGUN + after, UTC))
        return {name: value for name, value in told.model_dump().items() if value and value is not True}

    async def events(self, key_id: str) -> list[dict[str, Any]]:
        rows = self.desk.tables.query("tollgateledger202611", f"PartitionKey eq '{key_id}|20261130'")
        return [json.loads(line) async for row in rows for line in row["events"].split("\n")]

    async def totals(self, key_id: str) -> list[dict[str, Any]]:
        return [
            row async for row in self.desk.tables.query("tollgateusage202611", f"PartitionKey eq '{key_id}|20261130'")
        ]

    async def left(self) -> set[str]:
        return {each.upstream_id for each in (await self.store.page(1000))[0]}


@pytest.fixture
def play(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    name = uuid.uuid4().hex
    monkeypatch.setattr(owed_store, "OWED_TABLE", f"owed{name}")
    monkeypatch.setattr(background, "STATE_TABLE", f"state{name}")

    def run(act: Callable[[Scene], Awaitable[None]]) -> None:
        async def whole() -> None:
            config = entry(f"model: azure/gpt-4o, {AT}")
            async with desk_at(azurite.connection_string, now=BEGUN + HOUR, config=config) as desk:
                await act(Scene(desk))

        asyncio.run(whole())

    return run


type Play = Callable[[Callable[[Scene], Awaitable[None]]], None]


def test_what_has_ended_is_charged_once_and_the_rest_waits(play: Play) -> None:
    key = uuid.uuid4().hex * 2

    async def act(scene: Scene) -> None:
        known: dict[str, Any] = {
            "done": {"id": "done", "status": "completed", "usage": USAGE, "service_tier": "flex"},
            "void": {"id": "void", "status": "cancelled", "usage": None},
            "runs": {"id": "runs", "status": "in_progress"},
            "sick": 500,
            "dead": UpstreamFailed("unreachable", "nobody there"),
            "odd": [1],
            "ftjob-1": {"id": "ftjob-1", "status": "succeeded", "trained_tokens": 90},
        }
        scene.upstream.known = known
        for name in (*known, "gone", "new"):
            await scene.store.add(work(name, key_id=key))
        job = work("ftjob-1", key_id=key, endpoint="fine_tuning_jobs_create", deployment="", alias="")
        await scene.store.add(job)
        await scene.store.add(work("new", key_id=key, at=BEGUN + HOUR - 60))
        await scene.store.add(work("far", key_id=key, resource="not-configured"))
        assert await scene.sweep() == {"charged": 3, "running": 1, "young": 1, "gone": 2, "failed": 3}
        assert await scene.left() == {"runs", "sick", "dead", "odd", "gone", "new", "far"}
        assert len(scene.desk.log.warnings) == 3
        assert any(path.endswith("/responses/done") for path in scene.upstream.asked)
        assert any(path.endswith("/fine_tuning/jobs/ftjob-1") for path in scene.upstream.asked)
        for _ in range(2):
            events = sorted(await scene.events(key), key=lambda event: event["alias"])
            assert [(e["alias"], e.get("training_tokens"), e["output_tokens"]) for e in events] == [
                ("", 90, 0), ("alias", None, 7),
            ]  # fmt: skip
            assert (events[0]["unpriced"], events[1]["cost_nanos"], events[1]["tier"]) == (True, 120, "flex")
            assert (events[1]["at"], events[1]["tags"], events[1]["user"]) == ("2026-11-30T12:00:00Z", ["x"], "u")
            totals = await scene.totals(key)
            assert sum(row["requests"] for row in totals) == 2
            assert sum(row["cost_nanos"] for row in totals) == 120
            await scene.store.add(work("done", key_id=key))  # a note that comes late changes nothing
            await scene.sweep()

    play(act)


def test_what_has_been_gone_for_a_month_is_dropped_and_the_log_says_so(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.store.add(work("gone"))
        await scene.store.add(work("far", resource="not-configured"))
        assert await scene.sweep(29 * DAY) == {"gone": 2}
        assert await scene.sweep(31 * DAY) == {"dropped": 2}
        assert await scene.left() == set()
        assert ["never charged" in message for message, _ in scene.desk.log.warnings] == [True, True]

    play(act)


def test_a_run_is_bounded_and_the_next_one_goes_on(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MOST", 4)

    async def act(scene: Scene) -> None:
        for number in range(10):
            await scene.store.add(work(f"w{number}"))
            scene.upstream.known[f"w{number}"] = {"status": "queued"}
        seen: list[int] = []
        for _ in range(3):
            await scene.sweep()
            seen.append(len(set(scene.upstream.asked)))
        assert seen == [4, 8, 10]
        await scene.sweep()
        assert len(scene.upstream.asked) == 14  # from the beginning
        await scene.desk.tables.write([])
        state = await scene.desk.tables.get(background.STATE_TABLE, "sweep_background", "cursor")
        assert state
        assert await scene.desk.tables.replace_if(background.STATE_TABLE, {**state, "cursor": "rubbish"}, state["etag"])
        assert sum((await scene.sweep()).values()) == 4

    play(act)


def test_two_sweeps_at_once_charge_once(play: Play) -> None:
    key = uuid.uuid4().hex * 2

    async def act(scene: Scene) -> None:
        for number in range(5):
            await scene.store.add(work(f"w{number}", key_id=key))
            scene.upstream.known[f"w{number}"] = {"id": f"w{number}", "status": "completed", "usage": USAGE}
        await asyncio.gather(*(scene.sweep() for _ in range(3)))
        assert await scene.left() == set()
        assert len(await scene.events(key)) == 5
        assert sum(row["requests"] for row in await scene.totals(key)) == 5

    play(act)


def test_operation(play: Play) -> None:
    (operation,) = OPERATIONS

    async def act(scene: Scene) -> None:
        await scene.store.add(work("gone"))
        assert await operation.act(Sweep(), ADMIN, scene.desk) == Swept(gone=1)

    play(act)


def test_notes_are_kept_as_they_are_given(play: Play) -> None:
    async def act(scene: Scene) -> None:
        odd = work("id/with ?#\\'", alias="a/b", key_name="n'ü", tags=(), user="")
        assert await scene.store.find(odd.resource, odd.upstream_id) is None
        await scene.store.remove(odd.resource, odd.upstream_id)
        for _ in range(2):
            await scene.store.add(odd)
        assert await scene.store.find(odd.resource, odd.upstream_id) == odd
        assert await scene.store.find("other", odd.upstream_id) is None
        assert (await scene.store.page(10))[0] == [odd]
        for _ in range(2):
            await scene.store.remove(odd.resource, odd.upstream_id)
        assert await scene.left() == set()

    play(act)


def test_store_that_is_down_fails_the_run_and_forgets_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(scene: Scene) -> None:
        await scene.store.add(work("done"))
        scene.upstream.known["done"] = {"id": "done", "status": "completed", "usage": USAGE}
        real = scene.desk.tables.write

        async def down(_: Any) -> None:
            raise StoreUnavailable("down")

        monkeypatch.setattr(scene.desk.tables, "write", down)
        with pytest.raises(StoreUnavailable):
            await scene.sweep()
        monkeypatch.setattr(scene.desk.tables, "write", real)
        assert await scene.left() == {"done"}
        assert await scene.sweep() == {"charged": 1}

    play(act)
